"""How a statistic of the examples relates to the epoch in which they are learned.

The paper shows one curve per statistic: its mean over the examples agreed on in each epoch (`statistic_curve`). The
curve cannot tell how strong the relation is, how sure, or whether it is only that some classes are harder than others.
`correlation_table` and `explained_variance` can.

Everything rests on ranks, since the learned epoch is ordinal: `inf` (never learned) is the largest, tied with itself.
Ranks are kept as probability-scale residuals, `P(value below) - P(value above)` in -1..1, taken among all examples or
among those of the same class; over a class their mean is 0 exactly, so a difference between classes leaves no trace.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import stdtr

from agreement.measures import check_correct

BLOCK = 16  # resamples ranked side by side, so that the compiled loops fill the vector registers


def statistic_curve(correct: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of a statistic over the examples that all networks get right in each epoch, (T,): the paper's plots.

    `correct` is boolean (K, T, N), `values` (N,) in the statistic's own unit. NaN values are left out; an epoch with no
    example agreed on gives NaN (the paper's code gives 0, which reads as a value). Raises ValueError if shapes differ.

    >>> statistic_curve(np.array([[[True, False], [True, True]]]), np.array([1.0, 4.0]))
    array([1. , 2.5])
    """
    correct, values = check_correct(correct), np.asarray(values, float)
    if values.shape != correct.shape[2:]:
        raise ValueError(f"values must have shape {correct.shape[2:]}, one per example, not {values.shape}")
    known = ~np.isnan(values)
    means = np.full(correct.shape[1], np.nan)
    for epoch in range(correct.shape[1]):
        chosen = values[correct[:, epoch].all(axis=0) & known]
        if chosen.size:
            means[epoch] = chosen.mean()
    return means


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of `x` and `y`, both (N,), with midranks for ties; infinities rank like any number.

    Pairs with a NaN are left out. NaN where one of the two does not vary. Raises ValueError if shapes differ.

    >>> spearman(np.array([1, 2, 3, 4]), np.array([1, 3, 2, np.inf]))
    0.8
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y must be of one length, not of shapes {x.shape} and {y.shape}")
    known = ~(np.isnan(x) | np.isnan(y))
    return _correlate(_pair(known, _codes(x), _codes(y), np.zeros(x.shape, int)))[0]


