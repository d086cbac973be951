"""Which labels to look at: examples whose label networks, and a shallow model before them, doubt most."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from agreement.learning_order import mean_over_epochs
from agreement.record import LearningRecord

if TYPE_CHECKING:
    import pandas as pd


def suspicion(doubts: Sequence[np.ndarray]) -> np.ndarray:
    """Rank of every example by its mean rank in several columns of doubt, int64 (N,): 1 is the most suspect.

    doubts: at least one column (N,), high is doubtful; NaN counts as no doubt. Equal mean ranks are in the order of the examples.
    """
    from scipy.stats import rankdata  # here: see `agreement`

    columns = [np.where(np.isnan(column), -np.inf, column) for column in np.asarray(doubts, float)]
    order = np.argsort(-np.mean([rankdata(column) for column in columns], axis=0), kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def suspects(record: LearningRecord, split: str, statistics: Mapping[str, "pd.Series"]) -> np.ndarray:
    """`suspicion` of the examples of a split by all that is known of them, int64 (N,).

    By the confidence of the networks; their margin, mean over epochs (Pleiss et al. 2020), where the record has margins;
    and `shallow`, where it was measured, which counts three times as much as these together. docs/scores.md has how well each
    finds wrong labels.
    """
    known = record.gaps(split)
    doubts = [-mean_over_epochs(record.probability(split), known)]
    if record.has_margins(split):
        doubts.append(-mean_over_epochs(record.margin(split), known))
    if "shallow" in statistics:
        doubts += [np.asarray(statistics["shallow"], float)] * 3 * len(doubts)
    return suspicion(doubts)
