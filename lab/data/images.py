"""Image files as the images of a split: decoded into memory, or, where they are too many, into a file of pixels on disk."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from agreement.record import replace_text, save_array
from lab.data.examples import Data, Split
from lab.data.pixels import PixelFile, begins_of, write_pixels
from lab.errors import UserError
from metrics.images import DECODING, FORMATS, read_image

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
BLOCK = 512  # images decoded, and resized, before they are written


@dataclass(frozen=True)
class Files:
    """The image files of one split, in `folder`, with labels (N,) and annotations (N,) as `Split` has them."""

    folder: Path
    paths: list[Path]
    labels: np.ndarray
    annotations: dict[str, np.ndarray] = field(default_factory=dict)


def folders(root: Path, config: Any) -> Data:
    """`root/train/<class>/*` and `root/test/<class>/*` (or `val`), the classes named by their folders."""
    if not root.is_dir():
        raise UserError(
            f"root={root}: there is no such folder; it should hold train/<class>/ and test/<class>/ (or val/)"
        )
    train_folder = root / "train"
    test_folder = next((root / name for name in ("test", "val") if (root / name).is_dir()), root / "test")
    paths, classes = {}, {}
    for part in (train_folder, test_folder):
        if not part.is_dir():
            raise UserError(
                f"{part}: there is no such folder; root= should hold train/<class>/ and test/<class>/ (or val/)"
            )
        classes[part] = sorted(entry.name for entry in part.iterdir() if entry.is_dir())
        if not classes[part]:
            raise UserError(f"{part}: holds no class folders; expected {part.name}/<class>/<image>")
        paths[part] = [
            sorted(
                file for file in (part / name).rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
            )
            for name in classes[part]
        ]
        empty = [name for name, files in zip(classes[part], paths[part], strict=True) if not files]
        if empty:
            raise UserError(f"{part / empty[0]}: a class without images; add some or remove the folder")
    if classes[train_folder] != classes[test_folder]:
        only = sorted(set(classes[train_folder]) ^ set(classes[test_folder]))
        raise UserError(
            f"train and {test_folder.name} differ in their classes: only one of them has {', '.join(only[:5])}"
        )
    parts = [
        Files(part, [file for of_class in paths[part] for file in of_class], labels_of(paths[part]))
        for part in (train_folder, test_folder)
    ]
    (train, test), notes = read_splits(parts, config)
    return Data(train, test, classes[train_folder], notes)


def labels_of(paths: list[list[Path]]) -> np.ndarray:
    return np.repeat(np.arange(len(paths)), [len(of_class) for of_class in paths])


def read_splits(parts: Sequence[Files], config: Any) -> tuple[list[Split], tuple[str, ...]]:
    """The splits that the files hold, and notes for the user.

    Sets of more than `config.memory` GB are decoded, resized, into a file in `config.cache`, once, and are read from
    there as training needs them, as colour images; others stay in memory, grey where every image is. Every file is read
    here, so that a bad one is told before any training: UserError names it, or it is left out where
    `config.skip_bad_images` says so.
    """
    if gigabytes([path for part in parts for path in part.paths]) > config.memory:
        read: list[tuple[Any, np.ndarray, list[str]]] = [on_disk(part, config) for part in parts]
        images = [part[0] for part in read]
        originals = [[files.paths[i] for i in part[1]] for files, part in zip(parts, read, strict=True)]
    else:
        read = [in_memory(part) for part in parts]
        colour = any(image.ndim == 3 for part in read for image in part[0])
        images = [as_one_array([as_network_input(each, colour, config.resize) for each in part[0]]) for part in read]
        originals = [as_one_array(part[0]) for part in read]
    bad = [why for part in read for why in part[2]]
    if bad and not config.skip_bad_images:
        raise UserError(
            f"{bad[0]}{f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''}; repair it, or leave such images out with skip_bad_images=true"
        )
    splits = []
    for files, (_, kept, _), seen, measured in zip(parts, read, images, originals, strict=True):
        lost = np.setdiff1d(files.labels, files.labels[kept])
        if lost.size:
            first = files.paths[np.flatnonzero(files.labels == lost[0])[0]]
            raise UserError(f"{first.parent}: none of its images can be read")
        ids = [files.paths[i].relative_to(files.folder).as_posix() for i in kept]
        for name in ids:
            if not name.isascii() and name != name.encode(errors="replace").decode():
                raise UserError(f"{files.folder}: {name!r} has letters that are not UTF-8; rename the file or folder")
        annotations = {name: values[kept] for name, values in files.annotations.items()}
        splits.append(Split(seen, files.labels[kept].astype(np.int64), ids, measured, annotations))
    notes = (f"{len(bad)} unreadable image{'s' if len(bad) > 1 else ''} left out, the first: {bad[0]}",) if bad else ()
    return splits, notes


def gigabytes(paths: Sequence[Path]) -> float:
    """About how much memory the decoded images need, from the sizes that some of the files state."""
    sizes = []
    for path in paths[:: max(1, len(paths) // 100)]:
        try:
            with Image.open(path, formats=FORMATS) as image:
                sizes.append(3 * image.width * image.height)
        except Exception:  # it is told when it is decoded
            continue
    return len(paths) * float(np.mean(sizes)) / 1e9 if sizes else 0.0


def decoded(
    paths: Sequence[Path], changed: Callable[[np.ndarray], np.ndarray] = lambda image: image
) -> Iterator[tuple[np.ndarray | None, str]]:
    """Every image, `changed`, or None and what is wrong with it; in threads (Pillow releases the GIL), block by block."""

    def decode(path: Path) -> tuple[np.ndarray | None, str]:
        try:
            image = read_image(path)
        except (ValueError, OSError) as error:
            return None, str(error)
        return changed(image), ""

    threads = ThreadPoolExecutor()
    try:
        for start in range(0, len(paths), BLOCK):
            yield from list(threads.map(decode, paths[start : start + BLOCK]))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def in_memory(files: Files) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Images as they are, the indices (n,) of those that can be read, and what is wrong with the others."""
    images = list(decoded(files.paths))
    kept = [i for i, (image, _) in enumerate(images) if image is not None]
    return (
        [image for image, _ in images if image is not None],
        np.array(kept, int),
        [why for image, why in images if image is None],
    )


