"""One network of a measurement: every example once an epoch, and what the network makes of it in a learning record."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agreement.record import SPLITS, LearningRecord
from agreement.recorder import RecordWriter
from lab import ranks
from lab.batches import Batches
from lab.passes import Seen
from lab.pixels import Images
from lab.training import Recipe, rates_of


class Measured:
    """The plan of one of the networks of a measurement, for `lab.training.train`.

    The record has been begun, and the images lie beside it. k: which of its networks is trained. after: train predictions
    come from a pass after the epoch, in eval mode, and not from the training itself.
    """

    weigh, decides = None, False

    def __init__(self, record: Path, k: int, seed: int, after: bool):
        self.record, self.after = LearningRecord(record), after
        self.name, self.seeds = f"network {k + 1}", (seed, k)
        self.folder = self.record.network_folder(k)

    def open(self, recipe: Recipe, device: torch.device) -> None:
        self.classes, labels = len(self.record.classes), {split: self.record.labels(split) for split in SPLITS}
        self.images, self.test = (
            Batches(
                Images.open(self.record.folder.parent / split),
                labels[split],
                device,
                recipe.crop,
                self.record.sets_of,
                recipe.augment,
            )
            for split in SPLITS
        )
        self.looks = {"test": self.test} | ({"train": self.images} if self.after else {})
        self.batch_size = recipe.batch_size
        batches = batches_of(torch.arange(len(self.images)), self.batch_size)
        for index in batches:
            ranks.share(len(index))  # a batch too small for the ranks is told before any training
        self.ends = [len(batches) * (epoch + 1) for epoch in range(recipe.epochs)]
        self.rates = rates_of(recipe, recipe.epochs, len(batches))

    def begin(self, done: int, state: dict[str, Any]) -> None:
        sizes = {"train": len(self.images), "test": len(self.test)}
        if ranks.rank() == 0:
            self.writer = RecordWriter(self.folder, sizes, self.record.number_of_labels, done)

    def batches(self, number: int, draw: torch.Generator, network: nn.Module, bf16: bool) -> Iterable[Tensor]:
        return batches_of(torch.randperm(len(self.images), generator=draw), self.batch_size)

    def note(self, number: int, seen: Mapping[str, Seen], network: nn.Module) -> dict[str, float]:
        first = self.ends[number - 1] if number else 0
        numbers = {"epoch": number + 1, "lr": self.rates[first]} | self.noted("train", seen["train"], self.images)
        return numbers | self.noted("test", seen["test"], self.test)

    def noted(self, split: str, seen: Seen, batches: Batches) -> dict[str, float]:
        """Hand a pass over a split to the record. Returns its mean loss and accuracy.

        Under torchrun rank 0, which writes the record, gets what all have seen.
        """
        everywhere = ranks.gathered([seen])
        if everywhere is None:
            return {}
        index, found, losses, margins, errors = (torch.cat(parts) for parts in zip(*everywhere, strict=True))
        # of a set of classes, the probability that all of it is right
        probability = torch.exp(-losses * max(1, batches.sets_of)).nan_to_num_(0)
        self.writer.update(split, index.numpy(), found.numpy(), probability.numpy(), margins.numpy(), errors.numpy())
        correct = found == batches.labels.cpu()[index]
        return {f"{split}/loss": losses.double().mean().item(), f"{split}/accuracy": correct.double().mean().item()}

    def when(self, number: int) -> str:
        return f"in epoch {number + 1}"

    def write(self, numbers: dict[str, float]) -> None:
        self.writer.end_epoch(**numbers)

    def state(self) -> dict[str, Any]:
        return {}

    def finish(self, network: nn.Module, bf16: bool) -> None:
        pass


def batches_of(order: Tensor, size: int) -> list[Tensor]:
    """`order` (N,) in batches of `size`; a single example left over joins the last batch: batch-norm cannot normalise one."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
