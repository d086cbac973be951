"""Recording a training loop of one's own: what a network made of each batch, by the index of every example."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agreement.outcomes import check_finite, check_logits, outcome, sets_of_classes, whole_numbers
from agreement.record import load_array, read_epochs, read_json
from agreement.recorder import RecordWriter, begin_record

BEGUN: set[tuple[Path, int]] = set()  # folders and networks that this process has recorded


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
        give one logit, that of class 1. With `multi_label` 0 or 1 for each example and class, (N, C). Or only N: then the
        loop says what is right, see `update_correct`.
    network : which of the networks this is, from 0 on.
    classes : the names of the classes; numbers by default.
    name : of the network's architecture.
    resume : go on with the epochs that this network has finished in the folder; `epochs` says how many. If not, they go. By
        default a process that starts again goes on, and says so; one that has recorded this network there before, such as
        a notebook whose cell is run again, must say what it means.
    ids : split to N different names or numbers, by which `update` is told of examples and which stand in the record; else
        these are positions, from 0 on.
    multi_label : an example has any number of classes, and is right where all of them are.

    An epoch need not have all examples: of what it lacks the record keeps the last value and says that it was not seen
    (`LearningRecord.known`). What was never seen counts as not right. Raises ValueError in the first batch that does not fit,
    for an epoch without any example, and where the folder is the record of other data. Logits on a GPU stay there until
    the epoch ends; so do the checks of what they hold.

    Where torch.distributed runs, each process makes a recorder on the same folder and notes its share; all call `end_epoch`,
    which brings the shares together and waits until the first has written.
    """

    def __init__(
        self,
        folder: str | Path,
        labels: Mapping[str, Any],
        network: int = 0,
        classes: list[str] | None = None,
        name: str = "network",
        resume: bool | None = None,
        ids: Mapping[str, Sequence[Any]] | None = None,
        multi_label: bool = False,
    ):
        self.rank, self.ranks = ranks()
        self.folder, self.ids = Path(folder), {}
        for split, names in (ids or {}).items():
            self.ids[split] = names.tolist() if hasattr(names, "tolist") else list(names)
        self.told = all(isinstance(values, int) for values in labels.values())  # by the loop, what is right
        self.classes, self.labels = ["right", "wrong"], {}
        if self.told:
            self.labels = {split: np.zeros(size, np.int64) for split, size in labels.items()}
        elif multi_label:
            self.labels = {split: sets_of_classes(values, f"{split} labels") for split, values in labels.items()}
            columns = max(np.shape(values)[1] for values in labels.values())
            self.classes = classes or [str(c) for c in range(columns)]
            if columns > len(self.classes):
                raise ValueError(f"the labels have {columns} columns, and classes= {len(self.classes)} names")
        else:
            limit = len(classes) if classes else None
            self.labels = {split: labels_of(values, limit, split) for split, values in labels.items()}
            if classes is None and all(values.size and values.min() == 1 for values in self.labels.values()):
                raise ValueError("the labels begin at 1: number the classes from 0 on, or name all of them in classes=")
            highest = max(int(values.max(initial=0)) for values in self.labels.values())
            self.classes = classes or [str(c) for c in range(highest + 1)]
        self.sets_of = len(self.classes) if multi_label else 0
        self.positions = {
            split: positions_of(names, split, len(self.labels[split])) for split, names in self.ids.items()
        }
        own = self.folder / f"network-{network + 1}"
        finished = len(read_epochs(own)) if resume is not False else 0
        if self.rank == 0:
            check_begun(self.folder, network, resume, finished)
            self._begin(network, name)
        sizes = {split: len(values) for split, values in self.labels.items()}
        number = 2**self.sets_of if multi_label else len(self.classes)
        self.writer = RecordWriter(own, sizes, number, finished, own_loop=True, writes=self.rank == 0)
        self.pending: list[tuple[str, Any]] = []  # what lies on another device
        self.on_device: dict[tuple[str, Any], Any] = {}  # labels, by split and device

    def _begin(self, network: int, name: str) -> None:
        from filelock import FileLock  # here: importing agreement is as light as numpy

        folder, names = self.folder, [name] * (network + 1)
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / "record.json"
        ids = {
            split: [str(each) for each in self.ids.get(split, range(len(values)))]
            for split, values in self.labels.items()
        }
        with FileLock(folder / "record.lock"):  # other networks may begin at the same moment
            if about.is_file():
                known = read_json(about)
                names = [*known["networks"], *names[len(known["networks"]) :]]
                names[network] = name
                for split, values in self.labels.items():
                    path = folder / f"{split}-labels.npy"
                    if not (path.is_file() and np.array_equal(load_array(path, dimensions=1), values)):
                        raise ValueError(f"{folder} is the record of other {split} labels; give another folder")
                    if read_json(folder / f"{split}-ids.json") != ids[split]:
                        raise ValueError(f"{folder} is the record of other {split} ids; give another folder")
                if known["classes"] != self.classes or known.get("multi_label", False) != bool(self.sets_of):
                    raise ValueError(f"{folder} is the record of other classes; give another folder")
            begin_record(folder, names, self.classes, self.labels, ids, bool(self.sets_of))

    @property
    def epochs(self) -> int:
        """How many epochs are finished, those of an earlier start included."""
        return self.writer.finished

    @property
    def noted(self) -> bool:
        """Whether this process has noted an example since the last epoch ended."""
        return bool(self.pending) or any(seen.any() for seen in self.writer.seen.values())

    def update(self, indices: Any, logits: Any, split: str = "train") -> None:
        """Note a batch: indices (B,) of examples, and what the network gave for them, logits (B, classes); arrays or tensors.

        Of two classes also one logit, (B,) or (B, 1). Of an example noted twice in an epoch the last counts.
        """
        if self.told:
            raise ValueError("the record has no labels, only numbers of examples: say what is right, to update_correct")
        self._note(indices, logits, None, split)

    def update_correct(self, indices: Any, correct: Any, value: Any = None, split: str = "train") -> None:
        """Note a batch of any task: which examples are right, booleans (B,), and perhaps how good they are, 0 to 1, (B,).

        The value takes the place of the label's probability: the overlap of a box or mask, the share of right words; by default
        1 and 0. For a recorder that was given numbers of examples in place of labels.
        """
        if not self.told:
            raise ValueError(
                "the record has labels: give the logits to update, or numbers of examples in place of labels"
            )
        indices = self._indices(indices, split, len(correct))
        if elsewhere(correct):
            from agreement import tensors

            self.pending.append((split, tensors.right_or_wrong(indices, correct, value)))
            return
        indices = whole_numbers(indices, None, "indices", "iu")  # of a tensor elsewhere
        right = whole_numbers(as_integers(correct), 2, "correct", "iu")
        quality = (
            right if value is None else np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, float)
        )
        if quality.shape != right.shape or not ((quality >= 0) & (quality <= 1)).all():
            raise ValueError("value must be from 0 to 1 for each example")
        self.writer.update(split, indices, 1 - right, quality, 2 * quality - 1, 2**0.5 * (1 - quality))

    def _note(self, indices: Any, logits: Any, labels: Any, split: str) -> None:
        """labels: of the batch (B,), where they are not known beforehand."""
        indices = self._indices(indices, split, len(logits))
        if elsewhere(logits):
            from agreement import tensors

            if labels is None:
                key = split, logits.device
                if key not in self.on_device:
                    self.on_device[key] = tensors.here(self.labels[split], logits)
                labels = self.on_device[key][tensors.here(indices, logits).clamp(0, len(self.labels[split]) - 1)]
            rows = tensors.outcome(indices, logits, labels, len(self.classes), self.sets_of)
            self.pending.append((split, rows))
            return
        indices = whole_numbers(indices, len(self.labels[split]), "indices", "iu")  # of a tensor elsewhere
        logits = check_logits(logits, len(self.classes))
        if labels is not None:
            self._learn(indices, labels, split)
        self.writer.update(split, indices, *outcome(logits, self.labels[split][indices], self.sets_of))

    def _indices(self, indices: Any, split: str, size: int) -> Any:
        """Positions of the examples, int64 (B,); a tensor on another device stays there, and is checked when it comes."""
        if split not in self.labels:
            raise ValueError(f"the record has the splits {', '.join(self.labels)}, not {split!r}")
        if len(indices) != size:
            raise ValueError(f"{len(indices)} indices, but logits of {size} examples")
        if split in self.positions:
            names = indices.tolist() if hasattr(indices, "tolist") else indices
            try:
                return np.array([self.positions[split][name] for name in names], np.int64)
            except KeyError as error:
                raise ValueError(f"no {split} example has the id {error.args[0]!r}") from error
        return indices if elsewhere(indices) else whole_numbers(indices, len(self.labels[split]), "indices", "iu")

    def _learn(self, indices: np.ndarray, labels: np.ndarray, split: str) -> None:
        """Take up labels of a batch that were not known beforehand."""

    def fetch(self) -> None:
        """Note what lies on another device. Raises ValueError for indices and logits there that do not fit."""
        if not self.pending:
            return
        from agreement import tensors

        splits = [split for split, _ in self.pending]
        batches = tensors.fetched([rows for _, rows in self.pending])
        self.pending = []
        for split, (indices, labels, predictions, true, margin, away, fits) in zip(splits, batches, strict=True):
            whole_numbers(indices, len(self.labels[split]), "indices", "iu")
            if self.told and not fits.all():
                raise ValueError("correct must be true or false, and value from 0 to 1, for each example")
            if (fits < 0).any():
                raise ValueError("targets must be whole numbers, or 0 and 1 for sets of classes")
            check_finite(fits.all())
            self._learn(indices, labels, split)
            self.writer.update(split, indices, predictions, true / 255, margin / tensors.FINE, away / tensors.FINE)

    def end_epoch(self, **numbers: float) -> None:
        """The epoch is over; numbers to remember of it, such as its loss, by name."""
        self.fetch()
        if self.ranks > 1:
            from agreement import tensors

            for share in tensors.gathered({split: self._share(split) for split in self.labels}):
                for split, (indices, values, labels) in share.items():
                    self._learn(indices, labels, split)
                    self.writer.take(split, indices, values)
        self._write_labels()
        self.writer.end_epoch(**numbers)
        if self.ranks > 1:
            tensors.wait_for_others()

    def _share(self, split: str) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """What this process has seen of a split: indices (n,), what is noted of them, and their labels."""
        indices = np.flatnonzero(self.writer.seen[split])
        return indices, self.writer.noted(split, indices), self.labels[split][indices]

    def _write_labels(self) -> None:
        """Write labels that were learned since."""


