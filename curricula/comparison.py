"""Arms against each other over paired seeds: differences, intervals, corrected p-values."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from curricula.dynamic import DYNAMIC
from curricula.significance import (
    check_numbers,
    check_results,
    detectable_effect,
    difference_test,
    holm,
    mean_interval,
    variance_of,
)

BASELINES = ("shuffled", "shuffled_longer", "random")  # first words of arms that do not look at the scores
DROP = "drop"  # of arms that leave examples out


@dataclass(frozen=True)
class Comparison:
    """One arm against another, in the unit of the numbers compared. Differences are arm minus baseline.

    comparisons: how many the p-value is corrected for. level: of the tests, and 1 minus that of intervals.
    low, high: interval of the mean difference. p, corrected_p: before and after Holm's correction.
    effect_size: mean difference in standard deviations of the differences over seeds, see `effect_size`.
    detectable: the smallest difference that would have been found with 80 % probability, see `detectable_difference`.
    matters: the smallest difference of interest; 0 where none was named. examples: those of the test set, where the interval
    covers their choice.
    """

    arm: str
    baseline: str
    seeds: int
    comparisons: int
    level: float
    mean: float
    baseline_mean: float
    difference: float
    low: float
    high: float
    p: float
    corrected_p: float
    effect_size: float
    detectable: float
    matters: float = 0.0
    examples: int = 0

    @property
    def shown(self) -> bool:
        """Whether there is a difference: the corrected test rejects, and the interval does not contain 0."""
        return self.corrected_p <= self.level and (self.low > 0 or self.high < 0)

    @property
    def negligible(self) -> bool:
        """Whether a difference is shown, but one smaller than the smallest that matters."""
        return self.shown and abs(self.difference) < self.matters

    @property
    def practically_none(self) -> bool:
        """Whether no difference is shown, and the interval leaves out every difference that matters.

        An interval inside ±matters is the two one-sided tests of equivalence (Schuirmann 1987), here at half the level.
        """
        return not self.shown and -self.matters < self.low and self.high < self.matters


def compare(
    results: Mapping[str, np.ndarray],
    baseline: str = "shuffled",
    level: float = 0.05,
    pairs: Mapping[str, tuple[str, str]] | None = None,
    matters: float = 0.0,
) -> dict[str, Comparison]:
    """Arms against each other, the p-values corrected over all comparisons (Holm).

    results: arm to (S,) numbers, S ≥ 2, or to (S, N) booleans: which of N test examples each training got right. The s-th
    of every arm was trained with the same seed, and the examples are the same. With numbers the only chance is that of
    seeds; with (S, N) tests and intervals cover the choice of the test examples too, see `significance.variance_of`.
    pairs: name of a comparison to the arm and what it is compared with; None: those of `pairs_of`.
    matters: the smallest difference of interest, in the unit of the results.

    Raises ValueError where the baseline is missing, arms differ in shape, or a number is not finite: diverged runs cannot
    be paired.
    """
    if baseline not in results:
        raise ValueError(f"there is no arm {baseline!r} to compare with; there are {', '.join(results)}")
    values = {arm: check_results(f"results of {arm}", numbers) for arm, numbers in results.items()}
    if len({numbers.shape for numbers in values.values()}) > 1:
        counts = ", ".join(f"{arm} has {' × '.join(map(str, numbers.shape))}" for arm, numbers in values.items())
        raise ValueError(f"arms cannot be paired over different seeds or examples: {counts}")
    pairs = pairs_of(values, baseline) if pairs is None else pairs
    return paired(
        {name: (arm, other, values[arm], values[other]) for name, (arm, other) in pairs.items()}, level, matters
    )


def paired(
    pairs: Mapping[str, tuple[str, str, np.ndarray, np.ndarray]], level: float, matters: float = 0.0
) -> dict[str, Comparison]:
    """Comparisons by name, as one family: each of an arm and what it is compared with, their names and then their results.

    The results of the two are of the same seeds, and as in `compare`; those of other pairs may be of other seeds.
    """
    found = {}
    for name, (arm, other, results, others) in pairs.items():
        kind = np.int8 if results.dtype == others.dtype == bool else float  # a byte an example
        differences = results.astype(kind) - others.astype(kind)
        mean, low, high = mean_interval(differences, 1 - level)
        found[name] = Comparison(
            arm=arm,
            baseline=other,
            seeds=len(results),
            comparisons=len(pairs),
            level=level,
            mean=float(results.mean()),
            baseline_mean=float(others.mean()),
            difference=mean,
            low=low,
            high=high,
            p=difference_test(differences),
            corrected_p=math.nan,  # until all are known
            effect_size=effect_size(differences if differences.ndim == 1 else differences.mean(axis=1)),
            detectable=detectable_difference(differences, len(pairs), level),
            matters=matters,
            examples=results.shape[1] if results.ndim == 2 else 0,
        )
    corrected = holm(np.array([each.p for each in found.values()]))
    return {name: replace(found[name], corrected_p=float(p)) for name, p in zip(found, corrected, strict=True)}


def pairs_of(arms: Iterable[str], baseline: str = "shuffled", paid: Collection[str] = ()) -> dict[str, tuple[str, str]]:
    """What `compare` compares, by the names of its results: the arm, and what it is compared with.

    Every arm with the baseline. Every order that begins with easy examples with `random`, and, where it is among those
    `paid` for, with `shuffled_longer`. An arm "X clusters" is compared with "random clusters", and with "X"; one that leaves
    hard or easy examples out, with `drop random`; `self_paced` with `random`.
    """
    arms = list(arms)
    pairs = {arm: (arm, baseline) for arm in arms if arm != baseline}
    for arm in orders_of(arms):
        plain = arm.removesuffix(" clusters")
        others = [f"random{arm.removeprefix(plain)}", *([plain] if plain != arm else [])]
        others += ["shuffled_longer"] if arm in paid else []
        pairs |= {f"{arm} against {other}": (arm, other) for other in others if other in arms}
    if "self_paced" in arms and "random" in arms:  # it has the same pacing
        pairs["self_paced against random"] = "self_paced", "random"
    at_random = f"{DROP} random"
    if at_random in arms:
        dropped = [arm for arm in arms if arm.startswith(f"{DROP} ") and arm != at_random]
        pairs |= {f"{arm} against {at_random}": (arm, at_random) for arm in dropped}
    return pairs


def orders_of(arms: Iterable[str]) -> list[str]:
    """The arms that bring in easy examples first."""
    return [arm for arm in arms if arm.partition(" ")[0] not in (*BASELINES, "anti", DROP, *DYNAMIC)]


def others_of(arms: Iterable[str]) -> list[str]:
    """The arms that decide while training, and those that leave examples out."""
    return [arm for arm in arms if arm.partition(" ")[0] in (DROP, *DYNAMIC)]


def effect_size(differences: np.ndarray) -> float:
    """Paired effect size g_z: mean over standard deviation of (n,) differences, times Hedges' correction.

    Cohen's d_z (Lakens, "Calculating and Reporting Effect Sizes", 2013) is too large on average where n is small; the
    exact factor Γ(m/2) / (√(m/2) Γ((m−1)/2)), m = n − 1, mends that (Hedges, "Distribution Theory for Glass's Estimator
    of Effect Size", 1981). NaN below three differences, where there is no such factor; 0 where all differences are 0,
    ±inf where they are equal but not 0.
    """
    from scipy import special  # here, because it takes long to import

    differences = check_numbers("differences", differences, 2)
    freedom = len(differences) - 1
    if freedom < 2:
        return math.nan
    mean, deviation = differences.mean(), differences.std(ddof=1)
    if np.ptp(differences) <= 1e-12 * abs(mean):  # equal but for rounding
        return math.copysign(math.inf, mean) if mean else 0.0
    correction = math.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return float(correction * mean / deviation)


def detectable_difference(differences: np.ndarray, arms: int = 1, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest mean difference that a comparison like this one would have found with probability `power`.

    `detectable_effect` at level/arms, which is what Holm asks of the first arm, times the standard deviation of the
    differences, taken for the true one. differences: (S,) or (S, N), as in `compare`; of (S, N) the deviation is that which
    would give S differences the variance of the mean over seeds and examples. `inf` where there are too few seeds to find
    anything.
    """
    differences = check_results("differences", differences)
    effect = detectable_effect(len(differences), level / arms, power)
    return effect if math.isinf(effect) else float(effect * math.sqrt(len(differences) * variance_of(differences)[0]))
