"""Augmentation of a batch on its device: images uint8 (B, H, W, C) to others of the same shape.

What is random is drawn beforehand, of all images of a batch at once, so that processes which share a batch out see the images
of one process, and a device needs no more from the host.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TOGETHER = 8  # neighbours in a batch that share an operation of TrivialAugment
Draws = dict[str, Tensor]  # what is random of images, each (B, ...)


def draws(kind: str, pad: int, size: int, generator: torch.Generator) -> Draws:
    """What `augmented` needs for a batch of `size`. pad: pixels on every side that an image may move by."""
    drawn: Draws = {}
    if kind != "none":
        drawn["corners"] = torch.randint(2 * pad + 1, (size, 2), generator=generator)
        drawn["mirrored"] = torch.rand(size, generator=generator) < 0.5
    if kind == "trivial":
        seeds = torch.randint(2**62, (-(-size // TOGETHER),), generator=generator)
        drawn["seeds"] = seeds.repeat_interleave(TOGETHER)[:size]
    return drawn


def augmented(images: Tensor, kind: str, pad: int, drawn: Draws) -> Tensor:
    """The images as augment=`kind` has them."""
    if kind == "none":
        return images
    images = flip_crop(images, pad, drawn["corners"], drawn["mirrored"])
    return trivial(images, drawn["seeds"]) if kind == "trivial" else images


def flip_crop(images: Tensor, pad: int, corners: Tensor, mirrored: Tensor) -> Tensor:
    """Each image mirrored with probability 1/2 and, where `pad` is not 0, cut out anew at a random place after `pad` black
    pixels were added on every side (He et al. 2016, section 4.2: 4 pixels at 32)."""
    batch, height, width, channels = images.shape
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


def trivial(images: Tensor, seeds: Tensor) -> Tensor:
    """TrivialAugment (Müller & Hutter 2021) as torchvision has it: one operation of a random strength for each image.

    Neighbours of the same seed share theirs: torchvision draws one for all images that it is given.
    """
    from torchvision.transforms.v2 import TrivialAugmentWide

    groups, sizes = torch.unique_consecutive(seeds, return_counts=True)
    augment, changed = TrivialAugmentWide(), []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator
        for seed, planes in zip(groups.tolist(), images.permute(0, 3, 1, 2).split(sizes.tolist()), strict=True):
            torch.manual_seed(seed)
            changed.append(augment(planes))
    return torch.cat(changed).permute(0, 2, 3, 1)
