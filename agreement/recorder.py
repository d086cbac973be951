"""Writing a learning record: what all networks share, and each network's part, epoch by epoch."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import FORMAT, load_array, read_epochs, replace_array, replace_text

LARGEST = float(np.finfo(np.float16).max)  # of margins


class RecordWriter:
    """Writes one network's part of the record. Feed it batches in any order, then end the epoch.

    folder: where the network's files go. sizes: number of examples of each split. classes: number of labels there can be.
    finished: epochs to keep from an earlier attempt (those beyond are cut off), for a training that resumes.
    own_loop: epochs may lack examples. writes: whether this process writes; others that train with it only keep the same in memory.
    """

    def __init__(
        self,
        folder: Path,
        sizes: Mapping[str, int],
        classes: int,
        finished: int = 0,
        own_loop: bool = False,
        writes: bool = True,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.finished, self.own_loop, self.writes = folder, finished, own_loop, writes
        byte = np.dtype(np.uint8)
        # where examples may be missing, one more number says of a prediction that there is none yet
        kinds = {"predictions": np.min_scalar_type(classes if own_loop else max(classes, 1) - 1), "probability": byte}
        kinds |= dict.fromkeys(("margin", "error"), np.dtype(np.float16))
        self.rows = {}
        for split, size in sizes.items():
            for kind, dtype in kinds.items():
                path = folder / f"{split}-{kind}.npy"
                row = self.rows[split, kind] = GrowingArray(path, size, dtype, finished, writes)
                if dtype.kind == "f" and not finished:
                    row.row[:] = np.nan
            if own_loop and not finished:
                self.rows[split, "predictions"].row[:] = classes
            known = folder / f"{split}-known.npy"
            if finished and known.is_file():
                self.rows[split, "known"] = GrowingArray(known, size, byte, finished, writes)
            elif not finished and writes:
                known.unlink(missing_ok=True)
        self.seen = {split: np.zeros(size, bool) for split, size in sizes.items()}
        self.lines = folder / "epochs.jsonl"
        if not writes:
            return
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

    def noted(self, split: str, indices: np.ndarray) -> dict[str, np.ndarray]:
        """What is noted of examples (n,) in the epoch that is under way, by kind, as `take` takes it in another process."""
        return {kind: array.row[indices] for (of, kind), array in self.rows.items() if of == split and kind != "known"}

    def take(self, split: str, indices: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        self.seen[split][indices] = True
        for kind, noted in values.items():
            self.rows[split, kind].row[indices] = noted

    def end_epoch(self, **numbers: float) -> None:
        """Append what `update` gathered as the next epoch, with the epoch's numbers.

        Raises ValueError where examples are missing; with `own_loop` only where all are. Then rows keep the last value of
        what is missing, and a file says from the first such epoch on what was seen.
        """
        if self.own_loop and not any(seen.any() for seen in self.seen.values()):
            raise ValueError("no example was noted in this epoch")
        plain = {name: each if isinstance(each, int | float | None) else float(each) for name, each in numbers.items()}
        for split, seen in self.seen.items():
            missing = int((~seen).sum())
            if missing and not self.own_loop:
                raise ValueError(
                    f"{missing:,} of {len(seen):,} {split} examples were not noted in this epoch: every epoch needs all of "
                    "them (a DataLoader with drop_last=True leaves some out)"
                )
            if missing and (split, "known") not in self.rows:
                path = self.folder / f"{split}-known.npy"
                if self.writes:
                    replace_array(path, np.ones((self.finished, len(seen)), np.uint8))
                self.rows[split, "known"] = GrowingArray(
                    path, len(seen), np.dtype(np.uint8), self.finished, self.writes
                )
            if (split, "known") in self.rows:
                self.rows[split, "known"].row[:] = seen
        for seen in self.seen.values():
            seen[:] = False
        for array in self.rows.values():
            array.append()
        if self.writes:
            with self.lines.open("a") as file:
                file.write(json.dumps(plain) + "\n")
        self.finished += 1


class GrowingArray:
    """A (rows, size) .npy file that grows by a row at a time and can be read, memory-mapped, at any moment.

    `row` is the next one; it begins as the last one on disk.
    """

    def __init__(self, path: Path, size: int, dtype: np.dtype, rows: int, writes: bool = True):
        self.path, self.rows, self.writes = path, rows, writes
        self.row = np.zeros(size, dtype)
        if not writes:  # the process that does may just be making the file; `known` is ones until then
            self.row[:] = load_array(path, 2, "r", dtype.kind)[rows - 1] if rows and path.is_file() else 0
            return
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
        if not self.writes:
            self.rows += 1
            return
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
    images: Mapping[str, str] | None = None,
    trained: Mapping[str, str] | None = None,
) -> None:
    """Write what all networks share: their names, the classes, each split's labels (N,), ids (N,) and digest of its images.

    trained: how, such as the device and the precision; kept in record.json and read by nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split in labels:
        replace_array(folder / f"{split}-labels.npy", labels[split])
        replace_text(folder / f"{split}-ids.json", json.dumps(list(ids[split])))
    about = {"format": FORMAT, "networks": list(networks), "classes": list(classes), "multi_label": multi_label}
    about |= {"images": dict(images)} if images else {}
    replace_text(folder / "record.json", json.dumps(about | ({"trained": dict(trained)} if trained else {})))
