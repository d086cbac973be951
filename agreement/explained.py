"""How much of the order of learning the statistics explain."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from agreement._intervals import both, network_error, reach
from agreement._ranks import centred, ordinal_codes, rank_residuals, rank_within
from agreement.correlation import Targets, check_table

if TYPE_CHECKING:
    import pandas as pd

FEWEST_LEFT = 10  # examples more than coefficients


def explained_variance(statistics: Mapping[str, np.ndarray], order: np.ndarray, labels: np.ndarray) -> "pd.DataFrame":
    """Share of the variance of the order's ranks that statistics and classes explain, without bias.

    A row for each of three models,

    - `statistics`: all statistics together, by least squares on their ranks, the squares and the products of these;
    - `classes`: the mean of each class;
    - `classes_and_statistics`: both (one intercept per class). Less `classes`, it is what the statistics add;

    with columns `n`, the number of examples that have every statistic (the others are left out), `share`, and its 95 %
    interval over examples and networks, `low` and `high`, within 0..1.

    The share is what the best model of this form would explain of the population: R² corrected for the number of
    coefficients, one less the mean squared residual per degree of freedom over the variance (Ezekiel 1930; of classes
    epsilon squared, Kelley 1935). On average it is right however many statistics there are, and so may come out a little
    below 0. Predicting held-out examples would fall short of it: a model fitted to few is worse than the best. The error
    over examples is that of the residuals' share, each residual over 1 minus its leverage (HC3), and of the number of
    coefficients; that over networks is the jackknife's, see `correlation_table`. NaN where nothing varies, or where there
    are not 10 examples more than coefficients.

    Shapes and errors as in `correlation_table`; the networks are averaged.
    """
    import pandas as pd  # here: see `agreement`

    values, order, labels = check_table(statistics, order, labels)
    complete = ~np.isnan(values).any(axis=0)
    names, n = ("statistics", "classes", "classes_and_statistics"), int(complete.sum())
    table = pd.DataFrame({"n": n, "share": np.nan, "low": np.nan, "high": np.nan}, index=pd.Index(names, name="model"))
    if not n:
        return table
    targets, one_class = Targets(order, labels, np.mean), np.zeros(n, int)
    classes = targets.classes(complete)
    whole, without = targets.ranked(complete, within=False)
    ranked = np.vstack([rank_residuals(whole), without])
    columns = _quadratic([rank_residuals(rank_within(ordinal_codes(row[complete]), one_class)) for row in values])
    models = ((columns, one_class), (columns[:0], classes), (columns, classes))
    for name, (design, groups) in zip(names, models, strict=True):
        table.loc[name, ["share", "low", "high"]] = _share(ranked, design, groups, len(order))
    return table


def _share(targets: np.ndarray, columns: np.ndarray, group: np.ndarray, networks: int) -> tuple[float, float, float]:
    """The share explained of the first target, and its interval; the other targets (K, n) are those without a network."""
    n = targets.shape[1]
    left, leverage = _residuals(targets, columns, group)
    coefficients = leverage.sum()  # the design's rank
    freedom = n - coefficients
    spread = (targets**2).sum(axis=1)  # residuals have mean 0
    if freedom < FEWEST_LEFT or not spread[0] > 0:
        return np.nan, np.nan, np.nan
    shares = 1 - (left**2).sum(axis=1) / np.where(spread > 0, spread, np.nan) * (n - 1) / freedom
    share = float(shares[0])
    moved = (left[0] / np.maximum(1 - leverage, 1e-6)) ** 2 * (1 - leverage) - (1 - share) * targets[0] ** 2
    example = np.sqrt((moved**2).sum() / spread[0] ** 2 + 2 * (coefficients - 1) / (n * freedom) * (1 - share) ** 2)
    half = reach(*both(float(example), freedom, float(network_error(shares[1:])), networks))
    return share, max(share - half, 0.0), min(max(share + half, 0.0), 1.0)


def _quadratic(columns: list[np.ndarray]) -> np.ndarray:
    """The columns, then their squares and products, (P, n)."""
    made = columns + [a * b for i, a in enumerate(columns) for b in columns[i:]]
    return np.array(made).reshape(len(made), -1 if made else 0)


def _residuals(targets: np.ndarray, columns: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What of each target (M, n) is not an intercept per group and linear in the columns (P, n); and each example's leverage.

    Centring within groups gives the same fit as one column per group, without the columns (Frisch, Waugh and Lovell).
    """
    size = np.bincount(group)
    left, leverage = centred(targets, group, size), 1 / size[group]
    if not len(columns):
        return left, leverage
    free = centred(columns, group, size)
    # what is constant within groups leaves rounding noise there
    free[(free**2).sum(axis=1) <= 1e-12 * (columns**2).sum(axis=1)] = 0
    values, vectors = np.linalg.eigh(free @ free.T)
    kept = values > 1e-10 * max(values.max(), 1e-300)  # statistics may repeat each other
    axes = (vectors[:, kept] / np.sqrt(values[kept])).T @ free
    return left - (left @ axes.T) @ axes, leverage + (axes**2).sum(axis=0)
