"""Scores: how hard an example is, from a learning record or from a file; each declares which way is easy.

Statistics of images and examples are scores as they are. Adding a score that is read off a learning record is one function
of its arrays and one line in SCORES.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agreement.learning_order import (
    confidence_and_variability,
    first_epoch,
    forgetting_events,
    learned_epoch,
    learning_time,
    mean_correctness,
    mean_over_epochs,
)
from agreement.record import LearningRecord

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

LARGEST_SCORE_FILE = 2**30  # bytes, packed or not: a score a line for some 50 million examples
LARGEST_ROW_GROUP = 2**27  # bytes of a column of parquet, unpacked; pyarrow writes a million rows in one

EASY_IS_HIGH = ("agreement", "correctness", "confidence", "margin", "aum")  # columns of tables of this program
MISSING = ("", "nan", "na", "n/a", "null", "none", "<na>")  # scores that are not there, in any case

COLUMNS = {
    "score": None,
    "difficulty": False,
    "easiness": True,
}  # of a file of scores: whether high is easy, if it says so

Networks = Sequence[np.ndarray]  # K arrays (T, N)


def agreement_score(correct: np.ndarray) -> np.ndarray:
    """Rank of the examples by joint learned epoch, ties by mean correctness, (N,): what all networks learn first is low.

    correct: boolean (K, T, N). Equal scores remain where both are equal. Hacohen et al. (2020) show that networks agree.
    """
    learned, correctness = learned_epoch(correct), mean_correctness(correct)
    ordered = np.lexsort((-correctness, learned))
    differs = (np.diff(correctness[ordered]) != 0) | (learned[ordered[1:]] != learned[ordered[:-1]])
    ranks = np.empty(len(ordered))
    ranks[ordered] = np.append(0, np.cumsum(differs))
    return ranks


def forgetting_score(correct: np.ndarray) -> np.ndarray:
    """Forgetting events, summed over networks, (N,); `inf` for what no network ever gets right (Toneva et al. 2019)."""
    events = forgetting_events(correct).sum(axis=0).astype(float)
    return np.where(correct.any(axis=(0, 1)), events, np.inf)


def loss_score(probability: Networks, known: np.ndarray | None = None) -> np.ndarray:
    """Cross-entropy in nats, mean over networks and epochs, (N,), from probabilities in 1/255 (Jiang et al. 2021, section 5).

    Probabilities are read as the middle of what is rounded to the same byte: the loss of 0 is that of 1/1020.
    """
    of_byte = -np.log((np.clip(np.arange(256), 0.25, 254.75)) / 255)
    return mean_over_epochs((of_byte[network] for network in probability), known)


def aum(margin: Networks, known: np.ndarray | None = None) -> np.ndarray:
    """Area under the margin: the label's logit less the highest other, mean over epochs and networks, (N,) (Pleiss et al. 2020, eq. 2)."""
    return mean_over_epochs(margin, known)


def last_margin(margin: Networks, known: np.ndarray | None = None) -> np.ndarray:
    """The label's logit less the highest other when it was last seen, mean over networks, (N,)."""
    last = np.stack([network[-1] for network in margin]).astype(np.float64)
    if known is None:
        return last.mean(axis=0)
    return np.ma.array(last, mask=~known.any(axis=1)).mean(axis=0).filled(np.nan)


def el2n(error: Networks) -> np.ndarray:
    """Length of the error after a tenth of the epochs, mean over networks, (N,) (Paul et al. 2021, definition 2.2, at epoch 20 of 200)."""
    return np.stack([network[early(len(network)) - 1] for network in error]).mean(axis=0, dtype=np.float64)


def early(epochs: int) -> int:
    """The epoch, from 1, that ends the first tenth of them."""
    return max(1, round(epochs / 10))


@dataclass(frozen=True)
class Score:
    """A score of a learning record.

    of: takes the arrays that `reads` names, methods of `LearningRecord`, and returns the score (N,); of probabilities and margins also
    which epochs are `known`, where not all are. descending: whether
    high is easy. epochs, networks: from how many on its reliability reaches 0.8 (docs/scores.md). paper:
    where it is from. trained: of T epochs, how many it reads.
    """

    of: Callable[..., np.ndarray]
    reads: str
    descending: bool
    epochs: int
    networks: int
    paper: str
    trained: Callable[[int], int] = lambda epochs: epochs

    def read(self, record: LearningRecord, networks: Sequence[int] | None = None, split: str = "train") -> np.ndarray:
        """The score (N,) of the examples of a record; of some of its networks, all by default.

        Raises ValueError where the record lacks what it reads.
        """
        arrays = getattr(record, self.reads)(split)
        chosen = range(len(record.networks)) if networks is None else networks
        if isinstance(arrays, np.ndarray):
            return self.of(arrays[list(chosen)])
        picked, known = [arrays[k] for k in chosen], None if self.reads == "error" else record.gaps(split)
        return self.of(picked) if known is None else self.of(picked, known[list(chosen)])


