"""Ranks within classes, with ties, and their correlation.

Ranks are kept as probability-scale residuals, `P(value below) - P(value above)` in -1..1, taken among all examples or
among those of the same class; over a class their mean is 0 exactly, so a difference between classes leaves no trace.
"""

from typing import NamedTuple

import numpy as np

FEWEST = 4  # examples of a class, for its correlation and for that without one of them


class Ranking(NamedTuple):
    """Values ranked within classes. Examples that tie form a cell; cells are numbered by class, then by value."""

    cell: np.ndarray  # (n,) the cell of each example
    size: np.ndarray  # (cells,) examples in each cell
    start: np.ndarray  # (classes + 1,) the first cell of each class


class Correlation(NamedTuple):
    """A rank correlation, and what chance among the examples may have added to it."""

    rho: float
    error: float  # standard error of arctanh(rho)
    t: float  # rho in its standard errors, were there no association within any class
    freedom: float  # degrees of freedom of t


NOTHING = Correlation(np.nan, np.nan, np.nan, np.nan)


def ordinal_codes(values: np.ndarray) -> np.ndarray:
    """The values (N,) as whole numbers 0, 1, ... in the same order, (N,)."""
    return np.unique(values, return_inverse=True)[1]


def rank_within(code: np.ndarray, label: np.ndarray) -> Ranking:
    """Rank codes within classes, both whole numbers from 0, (n,)."""
    codes, classes = code.max(initial=0) + 1, label.max(initial=0) + 1
    cells, cell, size = np.unique(label * codes + code, return_inverse=True, return_counts=True)
    return Ranking(cell, size, np.searchsorted(cells, np.arange(classes + 1) * codes))


def class_sizes(ranking: Ranking) -> np.ndarray:
    """Examples in each class, (classes,)."""
    return np.diff(np.append(0, ranking.size.cumsum())[ranking.start])


def class_of_each(ranking: Ranking) -> np.ndarray:
    """The class of each example, (n,)."""
    return np.repeat(np.arange(len(ranking.start) - 1), np.diff(ranking.start))[ranking.cell]


def rank_residuals(ranking: Ranking) -> np.ndarray:
    """Probability-scale residual of each example, (n,): the fraction of its class below it less the fraction above."""
    return lean(ranking, np.ones(len(ranking.cell))) / class_sizes(ranking)[class_of_each(ranking)] * -1


def lean(ranking: Ranking, weight: np.ndarray) -> np.ndarray:
    """Weights (n,) of the examples of its class that rank above each example, less those of the ones below, (n,)."""
    held = np.bincount(ranking.cell, weight, len(ranking.size))
    before = np.append(0, held.cumsum())
    cells = np.diff(ranking.start)
    begin, end = (np.repeat(before[edge], cells) for edge in (ranking.start[:-1], ranking.start[1:]))
    return ((end - before[1:]) - (before[:-1] - begin))[ranking.cell]


