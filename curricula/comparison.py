"""Arms against the baseline over paired seeds: means, intervals, corrected p-values, a sentence that claims no more."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curricula.significance import check_numbers, detectable_effect, holm, seeds_needed, sign_flip_test, smallest_p


@dataclass(frozen=True)
class Comparison:
    """One arm against the baseline, in the unit of the numbers compared. Differences are arm minus baseline.

    arms: number of comparisons that the p-value is corrected for. level: of the tests, and 1 minus that of intervals.
    low, high: interval of the mean difference. p, corrected_p: of the sign-flip test, before and after Holm.
    effect_size: mean difference in standard deviations of the differences, see `effect_size`.
    detectable: the smallest difference that would have been found with 80 % probability, see `detectable_difference`.
    """

    arm: str
    baseline: str
    seeds: int
    arms: int
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

    @property
    def shown(self) -> bool:
        """Whether there is a difference: the corrected test rejects, and the interval does not contain 0."""
        return self.corrected_p <= self.level and (self.low > 0 or self.high < 0)


def compare(
    results: Mapping[str, np.ndarray], baseline: str = "shuffled", level: float = 0.05
) -> dict[str, Comparison]:
    """Every arm against the baseline, from one number per arm and seed.

    results: arm to (S,) numbers, S ≥ 2; the s-th of every arm was trained with the same seed. The p-values are
    corrected over the arms given. Returns a Comparison per arm but the baseline, in the order given. Raises ValueError
    where the baseline is missing, arms differ in the number of seeds, or a number is not finite: a diverged training
    is no half of a pair.
    """
    if baseline not in results:
        raise ValueError(f"there is no arm {baseline!r} to compare with; there are {', '.join(results)}")
    values = {arm: check_numbers(f"results of {arm}", numbers, 2) for arm, numbers in results.items()}
    if len({len(numbers) for numbers in values.values()}) > 1:
        counts = ", ".join(f"{arm} has {len(numbers)}" for arm, numbers in values.items())
        raise ValueError(f"arms cannot be paired over different seeds: {counts}")
    reference = values.pop(baseline)
    differences = {arm: numbers - reference for arm, numbers in values.items()}
    p_values = {arm: sign_flip_test(difference) for arm, difference in differences.items()}
    corrected = dict(zip(p_values, holm(np.array(list(p_values.values()))), strict=True))
    comparisons = {}
    for arm, difference in differences.items():
        mean, low, high = mean_interval(difference, 1 - level)
        comparisons[arm] = Comparison(
            arm=arm,
            baseline=baseline,
            seeds=len(reference),
            arms=len(values),
            level=level,
            mean=float(values[arm].mean()),
            baseline_mean=float(reference.mean()),
            difference=mean,
            low=low,
            high=high,
            p=p_values[arm],
            corrected_p=float(corrected[arm]),
            effect_size=effect_size(difference),
            detectable=detectable_difference(difference, len(values), level),
        )
    return comparisons


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of (n,) numbers, n ≥ 2, and the two ends of its t-interval: mean ∓ t_{n−1} · s/√n (Student 1908).

    Used for an arm's numbers and for paired differences. For these, inverting the sign-flip test would assume less, but
    it gives no interval at all below six pairs and jumps between few confidence levels above; accuracies are means
    over thousands of images, so that their differences are near normal. Where the two disagree, `Comparison.shown`
    claims nothing. Raises ValueError for fewer than two numbers or one that is not finite.

    >>> mean_interval(np.array([1.0, 3.0]))  # t with one degree of freedom: 12.706
    (2.0, -10.706204736174694, 14.706204736174694)
    """
    from scipy import special  # here, because it takes long to import

    values = check_numbers("values", values, 2)
    mean = values.mean()
    reach = special.stdtrit(len(values) - 1, (1 + confidence) / 2) * values.std(ddof=1) / math.sqrt(len(values))
    return float(mean), float(mean - reach), float(mean + reach)


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
    differences (n,), taken for the true one. `inf` where there are too few seeds to find anything.
    """
    differences = check_numbers("differences", differences, 2)
    effect = detectable_effect(len(differences), level / arms, power)
    return effect if math.isinf(effect) else float(effect * differences.std(ddof=1))


def verdict(comparison: Comparison, unit: str = "points", scale: float = 100.0, higher_is_better: bool = True) -> str:
    """One sentence that claims no more than test and interval allow.

    `scale` turns the numbers into `unit`: 100 for accuracies as percentage points. Only where the corrected test
    rejects *and* the interval leaves out 0 is an arm called better or worse; otherwise the sentence says how large a
    difference remains possible and how large a one these seeds would have found.
    """
    c = comparison
    percent = f"{100 * (1 - c.level):g} %"
    correction = f" after correction for {c.arms} arms" if c.arms > 1 else ""
    nothing = f"{c.arm}: no difference from {c.baseline} could be shown"
    if c.shown:
        better = (c.difference > 0) == higher_is_better
        size, *ends = (abs(x) * scale for x in (c.difference, c.low, c.high))
        digits = _digits((c.high - c.low) * scale / 2, min(ends))
        return (
            f"{c.arm} was {size:.{digits}f} {unit} {'better' if better else 'worse'} than {c.baseline} "
            f"({percent} interval {min(ends):.{digits}f} to {max(ends):.{digits}f}, {_p(c.corrected_p)}{correction}, "
            f"{c.seeds} seeds)."
        )
    if c.low == c.high == 0:
        return f"{nothing}: with each of {c.seeds} seeds both gave the same number."
    digits = _digits((c.high - c.low) * scale / 2, math.inf)
    between = f"between {_signed(c.low * scale, digits)} and {_signed(c.high * scale, digits)} {unit}"
    nothing = f"{nothing}: {between} ({percent} interval, {_p(c.corrected_p)}{correction}); with {c.seeds} seeds"
    if math.isinf(c.detectable):
        return (
            f"{nothing} none could have been, for p cannot go below {min(c.arms * smallest_p(c.seeds), 1):.2g}"
            f"{correction}: it takes at least {seeds_needed(c.arms, c.level)} seeds."
        )
    found = f"{c.detectable * scale:.{_digits(c.detectable * scale, math.inf)}f}"
    return f"{nothing} a difference of {found} {unit} would have been found with 80 % probability."


def _digits(width: float, bound: float) -> int:
    """Decimals that show two significant digits of a width, and that a bound is not 0."""
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 1e-9 else 2  # else nothing but rounding
    while digits < 9 and round(bound, digits) == 0:
        digits += 1
    return digits


def _signed(number: float, digits: int) -> str:
    text = f"{abs(number):.{digits}f}"
    return text if float(text) == 0 else ("+" if number > 0 else "−") + text


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
