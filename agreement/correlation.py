"""How a statistic of the examples relates to the epoch in which they are learned.

The paper shows one curve per statistic: its mean over the examples agreed on in each epoch (`statistic_curve`). The
curve cannot tell how strong the relation is, how sure, or whether it is only that some classes are harder than others.
`correlation_table` and `explained_variance` can.

Everything rests on ranks, since the learned epoch is ordinal: `inf` (never learned) is the largest, tied with itself.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agreement._ranks import correlate, ordinal_codes, p_value, rank_pairs, rank_residuals, rank_within
from agreement.measures import check_correct

if TYPE_CHECKING:
    import pandas as pd


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
    return correlate(rank_pairs(known, ordinal_codes(x), ordinal_codes(y), np.zeros(x.shape, int)))[0]


def correlation_table(
    statistics: Mapping[str, np.ndarray],
    learned: np.ndarray,
    labels: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> "pd.DataFrame":
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
    import pandas as pd  # here: see `agreement`

    from agreement._bootstrap import bootstrap_intervals

    values, learned, labels = check_table(statistics, learned, labels)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    by_class = np.argsort(labels, kind="stable")  # what is read together lies together, see `_weighted_correlations`
    values, learned, labels = values[:, by_class], learned[by_class], labels[by_class]
    known, codes, target = ~np.isnan(values), [ordinal_codes(column) for column in values], ordinal_codes(learned)
    pairs = [
        rank_pairs(known[i], code, target, label)
        for label in (np.zeros_like(target), ordinal_codes(labels))
        for i, code in enumerate(codes)
    ]
    bounds = bootstrap_intervals(pairs, by_class, resamples, seed)
    table = pd.DataFrame(index=pd.Index(list(statistics), name="statistic"))
    table["n"] = [len(pair.x.cell) for pair in pairs[: len(values)]]
    for prefix, rows in (("", slice(len(values))), ("within_", slice(len(values), None))):
        rho, p = np.array([correlate(pair) for pair in pairs[rows]]).reshape(-1, 2).T
        table[f"{prefix}rho"] = rho
        table[f"{prefix}low"], table[f"{prefix}high"] = bounds[rows].T
        table[f"{prefix}p"] = p
        table[f"{prefix}q"] = false_discovery_rate(p)
    return table


def partial_correlations(
    statistics: Mapping[str, np.ndarray], learned: np.ndarray, labels: np.ndarray, fixed: Collection[str] | None = None
) -> "pd.DataFrame":
    """Spearman's partial correlation of every statistic with the learned epoch, given the class and the other statistics.

    fixed: the names of those that count among the others; all by default.

    Ranks are probability-scale residuals within classes, as in `correlation_table`; from those of the statistic and of the
    learned epoch, what is linear in the other statistics' is taken away, and the remainders are correlated (Liu, Li,
    Wanga and Shepherd, Biometrics 74, 2018). A row leaves out the examples that lack its statistic or one that is fixed.

    One row per statistic, in their order: `n`, `rho`, `p` (two-sided, from Student's t) and `q` (Benjamini and Hochberg
    1995). NaN where nothing varies, or where a statistic follows from the others. Shapes and errors as in
    `correlation_table`.
    """
    import pandas as pd  # here: see `agreement`

    values, learned, labels = check_table(statistics, learned, labels)
    columns, held = [*values, learned], [i for i, name in enumerate(statistics) if fixed is None or name in fixed]
    n, rho, p = np.zeros(len(values), int), np.full(len(values), np.nan), np.full(len(values), np.nan)
    ranked: dict[tuple[int, bytes], np.ndarray] = {}  # most rows are of the same examples

    def ranks_of(column: int, kept: np.ndarray) -> np.ndarray:
        if (key := (column, kept.tobytes())) not in ranked:
            codes, classes = ordinal_codes(columns[column][kept]), ordinal_codes(labels[kept])
            ranked[key] = rank_residuals(rank_within(codes, classes))
        return ranked[key]

    for i in range(len(values)):
        others = [other for other in held if other != i]
        kept = ~np.isnan(values[[i, *others]]).any(axis=0)
        n[i] = kept.sum()
        # ranks within classes spend a degree of freedom for each
        freedom = int((np.unique(labels[kept], return_counts=True)[1] - 1).sum()) - 1 - len(others)
        if freedom <= 0:
            continue
        pair = whole = np.array([ranks_of(i, kept), ranks_of(-1, kept)]).T
        if others:
            given = np.array([ranks_of(other, kept) for other in others]).T
            pair = whole - given @ np.linalg.lstsq(given, whole, rcond=None)[0]
        size = np.sqrt((pair**2).sum(axis=0))
        if (size > 1e-8 * np.sqrt((whole**2).sum(axis=0))).all():
            rho[i] = np.clip(pair[:, 0] @ pair[:, 1] / size.prod(), -1, 1)
            p[i] = p_value(rho[i], freedom)
    table = pd.DataFrame({"n": n}, index=pd.Index(list(statistics), name="statistic"))
    table["rho"], table["p"], table["q"] = rho, p, false_discovery_rate(p)
    return table


def check_table(
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


def false_discovery_rate(p: np.ndarray) -> np.ndarray:
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    falling = known[np.argsort(-p[known])]
    scaled = p[falling] * len(known) / np.arange(len(known), 0, -1)
    q[falling] = np.minimum.accumulate(scaled)
    return q
