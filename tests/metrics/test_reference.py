"""All statistics against reference values of 120 images of CIFAR-10, Pascal VOC and ImageNet.

``reference_statistics.csv`` holds entropy (bits) and coefficients from the definitions written out in float64, and
segments from Felzenszwalb's C++ program (0.5, 500, 20). The images themselves are not part of this repository.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metrics import edges, entropy, frequency, important_coefficients, segments

ARCHIVES = Path(__file__).parents[3] / "shared" / "data"
ARCHIVE_OF = {"cifar10": "cifar10.zip", "VOCdevkit": "voc2012_animals.zip", "imagenette": "imagenette.zip"}
REFERENCE = pd.read_csv(Path(__file__).with_name("reference_statistics.csv"))
# means of several runs of the authors' code under GNU Octave, setting "speedy"
EDGES = {
    "cifar10/train/deer/12301.png": 231.912,
    "cifar10/train/automobile/49066.png": 265.708,
    "cifar10/train/horse/19599.png": 262.949,
    "VOCdevkit/VOC2012/JPEGImages/2009_001890.jpg": 155813.303,
    "imagenette/train/n03028079/n03028079_39965.JPEG": 53860.127,
}


@pytest.mark.parametrize("folder", list(ARCHIVE_OF))
def test_reference_values(folder):
    archive = ARCHIVES / ARCHIVE_OF[folder]
    if not archive.exists():
        pytest.skip(f"there is no {archive}")
    rows = REFERENCE[REFERENCE["image"].str.startswith(folder)]
    assert len(rows) >= 30 and any(name.startswith(folder) for name in EDGES)
    with zipfile.ZipFile(archive) as images:
        for row in rows.itertuples():
            image = np.array(Image.open(io.BytesIO(images.read(row.image))).convert("RGB"))
            assert image.shape == (row.height, row.width, 3)
            assert entropy(image) == pytest.approx(row.entropy, abs=1e-12), row.image
            assert important_coefficients(image) == row.coefficients, row.image
            assert frequency(image) == pytest.approx(row.frequency, abs=1e-9), row.image
            assert segments(image) == row.segments, row.image
            if row.image in EDGES:
                assert edges(image) == pytest.approx(EDGES[row.image], rel=0.2 if row.height == 32 else 0.06), row.image


def test_all_images_of_the_edges_are_among_the_others():
    assert set(EDGES) <= set(REFERENCE["image"])
