"""The curriculum phase: orders of examples, pacing, the sampler, and the comparison with shuffled baselines.

Everything here is a pure function of arrays but the batch samplers for any PyTorch loop, `PacedSampler` and `DynamicSampler`,
and the arms of the latter. The samplers are imported when they are first used, because torch takes long to import.
"""

from typing import TYPE_CHECKING, Any

from curricula.by_class import class_table as class_table
from curricula.comparison import Comparison as Comparison
from curricula.comparison import compare as compare
from curricula.comparison import detectable_difference as detectable_difference
from curricula.comparison import effect_size as effect_size
from curricula.dynamic import DYNAMIC as DYNAMIC
from curricula.dynamic import Dynamic as Dynamic
from curricula.noise import corrupt_labels as corrupt_labels
from curricula.order import ARMS as ARMS
from curricula.order import combine as combine
from curricula.order import missing as missing
from curricula.order import order as order
from curricula.order import unknown as unknown
from curricula.outcome import Arm as Arm
from curricula.outcome import Outcome as Outcome
from curricula.outcome import area_under_curve as area_under_curve
from curricula.outcome import picked as picked
from curricula.outcome import read_outcome as read_outcome
from curricula.outcome import steps_until as steps_until
from curricula.outcome import table_of as table_of
from curricula.pacing import PACING as PACING
from curricula.pacing import check_counts as check_counts
from curricula.runs import compare_runs as compare_runs
from curricula.scores import SCORES as SCORES
from curricula.scores import read_scores as read_scores
from curricula.sentences import answer as answer
from curricula.sentences import verdict as verdict
from curricula.significance import detectable_effect as detectable_effect
from curricula.significance import holm as holm
from curricula.significance import mean_interval as mean_interval
from curricula.significance import median_interval as median_interval
from curricula.significance import seeds_needed as seeds_needed
from curricula.significance import sign_flip_test as sign_flip_test
from curricula.significance import smallest_p as smallest_p

if TYPE_CHECKING:
    from curricula.dynamic.sampler import DynamicSampler as DynamicSampler
    from curricula.sampler import PacedSampler as PacedSampler


def __getattr__(name: str) -> Any:
    if name == "PacedSampler":
        from curricula.sampler import PacedSampler

        return PacedSampler
    if name == "DynamicSampler":
        from curricula.dynamic.sampler import DynamicSampler

        return DynamicSampler
    raise AttributeError(f"module 'curricula' has no attribute {name!r}")
