"""Scores: how hard an example is, lower is easier; from a learning record or from a file.

Image statistics are scores as they are. Adding a score that is read off a learning record is one function of
(correct, probability) and one line in RECORD_SCORES.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agreement.order import forgetting_events, learned_epoch, mean_correctness

LARGEST_SCORE_FILE = 2**30  # bytes: a score a line for some 50 million examples


def agreement_score(correct: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Rank of the examples by joint learned epoch, ties by mean correctness, (N,): what all networks learn first is easy.

    correct: boolean (K, T, N). Equal scores remain where both are equal.
    """
    learned, correctness = learned_epoch(correct), mean_correctness(correct)
    ordered = np.lexsort((-correctness, learned))
    differs = (np.diff(correctness[ordered]) != 0) | (learned[ordered[1:]] != learned[ordered[:-1]])
    ranks = np.empty(len(ordered))
    ranks[ordered] = np.append(0, np.cumsum(differs))
    return ranks


def confidence_score(correct: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Minus the mean probability of the true class over networks and epochs, (N,) (Swayamdipta et al. 2020).

    probability: (K, T, N) in 1/255, or K arrays (T, N).
    """
    return -np.mean([network.mean(axis=0) for network in probability], axis=0) / 255


def forgetting_score(correct: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Forgetting events, summed over networks, (N,); `inf` for what no network ever gets right (Toneva et al. 2019)."""
    events = forgetting_events(correct).sum(axis=0).astype(float)
    return np.where(correct.any(axis=(0, 1)), events, np.inf)


RECORD_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "agreement": agreement_score,
    "confidence": confidence_score,
    "forgetting": forgetting_score,
}


def read_scores(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Scores (N,) for the examples `ids`, from a CSV or parquet file with the columns id and score; NaN where missing.

    Raises ValueError in one line where the file cannot be read as that, names an id twice, or knows none of the ids.
    """
    import pandas as pd  # here, because it takes long to import

    if not path.is_file():
        raise ValueError(f"file:{path}: there is no such file")
    if path.stat().st_size > LARGEST_SCORE_FILE:
        raise ValueError(f"file:{path}: {path.stat().st_size:,} bytes are more than the {LARGEST_SCORE_FILE:,} allowed")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"id": str})
    except Exception as error:  # pandas and pyarrow raise errors of many types
        raise ValueError(f"file:{path}: not readable as CSV or parquet ({str(error).splitlines()[0]})") from error
    if "id" not in table and table.index.name == "id":
        table = table.reset_index()
    if not {"id", "score"} <= set(table.columns):
        raise ValueError(f"file:{path}: needs the columns id and score, has {', '.join(map(str, table.columns))}")
    scores = pd.to_numeric(table["score"], errors="coerce").set_axis(table["id"].astype(str))
    if scores.index.has_duplicates:
        raise ValueError(f"file:{path}: the id {scores.index[scores.index.duplicated()][0]} stands there twice")
    if not scores.index.isin(ids).any():
        raise ValueError(f"file:{path}: none of its ids ({scores.index[0]}, ...) is an example's ({ids[0]}, ...)")
    return scores.reindex(list(ids)).to_numpy(float)
