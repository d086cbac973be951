"""Arbitrary bytes given as an image file, to `read_image` and every statistic: a value, or ValueError naming the file.

    uv run --with atheris exercises/fuzz_images.py --inputs 100000

Needs Python 3.11 to 3.13, for which atheris is made. Coverage is that of Pillow's Python code and `metrics.images`; its decoders in C are
run but do not guide. Images above LARGEST_MEASURED pixels are decoded only, which keeps most inputs to milliseconds.
"""

import io
import math
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["PIL", "metrics.images"]):
    import PIL
    from PIL import Image

    Image.init()
    from metrics import STATISTICS, edges, read_image

import numpy as np
from fuzzing import fuzz, options

LARGEST_FILE = 4096  # bytes
LARGEST_MEASURED = 2048  # pixels


def seeds() -> list[bytes]:
    """Small images of every format that a data folder may hold, in several modes and compressions."""
    y, x = np.mgrid[:20, :24]
    wave = (127 + 120 * np.sin(x / 3) * np.cos(y / 4)).astype(np.uint8)
    colour = np.stack(
        [wave, wave.T.reshape(20, 24), np.random.default_rng(0).integers(0, 256, wave.shape, np.uint8)], 2
    )
    grey, rgb = Image.fromarray(wave), Image.fromarray(colour)
    made = [
        *[(grey, name, {}) for name in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")],
        *[(rgb, name, {}) for name in ("PNG", "JPEG", "BMP", "TIFF", "PPM")],
        (rgb, "WEBP", {"lossless": True}),
        (rgb, "JPEG", {"progressive": True, "subsampling": 2}),
        (rgb.convert("CMYK"), "JPEG", {}),
        *[(rgb, "TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")],
        (Image.fromarray(wave.astype(np.uint16) * 257), "PNG", {}),
        (Image.fromarray(wave.astype(np.uint16) * 257), "TIFF", {}),
        (Image.fromarray(wave.astype(np.float32)), "TIFF", {}),
        (grey.convert("1"), "PNG", {}),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (grey.convert("1"), "PPM", {}),
        (rgb.quantize(16), "PNG", {"transparency": 3}),
        (rgb.quantize(16), "GIF", {"transparency": 3}),
        (rgb.quantize(16), "GIF", {"save_all": True, "append_images": [rgb.rotate(90).quantize(16)]}),
        (rgb.quantize(16), "BMP", {}),
        (Image.fromarray(np.dstack([colour, wave])), "PNG", {}),
        (Image.fromarray(np.dstack([colour, wave])), "WEBP", {}),
    ]
    files = []
    for image, kind, saving in made:
        buffer = io.BytesIO()
        image.save(buffer, kind, **saving)
        files.append(buffer.getvalue())
    return files


def main() -> None:
    given = options(__doc__)
    warnings.filterwarnings("ignore", module="PIL")
    path = Path(tempfile.mkdtemp()) / "fuzzed.png"

    def one_input(data: bytes) -> str:
        path.write_bytes(data)
        try:
            image = read_image(path)
        except ValueError as error:
            assert "fuzzed.png" in str(error)
            return "refused"
        assert image.dtype == np.uint8 and image.size > 0 and image.shape[2:] in ((), (3,))
        if image.shape[0] * image.shape[1] > LARGEST_MEASURED:
            return "decoded"
        for name, statistic in STATISTICS.items():
            value = edges(image, draws=1) if name == "edges" else statistic(image)
            assert math.isfinite(value) and value >= 0, (name, value)
        return "measured"

    # the statistics are compiled here, which takes longer than an input may
    print(f"Pillow {PIL.__version__}, {len(seeds())} seeds: {Counter(one_input(seed) for seed in seeds())}", flush=True)
    fuzz(one_input, seeds(), LARGEST_FILE, given)


if __name__ == "__main__":
    main()
