"""Images of any sizes as one array of pixels, in memory or in a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agreement.record import save_array


@dataclass(frozen=True)
class Images:
    """N images, pixel after pixel; where `pixels` is a memory map, memory holds only what is being looked at.

    pixels: uint8 (P, C). shapes: (N, 2) heights and widths. begins: (N,) the first pixel of each image.
    source: digest of the image files that they were decoded from, in the order of `pixels`; empty where there are none.
    """

    pixels: np.ndarray
    shapes: np.ndarray
    begins: np.ndarray
    source: str = ""

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> "Images":
        """A copy of images uint8 (H, W, C), in memory."""
        shapes = np.array([image.shape[:2] for image in images]).reshape(-1, 2)
        pixels = np.ascontiguousarray(np.concatenate([image.reshape(-1, image.shape[2]) for image in images]))
        return cls(pixels, shapes, begins_of(shapes))

    @classmethod
    def open(cls, path: Path) -> "Images":
        """What `save` wrote. The pixels are mapped: processes of one machine hold them once, and none changes the file."""
        shapes, begins = (np.load(f"{path}-{name}.npy", allow_pickle=False) for name in ("shapes", "begins"))
        return cls(np.load(f"{path}-pixels.npy", mmap_mode="c", allow_pickle=False), shapes, begins)

    def save(self, path: Path) -> None:
        """Write `path`-pixels.npy, -shapes.npy and -begins.npy. Pixels that lie in a file are linked, not copied."""
        pixels = path.with_name(f"{path.name}-pixels.npy")
        pixels.unlink(missing_ok=True)
        if self.file:
            pixels.symlink_to(self.file)
        else:
            save_array(pixels, self.pixels)
        save_array(path.with_name(f"{path.name}-shapes.npy"), self.shapes)
        save_array(path.with_name(f"{path.name}-begins.npy"), self.begins)

    @property
    def file(self) -> Path | None:
        """The file that the pixels lie in, if they are mapped."""
        return Path(self.pixels.filename) if isinstance(self.pixels, np.memmap) else None  # type: ignore[arg-type]

    def take(self, index: np.ndarray) -> "Images":
        """The images `index`, in that order. Mapped pixels stay where they are."""
        if self.file:
            return Images(self.pixels, self.shapes[index], self.begins[index], self.source)
        return Images.of([self[i] for i in index])

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, i: int) -> np.ndarray:
        height, width = self.shapes[i]
        return self.pixels[self.begins[i] : self.begins[i] + height * width].reshape(height, width, -1)


def begins_of(shapes: np.ndarray) -> np.ndarray:
    """The first pixel of each of N images of these shapes (N, 2) that lie one after the other, (N,)."""
    return np.concatenate([[0], np.cumsum(shapes.prod(axis=1))])[: len(shapes)].astype(np.int64)