SCORES: dict[str, Score] = {
    "learning_time": Score(learning_time, "correct", False, 10, 1, "mean correctness: Hacohen et al. 2020"),
    "agreement": Score(agreement_score, "correct", False, 10, 2, "joint learned epoch: Pliushch et al. 2022"),
    "first": Score(first_epoch, "correct", False, 5, 4, "first epoch right: Toneva et al. 2019"),
    "last": Score(learned_epoch, "correct", False, 10, 2, "joint learned epoch: Pliushch et al. 2022"),
    "forgetting": Score(forgetting_score, "correct", False, 20, 3, "Toneva et al. 2019"),
    "confidence": Score(
        lambda *p: confidence_and_variability(*p)[0], "probability", True, 3, 1, "Swayamdipta et al. 2020"
    ),
    "variability": Score(
        lambda *p: confidence_and_variability(*p)[1], "probability", False, 20, 2, "Swayamdipta et al. 2020"
    ),
    "loss": Score(loss_score, "probability", False, 5, 1, "Jiang et al. 2021"),
    "aum": Score(aum, "margin", True, 3, 1, "Pleiss et al. 2020"),
    "margin": Score(last_margin, "margin", True, 1, 1, "logit margin of the last epoch"),
    "el2n": Score(el2n, "error", False, 10, 3, "Paul et al. 2021", early),
}


def read_scores(path: Path, ids: Sequence[str], column: str | None = None) -> tuple[np.ndarray, bool | None]:
    """Scores (N,) for the examples `ids`, NaN where missing, from a CSV or parquet file; and whether high is easy, if that is known.

    The file has a column id, and one of COLUMNS: `difficulty` says that low is easy, `easiness` that high is, `score` neither.
    Or `column` names another: of those in EASY_IS_HIGH high is easy, and an empty `last`, never, is infinite.
    Where there is a column split, as in the table of a measurement, the rows of train count.
    Missing is what is empty, or one of MISSING. Rows are read some at a time and only those of examples are kept, so that
    memory does not grow with the file.

    Raises ValueError in one line where the file cannot be read as that, names an example twice, knows none of them, or where
    a score is something else than a number: a decimal comma, a percentage or a formula would put the example last unseen.
    """
    import pandas as pd  # here, because it takes long to import

    if not path.is_file():
        raise ValueError(f"file:{path}: there is no such file")
    if path.stat().st_size > LARGEST_SCORE_FILE:
        raise ValueError(f"file:{path}: {path.stat().st_size:,} bytes are more than the {LARGEST_SCORE_FILE:,} allowed")
    known: dict[str, float] = {}
    first, wrong, examples = "no rows", "", set(ids)
    try:
        there, batches = (_parquet if path.suffix == ".parquet" else _csv)(path)
        columns = [name for name in (COLUMNS if column is None else [column]) if name in there]
        complete = "id" in there and len(columns) == 1
        wanted = [name for name in ("id", *columns[:1], "split") if name in there]
        for batch in batches(wanted) if complete else ():
            rows = {name: _values(batch.column(name)) for name in wanted}
            names = [str(value) for value in rows["id"]]
            train = [n for n in range(len(names)) if "split" not in rows or str(rows["split"][n]) == "train"]
            first = names[train[0]] if first == "no rows" and train else first
            kept = [n for n in train if names[n] in examples]
            values = rows[columns[0]][kept]
            numbers = pd.to_numeric(pd.Series(values, dtype=values.dtype), errors="coerce").astype(float)
            for n, value, number in zip(kept, values.tolist(), numbers, strict=True):
                if names[n] in known:
                    wrong = wrong or f"the id {names[n][:200]!r} stands there twice"
                no_number = isinstance(value, bool) or (np.isnan(number) and not pd.isna(value))
                if no_number and str(value).strip().lower() not in MISSING:
                    shown = f"the {columns[0]} of {names[n][:200]!r} is {str(value)[:50]!r}"
                    wrong = wrong or f"{shown}, which is no number such as 1.5"
                known[names[n]] = float("nan") if no_number else number
            if wrong:
                break
    except Exception as error:  # pandas and pyarrow raise errors of many types
        told = " ".join(str(error).split())
        raise ValueError(f"file:{path}: not readable as CSV or parquet ({told[:200]})") from error
    if not complete:
        wanted_columns = "score (or difficulty or easiness, one of them)" if column is None else column
        wrong = f"needs the columns id and {wanted_columns}, has {', '.join(map(repr, there))[:200]}"
    elif not known:
        wrong = f"none of its ids ({first[:200]!r}, ...) is an example's ({ids[0]!r}, ...)"
    if wrong:
        raise ValueError(f"file:{path}: {wrong}")
    name = columns[0]
    scores = np.array([known.get(each, np.nan) for each in ids])
    if name == "last" or name.startswith("last_"):
        scores[[each in known and np.isnan(known[each]) for each in ids]] = np.inf
    return scores, True if name in EASY_IS_HIGH else COLUMNS.get(name)