def on_disk(files: Files, config: Any) -> tuple[PixelFile, np.ndarray, list[str]]:
    """As `in_memory`, resized colour images in a file of the cache, which is used again while the files are the same.

    Whoever comes while another process makes the file waits for it.
    """
    stats = [path.stat() for path in files.paths]
    named = [[str(path), s.st_size, s.st_mtime_ns] for path, s in zip(files.paths, stats, strict=True)]
    key = hashlib.sha256(json.dumps([config.resize, named, DECODING]).encode()).hexdigest()[:32]
    folder = Path(config.cache).expanduser().absolute() / "pixels"
    path, about = folder / f"{key}.npy", folder / f"{key}.json"
    if not is_whole(path, about):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not is_whole(path, about):
                decode_into(path, about, files.paths, config.resize)
    told = json.loads(about.read_text())
    shapes = np.load(path.with_suffix(".shapes.npy"), allow_pickle=False)
    return PixelFile(path, shapes, begins_of(shapes)), np.array(told["kept"], int), told["bad"]


def decode_into(pixels: Path, about: Path, paths: Sequence[Path], resize: int | None) -> None:
    """Write the images as a file for `PixelFile`, their shapes beside it, and at last `about`: with it the others are whole."""
    kept, bad = [], []

    def readable() -> Iterator[np.ndarray]:
        for i, (image, why) in enumerate(decoded(paths, lambda image: as_network_input(image, True, resize))):
            if image is None:
                bad.append(why)
            else:
                kept.append(i)
                yield image

    about.unlink(missing_ok=True)
    draft = pixels.with_suffix(".tmp")  # always the same, so that what killed attempts leave does not add up
    try:
        save_array(pixels.with_suffix(".shapes.npy"), write_pixels(draft, readable(), 3))
        draft.replace(pixels)
    finally:
        draft.unlink(missing_ok=True)
    replace_text(about, json.dumps({"kept": kept, "bad": bad, "bytes": pixels.stat().st_size}))


def is_whole(pixels: Path, about: Path) -> bool:
    """Whether a file of the cache is as it was written, as far as its size tells."""
    return about.is_file() and pixels.is_file() and pixels.stat().st_size == json.loads(about.read_text())["bytes"]


def as_one_array(images: list[np.ndarray]) -> Any:
    """Images of one shape as (N, H, W[, C]); others stay a list."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def resized(images: np.ndarray, resize: int | None) -> np.ndarray:
    """Images of one shape (N, H, W, C), each as `as_network_input` has it."""
    if resize is None:
        return images
    planes = images[..., 0] if images.shape[3] == 1 else images
    return np.stack([as_network_input(image, False, resize) for image in planes])


def as_network_input(image: np.ndarray, colour: bool, resize: int | None) -> np.ndarray:
    """uint8 (H, W[, 3]) to (H', W', C), the shorter side `resize` pixels (bilinear, antialiased, as torchvision's Resize on PIL images)."""
    if resize is not None and min(image.shape[:2]) != resize:
        height, width = image.shape[:2]
        shape = (resize, resize * width // height) if height <= width else (resize * height // width, resize)
        image = np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))
    if image.ndim == 2:
        image = image[..., None]
    return np.repeat(image, 3, axis=2) if colour and image.shape[2] == 1 else image
