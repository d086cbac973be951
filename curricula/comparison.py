"""Arms against the baseline over paired seeds: means, intervals, corrected p-values, a sentence that claims no more."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agreement.record import read_lines
from curricula.significance import check_numbers, detectable_effect, holm, seeds_needed, sign_flip_test, smallest_p

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """One arm against the baseline, in the unit of the numbers compared. Differences are arm minus baseline.

    comparisons: how many the p-value is corrected for. level: of the tests, and 1 minus that of intervals.
    low, high: interval of the mean difference. p, corrected_p: of the sign-flip test, before and after Holm.
    effect_size: mean difference in standard deviations of the differences, see `effect_size`.
    detectable: the smallest difference that would have been found with 80 % probability, see `detectable_difference`.
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

    @property
    def shown(self) -> bool:
        """Whether there is a difference: the corrected test rejects, and the interval does not contain 0."""
        return self.corrected_p <= self.level and (self.low > 0 or self.high < 0)


ORDER = "curriculum against random"  # what the order does, the pacing being the same


def compare(
    results: Mapping[str, np.ndarray], baseline: str = "shuffled", level: float = 0.05
) -> dict[str, Comparison]:
    """Every arm against the baseline, from one number per arm and seed; and curriculum against random, named ORDER.

    results: arm to (S,) numbers, S ≥ 2; the s-th of every arm was trained with the same seed. The p-values are
    corrected over all comparisons. Returns a Comparison per arm but the baseline, in the order given, and ORDER last
    where both its arms are given. Raises ValueError where the baseline is missing, arms differ in the number of seeds,
    or a number is not finite: diverged runs cannot be paired.
    """
    if baseline not in results:
        raise ValueError(f"there is no arm {baseline!r} to compare with; there are {', '.join(results)}")
    values = {arm: check_numbers(f"results of {arm}", numbers, 2) for arm, numbers in results.items()}
    if len({len(numbers) for numbers in values.values()}) > 1:
        counts = ", ".join(f"{arm} has {len(numbers)}" for arm, numbers in values.items())
        raise ValueError(f"arms cannot be paired over different seeds: {counts}")
    pairs = pairs_of(values, baseline)
    differences = {name: values[arm] - values[other] for name, (arm, other) in pairs.items()}
    p_values = {name: sign_flip_test(difference) for name, difference in differences.items()}
    corrected = dict(zip(p_values, holm(np.array(list(p_values.values()))), strict=True))
    comparisons = {}
    for name, (arm, other) in pairs.items():
        mean, low, high = mean_interval(differences[name], 1 - level)
        comparisons[name] = Comparison(
            arm=arm,
            baseline=other,
            seeds=len(values[baseline]),
            comparisons=len(pairs),
            level=level,
            mean=float(values[arm].mean()),
            baseline_mean=float(values[other].mean()),
            difference=mean,
            low=low,
            high=high,
            p=p_values[name],
            corrected_p=float(corrected[name]),
            effect_size=effect_size(differences[name]),
            detectable=detectable_difference(differences[name], len(pairs), level),
        )
    return comparisons


def pairs_of(arms: Iterable[str], baseline: str = "shuffled") -> dict[str, tuple[str, str]]:
    """What `compare` compares, by the names of its results: the arm, and what it is compared with."""
    pairs = {arm: (arm, baseline) for arm in arms if arm != baseline}
    if {"curriculum", "random"} <= pairs.keys():
        pairs[ORDER] = ("curriculum", "random")
    return pairs


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
    correction = f" after correction for {c.comparisons} comparisons" if c.comparisons > 1 else ""
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
            f"{nothing} none could have been, for p cannot go below {min(c.comparisons * smallest_p(c.seeds), 1):.2g}"
            f"{correction}: it takes at least {seeds_needed(c.comparisons, c.level)} seeds."
        )
    found = f"{c.detectable * scale:.{_digits(c.detectable * scale, math.inf)}f}"
    return f"{nothing} a difference of {found} {unit} would have been found with 80 % probability."


def answer(comparisons: Mapping[str, Comparison], table: "pd.DataFrame", guess: float) -> str:
    """Whether the order helps, in a sentence or two, claiming no more than the corrected tests and the intervals allow.

    What the order does is the difference from a random order under the same pacing; what training gains is the
    difference from shuffled. table: see `table_of`. guess: the test accuracy of always naming the commonest class.
    """
    gain, order = comparisons.get("curriculum"), comparisons.get(ORDER)
    if gain is None:
        return ""
    claimed = any(comparison.shown for comparison in comparisons.values())
    if claimed and table.loc["shuffled", "test_at_best_low"] <= guess:
        return f"These trainings cannot tell: shuffled is not shown to beat naming the commonest class, {guess:.1%}."
    against_shuffled, against_random = _points(gain), _points(order) if order else ""
    pattern = (_sign(gain), _sign(order) if order else None)
    sentence = {
        (1, 1): f"Yes: {against_shuffled}, and {against_random} under the same pacing.",
        (
            1,
            0,
        ): f"Not the order: {against_shuffled}, but no difference from a random order under the same pacing is shown.",
        (1, -1): f"Not the order: {against_shuffled}, but {against_random} under the same pacing.",
        (1, None): f"It was {against_shuffled}; whether the order or the pacing did it, the arm random would show.",
        (
            0,
            1,
        ): f"The order helps: {against_random} under the same pacing. But no gain over shuffled training is shown.",
        (0, 0): "No difference is shown, neither from shuffled training nor from a random order under the same pacing.",
        (0, -1): f"No: {against_random} under the same pacing.",
        (0, None): "These seeds show no difference from shuffled training.",
        (-1, 1): f"No: {against_shuffled}. The pacing costs more than the order gains: {against_random} under it.",
        (-1, 0): f"No: {against_shuffled}; no difference from a random order under the same pacing is shown.",
        (-1, -1): f"No: {against_shuffled}, and {against_random} under the same pacing.",
        (-1, None): f"No: {against_shuffled}.",
    }[pattern]
    anti = comparisons.get("anti")
    if anti is not None and _sign(anti) == 1:
        sentence += f" Hard first was {_points(anti)}."
    return sentence[0].upper() + sentence[1:]


