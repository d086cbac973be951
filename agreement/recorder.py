"""Writing a learning record: one network's part of it, epoch by epoch, from this program's training loop or any other."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import FORMAT, load_array, read_epochs, replace_text, save_array


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
        from filelock import FileLock  # here, so that importing agreement is as light as numpy

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
        self.writer = RecordWriter(folder / f"network-{network + 1}", sizes, len(self.classes))

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
        self.writer.update(split, indices, logits.argmax(axis=1), true)

    def end_epoch(self, **numbers: float) -> None:
        """The epoch is over; numbers to remember of it, such as its loss, by name."""
        self.writer.end_epoch(**numbers)


class RecordWriter:
    """Writes one network's part of the record. Feed it batches in any order, then end the epoch.

    folder: where the network's files go. sizes: number of examples of each split. classes: number of labels there can be.
    finished: epochs to keep from an earlier attempt (those beyond are cut off), for a training that resumes.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int], classes: int, finished: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        predicted = np.min_scalar_type(max(classes, 1) - 1)
        self.rows = {}
        for split, size in sizes.items():
            self.rows[split, "predictions"] = GrowingArray(
                folder / f"{split}-predictions.npy", size, predicted, finished
            )
            self.rows[split, "probability"] = GrowingArray(
                folder / f"{split}-probability.npy", size, np.dtype(np.uint8), finished
            )
        self.seen = {split: np.zeros(size, bool) for split, size in sizes.items()}
        self.lines = folder / "epochs.jsonl"
        kept = read_epochs(folder)[:finished]
        if len(kept) < finished:
            raise ValueError(f"{self.lines} holds {len(kept)} epochs, not the {finished} to resume from")
        replace_text(self.lines, "".join(json.dumps(line) + "\n" for line in kept))

    def update(self, split: str, indices: Any, predictions: Any, probability: Any) -> None:
        """Note a batch: indices (B,) into the split, predicted classes (B,), probabilities of the true class (B,) in [0, 1]."""
        self.seen[split][indices] = True
        self.rows[split, "predictions"].row[indices] = predictions
        self.rows[split, "probability"].row[indices] = np.rint(np.multiply(probability, 255))

    def end_epoch(self, **numbers: float) -> None:
        """Append what `update` gathered as the next epoch, with the epoch's numbers. Raises ValueError where examples are missing."""
        for split, seen in self.seen.items():
            if missing := int((~seen).sum()):
                raise ValueError(
                    f"{missing:,} of {len(seen):,} {split} examples were not noted in this epoch: every epoch needs all of "
                    "them (a DataLoader with drop_last=True leaves some out)"
                )
        for seen in self.seen.values():
            seen[:] = False
        for array in self.rows.values():
            array.append()
        with self.lines.open("a") as file:
            file.write(json.dumps(numbers) + "\n")


class GrowingArray:
    """A (rows, size) .npy file that grows by a row at a time and can be read, memory-mapped, at any moment."""

    def __init__(self, path: Path, size: int, dtype: np.dtype, rows: int):
        self.path, self.rows = path, rows
        self.row = np.zeros(size, dtype)
        size_on_disk = len(self.header()) + rows * self.row.nbytes
        with path.open("r+b" if rows else "w+b") as file:
            begin = file.read(len(self.header()))
            known = begin in {self.header(n) for n in range(rows, rows + 2)} and path.stat().st_size >= size_on_disk
            if rows and not known:
                raise ValueError(f"{path} is not the array of {rows} epochs of {size} examples to resume from")
            file.seek(0)
            file.write(self.header())
            file.truncate(size_on_disk)

    def header(self, rows: int | None = None) -> bytes:
        # numpy pads the header for a first axis of any length, so its size never changes
        text = io.BytesIO()
        shape = (self.rows if rows is None else rows, len(self.row))
        np.lib.format.write_array_header_1_0(
            text, {"descr": self.row.dtype.str, "fortran_order": False, "shape": shape}
        )
        return text.getvalue()

    def append(self) -> None:
        with self.path.open("r+b") as file:
            file.seek(len(self.header()) + self.rows * self.row.nbytes)
            file.write(self.row.tobytes())
            file.flush()
            self.rows += 1
            file.seek(0)
            file.write(self.header())


def begin_record(
    folder: Path,
    networks: Sequence[str],
    classes: Sequence[str],
    labels: Mapping[str, np.ndarray],
    ids: Mapping[str, Sequence[str]],
    multi_label: bool = False,
) -> None:
    """Write what all networks share: their names, the classes, and each split's labels (N,) and ids (N,)."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in labels:
        save_array(folder / f"{split}-labels.npy", labels[split])
        replace_text(folder / f"{split}-ids.json", json.dumps(list(ids[split])))
    about = {"format": FORMAT, "networks": list(networks), "classes": list(classes), "multi_label": multi_label}
    replace_text(folder / "record.json", json.dumps(about))
