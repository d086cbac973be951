"""What a data set is: labelled images to train and to test on."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lab.data.pixels import PixelFile, shapes_of
from lab.errors import UserError
from metrics.images import read_image


@dataclass(frozen=True)
class Split:
    """Labelled images of one split.

    images: what the networks see before cropping: uint8 (N, H, W, C), or N arrays (H, W, C) of different sizes.
    labels: int64 (N,) class indices; of a multi-label set, sets of classes: bit c is set where class c is there.
    ids: N stable names, the index in the original order or the path below the split's folder.
    originals: what the statistics are measured on: uint8 (N, H, W[, 3]), or N arrays of different shapes, or N paths.
    annotations: numbers (N,), NaN where there is none, or kinds (N,), strings, that are known of the examples.
    """

    images: Any
    labels: np.ndarray
    ids: list[str]
    originals: Any
    annotations: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def original(self, i: int) -> np.ndarray:
        """The image of an example before resizing, uint8 (H, W[, 3]), decoded where it is a file."""
        image = self.originals[i]
        return image if isinstance(image, np.ndarray) else read_image(image)


@dataclass(frozen=True)
class Data:
    """A train and a test split, the names of the classes, and notes for the user (images left out, say).

    multi_label: an example has any number of classes; its label is the set of them, see `Split`.
    """

    train: Split
    test: Split
    classes: list[str]
    notes: tuple[str, ...] = ()
    multi_label: bool = False

    @property
    def channels(self) -> int:
        return self.train.images[0].shape[-1]

    @cached_property
    def digest(self) -> str:
        """A digest of all examples, by which work that is resumed knows that it is still of the same ones."""
        digest = hashlib.sha256(json.dumps([self.classes, self.train.ids, self.test.ids]).encode())
        for split in (self.train, self.test):
            digest.update(split.labels.tobytes())
            if isinstance(split.images, PixelFile):  # named after the files it is made of
                digest.update(split.images.path.name.encode() + split.images.begins.tobytes())
                continue
            for images in split.images if isinstance(split.images, list) else [split.images]:
                digest.update(repr(images.shape).encode())
                digest.update(np.ascontiguousarray(images).data)
        return digest.hexdigest()

    def size(self, crop: int | None) -> int:
        """Side in pixels of what a network sees; raises UserError where images differ in size and are not cropped."""
        sides = {
            name: np.unique(shapes_of(split.images)).tolist()
            for name, split in (("train", self.train), ("test", self.test))
        }
        for name, found in sides.items():
            if crop is None and len(found) > 1:
                raise UserError(
                    f"the {name} images are {found[0]} to {found[-1]} pixels wide and high: give resize= and crop= to make them equal squares"
                )
            if crop is not None and found[0] < crop:
                raise UserError(
                    f"crop={crop} is larger than a {name} image with a side of {found[0]} pixels: give resize= of at least {crop}"
                )
        both = sorted({*sides["train"], *sides["test"]})
        if crop is None and len(both) > 1:
            raise UserError(
                f"train and test images are {both[0]} to {both[-1]} pixels wide and high: give resize= and crop= to make them equal squares"
            )
        return crop or both[0]
