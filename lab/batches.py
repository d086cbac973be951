"""Images of a split as batches for a network: chosen, cropped and scaled to [0, 1] on the device, without Python per image."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lab.augment import Draws, augmented, draws
from lab.pixels import Images, begins_of


class Batches:
    """The images of one split on a device.

    labels: (N,) classes. crop: side of the square that is cut out in pixels, at random places in
    training, in the middle otherwise; None for no crop, which needs images of one size. sets_of: the number of classes
    where a label is a set of them (see `lab.data.Split`), else 0. augment: the setting, what is done to images in
    training; it moves them where the crop leaves no room to cut elsewhere.
    """

    def __init__(
        self,
        images: Images,
        labels: np.ndarray,
        device: torch.device,
        crop: int | None = None,
        sets_of: int = 0,
        augment: str = "none",
    ):
        pixels, shapes, begins = images.pixels, images.shapes, images.begins
        self.labels = torch.from_numpy(labels).to(device)
        self.sets_of, self.augment = sets_of, augment
        whole = crop is None or bool((shapes == crop).all())
        self.pad = int(shapes[0, 0]) // 8 if whole else 0  # crops that move need no more room
        if sets_of:
            self.targets = (self.labels[:, None] >> torch.arange(sets_of, device=device) & 1).float()
        else:
            self.targets = self.labels
        # pixels that would crowd a GPU stay where they are, and go there batch by batch
        fits = device.type == "cpu" or pixels.nbytes < torch.cuda.mem_get_info(device)[0] / 8
        self.images = torch.from_numpy(pixels).to(device if fits else "cpu")
        self.channels = pixels.shape[1]
        if crop is None and not (shapes == shapes[0]).all():
            raise ValueError("images of different sizes need a crop")
        in_a_row = len(pixels) == shapes.prod(axis=1).sum() and np.array_equal(begins, begins_of(shapes))
        if in_a_row and whole:
            self.crop = None
            self.images = self.images.view(len(labels), *shapes[0], self.channels)
        else:  # whole images that lie apart, a part of a file, are cut out as crops of their own size
            self.crop = crop or int(shapes[0, 0])
            self.shapes = torch.from_numpy(shapes).to(self.images.device)
            self.begins = torch.from_numpy(begins).to(self.images.device)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def can_be_captured(self) -> bool:
        """Whether a GPU chooses and augments a batch without asking the host."""
        return self.images.device == self.labels.device and self.augment != "trivial"

    def draws(self, size: int, generator: torch.Generator) -> Draws:
        """What is random of a batch of `size` in training: where crops lie, and what augmentation does."""
        drawn = {} if self.crop is None else {"places": torch.rand((size, 2), generator=generator)}
        return drawn | draws(self.augment, self.pad, size, generator)

    def get(self, index: Tensor, drawn: Draws | None = None) -> tuple[Tensor, Tensor]:
        """Images (B, C, side, side) as float32 in [0, 1] of the examples `index`, and what is to be learned of them: labels
        (B,), or of sets of classes which are there, float (B, classes). drawn: in training, what `draws` gave for them."""
        device = self.labels.device
        here = index.to(self.images.device, non_blocking=True)
        chosen = self.images.index_select(0, here) if self.crop is None else self.cut(here, drawn)
        chosen = chosen.to(device, non_blocking=True)
        if drawn is not None:
            chosen = augmented(chosen, self.augment, self.pad, {name: each.to(device) for name, each in drawn.items()})
        # stored row by row of whole pixels, which torch calls channels-last and multiplies fastest
        images = chosen.permute(0, 3, 1, 2).float().div_(255)
        return images, self.targets.index_select(0, index.to(device))

    def cut(self, index: Tensor, drawn: Draws | None) -> Tensor:
        assert self.crop is not None  # `get` has looked
        shapes = self.shapes.index_select(0, index)
        room = shapes - self.crop
        corner = room // 2 if drawn is None else (drawn["places"].to(room.device) * (room + 1)).long()
        steps = torch.arange(self.crop, device=room.device)
        rows, columns = corner[:, :1] + steps, corner[:, 1:] + steps
        begins = self.begins.index_select(0, index)
        places = begins[:, None, None] + rows[:, :, None] * shapes[:, 1, None, None] + columns[:, None, :]
        return self.images.index_select(0, places.flatten()).view(*places.shape, -1)


def losses_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Loss of each example, (B,): cross-entropy with labels (B,); with targets (B, classes) the mean binary cross-entropy."""
    if targets.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    return F.cross_entropy(logits, targets, reduction="none")


def margins_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of the label (B,) less the highest other, (B,); with targets (B, classes) the least logit of a class that is there, or minus that of one that is not."""
    if targets.is_floating_point():
        return (logits * (2 * targets - 1)).amin(dim=1)
    own = targets[:, None]
    return logits.gather(1, own).squeeze(1) - logits.scatter(1, own, -torch.inf).amax(dim=1)


def errors_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Length of the difference of probabilities and targets, (B,), the latter as a unit vector where they are labels (B,)."""
    if targets.is_floating_point():
        return (logits.sigmoid() - targets).norm(dim=1)
    own = targets[:, None]
    return logits.softmax(dim=1).scatter_add(1, own, -torch.ones_like(own, dtype=logits.dtype)).norm(dim=1)


def smoothed(losses: Tensor, logits: Tensor, part: float) -> Tensor:
    """Cross-entropies (B,) with labels of which a `part` is spread evenly over all classes (Szegedy et al. 2016, section 7)."""
    return losses if not part else losses * (1 - part) - F.log_softmax(logits, dim=1).mean(dim=1) * part


def predicted(logits: Tensor, sets_of: int) -> Tensor:
    """The class, or the set of classes, that logits (B, classes) predict, int64 (B,) as `lab.data.Split` has labels."""
    if sets_of:
        return ((logits > 0).long() << torch.arange(sets_of, device=logits.device)).sum(dim=1)
    return logits.argmax(dim=1)
