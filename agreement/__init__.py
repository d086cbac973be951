"""The measurement phase: what networks agree on, in which order they learn it, and what explains that order.

Importing it takes no longer than numpy, for training loops that only record: pandas, SciPy and numba are imported by the
functions that need them.
"""

from agreement.correlation import correlation_table, spearman, statistic_curve
from agreement.explained import explained_variance
from agreement.kinds import agreement_by_kind
from agreement.learning_order import agreed, forgetting_events, learned_epoch, mean_correctness, rank_concordance
from agreement.measures import (
    accuracy,
    accuracy_deviation,
    chance_agreement,
    exact_match,
    excess_agreement,
    false_positive_agreement,
    hacohen_agreement,
    hacohen_true_positive_agreement,
    lower_bound,
    mean_accuracy,
    mistaken_alike,
    true_positive_agreement,
)
from agreement.partial import partial_correlations
from agreement.record import LearningRecord
from agreement.recorder import LearningRecorder

__all__ = [
    "LearningRecord",
    "LearningRecorder",
    "accuracy",
    "accuracy_deviation",
    "agreed",
    "agreement_by_kind",
    "chance_agreement",
    "correlation_table",
    "exact_match",
    "excess_agreement",
    "explained_variance",
    "false_positive_agreement",
    "forgetting_events",
    "hacohen_agreement",
    "hacohen_true_positive_agreement",
    "learned_epoch",
    "lower_bound",
    "mean_accuracy",
    "mean_correctness",
    "mistaken_alike",
    "partial_correlations",
    "rank_concordance",
    "spearman",
    "statistic_curve",
    "true_positive_agreement",
]
