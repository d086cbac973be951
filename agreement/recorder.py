"""Writing a learning record: one network's part of it, epoch by epoch, from this program's training loop or any other."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import FORMAT, load_array, read_epochs, read_json, replace_array, replace_text

LARGEST = float(np.finfo(np.float16).max)  # of margins


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
    labels : split ("train", "test") to the classes of its N examples, whole numbers from 0 on. Of two classes the network may
        give one logit, that of class 1.
    network : which of the networks this is, from 0 on.
    classes : the names of the classes; numbers by default.
    name : of the network's architecture.
    resume : go on with the epochs that this network has finished in the folder; `epochs` says how many. Else they go.

    An epoch need not have all examples: of what it lacks the record keeps the last value and says that it was not seen
    (`LearningRecord.known`). What was never seen counts as not right. Raises ValueError in the first batch that does not fit,
    for an epoch without any example, and where the folder is the record of other data.
    """

    def __init__(
        self,
        folder: str | Path,
        labels: Mapping[str, Any],
        network: int = 0,
        classes: list[str] | None = None,
        name: str = "network",
        resume: bool = True,
    ):
        from filelock import FileLock  # here, so that importing agreement is as light as numpy

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        limit = len(classes) if classes else None
        self.labels = {
            split: whole_numbers(values, limit, f"{split} labels", "iubf") for split, values in labels.items()
        }
        highest = max(int(values.max(initial=0)) for values in self.labels.values())
        self.classes = classes or [str(c) for c in range(highest + 1)]
        about, names = folder / "record.json", [name] * (network + 1)
        ids = {split: [str(i) for i in range(len(values))] for split, values in self.labels.items()}
        with FileLock(folder / "record.lock"):  # other networks may begin at the same moment
            if about.is_file():
                known = read_json(about)
                names = [*known["networks"], *names[len(known["networks"]) :]]
                names[network] = name
                for split, values in self.labels.items():
                    path = folder / f"{split}-labels.npy"
                    if not (path.is_file() and np.array_equal(load_array(path, dimensions=1), values)):
                        raise ValueError(f"{folder} is the record of other {split} labels; give another folder")
                if known["classes"] != self.classes:
                    raise ValueError(f"{folder} is the record of other classes; give another folder")
            begin_record(folder, names, self.classes, self.labels, ids)
        sizes = {split: len(values) for split, values in self.labels.items()}
        own = folder / f"network-{network + 1}"
        finished = len(read_epochs(own)) if resume else 0
        self.writer = RecordWriter(own, sizes, len(self.classes), finished, own_loop=True)

    @property
    def epochs(self) -> int:
        """How many epochs are finished, those of an earlier start included."""
        return self.writer.finished

    def update(self, indices: Any, logits: Any, split: str = "train") -> None:
        """Note a batch: indices (B,) of examples, and what the network gave for them, logits (B, classes); arrays or tensors.

        Of two classes also one logit, (B,) or (B, 1). Of an example noted twice in an epoch the last counts.
        """
        if split not in self.labels:
            raise ValueError(f"the record has the splits {', '.join(self.labels)}, not {split!r}")
        indices = whole_numbers(indices, len(self.labels[split]), "indices", "iu")
        logits = check_logits(logits, len(self.classes))
        if len(indices) != len(logits):
            raise ValueError(f"{len(indices)} indices, but logits of {len(logits)} examples")
        rows, labels = np.arange(len(indices)), self.labels[split][indices]
        predicted, away = logits.argmax(axis=1), np.exp(logits - logits.max(axis=1, keepdims=True))
        away /= away.sum(axis=1, keepdims=True)
        probability = away[rows, labels]
        away[rows, labels] -= 1
        others = logits.copy()
        others[rows, labels] = -np.inf
        margin = logits[rows, labels] - others.max(axis=1)
        self.writer.update(split, indices, predicted, probability, margin, np.linalg.norm(away, axis=1))

    def end_epoch(self, **numbers: float) -> None:
        """The epoch is over; numbers to remember of it, such as its loss, by name."""
        self.writer.end_epoch(**numbers)


def check_logits(logits: Any, classes: int) -> np.ndarray:
    """Logits as finite float32 (B, classes). One logit, (B,) or (B, 1), is that of class 1 against 0."""
    logits = logits.detach().float().cpu().numpy() if hasattr(logits, "detach") else np.asarray(logits, np.float32)
    if logits.ndim == 1:
        logits = logits[:, None]
    if logits.ndim != 2:
        raise ValueError(f"logits must be (examples, classes), not of shape {logits.shape}")
    if logits.shape[1] == 1 and classes == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    if logits.shape[1] != classes:
        raise ValueError(f"logits of {logits.shape[1]} classes, where the record has {classes}: give classes=")
    if not np.isfinite(logits).all():
        raise ValueError("logits are not finite: the training has diverged; a smaller learning rate may help")
    return logits


