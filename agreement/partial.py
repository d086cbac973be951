"""What each statistic still has to do with the learned epoch once the class and all other statistics are held fixed."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agreement._ranks import ordinal_codes, p_value, rank_residuals, rank_within
from agreement.correlation import check_table, false_discovery_rate

if TYPE_CHECKING:
    import pandas as pd


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
