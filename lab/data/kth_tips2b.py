"""KTH-TIPS2b: photographs of 11 materials, four samples of each, under different light, angle and scale (Caputo et al. 2005)."""

import re
from pathlib import Path

import numpy as np

from lab.data.folder import SUFFIXES
from lab.data.images import Files, read_splits
from lab.data.split import Data
from lab.errors import UserError

FOLDER = "KTH-TIPS2-b"
NAME = re.compile(r".*-scale_(\d+)_im_(\d+)_col\.\w+")
# by the number of an image, of the paper's code
ILLUMINATION = {1: "frontal", 4: "frontal", 7: "frontal", 2: "from the top", 5: "from the top", 8: "from the top",
                3: "from the side", 6: "from the side", 9: "from the side", 10: "ambient", 11: "ambient", 12: "ambient"}  # fmt: skip
ROTATION = {1: "frontal", 2: "frontal", 3: "frontal", 10: "frontal", 4: "right", 5: "right", 6: "right", 11: "right",
            7: "left", 8: "left", 9: "left", 12: "left"}  # fmt: skip


def kth_tips2b(root: Path, resize: int | None, cache: Path, skip_bad_images: bool, test_sample: str) -> Data:
    """`root/KTH-TIPS2-b/<material>/sample_a/<name>-scale_S_im_I_col.png`, or of another suffix; sample `test_sample` is the test set.

    Annotations: `scale` (2 near to 10 far), and the kinds `illumination` and `rotation`.
    """
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    materials = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not materials:
        raise UserError(
            f"root={root}: there is no {FOLDER}/<material>/sample_a/; get kth-tips2-b_col_200x200.tar from the KTH "
            "(www.csc.kth.se/cvap/databases/kth-tips) and unpack it there"
        )
    held_out = f"sample_{test_sample}"
    parts: dict[bool, list[tuple[Path, int]]] = {False: [], True: []}
    for label, material in enumerate(materials):
        samples = sorted(path for path in (folder / material).iterdir() if path.is_dir())
        if held_out not in [path.name for path in samples] or len(samples) < 2:
            raise UserError(f"{folder / material}: needs a folder {held_out} to test on, and others to train on")
        for sample in samples:
            parts[sample.name == held_out] += [
                (path, label) for path in sorted(sample.iterdir()) if path.suffix.lower() in SUFFIXES
            ]
    splits, notes, left_out = read_splits(
        [files_of(folder, parts[test]) for test in (False, True)], resize, cache, skip_bad_images
    )
    return Data(splits[0], splits[1], materials, notes, left_out=left_out)


def files_of(folder: Path, examples: list[tuple[Path, int]]) -> Files:
    if not examples:
        raise UserError(f"{folder}: holds no images <name>-scale_S_im_I_col.png")
    numbers = []
    for path, _ in examples:
        found = NAME.fullmatch(path.name)
        if not found or int(found[2]) not in ILLUMINATION:
            raise UserError(f"{path}: the name is not of the form <name>-scale_S_im_I_col.png with I from 1 to 12")
        numbers.append((int(found[1]), int(found[2])))
    annotations = {
        "scale": np.array([scale for scale, _ in numbers], float),
        "illumination": np.array([ILLUMINATION[image] for _, image in numbers]),
        "rotation": np.array([ROTATION[image] for _, image in numbers]),
    }
    return Files(folder, [path for path, _ in examples], np.array([label for _, label in examples]), annotations)
