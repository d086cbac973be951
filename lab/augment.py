"""Augmentation of a batch on its device: images uint8 (B, H, W, C) to others of the same shape, by draws from a generator.

All draws are made for a whole batch, so that processes that share a batch out (`part`) see the images of one process.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TOGETHER = 8  # neighbours in a batch that share an operation of TrivialAugment


def augmented(
    images: Tensor, kind: str, shift: bool, generator: torch.Generator, size: int, part: slice = slice(None)
) -> Tensor:
    """The images of `part` of a batch of `size`, as augment=`kind` has them. shift: whether crops move."""
    if kind == "none":
        return images
    images = flip_crop(images, images.shape[1] // 8 if shift else 0, generator, size, part)
    return trivial(images, generator, size, part) if kind == "trivial" else images


def flip_crop(images: Tensor, pad: int, generator: torch.Generator, size: int, part: slice) -> Tensor:
    """Each image mirrored with probability 1/2 and, where `pad` is not 0, cut out anew at a random place after `pad` black
    pixels were added on every side (He et al. 2016, section 4.2: 4 pixels at 32)."""
    batch, height, width, channels = images.shape
    corners = torch.randint(2 * pad + 1, (size, 2), generator=generator)[part].to(images.device)
    mirrored = (torch.rand(size, generator=generator) < 0.5)[part].to(images.device)
    if not pad:
        return torch.where(mirrored[:, None, None, None], images.flip(2), images)
    x = torch.arange(width, device=images.device)
    columns = torch.where(mirrored[:, None], width - 1 - x, x) + corners[:, 1:]
    rows = torch.arange(height, device=images.device) + corners[:, :1]
    tall, wide = height + 2 * pad, width + 2 * pad
    first = torch.arange(batch, device=images.device) * tall * wide
    places = first[:, None, None] + rows[:, :, None] * wide + columns[:, None, :]
    pixels = F.pad(images, (0, 0, pad, pad, pad, pad)).view(-1, channels)
    return pixels.index_select(0, places.flatten()).view(images.shape)


def trivial(images: Tensor, generator: torch.Generator, size: int, part: slice) -> Tensor:
    """TrivialAugment (Müller & Hutter 2021) as torchvision has it: one operation of a random strength for each image.

    TOGETHER neighbours in the shuffled batch share theirs: torchvision draws one for all images that it is given.
    """
    from torchvision.transforms.v2 import TrivialAugmentWide

    seeds = torch.randint(2**62, (-(-size // TOGETHER),), generator=generator).tolist()
    places = range(*part.indices(size))
    augment, planes, changed = TrivialAugmentWide(), images.permute(0, 3, 1, 2), []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator
        for group in range(places.start // TOGETHER, -(-places.stop // TOGETHER)):
            torch.manual_seed(seeds[group])
            begin, end = (min(max(edge - places.start, 0), len(places)) for edge in (group * TOGETHER, (group + 1) * TOGETHER))  # fmt: skip
            changed.append(augment(planes[begin:end]))
    return torch.cat(changed).permute(0, 2, 3, 1)
