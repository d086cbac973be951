"""Watching a training in Lightning."""

from typing import Any

import lightning

from agreement.watching import Watch


class Watching(lightning.Callback):
    """Tells a watch of every training batch; the loader is the one that `agreement.watch` gave.

        loader, watch = agreement.watch(loader, "record")
        lightning.Trainer(callbacks=[Watching(watch)]).fit(module, loader)

    `training_step` returns a dictionary with the loss, and the "logits" and "targets" of the batch; or, in tasks that have no
    such, "correct" (B,) and perhaps "value" (B,), see `agreement.LearningRecorder.update_correct`. Raises ValueError where it
    does not. Where a `curricula.PacedSampler` draws the batches, an epoch whose batches are not those planned is warned of.
    """

    def __init__(self, watch: Watch):
        self.watch = watch

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        found = set(outputs) if isinstance(outputs, dict) else set()
        if "correct" in found:
            self.watch.update_correct(outputs["correct"], outputs.get("value"))
        elif {"logits", "targets"} <= found:
            self.watch(outputs["logits"], outputs["targets"])
        else:
            raise ValueError('training_step must return {"loss": ..., "logits": ..., "targets": ...} to be watched')

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.watch.end_epoch()
        self.watch.verify(partial=trainer.should_stop or trainer.global_step == trainer.max_steps)
