"""Hugging Face's Trainer, watched, with batches in an order of one's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils.data import BatchSampler, DataLoader

from agreement.watching import Indexed, Watch

INDEX = "index_of_example"


class WatchedTrainer(transformers.Trainer):
    """A Trainer that records what the network makes of every training example, and draws the batches of a sampler.

        trainer = WatchedTrainer(model, arguments, train_dataset=data, record="record")
        trainer.train()
        trainer.watch.table()

    record: folder of the record; without it nothing is recorded. batch_sampler: for the training, such as a
    `curricula.PacedSampler`; its batches count the examples of all processes. classes, network: as of `agreement.watch`.
    The model gives "logits" (B, classes), and the data have "labels" (B,). Raises ValueError for a record on several processes.
    """

    def __init__(
        self,
        *arguments: Any,
        record: str | Path | None = None,
        batch_sampler: BatchSampler | None = None,
        classes: list[str] | None = None,
        network: int = 0,
        **others: Any,
    ):
        super().__init__(*arguments, **others)
        if record is not None and self.args.world_size > 1:
            raise ValueError(f"a record is of one process, and this training has {self.args.world_size}")
        self.batch_sampler, self.watch = batch_sampler, None
        if record is not None:
            size, name = len(self.train_dataset), type(self.model).__name__
            self.watch = Watch(size, record, network, classes, name, resume=True)
            self.add_callback(_EpochEnd(self.watch))

    def get_train_dataloader(self) -> Any:
        if self.watch is None and self.batch_sampler is None:
            return super().get_train_dataloader()
        arguments = self.args
        drawing: dict[str, Any] = {"batch_sampler": self.batch_sampler}
        if self.batch_sampler is None:
            drawing = {
                "batch_size": self._train_batch_size,
                "sampler": self._get_train_sampler(self.train_dataset),
                "drop_last": arguments.dataloader_drop_last,
            }
        loader = self.accelerator.prepare(
            DataLoader(
                Indexed(self.train_dataset),
                collate_fn=_IndexColumn(self._get_collator_with_removed_columns(self.data_collator, "training")),
                num_workers=arguments.dataloader_num_workers,
                pin_memory=arguments.dataloader_pin_memory,
                persistent_workers=arguments.dataloader_persistent_workers,
                prefetch_factor=arguments.dataloader_prefetch_factor,
                **drawing,
            )
        )
        shard = loader.batch_sampler
        if self.batch_sampler is not None and getattr(shard, "batch_sampler", None) is self.batch_sampler:
            shard.split_batches = True  # else every process would have other batches of the sampler
        return loader

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **others: Any) -> Any:
        index, labels = inputs.pop(INDEX, None), inputs.get("labels")
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **others)
        if self.watch is not None and index is not None:  # it computes a loss when it evaluates as well
            self.watch.index = index.cpu()
            self.watch(outputs["logits"], labels)
        return (loss, outputs) if return_outputs else loss


class _IndexColumn:
    """The Trainer's own collate function, with the index as one more column."""

    def __init__(self, collate: Callable[[list[Any]], dict[str, Any]]):
        self.collate = collate

    def __call__(self, items: list[tuple[int, Any]]) -> dict[str, Any]:
        return {**self.collate([item for _, item in items]), INDEX: torch.tensor([index for index, _ in items])}


class _EpochEnd(transformers.TrainerCallback):
    def __init__(self, watch: Watch):
        self.watch = watch

    def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.watch.end_epoch()
