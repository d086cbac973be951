"""Does a statistic still go along with the order of learning where the class and the other statistics are held fixed?"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agreement._intervals import both, correlation_interval, false_discovery_rate, network_error, p_value
from agreement._ranks import Ranking, centred, class_sizes, lean, ordinal_codes, rank_residuals, rank_within
from agreement.correlation import Combine, Targets, check_table, few_differ

if TYPE_CHECKING:
    import pandas as pd

KNOTS = (-0.5, 0.0, 0.5)  # of the splines, in ranks from -1 to 1
CURVED = 10  # examples for each coefficient of the splines; with fewer the statistics are held fixed as straight lines
LARGE = 20  # examples of the average example's class; ranks among fewer are too coarse to hold anything fixed


def partial_correlations(
    statistics: Mapping[str, np.ndarray],
    order: np.ndarray,
    labels: np.ndarray,
    fixed: Collection[str] | None = None,
    combine: Combine = np.mean,
) -> "pd.DataFrame":
    """Spearman's partial correlation of every statistic with the order of learning, given the class and other statistics.

    fixed: the names of those that count among the others; all by default. The rest, shapes and errors are as in
    `correlation_table`.

    Ranks are probability-scale residuals within classes. From those of the statistic and of the order, the best sum of
    smooth functions of the others' ranks, within classes and overall, is taken away (cubic splines with three knots;
    straight lines where there are under 10 examples for each coefficient), and the remainders are correlated: the partial
    correlation of Liu, Li, Wanga and Shepherd (Biometrics 74, 2018), with curves in place of lines, since a confounder
    that acts in a U is no line. A row leaves out the examples that lack its statistic or one that is fixed.

    What is measured with noise is held fixed only in part: a noisy copy of a confounder leaves the rest of it.

    One row per statistic, in their order: `n`, `rho`, its 95 % interval `low` and `high` over examples and networks, `p`
    (two-sided, from Student's t, for remainders that may spread more for some examples than for others) and `q` (Benjamini and Hochberg 1995). NaN where nothing varies, where a statistic
    follows from the others, or where classes are small: where an example's class has under 20 on average.
    """
    import pandas as pd  # here: see `agreement`

    values, order, labels = check_table(statistics, order, labels)
    targets = Targets(order, labels, combine)
    held = [i for i, name in enumerate(statistics) if fixed is None or name in fixed]
    n, found, fields = np.zeros(len(values), int), np.full((len(values), 4), np.nan), {}
    for i, column in enumerate(values):
        known = ~np.isnan(values[[i, *held]]).any(axis=0)
        n[i] = known.sum()
        classes = targets.classes(known)
        if not n[i] or ((np.bincount(classes) ** 2).sum() < LARGE * n[i] and classes.any()):
            continue
        if (key := known.tobytes()) not in fields:  # most rows are of the same examples
            fields[key] = _Field(values[held][:, known], classes, *targets.ranked(known, within=True))
        x = rank_within(ordinal_codes(column[known]), classes)
        found[i] = fields[key].numbers(x, held.index(i) if i in held else None, len(order))
        if few_differ(column[known]) or few_differ(targets.orders[0][known]):
            found[i, 1:3] = np.nan
    table = pd.DataFrame({"n": n}, index=pd.Index(list(statistics), name="statistic"))
    for name, numbers in zip(("rho", "low", "high", "p"), found.T, strict=True):
        table[name] = numbers
    table["q"] = false_discovery_rate(found[:, 3])
    return table


class _Field:
    """Smooth functions of the statistics to be held fixed, and the order, among one set of examples."""

    def __init__(self, held: np.ndarray, classes: np.ndarray, y: Ranking, without: np.ndarray):
        """held: values (H, n). y: the order, and without: (K, n) the residuals of the order without each network."""
        self.y, self.sizes, self.label = y, class_sizes(y), classes
        self.targets = np.vstack([rank_residuals(y), without])
        rankings = [[rank_within(ordinal_codes(column), classes)] for column in held]
        if classes.any():  # a confounder may act by its value, whatever is usual in the class
            rankings = [[a, rank_within(ordinal_codes(b), 0 * classes)] for (a,), b in zip(rankings, held, strict=True)]
        curved = len(classes) >= CURVED * (len(KNOTS) + 3) * max(sum(map(len, rankings)) - 1, 1)
        made = [[column for each in of_one for column in _smooth(each, curved)] for of_one in rankings]
        self.owner = np.repeat(np.arange(len(made)), [len(each) for each in made])
        columns = np.array([column for each in made for column in each]).reshape(len(self.owner), len(classes))
        self.columns = centred(columns, classes, self.sizes)
        self.gram, self.onto = self.columns @ self.columns.T, self.columns @ self.targets.T

    def numbers(self, x: Ranking, own: int | None, networks: int) -> tuple[float, float, float, float]:
        """rho, low, high and p of a statistic, all others that are held fixed. own: its own number among them."""
        others = np.flatnonzero(self.owner != own)
        u = rank_residuals(x)
        whole = np.vstack([u, self.targets[0]])
        onto = np.column_stack([self.columns[others] @ u, self.onto[others]])
        slopes, rank = np.zeros_like(onto), 0
        if len(others):
            slopes, _, rank, _ = np.linalg.lstsq(self.gram[np.ix_(others, others)], onto, rcond=1e-10)
        left = whole - slopes[:, :2].T @ self.columns[others]
        freedom = (self.sizes - 1).sum() - 1.0 - rank  # ranks within classes spend a degree of freedom for each
        size = (left**2).sum(axis=1)
        if freedom <= 0 or (size <= 1e-16 * (whole**2).sum(axis=1)).any():
            return np.nan, np.nan, np.nan, np.nan
        u, v = left
        scale = np.sqrt(size.prod())
        rho = float(np.clip(u @ v / scale, -1, 1))
        # what is left of the order without each network: its product with u and its square follow from the slopes
        squares = (self.targets[1:] ** 2).sum(axis=1) - (slopes[:, 2:] * onto[:, 2:]).sum(axis=0)
        products, scales = self.targets[1:] @ u, np.sqrt(size[0] * np.maximum(squares, 0))
        among = float(network_error(np.divide(products, scales, out=np.zeros(len(scales)), where=scales > 0)))
        # how much each example moves the correlation: by its own product, and by the ranks that others have over it
        of_class = self.sizes[self.label]
        moved = [
            a * b + centred((lean(p, b) + lean(q, a)) / of_class, self.label, self.sizes)
            for a, b, p, q in ((u, v, x, self.y), (u, u, x, x), (v, v, self.y, self.y))
        ]
        parts = moved[0] / scale - rho / 2 * (moved[1] / size[0] + moved[2] / size[1])
        narrow = max(1 - rho**2, 1e-12)
        example = float(np.sqrt((parts**2).sum() * len(u) / freedom)) / narrow
        interval = correlation_interval(rho, *both(example, freedom, among / narrow, networks))
        # White's (1980): where one remainder spreads more, so may the other
        by_chance = float(np.sqrt((u * u * v * v).sum() * len(u) / freedom)) / scale
        error, all_freedom = both(by_chance, freedom, among, networks)
        return rho, *interval, p_value(rho / error, all_freedom)


def _smooth(ranking: Ranking, curved: bool) -> list[np.ndarray]:
    """Columns (n,) that span smooth functions of the ranks, cubic splines; the ranks themselves where not curved."""
    ranks = rank_residuals(ranking)
    return [ranks, ranks**2, ranks**3, *(np.maximum(ranks - knot, 0) ** 3 for knot in KNOTS)] if curved else [ranks]
