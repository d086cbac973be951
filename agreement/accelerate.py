"""Watching a loop under accelerate, which makes loaders anew and shares out their batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from agreement.watching import Watch
from agreement.watching import watch as watch_loader


def watch(
    accelerator: Any, loader: DataLoader[Any], folder: str | Path, **others: Any
) -> "tuple[PreparedLoader, Watch]":
    """The loader, prepared, and what to tell of each step; in place of `accelerator.prepare(loader)`.

        loader, watch = agreement.accelerate.watch(accelerator, loader, "record")

    The rest is as of `agreement.watch`. Where a `curricula.PacedSampler` draws the batches, an epoch whose batches are not those
    planned is warned of.
    """
    watched, watching = watch_loader(loader, folder, **others)
    return PreparedLoader(accelerator.prepare(watched), watching), watching


class PreparedLoader:
    """What accelerate made of a watched loader, which gives the batches without the index; else the same."""

    def __init__(self, prepared: Any, watching: Watch):
        self.prepared, self.watching = prepared, watching

    def __len__(self) -> int:
        return len(self.prepared)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prepared, name)

    def __iter__(self) -> Iterator[Any]:
        self.watching.begin_epoch()
        # accelerate counts its passes from 0, also after a restart or a break, and tells a PacedSampler so
        if hasattr(self.watching.sampler, "verify"):
            self.prepared.iteration = self.watching.sampler.epoch
        for index, batch in self.prepared:
            self.watching.index = index
            yield batch
        self.watching.end_epoch()
        self.watching.verify()
