"""How a statistic of the examples relates to the order in which they are learned.

The paper shows one curve per statistic: its mean over the examples agreed on in each epoch (`statistic_curve`). The
curve cannot tell how strong the relation is, how sure, or whether it is only that some classes are harder than others.
`correlation_table` and `agreement.partial_correlations` can. docs/statistics.md explains what they estimate.

Everything rests on ranks, since the epoch from which an example stays right is ordinal: `inf` is the largest, tied with
itself. An order of learning is given by network, (K, N), so that intervals cover what other networks would have done.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agreement._intervals import (
    FEWEST_NETWORKS,
    both,
    correlation_interval,
    false_discovery_rate,
    network_error,
    p_value,
)
from agreement._ranks import Ranking, correlate, ordinal_codes, plain_rho, rank_residuals, rank_within
from agreement.measures import check_correct

if TYPE_CHECKING:
    import pandas as pd

Combine = Callable[..., np.ndarray]  # np.mean or np.max, over the first axis
FEWEST_EXAMPLES = 10  # that must differ for an interval


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
    one_class = np.zeros(known.sum(), int)
    return plain_rho(*(rank_within(ordinal_codes(each[known]), one_class) for each in (x, y)))


def correlation_table(
    statistics: Mapping[str, np.ndarray], order: np.ndarray, labels: np.ndarray, combine: Combine = np.mean
) -> "pd.DataFrame":
    """Rank correlation of every statistic with the order of learning, overall and within classes.

    `statistics` maps names to values (N,); `labels` (N,) holds the classes. `order` is (K, N), a number per network and
    example that is larger the later it is learned, or (N,) as from one network; `combine` makes one order of all: the
    mean, or `np.max` for the epoch from which all are right.

    One row per statistic, in their order, with columns

    - `n`: examples that have the statistic (a NaN leaves the example out of that row only);
    - `rho`: Spearman's rank correlation;
    - `low`, `high`: its 95 % interval over examples and networks. Over examples the error is that of leaving out each
      example in turn, over networks of leaving out each network (jackknife, Tukey 1958); both together reach as far as
      Student's t with Satterthwaite's degrees of freedom says, on Fisher's scale arctanh. With one or two networks the
      interval is over examples only;
    - `p`: two-sided p-value of no association. Over examples it is the usual one, from Student's t with n - 2 degrees of
      freedom; the networks' error is added as above;
    - `q`: the smallest false discovery rate, over the statistics of this table, at which this one counts as a discovery
      (Benjamini and Hochberg 1995);
    - `within_rho` and so on: the same with ranks taken among the examples of a class, every example counting alike. It is
      Spearman's partial correlation given the class of Liu, Li, Wanga and Shepherd ("Covariate-adjusted Spearman's rank
      correlation with probability-scale residuals", Biometrics 74, 2018), estimated without the bias that ranks among few
      have (see `_ranks.correlate`); classes of under four examples count for nothing. `within_p` compares the covariance
      with its exact variance under permutations within classes (Mantel 1963; Landis, Heyman and Koch 1978).

    Where the statistic or the order does not vary, the numbers are NaN and `q` passes over them. Intervals are
    approximations for some dozens of examples or more. Where under `FEWEST_EXAMPLES` differ from the commonest value of the
    statistic or of the order there is none, `low` and `high` are NaN: hardly any resample would tell them from the rest.

    Raises ValueError if lengths differ or `order` holds NaN.
    """
    import pandas as pd  # here: see `agreement`

    values, order, labels = check_table(statistics, order, labels)
    targets = Targets(order, labels, combine)
    table = pd.DataFrame(index=pd.Index(list(statistics), name="statistic"))
    table["n"] = (~np.isnan(values)).sum(axis=1)
    for prefix in ("", "within_"):
        found = np.full((len(values), 4), np.nan)
        for i, column in enumerate(values):
            known = ~np.isnan(column)
            if not known.any():
                continue
            target, without = targets.ranked(known, within=bool(prefix))
            x = rank_within(ordinal_codes(column[known]), targets.classes(known, within=bool(prefix)))
            found[i] = _numbers(x, target, without, len(order), plain=not prefix)
            if few_differ(column[known]) or few_differ(targets.orders[0][known]):
                found[i, 1:3] = np.nan
        for name, numbers in zip(("rho", "low", "high", "p"), found.T, strict=True):
            table[f"{prefix}{name}"] = numbers
        table[f"{prefix}q"] = false_discovery_rate(found[:, 3])
    return table


def few_differ(values: np.ndarray) -> bool:
    """Whether under FEWEST_EXAMPLES of (n,) numbers differ from the commonest one."""
    return len(values) - np.unique(values, return_counts=True)[1].max(initial=0) < FEWEST_EXAMPLES


def _numbers(x: Ranking, y: Ranking, without: np.ndarray, networks: int, plain: bool) -> tuple[float, ...]:
    """rho, low, high and p of two rankings; without: (K, n) the residuals of y without each network."""
    whole = correlate(x, y)
    rho = plain_rho(x, y) if plain else whole.rho
    if np.isnan(rho):
        return np.nan, np.nan, np.nan, np.nan
    u = rank_residuals(x)
    sizes = np.sqrt((without**2).sum(axis=1) * (u @ u))
    among = float(network_error(np.divide(without @ u, sizes, out=np.zeros(len(sizes)), where=sizes > 0)))
    reach = both(whole.error, len(u) - 1.0, among / max(1 - rho**2, 1e-12), networks)
    by_chance = np.abs(np.divide(rho, whole.t)) if whole.t else np.inf  # 0 where rho is perfect: then t is infinite
    error, freedom = both(by_chance, whole.freedom, among, networks)
    return rho, *correlation_interval(rho, *reach), p_value(rho / error if error > 0 else whole.t, freedom)


class Targets:
    """The order of learning, and that without each network, ranked among those examples that a statistic has."""

    def __init__(self, order: np.ndarray, labels: np.ndarray, combine: Combine):
        self.labels = labels
        networks = range(len(order)) if len(order) >= FEWEST_NETWORKS else ()
        self.orders = [combine(order, axis=0), *(combine(np.delete(order, k, axis=0), axis=0) for k in networks)]
        self.kept: dict[tuple[bytes, bool], tuple[Ranking, np.ndarray]] = {}  # most statistics have the same examples

    def classes(self, known: np.ndarray, within: bool = True) -> np.ndarray:
        return ordinal_codes(self.labels[known]) if within else np.zeros(known.sum(), int)

    def ranked(self, known: np.ndarray, within: bool) -> tuple[Ranking, np.ndarray]:
        """The ranking of the whole order, and the residuals (K, n) of those without each network; (0, n) for one or two."""
        key = known.tobytes(), within
        if key not in self.kept:
            classes = self.classes(known, within)
            rankings = [rank_within(ordinal_codes(each[known]), classes) for each in self.orders]
            without = np.array([rank_residuals(each) for each in rankings[1:]]).reshape(len(rankings) - 1, known.sum())
            self.kept[key] = rankings[0], without
        return self.kept[key]


def check_table(
    statistics: Mapping[str, np.ndarray], order: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statistics as one array (S, N), the order as (K, N) and the labels; ValueError naming what does not fit."""
    order, labels = np.asarray(order, float), np.asarray(labels)
    if order.ndim not in (1, 2) or not order.size or np.isnan(order).any():
        shape = f"of shape {order.shape}"
        raise ValueError(
            f"order must be one number per example, or per network and example, without NaN, not {order} {shape}"
        )
    order = np.atleast_2d(order)
    columns = {name: np.asarray(column, float) for name, column in statistics.items()}
    for name, array in {"labels": labels, **columns}.items():
        if array.shape != order.shape[1:]:
            raise ValueError(
                f"{name} must have shape {order.shape[1:]}, one per example of the order, not {array.shape}"
            )
    return np.array(list(columns.values())).reshape(len(columns), order.shape[1]), order, labels