def _sign(comparison: Comparison) -> int:
    """1 or -1 where a difference is shown, else 0."""
    return (1 if comparison.difference > 0 else -1) if comparison.shown else 0


def _points(c: Comparison) -> str:
    other = "a random order" if c.baseline == "random" else f"{c.baseline} training"
    return f"{100 * abs(c.difference):.2f} points {'better' if c.difference > 0 else 'worse'} than {other}"


@dataclass(frozen=True)
class Arm:
    """What distinguishes one training of a comparison from the others.

    order: the examples in the order they come in, (N,) indices into the train images. paced: whether the pacing function
    applies; the shuffled baseline always draws from all.
    """

    name: str
    seed: int
    order: np.ndarray
    paced: bool


@dataclass(frozen=True)
class Outcome:
    """What all trainings of a comparison gave, per arm.

    steps: (E,) optimiser steps of the evaluations. validation: (S, E) accuracy. drawn: (E, parts) shares of the draws,
    mean over seeds. at_best, at_end: (S,) test accuracy at the best validation step and at the last step.
    """

    steps: np.ndarray
    validation: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    at_best: dict[str, np.ndarray]
    at_end: dict[str, np.ndarray]


def read_outcome(arms: Sequence[Arm], folders: Sequence[Path]) -> Outcome:
    """From the folders that `lab.compared.Compared` wrote, one for each of the arms with its seed."""
    names = list(dict.fromkeys(arm.name for arm in arms))
    read: dict[str, list[tuple[list[float], np.ndarray, float, float]]] = {name: [] for name in names}
    for arm, folder in zip(arms, folders, strict=True):
        lines = read_lines(folder / "evaluations.jsonl")
        result = json.loads((folder / "result.json").read_text())
        accuracy = [line["validation/accuracy"] for line in lines]
        drawn = np.load(folder / "drawn.npy", allow_pickle=False)
        read[arm.name].append((accuracy, drawn, result["test/accuracy_at_best"], result["test/accuracy"]))
        steps = np.array([line["step"] for line in lines])
    validation, drawn, at_best, at_end = (
        {name: np.array([each[part] for each in read[name]]) for name in names} for part in range(4)
    )
    shares = {name: (counts / counts.sum(axis=2, keepdims=True)).mean(axis=0) for name, counts in drawn.items()}
    return Outcome(steps, validation, shares, at_best, at_end)


def table_of(outcome: Outcome, comparisons: dict[str, Comparison]) -> "pd.DataFrame":
    """One row per arm: means with 95 % intervals, and the paired differences from the baseline.

    Test accuracies and the area under the validation curve are fractions; `steps_until` is the median over seeds of the
    first step at which the validation accuracy reaches what the baseline of the same seed ends with.
    """
    import pandas as pd  # here, because it takes long to import

    final = outcome.validation["shuffled"][:, -1]
    rows = {}
    for arm, curve in outcome.validation.items():
        row: dict[str, float] = {}
        numbers = {"test_at_best": outcome.at_best[arm], "test_at_end": outcome.at_end[arm]}
        if len(outcome.steps) > 1:
            numbers["validation_area"] = area_under_curve(outcome.steps, curve)
        for name, values in numbers.items():
            row[name], row[f"{name}_low"], row[f"{name}_high"] = mean_interval(values)
        row["steps_until"] = float(np.median(steps_until(outcome.steps, curve, final)))
        if arm in comparisons:
            c = comparisons[arm]
            row |= {name: getattr(c, name) for name in ("difference", "low", "high", "p", "corrected_p", "effect_size", "detectable")}  # fmt: skip
        rows[arm] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def area_under_curve(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean height of a curve from its first to its last step, in the unit of `values`: area by trapezoids over width.

    steps: (E,), ascending, at least two. values: (..., E). Returns (...,), a float for one curve. Raises ValueError for
    other shapes or steps that do not ascend.

    >>> float(area_under_curve(np.array([0, 10, 20]), np.array([0.0, 1.0, 1.0])))
    0.75
    """
    steps, values = _check_curves(steps, values)
    if len(steps) < 2:
        raise ValueError("an area needs at least two evaluations, not 1")
    areas = np.diff(steps) * (values[..., 1:] + values[..., :-1]) / 2
    return areas.sum(axis=-1) / (steps[-1] - steps[0])


def steps_until(steps: np.ndarray, values: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """The first of `steps` at which a curve is at or above the threshold; `inf` where it never is.

    steps: (E,), ascending. values: (..., E). threshold: one for all curves, or (...,). Returns float64 (...,). No
    interpolation: between two evaluations nothing was measured.

    >>> float(steps_until(np.array([100, 200, 300]), np.array([0.5, 0.7, 0.6]), 0.6))
    200.0
    """
    steps, values = _check_curves(steps, values)
    reached = values >= np.asarray(threshold)[..., None]
    return np.where(reached.any(axis=-1), steps[reached.argmax(axis=-1)], np.inf)


def _check_curves(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    if steps.ndim != 1 or len(steps) == 0 or values.shape[-1:] != steps.shape:
        raise ValueError(f"values must have one column per step, not shape {values.shape} for steps {steps.shape}")
    if not (np.diff(steps) > 0).all():
        raise ValueError(f"steps must ascend, not {steps.tolist()}")
    return steps, values


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