def check_begun(folder: Path, network: int, resume: bool | None, finished: int) -> None:
    """Raise ValueError, or warn, where what is in the folder might be another measurement than is meant."""
    this, own = (folder.resolve(), network), folder / f"network-{network + 1}"
    if resume is None and finished and this in BEGUN:
        raise ValueError(
            f"{folder} holds {finished} epochs of network={network} from earlier in this process: give another folder, "
            "resume=False to record anew, or resume=True to go on"
        )
    others = [other for other in folder.glob("network-*") if other != own and read_epochs(other)]
    if resume is False and network == 0 and others:
        raise ValueError(
            f"{folder} holds {len(others) + 1} networks of an earlier measurement, with which network=0 would be mixed: "
            "remove the folder or give another"
        )
    if resume is None and finished:
        warnings.warn(
            f"{folder}: network={network} goes on after the {finished} epochs there (resume=True says so, resume=False begins anew)",
            stacklevel=4,
        )
    BEGUN.add(this)


def labels_of(values: Any, limit: int | None, split: str) -> np.ndarray:
    if len(np.shape(values)) == 2:
        raise ValueError(
            f"{split} labels must be one whole number per example, not of shape {tuple(np.shape(values))}; give multi_label=True "
            "for sets of classes, or the argmax of one-hot labels"
        )
    try:
        return whole_numbers(values, limit, f"{split} labels", "iubf")
    except ValueError as error:
        raise ValueError(f"{error}; {advice_on(values, limit)}") from error


