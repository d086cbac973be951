"""The forms that the images of a split have: one array, a list of arrays, or a file of pixels on disk."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import save_array


@dataclass(frozen=True)
class PixelFile:
    """Images in one .npy file on disk, uint8 (P, C), pixel after pixel: memory holds only what is being looked at.

    shapes: (N, 2) heights and widths. begins: (N,) the first pixel of each image.
    """

    path: Path
    shapes: np.ndarray
    begins: np.ndarray

    @cached_property
    def pixels(self) -> np.ndarray:
        return np.load(self.path, mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, i: int) -> np.ndarray:
        height, width = self.shapes[i]
        return self.pixels[self.begins[i] : self.begins[i] + height * width].reshape(height, width, -1)

    def take(self, index: np.ndarray) -> "PixelFile":
        return PixelFile(self.path, self.shapes[index], self.begins[index])


def take(images: Any, index: np.ndarray) -> Any:
    """The images of the examples `index`, of any of the forms that `Split.images` has."""
    if isinstance(images, list):
        return [images[i] for i in index]
    return images.take(index) if isinstance(images, PixelFile) else images[index]


def shapes_of(images: Any) -> np.ndarray:
    """Heights and widths (N, 2)."""
    if isinstance(images, PixelFile):
        return images.shapes
    if isinstance(images, np.ndarray):
        return np.tile(images.shape[1:3], (len(images), 1))
    return np.array([image.shape[:2] for image in images])


def write_pixels(path: Path, images: Iterable[np.ndarray], channels: int) -> np.ndarray:
    """Write images (H, W, C) as a file for `PixelFile`, one after the other. Returns their shapes (N, 2)."""
    shapes = []
    header = {"descr": "|u1", "fortran_order": False}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (0, channels)})
        for image in images:
            shapes.append(image.shape[:2])
            file.write(np.ascontiguousarray(image).data)
        file.seek(0)  # numpy pads the header for a first axis of any length, so its size does not change
        pixels = sum(height * width for height, width in shapes)
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (pixels, channels)})
    return np.array(shapes).reshape(-1, 2)


def begins_of(shapes: np.ndarray) -> np.ndarray:
    """The first pixel of each of images that lie one after the other, (N,)."""
    return np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]]).astype(np.int64)


def share(images: Any, path: Path) -> None:
    """Write the images of a split beside `path`, for processes that `lab.batches.Batches.open` them: pixels, shapes, and where each begins."""
    shapes, pixels = shapes_of(images), path.with_name(f"{path.name}-pixels.npy")
    pixels.unlink(missing_ok=True)
    if isinstance(images, PixelFile):
        pixels.symlink_to(images.path)
        begins = images.begins
    else:
        write_pixels(pixels, images, images[0].shape[-1])
        begins = begins_of(shapes)
    save_array(path.with_name(f"{path.name}-shapes.npy"), shapes)
    save_array(path.with_name(f"{path.name}-begins.npy"), begins)
