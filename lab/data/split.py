"""What a data set is: labelled images to train and to test on."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agreement.outcomes import as_sets
from lab.errors import UserError
from lab.pixels import Images
from metrics.images import read_image

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation", "dev")
TEST_SHARE = 0.2  # of examples that come without splits


class Narrow(Sequence):
    """The images of files whose 16-bit values have fewer bits, read when they are looked at."""

    def __init__(self, paths: list[Path], bits: int):
        self.paths, self.bits = paths, bits

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]  # nobody takes slices
        return read_image(self.paths[i], self.bits)


@dataclass(frozen=True)
class Split:
    """Labelled images of one split.

    images: what the networks see before cropping.
    labels: int64 (N,) class indices; of a multi-label set, sets of classes: bit c is set where class c is there.
    ids: N stable names, the index in the original order or the path below the split's folder.
    originals: what the statistics are measured on: uint8 (N, H, W[, 3]), a sequence of N such images, or the paths of N files.
    annotations: numbers (N,), NaN where there is none, or kinds (N,), strings, that are known of the examples.
    """

    images: Images
    labels: np.ndarray
    ids: list[str]
    originals: np.ndarray | Sequence[Path] | Sequence[np.ndarray]
    annotations: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def original(self, i: int) -> np.ndarray:
        """The image of an example before resizing, uint8 (H, W[, 3]), decoded where it is a file."""
        image = self.originals[i]
        return image if isinstance(image, np.ndarray) else read_image(image)

    def take(self, index: np.ndarray) -> "Split":
        """The examples `index`, in that order."""
        whole, known = self.originals, {name: values[index] for name, values in self.annotations.items()}
        originals: Any = whole[index] if isinstance(whole, np.ndarray) else None
        if isinstance(whole, Narrow):
            originals = Narrow([whole.paths[i] for i in index], whole.bits)
        elif originals is None:
            originals = [whole[i] for i in index]
        return Split(self.images.take(index), self.labels[index], [self.ids[i] for i in index], originals, known)

    @cached_property
    def digest(self) -> str:
        """A digest of the images before resizing: with equal ids, whether two splits are of the same images."""
        if self.images.source:
            return self.images.source
        digest = hashlib.sha256()
        for i in range(len(self)):
            image = self.original(i)
            digest.update(repr(image.shape).encode() + image.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Data:
    """A train and a test split, the names of the classes, and notes for the user (images left out, say).

    multi_label: an example has any number of classes; its label is the set of them, see `Split`. left_out: every file that was
    found and not read, and why, where that is not plain from its name.
    """

    train: Split
    test: Split
    classes: list[str]
    notes: tuple[str, ...] = ()
    multi_label: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        return self.train.images.pixels.shape[1]

    @cached_property
    def digest(self) -> str:
        """A digest of all examples, by which work that is resumed knows that it is still of the same ones."""
        digest = hashlib.sha256(json.dumps([self.classes, self.train.ids, self.test.ids]).encode())
        for split in (self.train, self.test):
            images = split.images
            for array in (split.labels, images.shapes, images.begins):
                digest.update(array.tobytes())
            # with shapes and channels, the files say what the pixels are
            source = f"{images.source} in {self.channels}".encode()
            digest.update(source if images.source else np.ascontiguousarray(images.pixels).data)
        return digest.hexdigest()

    def label_name(self, label: int) -> str:
        """The class of a label as a `Split` has it, or its classes joined by commas."""
        if not self.multi_label:
            return self.classes[label]
        return ", ".join(name for c, name in enumerate(self.classes) if label >> c & 1)

    def classes_of(self, labels: np.ndarray) -> np.ndarray:
        """Labels as a `Split` has them, as `metrics.shallow` takes them: (N,), or bool (N, classes) where they are sets."""
        return as_sets(labels, len(self.classes)) if self.multi_label else labels

    def size(self, crop: int | None) -> int:
        """Side in pixels of what a network sees; raises UserError where images differ in size and are not cropped."""
        sides = np.unique(np.concatenate([self.train.images.shapes, self.test.images.shapes])).tolist()
        if crop is None and len(sides) > 1:
            raise UserError(
                f"the images are {sides[0]} to {sides[-1]} pixels wide and high: give resize= and crop= to make them equal squares"
            )
        if crop is not None and sides[0] < crop:
            raise UserError(
                f"crop={crop} is larger than an image with a side of {sides[0]} pixels: give resize= of at least {crop}"
            )
        return crop or sides[0]


def taken(names: Iterable[str], source: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Which of these parts of a set is to train on and which to test on, and a note on what is left out; of one part alone, no test.

    Raises UserError where the names do not say.
    """
    given = [*names]
    train, test = (next((each for each in known if each in given), None) for known in (TRAIN_NAMES, TEST_NAMES))
    if len(given) == 1 and not test:
        return given[0], None, ()
    if train is None or test is None:
        raise UserError(
            f"{source}: has the parts {', '.join(map(repr, given))}; one called train and one called {', '.join(TEST_NAMES[:-1])} "
            f"or {TEST_NAMES[-1]} are needed"
        )
    others = [each for each in given if each not in (train, test)]
    note = f"{' and '.join(others)} {'is' if len(others) == 1 else 'are'} left out; the test set is {test}"
    return train, test, (note,) if others else ()


def halves(labels: np.ndarray, sets: bool = False) -> tuple[np.ndarray, np.ndarray, str]:
    """Indices of examples to train and to test on, class by class, by a fixed draw; and a note that says so.

    Of every class with two or more examples, one at least is in either. Labels (N,). sets: whether they are sets of classes, which need
    not occur twice; the draw is from all then. Raises UserError where no class has two examples.
    """
    labels = np.zeros_like(labels) if sets else labels
    draw, test = np.random.default_rng(0), np.zeros(len(labels), bool)  # the split is part of the data set
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number = min(max(1, round(TEST_SHARE * len(members))), len(members) - 1)
        test[draw.permutation(members)[:number]] = True
    if not test.any():
        raise UserError(
            f"the data come without a test set, and none of the {len(labels):,} examples can be held out as one: no class has two"
        )
    of = "" if sets else " of each class"
    note = f"the data come without a test set: {test.sum():,} of {len(labels):,} examples, {TEST_SHARE:.0%}{of} by a fixed draw, are held out as one"
    return np.flatnonzero(~test), np.flatnonzero(test), note
