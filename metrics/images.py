"""An image as the statistics see it: 8-bit values in an array, and their luminance."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from metrics._libtiff import damage_told

T = TypeVar("T")
# of the many that Pillow knows those in which data sets come: some of the others start programs or are hardly tested
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
LARGEST_STRIP = 2**22  # pixels that are converted at a time
_MARK = re.compile(rb"(?<=\xff)[\xc0-\xcf\xd9-\xfe]")  # that begins a segment with a length, in a JPEG
MOST_SCANS = 100  # of a JPEG file; a progressive one has some ten, and each takes as long as the image
DECODING = 3  # raised when a file is decoded to other values than before: what was computed from them is then not used


def read_image(path: str | Path, bits: int = 16) -> np.ndarray:
    """Decode an image file to 8 bits per channel.

    Parameters
    ----------
    path : the file, of one of FORMATS whatever its name; of one with several frames the first is read. The
        orientation that a camera noted (EXIF) is applied, as viewers do.
    bits : of 16-bit files, how many bits their values have, 8 to 16, see `value_bits`; a value beyond is white.

    Returns
    -------
    uint8 array, (H, W) for grey files and (H, W, 3) RGB for all others:

    - black and white become 0 and 255;
    - 16-bit values keep the high 8 of their bits, which undoes the usual widening ``257 * v``;
    - a palette is looked up; transparency, of whatever kind, is composited over white, as a viewer shows it;
    - CMYK, YCbCr, HSV and Lab are converted to RGB by Pillow, without a colour profile.

    Raises
    ------
    ValueError
        If the content is no image of these formats, is truncated or otherwise corrupt, has more pixels than Pillow
        deems safe (``PIL.Image.MAX_IMAGE_PIXELS``), more than ``MOST_SCANS`` scans, or has values without a defined 8-bit form (floating point, or
        integers beyond 16 bits).
    FileNotFoundError, PermissionError, IsADirectoryError
        As ``open`` does.
    """
    return _read(path, lambda image: eight_bit(image, bits))


def brightest_value(path: str | Path) -> int:
    """The largest value of a 16-bit grey file, 0 to 65,535. Raises as `read_image`."""

    def largest(image: Image.Image) -> int:
        image.load()
        return int(_wide(image).max())

    return _read(path, largest)


def value_bits(largest: int) -> int:
    """How many bits the values of a camera have whose 16-bit files hold no larger one: 8, 10, 12, 14 or 16.

    >>> value_bits(4095), value_bits(4096)
    (12, 14)
    """
    return next(bits for bits in (8, 10, 12, 14, 16) if largest < 1 << bits)


def _read(path: str | Path, look: Callable[[Image.Image], T]) -> T:
    with Path(path).open("rb") as file:
        try:
            with damage_told(), Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):
                    raise ValueError(f"{image.width} x {image.height} pixels are more than Pillow deems safe")
                if image.format in ("JPEG", "MPO"):
                    file.seek(0)
                    if (scans := _scans(file.read())) > MOST_SCANS:
                        raise ValueError(f"{scans} scans are more than the {MOST_SCANS} allowed")
                return look(image)
        except UnidentifiedImageError as error:
            kind = _kind_of_tiff(file)
            why = f"{kind} is not read" if kind else f"it is not {', '.join(FORMATS)}, or is damaged"
            raise ValueError(f"cannot read image {str(path)!r}: {why}") from error
        except Exception as error:  # Pillow's decoders meet bad bytes with errors of many types
            raise ValueError(f"cannot read image {str(path)!r}: {error}") from error


def _scans(content: bytes) -> int:
    """How many scans a JPEG has, without what is behind its end, such as the film of a phone's moving picture; or no fewer."""
    if (marks := content.count(b"\xff\xda")) <= MOST_SCANS:
        return marks
    scans, at = 0, 2
    while (mark := _MARK.search(content, at)) and mark[0] != b"\xd9":  # the end of the image
        scans += mark[0] == b"\xda"
        at = mark.end() + int.from_bytes(content[mark.end() : mark.end() + 2], "big")
    return scans


