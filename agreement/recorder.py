"""The learning record of a training loop that is not this program's: plain PyTorch, Lightning, Hugging Face, or any other."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from agreement.record import Recorder, begin_record, load_array


class LearningRecorder:
    """Notes what one network gets right, epoch by epoch, for `LearningRecord` to read.

        recorder = LearningRecorder("record", {"train": labels}, network=0)
        for epoch in range(epochs):
            for index, images, targets in loader:
                logits = network(images)
                ...
                recorder.update(index, logits)
            recorder.end_epoch()

    Parameters
    ----------
    folder : of the record, a new one for each measurement; its networks share it and write in turn or side by side.
    labels : split ("train", "test") to the classes of its N examples, whole numbers from 0 on.
    network : which of the networks this is, from 0 on.
    classes : the names of the classes; numbers by default.
    name : of the network's architecture.

    Every epoch needs all examples of all splits in `labels`. Raises ValueError where the record of another network has other
    labels, where examples are missing at the end of an epoch, and where logits are not finite or not one per class.
    """

    def __init__(
        self,
        folder: str | Path,
        labels: Mapping[str, Any],
        network: int = 0,
        classes: list[str] | None = None,
        name: str = "network",
    ):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.labels = {split: np.asarray(values).astype(np.int64) for split, values in labels.items()}
        highest = max(int(values.max()) for values in self.labels.values())
        self.classes = classes or [str(c) for c in range(highest + 1)]
        about, names = folder / "record.json", [name] * (network + 1)
        ids = {split: [str(i) for i in range(len(values))] for split, values in self.labels.items()}
        with FileLock(folder / "record.lock"):  # other networks may begin at the same moment
            if about.is_file():
                known = json.loads(about.read_text())["networks"]
                names = [*known, *names[len(known) :]]
                names[network] = name
                for split, values in self.labels.items():
                    if not np.array_equal(load_array(folder / f"{split}-labels.npy", dimensions=1), values):
                        raise ValueError(f"{folder} is the record of other {split} labels; give another folder")
            begin_record(folder, names, self.classes, self.labels, ids)
        sizes = {split: len(values) for split, values in self.labels.items()}
        self.recorder = Recorder(folder / f"network-{network + 1}", sizes, len(self.classes))

    def update(self, indices: Any, logits: Any, split: str = "train") -> None:
        """Note a batch: indices (B,) of examples, and what the network gave for them, logits (B, classes); arrays or tensors."""
        logits = logits.detach().float().cpu().numpy() if hasattr(logits, "detach") else np.asarray(logits, np.float32)
        if logits.shape[1] != len(self.classes):
            raise ValueError(
                f"logits of {logits.shape[1]} classes, where the record has {len(self.classes)}: give classes="
            )
        if not np.isfinite(logits).all():
            raise ValueError("logits are not finite: the training has diverged; a smaller learning rate may help")
        indices = indices.cpu().numpy() if hasattr(indices, "cpu") else np.asarray(indices)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        true = shifted[np.arange(len(indices)), self.labels[split][indices]] / shifted.sum(axis=1)
        self.recorder.update(split, indices, logits.argmax(axis=1), true)

    def end_epoch(self, **numbers: float) -> None:
        """The epoch is over; numbers to remember of it, such as its loss, by name."""
        self.recorder.end_epoch(**numbers)
