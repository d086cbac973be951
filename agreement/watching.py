"""Watching a training loop as it stands: a DataLoader that knows which examples it gives, and what the network makes of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from agreement.analysis import epochs_or_missing
from agreement.learning_order import forgetting_events, learned_epoch
from agreement.outcomes import as_sets, sets_of_classes, whole_numbers
from agreement.own_loop import LearningRecorder, elsewhere
from agreement.record import LearningRecord, load_array, read_epochs, replace_array

if TYPE_CHECKING:
    import pandas as pd

EASY_IS_HIGH = ("confidence", "margin")


class Indexed(Dataset[Any]):
    """A map-style data set whose items are (index, what the data set gives)."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list[tuple[int, Any]]:
        batched = getattr(self.dataset, "__getitems__", None)
        items = batched(indices) if batched else [self.dataset[index] for index in indices]
        return list(zip(indices, items, strict=True))


def watch(
    loader: DataLoader[Any],
    folder: str | Path,
    network: int = 0,
    classes: list[str] | None = None,
    name: str = "network",
    resume: bool | None = None,
    ids: Sequence[Any] | None = None,
    multi_label: bool = False,
) -> "tuple[WatchedLoader, Watch]":
    """The loader, to be gone through as before, and what to tell of each step.

        loader, watch = agreement.watch(loader, "record")
        for epoch in range(epochs):
            for images, targets in loader:
                logits = network(images)
                ...
                watch(logits, targets)

    loader: a DataLoader over a map-style data set. folder, network, classes, name, resume, multi_label: as of `LearningRecorder`,
    which records what is told. By default there are as many classes as logits, two for one logit. ids: of the examples, in the
    order of the data set; they stand in the record and the table in place of positions.

    Under torch.distributed each process watches its share, and the end of an epoch brings the shares together.

    An epoch ends with the loader, or where the next begins; a loop that leaves its last early calls ``watch.end_epoch()``.
    Raises TypeError for another kind of loader.
    """
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        raise TypeError(
            f"watch takes a torch DataLoader that draws batches from a map-style data set, not {type(loader).__name__} of "
            f"{type(loader.dataset).__name__ if hasattr(loader, 'dataset') else 'no data set'}; with another loader, wrap "
            "the data set in agreement.Indexed and give the index to LearningRecorder"
        )
    watching = Watch(len(loader.dataset), folder, network, classes, name, resume, ids, multi_label)
    return watched(loader, watching), watching


def watched(loader: DataLoader[Any], watching: "Watch") -> "WatchedLoader":
    """The same loader over the same data set, with the index beside every item."""
    drawing: dict[str, Any] = {"batch_sampler": loader.batch_sampler}
    # unless it was given, the loader made it of these, which loops may ask for
    if type(loader.batch_sampler) is BatchSampler and loader.batch_size is not None:
        drawing = {"batch_size": loader.batch_size, "sampler": loader.sampler, "drop_last": loader.drop_last}
    kept = (
        "num_workers", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "generator",
        "prefetch_factor", "persistent_workers", "pin_memory_device", "in_order",
    )  # fmt: skip
    settings = {name: getattr(loader, name) for name in kept if hasattr(loader, name)}
    return WatchedLoader(
        Indexed(loader.dataset), watching=watching, collate_fn=_Collate(loader.collate_fn), **drawing, **settings
    )


class WatchedLoader(DataLoader[Any]):
    """Tells the watch the index of every batch that it gives. Made by `watch`, and anew by Lightning, of its attributes."""

    def __init__(self, dataset: Indexed, *arguments: Any, watching: "Watch", **others: Any):
        super().__init__(dataset, *arguments, **others)
        self.watching = watching
        watching.sampler = self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        self.watching.begin_epoch()
        for index, batch in super().__iter__():
            self.watching.index = index
            yield batch
        self.watching.end_epoch()


class _Collate:
    """The loader's own collate function, beside the index. A class, so that it travels to the workers."""

    def __init__(self, collate: Callable[[list[Any]], Any]):
        self.collate = collate

    def __call__(self, items: list[tuple[int, Any]]) -> tuple[torch.Tensor, Any]:
        return torch.tensor([index for index, _ in items]), self.collate([item for _, item in items])


