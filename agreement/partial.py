"""What each statistic still has to do with the learned epoch once the class and all other statistics are held fixed."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from agreement.correlation import check_table, false_discovery_rate
from agreement.ranks import ordinal_codes, p_value, rank_residuals, rank_within


def partial_correlations(
    statistics: Mapping[str, np.ndarray], learned: np.ndarray, labels: np.ndarray, fixed: Collection[str] | None = None
) -> pd.DataFrame:
    """Spearman's partial correlation of every statistic with the learned epoch, given the class and the other statistics.

    fixed: the names of those that count among the others; all by default.

    Ranks are probability-scale residuals within classes, as in `correlation_table`; from those of the statistic and of the
    learned epoch, what is linear in the other statistics' is taken away, and the remainders are correlated (Liu, Li,
    Wanga and Shepherd, Biometrics 74, 2018). Examples that lack a statistic are left out of all rows.

    One row per statistic, in their order: `n`, `rho`, `p` (two-sided, from Student's t) and `q` (Benjamini and Hochberg
    1995). NaN where nothing varies, or where a statistic follows from the others. Shapes and errors as in
    `correlation_table`.
    """
    values, learned, labels = check_table(statistics, learned, labels)
    complete = ~np.isnan(values).any(axis=0)
    table = pd.DataFrame({"n": complete.sum()}, index=pd.Index(list(statistics), name="statistic"))
    rho, p = np.full(len(values), np.nan), np.full(len(values), np.nan)
    freedom = complete.sum() - 1 - len(values)
    if freedom > 0:
        classes = ordinal_codes(labels[complete])
        columns = [
            rank_residuals(rank_within(ordinal_codes(column[complete]), classes)) for column in (*values, learned)
        ]
        ranks = np.array(columns).T
        held = [i for i, name in enumerate(statistics) if fixed is None or name in fixed]
        for i in range(len(values)):
            others = ranks[:, [other for other in held if other != i]]
            pair = ranks[:, [i, -1]]
            if others.shape[1]:
                pair = pair - others @ np.linalg.lstsq(others, pair, rcond=None)[0]
            size = np.sqrt((pair**2).sum(axis=0))
            if (size > 1e-8 * np.sqrt((ranks[:, [i, -1]] ** 2).sum(axis=0))).all():
                rho[i] = np.clip(pair[:, 0] @ pair[:, 1] / size.prod(), -1, 1)
                p[i] = p_value(rho[i], freedom)
    table["rho"], table["p"], table["q"] = rho, p, false_discovery_rate(p)
    return table
