"""Images of a split as batches for a network: chosen, cropped and scaled to [0, 1] on the device, without Python per image."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agreement.record import save_array


def share(images: Any, path: Path) -> None:
    """Write the images of a split beside `path`, for processes that `Batches.open` them: one row of pixels, and the shapes."""
    shapes = (
        np.array([image.shape[:2] for image in images])
        if isinstance(images, list)
        else np.tile(images.shape[1:3], (len(images), 1))
    )
    save_array(path.with_name(f"{path.name}-shapes.npy"), shapes)
    if isinstance(images, list):
        images = np.concatenate([image.reshape(-1, image.shape[2]) for image in images])
    save_array(path.with_name(f"{path.name}-pixels.npy"), images.reshape(-1, images.shape[-1]))


class Batches:
    """The images of one split on a device.

    pixels: uint8 (P, C), the pixels of all N images one after the other, row by row. shapes: their (height, width), (N, 2).
    labels: (N,) classes. crop: side of the square that is cut out in pixels, at random places in training, in the middle
    otherwise; None for no crop, which needs images of one size.
    """

    def __init__(
        self, pixels: np.ndarray, shapes: np.ndarray, labels: np.ndarray, device: torch.device, crop: int | None = None
    ):
        self.labels = torch.from_numpy(labels).to(device)
        self.images = torch.from_numpy(pixels).to(device)
        self.channels = pixels.shape[1]
        equal = bool((shapes == shapes[0]).all())
        self.crop = None if equal and tuple(shapes[0]) == (crop, crop) else crop
        if self.crop is None:
            self.images = self.images.view(len(labels), *shapes[0], self.channels)
        else:
            self.shapes = torch.from_numpy(shapes).to(device)
            self.begins = torch.from_numpy(np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]])).to(device)

    @classmethod
    def open(cls, path: Path, labels: np.ndarray, device: torch.device, crop: int | None = None) -> "Batches":
        """The images that `share` wrote, memory-mapped: processes on one machine hold them once."""
        pixels = np.load(f"{path}-pixels.npy", mmap_mode="c", allow_pickle=False)
        return cls(pixels, np.load(f"{path}-shapes.npy", allow_pickle=False), labels, device, crop)

    def __len__(self) -> int:
        return len(self.labels)

    def get(self, index: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Images (B, C, side, side) as float32 in [0, 1] and labels (B,) of the examples `index`; a generator makes the crops random."""
        index = index.to(self.labels.device, non_blocking=True)
        chosen = self.images.index_select(0, index) if self.crop is None else self.cut(index, generator)
        # stored row by row of whole pixels, which torch calls channels-last and multiplies fastest
        return chosen.permute(0, 3, 1, 2).float().div_(255), self.labels.index_select(0, index)

    def cut(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        shapes = self.shapes[index]
        room = shapes - self.crop
        if generator is None:
            corner = room // 2
        else:
            corner = (torch.rand(room.shape, generator=generator).to(room.device) * (room + 1)).long()
        steps = torch.arange(self.crop, device=room.device)
        rows, columns = corner[:, :1] + steps, corner[:, 1:] + steps
        places = self.begins[index][:, None, None] + rows[:, :, None] * shapes[:, 1, None, None] + columns[:, None, :]
        return self.images.index_select(0, places.flatten()).view(*places.shape, -1)
