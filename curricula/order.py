"""Orders of the examples, from scores; lower scores are easier."""

import difflib
from collections.abc import Iterable, Sequence

import numpy as np

ARMS = ("shuffled", "curriculum", "anti", "random")


def order(
    scores: np.ndarray,
    arm: str,
    labels: np.ndarray | None = None,
    balance: bool = True,
    seed: int = 0,
    descending: bool = False,
    clusters: np.ndarray | None = None,
) -> np.ndarray:
    """The examples in the order in which an arm brings them in: a permutation of 0..N-1, int64 (N,).

    scores: (N,), lower is easier; `inf` is hardest (never learned), -`inf` easiest; NaN is no score.
    arm: "curriculum" begins with the lowest score, "anti" with the highest, "random" with any: it does not look at the
        scores. "shuffled", the baseline that always draws from all examples, needs no order and gets a random one.
    labels: (N,) classes. With them, and `balance`, every prefix has the classes in the proportions of the whole, as in
        Hacohen & Weinshall (2019) and Wu et al. (2021): the j-th example of a class of n takes the place (j − 1/2)/n
        between 0 and 1; where places are equal, the order without balance decides. In a prefix of m the number of
        examples of a class with share p is off m·p by at most (1 + p (classes − 2))/2: less than 1 where classes are
        of equal size.
    descending: take high scores for easy.
    clusters: (N,), groups of similar examples, see ``metrics.clusters``. A score then counts by its rank among the examples of the
        same cluster (and, under balance, class), so that every prefix is as varied as the whole: as with classes above.

    Equal scores are in random order, drawn from `seed`, so that the index of an example says nothing. NaN comes last
    in "curriculum" and in "anti" alike; under balance, last in its class, for a class cannot be kept in proportion and
    out of sight. `missing` names these examples.

    Raises ValueError for an unknown arm (a misspelt one is never taken for another), scores that are not (N,) numbers
    with N ≥ 1 or that are all NaN where the arm reads them, or labels or clusters of another shape.

    >>> order(np.array([0.3, np.nan, 0.1, 0.2]), "curriculum")
    array([2, 3, 0, 1])
    >>> order(np.array([1, 2, 3, 4]), "anti", labels=np.array([0, 0, 1, 1]))
    array([3, 1, 2, 0])
    """
    if arm not in ARMS:
        raise ValueError(unknown("arm", arm, ARMS))
    scores = _check_scores(scores)
    ordered = np.random.default_rng(seed).permutation(len(scores))
    if arm in ("curriculum", "anti"):
        if np.isnan(scores).all():
            raise ValueError("all scores are NaN, which gives no order")
        drawn = scores[ordered] if (arm == "curriculum") != descending else -scores[ordered]
        ordered = ordered[np.argsort(drawn, kind="stable")]  # equal scores stay in random order; NaN sorts last
    groups = np.zeros(len(scores), np.int64)
    for what, values in (("labels", labels if balance else None), ("clusters", clusters)):
        if values is not None:
            if np.shape(values) != scores.shape:
                raise ValueError(f"{what} must be one per example, {scores.shape}, not of shape {np.shape(values)}")
            _, each = np.unique(values, return_inverse=True)
            groups = groups * (each.max() + 1) + each
    return _balanced(ordered, groups)


def missing(scores: np.ndarray) -> np.ndarray:
    """Indices of the examples without a score (NaN), int64, ascending."""
    return np.flatnonzero(np.isnan(_check_scores(scores)))


def combine(scores: Sequence[np.ndarray]) -> np.ndarray:
    """One score of several: the mean of an example's ranks, float64 (N,), ties at their mean rank.

    An example that lacks any of the scores has none (NaN), and the others are ranked without it. Give a score negated
    where high values are easy. Raises ValueError for no scores or scores of different lengths.

    >>> combine([np.array([1.0, 2.0, 3.0]), np.array([5.0, np.nan, 4.0])])
    array([1.5, nan, 1.5])
    """
    from scipy.stats import rankdata  # here, because it takes long to import

    if len(scores) == 0:
        raise ValueError("there are no scores to combine")
    columns = [_check_scores(column) for column in scores]
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"scores of {', '.join(str(len(column)) for column in columns)} examples cannot be combined")
    table = np.array(columns)
    complete = ~np.isnan(table).any(axis=0)
    combined = np.full(table.shape[1], np.nan)
    combined[complete] = rankdata(table[:, complete], axis=1).mean(axis=0)
    return combined


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Message for a `name` that is none of `known`, with the nearest ones first: no name is ever guessed silently.

    >>> unknown("arm", "anti-curr", ["shuffled", "curriculum", "anti"])
    "unknown arm 'anti-curr': did you mean anti? There are shuffled, curriculum, anti"
    """
    known = list(known)
    close = difflib.get_close_matches(str(name).lower(), known, n=2, cutoff=0.5)
    question = f": did you mean {' or '.join(close)}? There" if close else "; there"
    return f"unknown {kind} {name!r}{question} are {', '.join(known)}"


def _balanced(ordered: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The order with groups interleaved in proportion; within a group it stays."""
    _, of_class, sizes = np.unique(groups[ordered], return_inverse=True, return_counts=True)
    grouped = np.argsort(of_class, kind="stable")
    in_class = np.empty(len(ordered), np.int64)  # 0-based place of an example within its group
    in_class[grouped] = np.arange(len(ordered)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # one correctly rounded division of whole numbers: equal fractions are equal floats
    place = (2 * in_class + 1) / (2 * sizes[of_class])
    return ordered[np.argsort(place, kind="stable")]


def _check_scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.ndim != 1 or scores.size == 0 or scores.dtype.kind not in "biuf":
        raise ValueError(f"scores must be one number per example, not {scores.dtype} of shape {scores.shape}")
    return scores.astype(np.float64)