class Watch:
    """Notes what the network makes of each batch of a watched loader; made by `watch`.

    Call it once a step with the batch's logits (B, classes), or (B,) or (B, 1) of two classes, and its targets (B,), of sets of
    classes (B, classes). In other tasks call `update_correct` in its place. The record in the folder has the epochs that
    ended. Labels are known from the targets: an example that was never drawn stands in the record with label 0, but as not
    seen (`LearningRecord.known`).
    """

    def __init__(
        self,
        size: int,
        folder: str | Path,
        network: int = 0,
        classes: list[str] | None = None,
        name: str = "network",
        resume: bool | None = None,
        ids: Sequence[Any] | None = None,
        multi_label: bool = False,
    ):
        if ids is not None and len(ids) != size:
            raise ValueError(f"{len(ids)} ids for a data set of {size} examples")
        self.size, self.folder, self.network, self.ids = size, Path(folder), network, ids
        self.own = self.folder / f"network-{network + 1}"
        self.classes, self.name, self.resume, self.multi_label = classes, name, resume, multi_label
        self.index: torch.Tensor | None = None
        self.recorder: _Learning | None = None
        self.sampler: Any = None  # what draws the batches
        self.batches: list[torch.Tensor] = []  # of this epoch, where there is a plan to hold them against
        self.told = False  # that they are not those of the plan

    def __call__(self, logits: Any, targets: Any) -> None:
        """Note a batch. Raises ValueError where logits and targets do not fit the batch or what was noted before."""
        classes = logits.shape[1] if len(logits.shape) > 1 else 1
        recorder = self._recorder(
            self.classes or [str(c) for c in range(classes if self.multi_label else max(classes, 2))]
        )
        shape = tuple(targets.shape) if hasattr(targets, "shape") else np.shape(targets)
        if not self.multi_label and len(shape) == 2 and shape[1] == 1 and hasattr(targets, "reshape"):
            targets = targets.reshape(-1)  # as the loss of one logit takes them
        elif self.multi_label and len(shape) != 2:
            raise ValueError(f"targets must be 0 or 1 for each example and class, not of shape {shape}")
        elif not self.multi_label and len(shape) != 1:
            raise ValueError(
                f"targets must be one whole number per example, not of shape {shape}; give watch multi_label=True for sets of "
                "classes, or the argmax of one-hot targets"
            )
        index = self._drawn(len(targets), "targets")
        recorder.note(index, logits, targets)

    def update_correct(self, correct: Any, value: Any = None) -> None:
        """Note a batch of any task: see `LearningRecorder.update_correct`."""
        recorder = self._recorder(None)
        recorder.update_correct(self._drawn(len(correct), "outcomes"), correct, value)

    def _recorder(self, classes: list[str] | None) -> "_Learning":
        if self.index is None:
            raise ValueError("watch is called once a step, after its loader gave the batch")
        if self.recorder is None:
            self.recorder = self._begin(classes)
        return self.recorder

    def _drawn(self, size: int, what: str) -> torch.Tensor:
        """The index of the batch that the loader gave last, and no longer gives."""
        index, self.index = self.index, None
        if index is None or size != len(index):
            raise ValueError(
                f"{size} {what}, but the loader gave a batch of {0 if index is None else len(index)} examples"
            )
        if hasattr(self.sampler, "verify"):
            self.batches.append(index)
        return index

    def begin_epoch(self) -> None:
        """End the epoch before, of a loop that left it early."""
        self.end_epoch()
        self.batches = []

    def end_epoch(self, **numbers: float) -> None:
        """The epoch is over; numbers to remember of it, by name. Nothing happens where nothing was noted since the last."""
        if self.recorder is not None and self.recorder.noted:
            self.recorder.end_epoch(**numbers)

    def verify(self, partial: bool = False) -> None:
        """Warn, once, where batches were not those that a `curricula.PacedSampler` planned; see its `verify`."""
        if hasattr(self.sampler, "verify") and not self.told:
            self.told = bool(self.sampler.verify([batch.cpu() for batch in self.batches], partial))
        self.batches = []

    @property
    def epochs(self) -> int:
        """How many epochs are finished, those of an earlier start included."""
        return len(read_epochs(self.own)) if self.recorder or self.resume is not False else 0

    def table(self) -> "pd.DataFrame":
        """What this network showed so far, a row per example; the epoch that is under way counts as far as it has come.

        id: position in the data set, or as given. known: share of the epochs in which it was drawn. learning_time: 1 less the share of
        these in which it was right. first, last: the first epoch in which it was right, and the one from which it stays
        so; missing where there is none. confidence: mean probability of the target. margin: mean of the target's logit less the
        highest of another class (Pleiss et al. 2020). forgetting: how often it went from right to wrong. suspect: whether
        another class had the higher logit on average, as with wrong targets. What was never drawn has no values but known = 0.

        Raises ValueError before the first batch.
        """
        import pandas as pd  # here: see `agreement`

        if self.recorder is None:
            raise ValueError("nothing was noted yet")
        self.recorder.fetch()
        writer, labels = self.recorder.writer, self.recorder.labels["train"]
        underway = writer.seen["train"].any()

        def so_far(kind: str) -> np.ndarray:
            row = writer.rows["train", kind].row[None]
            past = load_array(self.own / f"train-{kind}.npy", 2, "r", row.dtype.kind) if writer.finished else row[:0]
            return np.concatenate([past, row]) if underway else np.asarray(past)

        correct, epochs = so_far("predictions") == labels, writer.finished
        known = np.ones((epochs, self.size), bool)
        if ("train", "known") in writer.rows:
            known = load_array(self.own / "train-known.npy", 2, "r").astype(bool)
        known = np.concatenate([known, writer.seen["train"][None]]) if underway else known
        columns = table_columns(correct, known, so_far("probability"), so_far("margin"))
        return pd.DataFrame({"id": np.arange(self.size) if self.ids is None else list(self.ids)} | columns)

    def scores(self, name: str = "confidence") -> np.ndarray:
        """A column of the table as scores (N,), lower is easier; NaN where the example was never drawn.

        For an example without `first` or `last`, because it was never right or not at the end, they are infinite.
        """
        table = self.table()
        if name not in table or name in ("id", "known"):
            raise ValueError(f"there are no scores {name!r}; there are {', '.join(table.columns[2:])}")
        scores = table[name].to_numpy(np.float64, na_value=np.nan)
        if name in EASY_IS_HIGH:
            scores = -scores
        return np.where((table["known"] > 0) & np.isnan(scores), np.inf, scores)

    def _begin(self, classes: list[str] | None) -> "_Learning":
        labels = np.zeros(self.size, np.int64)
        if (self.folder / "record.json").is_file():
            labels = LearningRecord(self.folder).labels("train")
            if len(labels) != self.size:
                raise ValueError(
                    f"{self.folder} is the record of {len(labels):,} examples, not {self.size:,}; give another folder"
                )
        given: Any = self.size if classes is None else labels
        if self.multi_label and classes is not None:
            given = as_sets(labels, len(classes))
        names = {} if self.ids is None else {"train": self.ids}
        made = _Learning(
            self.folder, {"train": given}, self.network, classes, self.name, self.resume, names, self.multi_label
        )
        made.positions = {}  # the loader gives positions
        return made