def _csv(path: Path) -> tuple[list[str], Callable[[list[str]], Iterator["pyarrow.RecordBatch"]]]:
    """Names of the columns, and what gives some of them for some rows at a time."""
    from pyarrow import csv, input_stream, string

    # a row that is longer than a block is an error
    layout = csv.ReadOptions(block_size=2**18), csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(input_stream(path, compression=None), *layout) as opened:
        names = opened.schema.names

    def batches(wanted: list[str]) -> Iterator["pyarrow.RecordBatch"]:
        as_text = csv.ConvertOptions(column_types=dict.fromkeys(wanted, string()), include_columns=wanted)
        with csv.open_csv(input_stream(path, compression=None), *layout, as_text) as opened:
            yield from opened

    return names, batches


def _parquet(path: Path) -> tuple[list[str], Callable[[list[str]], Iterator["pyarrow.RecordBatch"]]]:
    """As `_csv`."""
    from pyarrow.parquet import read_schema

    return read_schema(path).names, lambda wanted: open_parquet(path, wanted).iter_batches(2**16, columns=wanted)


def open_parquet(path: Path, wanted: Sequence[str]) -> "ParquetFile":
    """A parquet file whose columns `wanted` take no more memory than it says; a text that stands in many rows is held once.

    Raises ValueError where it says more than `LARGEST_SCORE_FILE`, and for kinds of columns that can hold more than they say.
    """
    from pyarrow.parquet import ParquetFile

    about = ParquetFile(path).metadata
    chosen = [n for n in range(about.num_columns) if about.schema.column(n).path.split(".")[0] in wanted]
    for column in map(about.schema.column, chosen):
        if column.path not in wanted or column.length > 16:
            raise ValueError(f"the column {column.path} holds lists or blocks of bytes; write numbers or texts")
    groups = [about.row_group(n) for n in range(about.num_row_groups)]
    if any("DELTA_BYTE_ARRAY" in group.column(n).encodings for group in groups for n in chosen):
        raise ValueError("it is written as DELTA_BYTE_ARRAY, which can unpack to any size; write it without")
    sizes = [max(16 * group.num_rows, *(group.column(n).total_uncompressed_size for n in chosen)) for group in groups]
    if sum(sizes) > LARGEST_SCORE_FILE or max(sizes, default=0) > LARGEST_ROW_GROUP:
        raise ValueError(
            f"it unpacks to {sum(sizes):,} bytes, {max(sizes):,} in one row group, where {LARGEST_SCORE_FILE:,} and "
            f"{LARGEST_ROW_GROUP:,} are allowed; write the columns id and score alone, in smaller row groups"
        )
    texts = [about.schema.column(n).path for n in chosen if about.schema.column(n).physical_type == "BYTE_ARRAY"]
    return ParquetFile(path, read_dictionary=texts)


def _values(column: "pyarrow.Array") -> np.ndarray:
    """The values (N,); of a text that stands in many rows the same object in each."""
    from pyarrow import types

    if types.is_temporal(column.type):  # numpy would count its ticks
        return np.array([None if value is None else str(value) for value in column.to_pylist()], object)
    if not types.is_dictionary(column.type):
        return column.to_numpy(zero_copy_only=False)
    used, places = np.unique(column.indices.cast("int64").fill_null(-1).to_numpy(), return_inverse=True)
    missing = int(np.sum(used < 0))
    return np.array([None] * missing + column.dictionary.take(used[missing:]).to_pylist(), object)[places]
