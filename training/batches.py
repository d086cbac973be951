"""Images of a split as batches for a network: chosen, cropped and scaled to [0, 1] on the device, without Python per image."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Batches:
    """The images of one split on a device.

    images: uint8 (N, H, W, C), or N arrays (H, W, C) of different sizes (then crop is needed).
    crop: side of the square that is cut out in pixels, at random places in training, in the middle otherwise; None for no crop.
    """

    def __init__(self, images: Any, labels: np.ndarray, device: torch.device, crop: int | None = None, channels_last: bool = False):
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.crop = crop
        shapes = np.array([image.shape[:2] for image in images]) if isinstance(images, list) else np.array([images.shape[1:3]])
        if crop is None or (len(shapes) == 1 and tuple(shapes[0]) == (crop, crop)):
            self.crop = None
            self.images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
            return
        # one long row of pixels, and where in it each image begins
        count, channels = len(labels), images[0].shape[-1]
        shapes = np.broadcast_to(shapes, (count, 2))
        begins = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]])
        pixels = np.concatenate([image.reshape(-1, channels) for image in images]) if isinstance(images, list) else images.reshape(-1, channels)
        self.images = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        self.shapes, self.begins = torch.from_numpy(shapes.copy()).to(device), torch.from_numpy(begins).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def get(self, index: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Images (B, C, side, side) as float32 in [0, 1] and labels (B,) of the examples `index`; a generator makes the crops random."""
        index = index.to(self.labels.device, non_blocking=True)
        chosen = self.images.index_select(0, index) if self.crop is None else self.cut(index, generator)
        images = chosen.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.format)
        return images.div_(255), self.labels.index_select(0, index)

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