def centred(rows: np.ndarray, label: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The rows (P, n) or (n,) less the mean of each class."""
    from scipy.sparse import csr_array  # here: see `agreement`

    member = csr_array((np.ones(len(label)), label, np.arange(len(label) + 1)), shape=(len(label), len(sizes)))
    return rows - np.asarray((rows @ member) / np.maximum(sizes, 1))[..., label]


def correlate(x: Ranking, y: Ranking) -> Correlation:
    """Spearman's correlation within classes, unbiased for classes of any size, with its jackknife error over examples.

    In a class of n examples Spearman's rho of the sample lies nearer to 0 than that of the population: its expectation is
    ((n - 2) rho + 3 tau) / (n + 1), Kendall's tau (Hoeffding 1948). In classes of five that is a seventh of it. Counted over
    triples of different examples, E sign(x1 - x2) sign(y1 - y3), it has no such bias. Classes under FEWEST count for nothing.

    The error is that of the jackknife that leaves out each example in turn, exactly, not by resampling: a bootstrap's
    resamples have fewer different examples, so that in small classes it would bring the bias back.
    """
    sizes, label = class_sizes(x), class_of_each(x)
    if not (sizes >= FEWEST).any():
        return NOTHING
    of = (sizes >= FEWEST) / np.maximum((sizes - 1.0) * (sizes - 2), 1)  # each class counts by its size
    fewer = (sizes >= FEWEST) / np.maximum((sizes - 2.0) * (sizes - 3), 1)
    whole, without = [], []
    for a, b in ((x, y), (x, x), (y, y)):
        triples, left = _triples(a, b, label, sizes)
        whole.append((of * triples).sum())
        without.append(whole[-1] - (of * triples)[label] + fewer[label] * (triples[label] - left))
    (xy, xx, yy), (xy_, xx_, yy_) = whole, without
    if min(xx, yy) <= 0:
        return NOTHING
    rho = float(np.clip(xy / np.sqrt(xx * yy), -1, 1))
    counted = (sizes >= FEWEST)[label] & (xx_ > 0) & (yy_ > 0)
    n, edge = int(counted.sum()), 1 - 1e-12
    z = np.arctanh(np.clip(xy_[counted] / np.sqrt(xx_[counted] * yy_[counted]), -edge, edge))
    error = float(np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum())) if n else np.nan
    return Correlation(rho, error, *_permuted(x, y))


def plain_rho(x: Ranking, y: Ranking) -> float:
    """The correlation of the residuals; with one class Spearman's rho as textbooks have it. NaN where one does not vary."""
    u, v = rank_residuals(x), rank_residuals(y)
    size = np.sqrt((u @ u) * (v @ v))
    return float(np.clip(u @ v / size, -1, 1)) if size > 0 else np.nan


def _triples(x: Ranking, y: Ranking, label: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum over triples (i, j, k) of a class of sign(x_i - x_j) sign(y_i - y_k), (classes,), and each example's part, (n,)."""
    ones = np.ones(len(label))
    u, v = -lean(x, ones), -lean(y, ones)
    pairs = sizes[label] - x.size[x.cell] if x is y else _concordance(x, y)
    count = len(sizes)
    triples = np.bincount(label, u * v, count) - np.bincount(label, pairs, count)
    return triples, u * v + lean(x, v) + lean(y, u) - 3 * pairs


def _concordance(x: Ranking, y: Ranking) -> np.ndarray:
    from agreement._concordance import concordance  # here, because numba takes long to import

    start = np.append(0, x.size.cumsum())[x.start]
    return concordance(np.argsort(x.cell, kind="stable"), x.cell, y.cell, start, y.start)


def _permuted(x: Ranking, y: Ranking) -> tuple[float, float]:
    """The correlation in standard errors of one permuted within classes, and the degrees of freedom of Student's t."""
    sizes, label = class_sizes(x), class_of_each(x)
    u, v = rank_residuals(x), rank_residuals(y)
    xx, yy, xy = (np.bincount(label, product, len(sizes)) for product in (u * u, v * v, u * v))
    telling = (xx * yy > 0) & (sizes >= FEWEST)  # a class where either is constant tells nothing
    freedom = (sizes[telling] - 1).sum() - 1.0
    if freedom < 1:
        return np.nan, np.nan
    # Permuted within its class, the covariance has mean 0 and this variance, ties or not. For one class r is rho and
    # the test the usual one; Cauchy and Schwarz keep |r| <= 1 for several.
    variance = (xx[telling] * yy[telling] / (sizes[telling] - 1)).sum()
    r = np.clip(xy[telling].sum() / np.sqrt(variance * (freedom + 1)), -1, 1)
    with np.errstate(divide="ignore"):
        return float(r * np.sqrt(freedom / (1 - r * r))) if abs(r) < 1 else float(np.copysign(np.inf, r)), freedom