def whole_numbers(values: Any, limit: int | None, what: str, kinds: str) -> np.ndarray:
    """Whole numbers from 0 to below a limit, int64 (n,), of arrays, tensors or lists whose dtype is one of `kinds`."""
    array = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{what} must be one whole number per example, not of shape {array.shape}")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in kinds:
        raise ValueError(f"{what} must be whole numbers, not {array.dtype} such as {array[0]!r}")
    if array.dtype.kind == "f" and (np.trunc(array) != array).any():
        raise ValueError(f"{what} must be whole numbers, not such as {array[np.trunc(array) != array][0]}")
    if array.min() < 0 or (limit is not None and array.max() >= limit):
        bound = "0 or more" if limit is None else f"in 0 to {limit - 1}"
        raise ValueError(f"{what} must be {bound}, not {array.min() if array.min() < 0 else array.max()}")
    return array.astype(np.int64)


class RecordWriter:
    """Writes one network's part of the record. Feed it batches in any order, then end the epoch.

    folder: where the network's files go. sizes: number of examples of each split. classes: number of labels there can be.
    finished: epochs to keep from an earlier attempt (those beyond are cut off), for a training that resumes.
    own_loop: epochs may lack examples.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int], classes: int, finished: int = 0, own_loop: bool = False):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.finished, self.own_loop = folder, finished, own_loop
        byte = np.dtype(np.uint8)
        # where examples may be missing, one more number says of a prediction that there is none yet
        kinds = {"predictions": np.min_scalar_type(classes if own_loop else max(classes, 1) - 1), "probability": byte}
        kinds |= dict.fromkeys(("margin", "error"), np.dtype(np.float16))
        self.rows = {}
        for split, size in sizes.items():
            for kind, dtype in kinds.items():
                row = self.rows[split, kind] = GrowingArray(folder / f"{split}-{kind}.npy", size, dtype, finished)
                if dtype.kind == "f" and not finished:
                    row.row[:] = np.nan
            if own_loop and not finished:
                self.rows[split, "predictions"].row[:] = classes
            known = folder / f"{split}-known.npy"
            if finished and known.is_file():
                self.rows[split, "known"] = GrowingArray(known, size, byte, finished)
            elif not finished:
                known.unlink(missing_ok=True)
        self.seen = {split: np.zeros(size, bool) for split, size in sizes.items()}
        self.lines = folder / "epochs.jsonl"
        kept = read_epochs(folder)[:finished]
        if len(kept) < finished:
            raise ValueError(f"{self.lines} holds {len(kept)} epochs, not the {finished} to resume from")
        replace_text(self.lines, "".join(json.dumps(line) + "\n" for line in kept))

    def update(
        self,
        split: str,
        indices: Any,
        predictions: Any,
        probability: Any,
        margin: Any = np.nan,
        error: Any = np.nan,
    ) -> None:
        """Note a batch: indices (B,) into the split, predicted classes (B,), probabilities of the true class (B,) in [0, 1].

        margin, error: (B,), see `LearningRecord.margin` and `error`; not known by default.
        """
        self.seen[split][indices] = True
        self.rows[split, "predictions"].row[indices] = predictions
        self.rows[split, "probability"].row[indices] = np.rint(np.multiply(probability, 255))
        self.rows[split, "margin"].row[indices] = np.clip(margin, -LARGEST, LARGEST)
        self.rows[split, "error"].row[indices] = error

    def end_epoch(self, **numbers: float) -> None:
        """Append what `update` gathered as the next epoch, with the epoch's numbers.

        Raises ValueError where examples are missing; with `own_loop` only where all are. Then rows keep the last value of
        what is missing, and a file says from the first such epoch on what was seen.
        """
        if self.own_loop and not any(seen.any() for seen in self.seen.values()):
            raise ValueError("no example was noted in this epoch")
        for split, seen in self.seen.items():
            missing = int((~seen).sum())
            if missing and not self.own_loop:
                raise ValueError(
                    f"{missing:,} of {len(seen):,} {split} examples were not noted in this epoch: every epoch needs all of "
                    "them (a DataLoader with drop_last=True leaves some out)"
                )
            if missing and (split, "known") not in self.rows:
                path = self.folder / f"{split}-known.npy"
                replace_array(path, np.ones((self.finished, len(seen)), np.uint8))
                self.rows[split, "known"] = GrowingArray(path, len(seen), np.dtype(np.uint8), self.finished)
            if (split, "known") in self.rows:
                self.rows[split, "known"].row[:] = seen
        for seen in self.seen.values():
            seen[:] = False
        for array in self.rows.values():
            array.append()
        with self.lines.open("a") as file:
            file.write(json.dumps(numbers) + "\n")
        self.finished += 1


class GrowingArray:
    """A (rows, size) .npy file that grows by a row at a time and can be read, memory-mapped, at any moment.

    `row` is the next one; it begins as the last one on disk.
    """

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
            if rows:
                file.seek(size_on_disk - self.row.nbytes)
                self.row[:] = np.frombuffer(file.read(), dtype)

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
        replace_array(folder / f"{split}-labels.npy", labels[split])
        replace_text(folder / f"{split}-ids.json", json.dumps(list(ids[split])))
    about = {"format": FORMAT, "networks": list(networks), "classes": list(classes), "multi_label": multi_label}
    replace_text(folder / "record.json", json.dumps(about))
