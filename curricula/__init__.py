"""The curriculum phase: orders of examples, pacing, the sampler, and the comparison with shuffled baselines.

Everything here is a pure function of arrays but `PacedSampler`, a batch sampler for any PyTorch loop. It is imported
when it is first used, because torch takes long to import.
"""

from typing import TYPE_CHECKING, Any

from curricula.comparison import Comparison, compare, detectable_difference, effect_size, mean_interval, verdict
from curricula.curves import area_under_curve, steps_until
from curricula.noise import corrupt_labels
from curricula.order import ARMS, combine, missing, order
from curricula.pacing import PACING
from curricula.significance import detectable_effect, holm, seeds_needed, sign_flip_test, smallest_p

if TYPE_CHECKING:
    from curricula.sampler import PacedSampler

__all__ = [
    "ARMS",
    "PACING",
    "Comparison",
    "PacedSampler",
    "area_under_curve",
    "combine",
    "compare",
    "corrupt_labels",
    "detectable_difference",
    "detectable_effect",
    "effect_size",
    "holm",
    "mean_interval",
    "missing",
    "order",
    "seeds_needed",
    "sign_flip_test",
    "smallest_p",
    "steps_until",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name == "PacedSampler":
        from curricula.sampler import PacedSampler

        return PacedSampler
    raise AttributeError(f"module 'curricula' has no attribute {name!r}")