def advice_on(values: Any, limit: int | None) -> str:
    """What to do with labels that are not 0 to the number of classes less 1."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.dtype.kind not in "iubf":
        return "number the names, such as by numpy.unique(labels, return_inverse=True)"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "leave out what has no label"
    if array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):
        return "for other tasks give the number of examples, and say what is right to update_correct"
    if array.min() < 0:
        return "leave out what has no label"
    return (
        "number the classes from 0 on" if array.min() == 1 and array.max() == limit else "name all classes in classes="
    )


def positions_of(names: Sequence[Any], split: str, size: int) -> dict[Any, int]:
    """Position of each id. Raises ValueError unless they are different names or whole numbers, one for each example."""
    positions = {name: i for i, name in enumerate(names.tolist() if hasattr(names, "tolist") else names)}
    if len(names) != size or len({str(name) for name in positions}) != size:
        raise ValueError(
            f"{split} ids must be different for each of {size} examples; {len(positions)} different ones were given"
        )
    return positions


def as_integers(values: Any) -> np.ndarray:
    array = values.detach().numpy() if hasattr(values, "detach") else np.asarray(values)
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def elsewhere(values: Any) -> bool:
    """Whether values are a tensor on another device than the CPU."""
    return hasattr(values, "detach") and values.device.type != "cpu"


def ranks() -> tuple[int, int]:
    """Which of how many processes that train together this is; without torch there is one."""
    if "torch" not in sys.modules:
        return 0, 1
    from agreement import tensors

    return tensors.ranks()
