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
    `curricula.PacedSampler`; its batches count the examples of all processes, and an epoch whose batches are not those planned
    is warned of. A `curricula.DynamicSampler` is told the cross-entropies of each batch, and the loss is their mean, each counted as it says;
    `gradient_accumulation_steps` stays 1 then. classes, network, resume: as of `agreement.watch`. The model gives "logits" (B, classes), and the data have
    "labels" (B,).
    """

    def __init__(
        self,
        *arguments: Any,
        record: str | Path | None = None,
        batch_sampler: BatchSampler | None = None,
        classes: list[str] | None = None,
        network: int = 0,
        resume: bool | None = None,
        **others: Any,
    ):
        super().__init__(*arguments, **others)
        self.batch_sampler, self.watch = batch_sampler, None
        self.batches: list[torch.Tensor] = []  # indices of those trained in this epoch, where there is a plan
        if record is not None:
            size, name = len(self.train_dataset), type(self.model).__name__
            self.watch = Watch(size, record, network, classes, name, resume)
        self.add_callback(_Epochs(self))

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
        if index is not None:  # it computes a loss when it evaluates as well
            if hasattr(self.batch_sampler, "verify"):
                self.batches.append(index)
            if self.watch is not None:
                self.watch.index = index
                self.watch(outputs["logits"], labels)
            sampler: Any = self.batch_sampler
            if hasattr(sampler, "update"):
                losses = torch.nn.functional.cross_entropy(outputs["logits"], labels, reduction="none")
                loss = (sampler.update(index, losses) * losses).mean()
        return (loss, outputs) if return_outputs else loss


class _IndexColumn:
    """The Trainer's own collate function, with the index as one more column."""

    def __init__(self, collate: Callable[[list[Any]], dict[str, Any]]):
        self.collate = collate

    def __call__(self, items: list[tuple[int, Any]]) -> dict[str, Any]:
        return {**self.collate([item for _, item in items]), INDEX: torch.tensor([index for index, _ in items])}


class _Epochs(transformers.TrainerCallback):
    """Ends the epochs of the record, and holds their batches against the plan."""

    def __init__(self, trainer: WatchedTrainer):
        self.trainer, self.resumed, self.told = trainer, False, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.resumed = state.global_step > 0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.trainer.batches = []

    def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if self.trainer.watch is not None:
            self.trainer.watch.end_epoch()
        sampler: Any = self.trainer.batch_sampler
        if hasattr(sampler, "verify") and not self.told:
            stopped = control.should_training_stop and state.global_step < state.max_steps
            partial = self.resumed or stopped or args.max_steps > 0 or args.num_train_epochs % 1 > 0
            self.told = bool(sampler.verify([batch.cpu() for batch in self.trainer.batches], partial))
        self.resumed = False
