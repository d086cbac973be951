"""Image files as the images of a split: decoded and resized once, into a file of pixels in the cache."""

import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError

import numpy as np
from filelock import FileLock
from PIL import Image

from agreement.record import replace_text
from lab.data.split import Narrow, Split
from lab.errors import UserError
from lab.pixels import Images, begins_of
from metrics.images import DECODING, FORMATS, brightest_value, read_image, value_bits
from metrics.table import cores

DOWNLOAD_ERRORS = (OSError, ValueError, RuntimeError, HTTPException, TarError)  # of torchvision's downloads
WAITING = 512  # images decoded, and resized, before they are written
MEMORY = 2**30  # bytes that all images together may take that are being decoded or wait; one image may take more
BYTES_A_PIXEL = 16  # of an image while it is decoded: twice what was measured, for RGBA
ENDS = 4096  # bytes of the begin and the end of a file by which it is known


@dataclass(frozen=True)
class Files:
    """The image files of one split, in `folder`, with labels (N,) and annotations (N,) as `Split` has them."""

    folder: Path
    paths: list[Path]
    labels: np.ndarray
    annotations: dict[str, np.ndarray] = field(default_factory=dict)


def read_splits(
    parts: Sequence[Files], resize: int | None, cache: Path, skip_bad_images: bool
) -> tuple[list[Split], tuple[str, ...], tuple[str, ...]]:
    """The splits that the files hold, notes for the user, and what is wrong with each file that is left out.

    Images are grey where all files of all splits are.

    Every file is decoded before any training. Raises UserError naming a bad one; with `skip_bad_images` it is left out.
    """
    glances = [[glance(path) for path in part.paths] for part in parts]
    wide = [file for of_part in glances for file in of_part if file.wide]
    bits = used_bits(wide, cache / "pixels") if wide else 16
    channels = 1 if all(file.grey for of_part in glances for file in of_part) else 3
    read = [decoded(of_part, channels, resize, cache / "pixels", bits) for of_part in glances]
    bad = [why for _, _, of_part in read for why in of_part]
    if bad and not skip_bad_images:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UserError(f"{bad[0]}{more}; convert or repair it, or leave such images out with skip_bad_images=true")
    splits = []
    for files, (images, kept, _) in zip(parts, read, strict=True):
        lost = np.setdiff1d(files.labels, files.labels[kept])
        if lost.size:
            first = files.paths[np.flatnonzero(files.labels == lost[0])[0]]
            raise UserError(f"{first.parent}: none of its images can be read")
        paths = [files.paths[i] for i in kept]
        ids = [path.relative_to(files.folder).as_posix() for path in paths]
        for name in ids:
            if name != name.encode(errors="replace").decode():
                raise UserError(f"{files.folder}: {name!r} has letters that are not UTF-8; rename the file or folder")
        annotations = {name: values[kept] for name, values in files.annotations.items()}
        originals = paths if bits == 16 else Narrow(paths, bits)
        splits.append(Split(images, files.labels[kept].astype(np.int64), ids, originals, annotations))
    notes = [f"{len(bad)} unreadable image{'s' if len(bad) > 1 else ''} left out, the first: {bad[0]}"] if bad else []
    if bits < 16:
        high = ", of which the high 8 are kept" if bits > 8 else ""
        notes.append(
            f"{len(wide):,} 16-bit files hold no value above {2**bits - 1:,}: they are taken for {bits} bits{high}"
        )
    sizes = [file.pixels for of_part in glances for file in of_part if file.pixels]
    if max(sizes) >= 2 * min(sizes):
        notes.append(
            f"the images have {min(sizes):,} to {max(sizes):,} pixels, on which statistics depend; statistics_resize= takes "
            "entropy and frequency of squares of one size"
        )
    return splits, tuple(notes), tuple(bad)


@dataclass(frozen=True)
class Glance:
    """What there is to know of an image file before it is decoded.

    grey: whether its header says that it decodes to grey. wide: whether its values have 16 bits. pixels: their number. Of one that cannot be read, True and 0.
    mark: changes when the file does, even where another file gets its name, size and date, and when it becomes readable.
    """

    path: Path
    grey: bool
    wide: bool
    pixels: int
    mark: list[str | int]


def glance(path: Path) -> Glance:
    """Raises OSError where there is no such file; what is wrong with one that cannot be read, `decode` says."""
    stat = path.stat()
    mark: list[str | int] = [str(path), stat.st_size, stat.st_mtime_ns]
    try:
        with path.open("rb") as file:
            ends = file.read(ENDS)
            file.seek(max(0, stat.st_size - ENDS))
            mark.append(hashlib.sha256(ends + file.read(ENDS)).hexdigest())
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                wide = image.mode.startswith("I")
                return Glance(
                    path, wide or image.mode in ("1", "L", "LA", "La"), wide, image.width * image.height, mark
                )
    except Exception:  # Pillow meets bad bytes with errors of many types
        return Glance(path, True, False, 0, mark)


def used_bits(files: Sequence[Glance], folder: Path) -> int:
    """How many bits the values of 16-bit files have, by the largest of all, see `metrics.images.value_bits`.

    What was found once is kept in `folder` while the files are the same. Files that cannot be read do not count.
    """
    key = hashlib.sha256(json.dumps(["brightest", *(file.mark for file in files)]).encode()).hexdigest()
    kept = folder / f"{key[:32]}.brightest"
    with contextlib.suppress(OSError, ValueError):
        return value_bits(int(kept.read_text("ascii")))

    def look(file: Glance) -> int:
        try:
            return brightest_value(file.path)
        except (ValueError, OSError):
            return 0

    with ThreadPoolExecutor(cores()) as threads:
        largest = max(threads.map(look, files))
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(kept, str(largest))
    return value_bits(largest)