def correlation_table(
    statistics: Mapping[str, np.ndarray],
    learned: np.ndarray,
    labels: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank correlation of every statistic with the learned epoch, overall and within classes.

    `statistics` maps names to values (N,); `learned` (N,) is as from `learned_epoch`, `labels` (N,) holds the classes.
    One row per statistic, in their order, with columns

    - `n`: examples that have the statistic (a NaN leaves the example out of that row only);
    - `rho`: Spearman's rank correlation;
    - `low`, `high`: its 95 % interval, the 2.5 and 97.5 percentiles over `resamples` bootstrap resamples of the
      examples, each ranked anew (Efron and Tibshirani 1993, ch. 13). All statistics see the same resamples;
    - `p`: two-sided p-value of no association, from Student's t with n - 2 degrees of freedom;
    - `q`: the smallest false discovery rate, over the statistics of this table, at which this one counts as a discovery
      (Benjamini and Hochberg 1995);
    - `within_rho` and so on: the same with ranks taken among the examples of a class. It is the correlation of
      probability-scale residuals given the class: Spearman's partial correlation of Liu, Li, Wanga and Shepherd
      ("Covariate-adjusted Spearman's rank correlation with probability-scale residuals", Biometrics 74, 2018). Every
      example counts alike, whatever the size of its class. `within_p` compares the covariance with its mean 0 and its
      exact variance under permutations within classes (the correlation test of Mantel 1963 and of Landis, Heyman
      and Koch 1978), referred to Student's t; with a single class it equals `p`.

    Where the statistic or the learned epoch does not vary, the numbers are NaN and `q` passes over them. Resamples
    in which nothing varies are left out of the interval. P-values are approximations for some dozens of examples or
    more. The same seed gives the same table on any number of cores.

    Raises ValueError if lengths differ, `learned` holds NaN, or `resamples` is under 1.
    """
    values, learned, labels = _check_table(statistics, learned, labels)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    by_class = np.argsort(labels, kind="stable")  # what is read together lies together, see `_weighted_correlations`
    values, learned, labels = values[:, by_class], learned[by_class], labels[by_class]
    known, codes, target = ~np.isnan(values), [_codes(column) for column in values], _codes(learned)
    pairs = [
        _pair(known[i], code, target, label)
        for label in (np.zeros_like(target), _codes(labels))
        for i, code in enumerate(codes)
    ]
    bounds = _bootstrap_intervals(pairs, by_class, resamples, seed)
    table = pd.DataFrame(index=pd.Index(list(statistics), name="statistic"))
    table["n"] = [len(pair.x.cell) for pair in pairs[: len(values)]]
    for prefix, rows in (("", slice(len(values))), ("within_", slice(len(values), None))):
        rho, p = np.array([_correlate(pair) for pair in pairs[rows]]).reshape(-1, 2).T
        table[f"{prefix}rho"] = rho
        table[f"{prefix}low"], table[f"{prefix}high"] = bounds[rows].T
        table[f"{prefix}p"] = p
        table[f"{prefix}q"] = _false_discovery_rate(p)
    return table


def explained_variance(
    statistics: Mapping[str, np.ndarray],
    learned: np.ndarray,
    labels: np.ndarray,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Share of the variance of the learned epoch's rank that is explained on examples held out, by three models.

    - `statistics`: all statistics together, by least squares on their ranks, the squares and the products of these;
    - `classes`: the mean of each class;
    - `classes_and_statistics`: both (one intercept per class). Less `classes`, it is what the statistics add.

    and `n`, the number of examples that have every statistic; the others are left out. Ranks of statistics are the
    probability-scale residuals among the *training* examples, so a held-out image has no part in its own
    prediction, and they stay in -1..1, so none is far out. The folds are drawn at random within classes. R² is one
    minus the squared error of all held-out predictions over the squared deviation from the overall mean: 0 or slightly
    less where a model knows nothing, NaN where nothing varies or `n` is under `folds`.

    Shapes and errors as in `correlation_table`; ValueError also if `folds` is under 2.
    """
    values, learned, labels = _check_table(statistics, learned, labels)
    if folds < 2:
        raise ValueError(f"folds must be at least 2, not {folds}")
    complete = ~np.isnan(values).any(axis=0)
    classes = _codes(labels[complete])
    n = len(classes)
    one_class = np.zeros(n, int)
    target = _residuals(_rank(_codes(learned[complete]), one_class))
    codes = [_codes(column[complete]) for column in values]

    fold = _stratified_folds(classes, folds, seed)

    squared_error = np.zeros(3)
    for held_out in range(folds):
        train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        if not (len(train) and len(test)):
            return {"n": n, "statistics": np.nan, "classes": np.nan, "classes_and_statistics": np.nan}
        columns = np.column_stack([target, *_quadratic([_residuals_among(code, train) for code in codes])])
        models = ((columns, one_class), (columns[:, :1], classes), (columns, classes))
        for model, (known, groups) in enumerate(models):
            predicted = _least_squares(known[train], groups[train], known[test, 1:], groups[test], groups.max() + 1)
            squared_error[model] += ((target[test] - predicted) ** 2).sum()
    spread = (target**2).sum()  # residuals have mean 0
    r2 = 1 - squared_error / spread if spread > 0 else np.full(3, np.nan)
    return {"n": n, "statistics": float(r2[0]), "classes": float(r2[1]), "classes_and_statistics": float(r2[2])}


def _check_table(
    statistics: Mapping[str, np.ndarray], learned: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statistics as one array (S, N), and the rest as arrays; ValueError naming what does not fit."""
    learned, labels = np.asarray(learned, float), np.asarray(labels)
    if learned.ndim != 1 or not learned.size or np.isnan(learned).any():
        raise ValueError(f"learned must be one number per example, without NaN, not {learned} of shape {learned.shape}")
    columns = {name: np.asarray(column, float) for name, column in statistics.items()}
    for name, array in {"labels": labels, **columns}.items():
        if array.shape != learned.shape:
            raise ValueError(f"{name} must have shape {learned.shape} like learned, not {array.shape}")
    return np.array(list(columns.values())).reshape(len(columns), len(learned)), learned, labels


# ---- ranks within classes ----


class _Ranking(NamedTuple):
    """Values ranked within classes. Examples that tie form a cell; cells are numbered by class, then by value."""

    cell: np.ndarray  # (n,) the cell of each example
    size: np.ndarray  # (cells,) examples in each cell
    start: np.ndarray  # (classes + 1,) the first cell of each class


class _Pairs(NamedTuple):
    """Two rankings of those examples that have a statistic."""

    x: _Ranking
    y: _Ranking
    member: np.ndarray  # (n,) their positions among all examples


def _codes(values: np.ndarray) -> np.ndarray:
    """The values as whole numbers 0, 1, ... in the same order."""
    return np.unique(values, return_inverse=True)[1]


def _pair(known: np.ndarray, x: np.ndarray, y: np.ndarray, label: np.ndarray) -> _Pairs:
    """Rank the known examples by codes x and y within classes, all (N,)."""
    member = np.flatnonzero(known)
    return _Pairs(_rank(x[member], label[member]), _rank(y[member], label[member]), member)


def _rank(code: np.ndarray, label: np.ndarray) -> _Ranking:
    codes, classes = code.max(initial=0) + 1, label.max(initial=0) + 1
    cells, cell, size = np.unique(label * codes + code, return_inverse=True, return_counts=True)
    return _Ranking(cell, size, np.searchsorted(cells, np.arange(classes + 1) * codes))


def _class_sizes(ranking: _Ranking) -> np.ndarray:
    return np.diff(np.append(0, ranking.size.cumsum())[ranking.start])


def _class_of_each(ranking: _Ranking) -> np.ndarray:
    """(n,)"""
    return np.repeat(np.arange(len(ranking.start) - 1), np.diff(ranking.start))[ranking.cell]


def _residuals(ranking: _Ranking) -> np.ndarray:
    """Probability-scale residual of each example, (n,): the fraction of its class below it less the fraction above."""
    sizes = _class_sizes(ranking)
    cells = np.diff(ranking.start)  # of each class
    below = ranking.size.cumsum() - ranking.size - np.repeat(sizes.cumsum() - sizes, cells)
    total = np.repeat(sizes, cells)
    return ((2 * below + ranking.size - total) / total)[ranking.cell]


def _correlate(pairs: _Pairs) -> tuple[float, float]:
    """Correlation of the residuals, and the p-value of no association within any class."""
    sizes, label = _class_sizes(pairs.x), _class_of_each(pairs.x)
    x, y = _residuals(pairs.x), _residuals(pairs.y)
    xx, yy, xy = (np.bincount(label, product, len(sizes)) for product in (x * x, y * y, x * y))
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
    return float(rho), _p_value(r, freedom - 1)


def _p_value(r: float, freedom: float) -> float:
    """Two-sided p-value of a correlation, from Student's t with as many degrees of freedom."""
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(freedom / (1 - r * r))
    return float(2 * stdtr(freedom, -t))


def _false_discovery_rate(p: np.ndarray) -> np.ndarray:
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    falling = known[np.argsort(-p[known])]
    scaled = p[falling] * len(known) / np.arange(len(known), 0, -1)
    q[falling] = np.minimum(np.minimum.accumulate(scaled), 1)
    return q


# ---- bootstrap ----


def _bootstrap_intervals(pairs: list[_Pairs], by_class: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """2.5 and 97.5 percentiles of each correlation over resamples of the examples, (len(pairs), 2).

    by_class: (n,) what each example of the pairs is numbered among those that are drawn from.
    """
    sorted_pairs = [_sort(pair) for pair in pairs]

    def correlations(block: int) -> np.ndarray:
        weights = _resampled_weights(len(by_class), seed, block)[by_class]
        return np.array([_weighted_correlations(weights, *pair) for pair in sorted_pairs]).reshape(-1, BLOCK)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        rho = np.hstack(list(threads.map(correlations, range(-(-resamples // BLOCK)))))[:, :resamples]
    bounds = np.full((len(pairs), 2), np.nan)
    for bound, row in zip(bounds, rho, strict=True):
        if not np.isnan(row).all():
            bound[:] = np.nanquantile(row, (0.025, 0.975))
    return bounds


def _resampled_weights(n: int, seed: int, block: int) -> np.ndarray:
    """How often each of n examples is drawn in each resample of a block, (n, BLOCK)."""
    rng = np.random.default_rng([seed, block])  # per block: the numbers do not depend on which thread comes first
    weights = np.zeros((n, BLOCK), np.uint8)  # drawing one example 256 times has a chance under 1e-500
    for resample in range(BLOCK):
        _count(rng.integers(n, size=n), weights, resample)
    return weights


def _sort(pairs: _Pairs) -> tuple[np.ndarray, ...]:
    """The arrays that `_weighted_correlations` reads: examples sorted by class and x, and sorted by class alone."""
    order = np.argsort(pairs.x.cell, kind="stable")
    lying = np.argsort(_class_of_each(pairs.x), kind="stable")
    ends_tie = np.zeros(len(order), bool)
    ends_tie[pairs.x.size.cumsum() - 1] = True
    class_start = np.append(0, pairs.x.size.cumsum())[pairs.x.start]
    return (
        pairs.member[order].astype(np.int32),
        ends_tie,
        class_start,
        pairs.y.cell[order].astype(np.int32),
        pairs.y.start,
        pairs.member[lying].astype(np.int32),
        pairs.y.cell[lying].astype(np.int32),
    )


@numba.njit(nogil=True, cache=True)
def _count(indices, weights, column):
    for index in indices:
        weights[index, column] += 1


@numba.njit(nogil=True, cache=True)
def _weighted_correlations(weights, member, ends_tie, class_start, y_cell, y_start, unsorted, unsorted_y_cell):
    """Correlation of the residuals in each resample of a block, (BLOCK,), ranks taken anew; NaN where nothing varies.

    Sorted once, examples stay sorted in every resample: ranks are running sums of weights. All sums within a class are
    of whole numbers, exact in float64 as long as a class has under about 200,000 examples. Examples are numbered by
    class, so that the weights of a class lie in the cache together; sums that need no order of x are taken as they lie.
    """
    block = weights.shape[1]  # as a constant it would make the compiler unroll the inner loops, not vectorise them
    xx, yy, xy = np.zeros(block), np.zeros(block), np.zeros(block)
    score = np.zeros((y_start[-1], block))  # of each y cell; before that, its weight
    total, below, cubes = np.empty(block), np.empty(block), np.empty(block)
    tie, tie_score, products = np.empty(block), np.empty(block), np.empty(block)
    for c in range(len(class_start) - 1):
        for i in range(class_start[c], class_start[c + 1]):
            drawn, held = weights[unsorted[i]], score[unsorted_y_cell[i]]
            for b in range(block):
                held[b] += drawn[b]

        # A tie of weight t with B below it scores 2 B + t - total; the squared scores of a class sum to
        # (total^3 - sum of t^3) / 3. Divided by total^2, every class counts by its size.
        total[:] = 0.0
        for j in range(y_start[c], y_start[c + 1]):
            for b in range(block):
                total[b] += score[j, b]
        below[:] = 0.0
        cubes[:] = 0.0
        for j in range(y_start[c], y_start[c + 1]):
            held = score[j]
            for b in range(block):
                t = held[b]
                cubes[b] += t * t * t
                held[b] = 2.0 * below[b] + t - total[b]
                below[b] += t
        for b in range(block):
            if total[b] > 0.0:
                yy[b] += (total[b] * total[b] * total[b] - cubes[b]) / total[b] ** 2  # exactly 0 if all tie

        below[:] = 0.0
        cubes[:] = 0.0
        tie[:] = 0.0
        tie_score[:] = 0.0
        products[:] = 0.0
        for i in range(class_start[c], class_start[c + 1]):
            drawn, held = weights[member[i]], score[y_cell[i]]
            for b in range(block):
                tie[b] += drawn[b]
                tie_score[b] += drawn[b] * held[b]
            if ends_tie[i]:
                for b in range(block):
                    t = tie[b]
                    cubes[b] += t * t * t
                    products[b] += (2.0 * below[b] + t - total[b]) * tie_score[b]
                    below[b] += t
                    tie[b] = 0.0
                    tie_score[b] = 0.0
        for b in range(block):
            if total[b] > 0.0:
                xx[b] += (total[b] * total[b] * total[b] - cubes[b]) / total[b] ** 2
                xy[b] += 3.0 * products[b] / total[b] ** 2
    rho = np.full(block, np.nan)
    for b in range(block):
        if xx[b] > 0.0 and yy[b] > 0.0:
            rho[b] = xy[b] / np.sqrt(xx[b] * yy[b])
    return rho


# ---- least squares on held-out examples ----


def _stratified_folds(classes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold 0..folds-1 for each example, (n,): random, each class spread as evenly as it goes."""
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    fold = np.empty(len(classes), int)
    fold[by_class] = np.arange(len(classes)) % folds
    return fold


def _residuals_among(codes: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Probability-scale residual of every example among the training examples, (n,), from dense integer codes."""
    size = np.bincount(codes[train], minlength=codes.max() + 1)
    return ((2 * size.cumsum() - size - len(train)) / len(train))[codes]


def _quadratic(columns: list[np.ndarray]) -> list[np.ndarray]:
    """The columns, then their squares and products."""
    return columns + [a * b for i, a in enumerate(columns) for b in columns[i:]]


def _least_squares(
    columns: np.ndarray, group: np.ndarray, new: np.ndarray, new_group: np.ndarray, groups: int
) -> np.ndarray:
    """Predictions, (M,), of least squares with an intercept per group.

    Fitted to `columns` (n, 1 + P), the target first, and `group` (n,) in 0..groups-1; predicted for `new` (M, P) and
    `new_group` (M,). Centring within groups gives the same fit as one column per group, without the columns (Frisch,
    Waugh and Lovell). A group that the fit has not seen takes the overall mean.
    """
    member = csr_array((np.ones(len(group)), group, np.arange(len(group) + 1)), shape=(len(group), groups))
    size, sums = member.sum(axis=0)[:, None], member.T @ columns
    means = np.where(size > 0, sums / np.maximum(size, 1), columns.mean(axis=0))
    centred = columns.T @ columns - means.T @ (size * means)
    # the normal equations do here: columns lie in -1..1; rcond because statistics may repeat each other
    slopes = np.linalg.lstsq(centred[1:, 1:], centred[1:, 0], rcond=1e-10)[0]
    intercept = means[:, 0] - means[:, 1:] @ slopes
    return intercept[new_group] + new @ slopes