class _Learning(LearningRecorder):
    """A recorder that learns the labels of the examples from the targets of their batches."""

    def __init__(self, folder: Path, *arguments: Any):
        seen: Any = False
        for network in folder.glob("network-*"):
            if read_epochs(network):
                known = network / "train-known.npy"
                seen = seen | (load_array(known, 2).any(axis=0) if known.is_file() else True)
        super().__init__(folder, *arguments)
        self.drawn = np.zeros(len(self.labels["train"]), bool) | seen  # examples whose label is known

    def note(self, indices: torch.Tensor, logits: Any, targets: Any) -> None:
        if not (elsewhere(logits) and elsewhere(targets)):
            targets = (
                sets_of_classes(targets, "targets")
                if self.sets_of
                else whole_numbers(targets, len(self.classes), "targets", "iubf")
            )
        self._note(indices, logits, targets, "train")

    def _learn(self, indices: np.ndarray, labels: np.ndarray, split: str) -> None:
        if self.told:
            return
        known = self.labels[split]
        if not self.sets_of:
            whole_numbers(labels, len(self.classes), "targets", "iu")
        changed = indices[self.drawn[indices] & (known[indices] != labels)]
        if len(changed):
            raise ValueError(
                f"example {changed[0]} had another target before: {self.folder} is the record of other data, or targets change"
            )
        known[indices], self.drawn[indices] = labels, True

    def _write_labels(self) -> None:
        if self.rank:
            return
        path = self.folder / "train-labels.npy"
        with FileLock(self.folder / "record.lock"):  # other networks know the labels of other examples
            replace_array(path, np.where(self.drawn, self.labels["train"], load_array(path, dimensions=1)))


def table_columns(
    correct: np.ndarray, known: np.ndarray, probability: np.ndarray, margin: np.ndarray
) -> dict[str, Any]:
    """Columns of `Watch.table` for one network, from (T, N) each: booleans, probability in 1/255 and margin in logits."""
    import pandas as pd  # here: see `agreement`

    times = known.sum(axis=0)
    never = times == 0

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
        return np.divide(total, times, out=np.full(len(times), np.nan), where=~never)

    first = np.where(correct.any(axis=0), correct.argmax(axis=0) + 1.0, np.inf)
    margins = mean(margin)
    return {
        "known": known.mean(axis=0),
        "learning_time": 1 - mean(correct),
        "first": epochs_or_missing(first),
        "last": epochs_or_missing(learned_epoch(correct[None])),
        "confidence": mean(probability) / 255,
        "margin": margins,
        "forgetting": pd.array(np.where(never, np.nan, forgetting_events(correct[None])[0]), dtype="Int32"),
        "suspect": pd.arrays.BooleanArray(margins < 0, never),
    }
