"""Watching a training in Lightning."""

from typing import Any

import lightning

from agreement.watching import Watch


class Watching(lightning.Callback):
    """Tells a watch of every training batch; the loader is the one that `agreement.watch` gave.

        loader, watch = agreement.watch(loader, "record")
        lightning.Trainer(callbacks=[Watching(watch)]).fit(module, loader)

    `training_step` returns a dictionary with the loss, and the "logits" and "targets" of the batch. Raises ValueError where
    it does not, and on several processes.
    """

    def __init__(self, watch: Watch):
        self.watch = watch

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if trainer.world_size > 1:
            raise ValueError(f"a watch records one process, and this training has {trainer.world_size}")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not (isinstance(outputs, dict) and {"logits", "targets"} <= set(outputs)):
            raise ValueError('training_step must return {"loss": ..., "logits": ..., "targets": ...} to be watched')
        self.watch(outputs["logits"], outputs["targets"])

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.watch.end_epoch()
