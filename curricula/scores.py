"""Scores: how hard an example is, lower is easier; from a learning record or from a file.

Image statistics are scores as they are. Adding a score that is read off a learning record is one function of
(correct, probability) and one line in SCORES.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agreement.learning_order import forgetting_events, learned_epoch, mean_correctness

if TYPE_CHECKING:
    import pyarrow

LARGEST_SCORE_FILE = 2**30  # bytes: a score a line for some 50 million examples

EASY_IS_HIGH = ("agreement", "correctness", "confidence")  # columns of a measurement's table
MISSING = ("", "nan", "na", "n/a", "null", "none", "<na>")  # scores that are not there, in any case

Probability = np.ndarray | Sequence[np.ndarray]  # (K, T, N) in 1/255, or K arrays (T, N)


def agreement_score(correct: np.ndarray, probability: Probability) -> np.ndarray:
    """Rank of the examples by joint learned epoch, ties by mean correctness, (N,): what all networks learn first is easy.

    correct: boolean (K, T, N). Equal scores remain where both are equal.
    """
    learned, correctness = learned_epoch(correct), mean_correctness(correct)
    ordered = np.lexsort((-correctness, learned))
    differs = (np.diff(correctness[ordered]) != 0) | (learned[ordered[1:]] != learned[ordered[:-1]])
    ranks = np.empty(len(ordered))
    ranks[ordered] = np.append(0, np.cumsum(differs))
    return ranks


def confidence_score(correct: np.ndarray, probability: Probability) -> np.ndarray:
    """Minus the mean probability of the true class over networks and epochs, (N,) (Swayamdipta et al. 2020).

    probability: (K, T, N) in 1/255, or K arrays (T, N).
    """
    return -np.mean([network.mean(axis=0) for network in probability], axis=0) / 255


def forgetting_score(correct: np.ndarray, probability: Probability) -> np.ndarray:
    """Forgetting events, summed over networks, (N,); `inf` for what no network ever gets right (Toneva et al. 2019)."""
    events = forgetting_events(correct).sum(axis=0).astype(float)
    return np.where(correct.any(axis=(0, 1)), events, np.inf)


SCORES: dict[str, Callable[[np.ndarray, Probability], np.ndarray]] = {
    "agreement": agreement_score,
    "confidence": confidence_score,
    "forgetting": forgetting_score,
}


def read_scores(path: Path, ids: Sequence[str], column: str = "score") -> np.ndarray:
    """Scores (N,) for the examples `ids`, from a CSV or parquet file with the columns id and `column`; NaN where missing.

    Of a file with a column split, such as the table of a measurement, the rows of train count. Its columns that are high for
    easy examples, in EASY_IS_HIGH, are negated, and of its learned epochs an empty one, never, is infinite.

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
    found, first, unreadable = [pd.Series(dtype=float)], "no rows", None
    try:
        names, batches = (_parquet if path.suffix == ".parquet" else _csv)(path)
        complete = {"id", column} <= set(names)
        wanted = [name for name in ("id", column, "split") if name in names]
        for batch in batches(wanted) if complete else ():
            rows = batch.to_pandas(ignore_metadata=True)
            if "split" in rows:
                rows = rows[rows["split"].astype(str) == "train"]
            given = rows[column].set_axis(rows["id"].astype(str))
            first = given.index[0] if first == "no rows" and len(given) else first
            given = given[given.index.isin(ids)]
            scores = pd.to_numeric(given, errors="coerce").astype(float)
            no_number = scores.isna() | np.array([isinstance(value, bool) for value in given], bool)
            for name, text in given[no_number].items():
                if unreadable is None and not pd.isna(text) and str(text).strip().lower() not in MISSING:
                    unreadable = (
                        f"the {column} of {str(name)[:200]!r} is {str(text)[:50]!r}, which is no number such as 1.5"
                    )
            found.append(scores)
    except Exception as error:  # pandas and pyarrow raise errors of many types
        told = " ".join(str(error).split())
        raise ValueError(f"file:{path}: not readable as CSV or parquet ({told[:200]})") from error
    if not complete:
        raise ValueError(f"file:{path}: needs the columns id and {column}, has {', '.join(map(repr, names))[:200]}")
    if unreadable:
        raise ValueError(f"file:{path}: {unreadable}")
    known = pd.concat(found)
    if known.index.has_duplicates:
        raise ValueError(f"file:{path}: the id {known.index[known.index.duplicated()][0]!r} stands there twice")
    if known.empty:
        raise ValueError(f"file:{path}: none of its ids ({first[:200]!r}, ...) is an example's ({ids[0]!r}, ...)")
    if column.startswith("learned_epoch"):
        known = known.fillna(np.inf)
    return (-known if column in EASY_IS_HIGH else known).reindex(list(ids)).to_numpy()


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
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path)
    return file.schema_arrow.names, lambda wanted: file.iter_batches(2**16, columns=wanted)