def decoded(
    files: Sequence[Glance], channels: int, resize: int | None, folder: Path, bits: int = 16
) -> tuple[Images, np.ndarray, list[str]]:
    """Images as networks see them, in a file of `folder`; indices (n,) of those that can be read; what is wrong with the others.

    The file is made once and used again while the image files are the same, unless one could not be read then and can
    be now. Whoever comes while another process makes it waits.
    """
    about_all = [channels, resize, [file.mark for file in files], DECODING, *([bits] if bits < 16 else [])]
    key = hashlib.sha256(json.dumps(about_all).encode()).hexdigest()
    pixels, about = folder.absolute() / f"{key[:32]}.npy", folder.absolute() / f"{key[:32]}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    found = read_pixels(pixels, about, files)
    if found is None:
        with FileLock(pixels.with_suffix(".lock")):
            found = read_pixels(pixels, about, files)
            if found is None:
                found = write_pixels(pixels, about, files, channels, resize, bits)
    return found


def read_pixels(pixels: Path, about: Path, files: Sequence[Glance]) -> tuple[Images, np.ndarray, list[str]] | None:
    """What `write_pixels` wrote; None where it is damaged, or where an image that was bad can be read now."""
    try:
        with np.load(about, allow_pickle=False) as read:
            shapes, kept, bad, size, source = (read[name] for name in ("shapes", "kept", "bad", "size", "source"))
        if pixels.stat().st_size != size:
            return None
        mapped = np.load(pixels, mmap_mode="c", allow_pickle=False)
    except Exception:  # numpy and zipfile meet a damaged file with errors of many types
        return None
    if any(image is not None for image, _ in decode([files[i] for i in np.setdiff1d(range(len(files)), kept)])):
        return None
    return Images(mapped, shapes, begins_of(shapes), str(source)), kept, bad.tolist()


def write_pixels(
    pixels: Path, about: Path, files: Sequence[Glance], channels: int, resize: int | None, bits: int = 16
) -> tuple[Images, np.ndarray, list[str]]:
    """Write the images, block by block, and at last `about`: with it the file of pixels is whole."""
    shapes: list[tuple[int, ...]] = []
    kept, bad, source = [], [], hashlib.sha256(bytes([DECODING, bits] if bits < 16 else [DECODING]))
    about.unlink(missing_ok=True)
    draft = pixels.with_suffix(".tmp")  # always the same, so that what killed attempts leave does not add up
    header = {"descr": "|u1", "fortran_order": False}
    try:
        with draft.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (0, channels)})
            for i, (image, said) in enumerate(decode(files, channels, resize, bits)):
                if image is None:
                    bad.append(said)
                    continue
                kept.append(i)
                shapes.append(image.shape[:2])
                source.update(said.encode())
                file.write(np.ascontiguousarray(image).data)
            file.seek(0)  # numpy pads the header for a first axis of any length, so its size does not change
            total = sum(height * width for height, width in shapes)
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (total, channels)})
        draft.replace(pixels)
        sizes, size, digest = np.array(shapes).reshape(-1, 2), pixels.stat().st_size, source.hexdigest()
        with draft.open("wb") as file:
            np.savez(file, shapes=sizes, kept=np.array(kept, int), bad=np.array(bad, str), size=size, source=digest)
        draft.replace(about)
    finally:
        draft.unlink(missing_ok=True)
    images = Images(np.load(pixels, mmap_mode="c", allow_pickle=False), sizes, begins_of(sizes), digest)
    return images, np.array(kept, int), bad


def decode(
    files: Sequence[Glance], channels: int = 3, resize: int | None = None, bits: int = 16
) -> Iterator[tuple[np.ndarray | None, str]]:
    """Every image as a network sees it and the digest of its file, or None and what is wrong with it.

    In threads (Pillow releases the GIL), as many at a time as WAITING and MEMORY allow.
    """

    def one(file: Glance) -> tuple[np.ndarray | None, str]:
        try:
            content = hashlib.sha256(file.path.read_bytes()).hexdigest()
            return as_network_input(read_image(file.path, bits), channels, resize), content
        except (ValueError, OSError) as error:
            return None, str(error)

    threads, waiting, held = ThreadPoolExecutor(cores()), deque[tuple[Future, int]](), 0
    try:
        for file in files:
            needed = file.pixels * BYTES_A_PIXEL
            while waiting and (len(waiting) == WAITING or held + needed > MEMORY):
                first, freed = waiting.popleft()
                held -= freed
                yield first.result()
            waiting.append((threads.submit(one, file), needed))
            held += needed
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def as_network_input(image: np.ndarray, channels: int, resize: int | None) -> np.ndarray:
    """uint8 (H, W[, 3]) to (H', W', channels), the shorter side `resize` pixels (bilinear, antialiased, as torchvision's Resize).

    Raises ValueError where that would have more pixels than Pillow deems safe, as of an image one pixel high and very long.
    """
    if resize is not None and min(image.shape[:2]) != resize:
        height, width = image.shape[:2]
        shape = (resize, resize * width // height) if height <= width else (resize * height // width, resize)
        if shape[0] * shape[1] > (Image.MAX_IMAGE_PIXELS or np.inf):
            raise ValueError(f"{width} x {height} pixels become {shape[1]} x {shape[0]} by resize={resize}, too many")
        image = np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))
    return np.repeat(image[..., None], channels, axis=2) if image.ndim == 2 else image