def _kind_of_tiff(file: IO[bytes]) -> str:
    """What a TIFF file holds, as its header says: Pillow does not know all kinds. Nothing of what is damaged, or no TIFF."""
    tags = TiffImagePlugin
    try:
        file.seek(0)
        begin = file.read(8)
        header = tags.ImageFileDirectory_v2(
            begin + file.read(8 if begin[2:4] in (b"+\0", b"\0+") else 0)
        )  # a large one
        file.seek(header.next)
        header.load(file)
        bands, kind = header.get(tags.SAMPLESPERPIXEL, 1), header.get(tags.SAMPLEFORMAT, (1,))[0]
        bits, size = header[tags.BITSPERSAMPLE][0], header[tags.IMAGEWIDTH] * header[tags.IMAGELENGTH]
        whole = size > 0 and sum(header[tags.STRIPBYTECOUNTS if tags.STRIPBYTECOUNTS in header else 325]) > 0
    except Exception:  # of bad bytes, of many types
        return ""
    values = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}.get(kind, "whole")
    return f"a TIFF of {bands} band{'s' if bands > 1 else ''} of {values} values of {bits} bits" if whole else ""


def eight_bit(image: Image.Image, bits: int = 16) -> np.ndarray:
    """An opened image as `read_image` returns it. Raises ValueError where its values have no 8-bit form."""
    image.load()  # by which a TIFF is turned already
    turn = _TURNS.get(_orientation(image))
    pixels = _pixels(image, bits)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # of damaged EXIF, of many types: the pixels are there all the same
        return 1


# from rows and columns as they are stored to those that are seen, by the number in EXIF (JEITA CP-3451, Orientation)
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


def _pixels(image: Image.Image, bits: int) -> np.ndarray:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined 8-bit form")
    if image.mode.startswith("I"):  # I;16 in its byte orders, and I, as which some 16-bit files are opened
        wide = _wide(image)
        values = np.minimum(wide >> (bits - 8), 255).astype(np.uint8)
        values[wide == image.info.get("transparency")] = 255
        return values
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:  # of 16 bits, beside pixels of 8
        image.info["transparency"] = tuple(value >> 8 for value in key)
    grey = image.mode in ("1", "L", "LA", "La")
    image.load()
    width, height = image.size
    rows = max(1, LARGEST_STRIP // width)
    values = np.empty((height, width) if grey else (height, width, 3), np.uint8)
    for top in range(0, height, rows):  # in strips: the steps of a whole large image would take gigabytes
        strip = image if rows >= height else image.crop((0, top, width, min(top + rows, height)))
        if strip.has_transparency_data:
            white = Image.new("RGBA", strip.size, "white")
            strip = Image.alpha_composite(white, _with_alpha(strip))
        values[top : top + rows] = np.asarray(strip.convert("L" if grey else "RGB"))
    return values


def _wide(image: Image.Image) -> np.ndarray:
    wide = np.asarray(image)
    if wide.min() < 0 or wide.max() > 65535:
        raise ValueError(f"integer pixels from {wide.min()} to {wide.max()} do not fit 16 bits")
    return wide


def _with_alpha(image: Image.Image) -> Image.Image:
    # Pillow undoes premultiplied alpha only in these two steps
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGBA")


def luminance(image: np.ndarray) -> np.ndarray:
    """Luminance ``0.2989 R + 0.5870 G + 0.1140 B`` of 8-bit values, not rounded, as in the paper's code.

    The terms are added from left to right in float64, so that two pixels are of equal luminance where these values
    are equal to the last bit. A grey image counts as an RGB image of three equal channels; its luminance is therefore
    0.9999 times its value.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3).

    Returns
    -------
    C-contiguous float64 array (H, W), from 0 to 254.9745.

    Raises
    ------
    ValueError
        If the array is not a non-empty uint8 image of one of these shapes.
    """
    check_image(image)
    if image.ndim == 2:
        return np.ascontiguousarray(_GREY_LUMINANCE[image])
    return np.ascontiguousarray(_weighted(image[..., 0], image[..., 1], image[..., 2]))


def _weighted(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    return 0.2989 * red + 0.5870 * green + 0.1140 * blue


_GREY_LUMINANCE = _weighted(*[np.arange(256, dtype=np.uint8)] * 3)


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless ``image`` is a non-empty uint8 array (H, W) or (H, W, 3)."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"an image must be a numpy array, not {type(image).__name__}")
    if image.dtype != np.uint8:
        raise ValueError(f"an image must hold uint8 values, not {image.dtype}")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"an image must be of shape (H, W) or (H, W, 3), not {image.shape}")
    if image.size == 0:
        raise ValueError(f"an image must have at least one pixel, its shape is {image.shape}")
