"""Ranks within classes, with ties, and their correlation.

Ranks are kept as probability-scale residuals, `P(value below) - P(value above)` in -1..1, taken among all examples or
among those of the same class; over a class their mean is 0 exactly, so a difference between classes leaves no trace.
"""

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Values ranked within classes. Examples that tie form a cell; cells are numbered by class, then by value."""

    cell: np.ndarray  # (n,) the cell of each example
    size: np.ndarray  # (cells,) examples in each cell
    start: np.ndarray  # (classes + 1,) the first cell of each class


class Pairs(NamedTuple):
    """Two rankings of those examples that have a statistic."""

    x: Ranking
    y: Ranking
    member: np.ndarray  # (n,) their positions among all examples


def ordinal_codes(values: np.ndarray) -> np.ndarray:
    """The values (N,) as whole numbers 0, 1, ... in the same order, (N,)."""
    return np.unique(values, return_inverse=True)[1]


def rank_pairs(known: np.ndarray, x: np.ndarray, y: np.ndarray, label: np.ndarray) -> Pairs:
    """Rank the known examples by codes x and y within classes, all (N,)."""
    member = np.flatnonzero(known)
    return Pairs(rank_within(x[member], label[member]), rank_within(y[member], label[member]), member)


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
    sizes = class_sizes(ranking)
    cells = np.diff(ranking.start)  # of each class
    below = ranking.size.cumsum() - ranking.size - np.repeat(sizes.cumsum() - sizes, cells)
    total = np.repeat(sizes, cells)
    return ((2 * below + ranking.size - total) / total)[ranking.cell]


def correlate(pairs: Pairs) -> tuple[float, float]:
    """Correlation of the residuals, and the p-value of no association within any class."""
    sizes, label = class_sizes(pairs.x), class_of_each(pairs.x)
    x, y = rank_residuals(pairs.x), rank_residuals(pairs.y)
    xx, yy, xy = (np.bincount(label, product) for product in (x * x, y * y, x * y))
    if not (xx.any() and yy.any()):
        return np.nan, np.nan
    rho = xy.sum() / np.sqrt(xx.sum() * yy.sum())
    telling = xx * yy > 0  # a class where either is constant tells nothing
    freedom = (sizes[telling] - 1).sum()
    if freedom < 2:
        return float(rho), np.nan
    # Permuted within its class, the covariance has mean 0 and this variance, ties or not. For one class r is rho and
    # the test the usual one; Cauchy and Schwarz keep |r| <= 1 for several.
    variance = (xx[telling] * yy[telling] / (sizes[telling] - 1)).sum()
    r = np.clip(xy.sum() / np.sqrt(variance * freedom), -1, 1)
    return float(rho), p_value(r, freedom - 1)


def p_value(r: float, freedom: float) -> float:
    """Two-sided p-value of a correlation, from Student's t with as many degrees of freedom."""
    from scipy.special import stdtr  # here: see `agreement`

    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(freedom / (1 - r * r))
    return float(2 * stdtr(freedom, -t))
