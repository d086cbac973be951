"""The measurement phase: what networks agree on, in which order they learn it, and what explains that order.

Importing it takes no longer than numpy, for training loops that only record: pandas, SciPy and numba are imported by the
functions that need them, and torch by `watch` and `Indexed`.
"""

from typing import TYPE_CHECKING, Any

from agreement.analysis import Findings as Findings
from agreement.analysis import analyse as analyse
from agreement.analysis import compare_orders as compare_orders
from agreement.analysis import curves_of as curves_of
from agreement.analysis import examples_table as examples_table
from agreement.correlation import correlation_table as correlation_table
from agreement.correlation import spearman as spearman
from agreement.correlation import statistic_curve as statistic_curve
from agreement.explained import explained_variance as explained_variance
from agreement.learning_order import agreed as agreed
from agreement.learning_order import confidence_and_variability as confidence_and_variability
from agreement.learning_order import first_epoch as first_epoch
from agreement.learning_order import forgetting_events as forgetting_events
from agreement.learning_order import learned_epoch as learned_epoch
from agreement.learning_order import learning_time as learning_time
from agreement.learning_order import mean_correctness as mean_correctness
from agreement.learning_order import orders_by_network as orders_by_network
from agreement.learning_order import rank_correlation_of_two as rank_correlation_of_two
from agreement.learning_order import reliability as reliability
from agreement.learning_order import shared_mistakes as shared_mistakes
from agreement.measures import accuracy as accuracy
from agreement.measures import accuracy_deviation as accuracy_deviation
from agreement.measures import agreement_by_kind as agreement_by_kind
from agreement.measures import beats_commonest as beats_commonest
from agreement.measures import chance_agreement as chance_agreement
from agreement.measures import class_accuracy as class_accuracy
from agreement.measures import commonest as commonest
from agreement.measures import exact_match as exact_match
from agreement.measures import excess_agreement as excess_agreement
from agreement.measures import false_positive_agreement as false_positive_agreement
from agreement.measures import hacohen_agreement as hacohen_agreement
from agreement.measures import hacohen_true_positive_agreement as hacohen_true_positive_agreement
from agreement.measures import lower_bound as lower_bound
from agreement.measures import majority as majority
from agreement.measures import mean_accuracy as mean_accuracy
from agreement.measures import same_wrong_class as same_wrong_class
from agreement.measures import true_positive_agreement as true_positive_agreement
from agreement.own_loop import LearningRecorder as LearningRecorder
from agreement.partial import partial_correlations as partial_correlations
from agreement.record import LearningRecord as LearningRecord
from agreement.recorder import RecordWriter as RecordWriter
from agreement.suspicion import suspicion as suspicion
from agreement.tables import summary as summary
from agreement.tables import to_cleanlab as to_cleanlab

if TYPE_CHECKING:
    from agreement.watching import Indexed as Indexed
    from agreement.watching import watch as watch


def __getattr__(name: str) -> Any:
    if name in ("Indexed", "watch"):
        from agreement import watching

        return getattr(watching, name)
    raise AttributeError(f"module 'agreement' has no attribute {name!r}")
