"""What the trainings of a comparison gave: arms, curves over steps, and the table of arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agreement.record import read_lines
from curricula.by_class import balanced_interval
from curricula.comparison import Comparison, orders_of, others_of
from curricula.significance import mean_interval, median_interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Arm:
    """What distinguishes one training of a comparison from the others.

    order: the examples in the order they come in, (N,) indices into the train images; of an arm that leaves some out, fewer.
    paced: whether the pacing function applies; the shuffled baseline always draws from all. steps: optimiser steps, where
    they are not those of the others. dynamic: name in `curricula.DYNAMIC`, where the arm decides while it trains.
    lr, a, b: learning rate and parameters of the pacing, where they are not those of the others. draw: the seed of the
    training itself, where it is one of several that the arm has tried for a seed.
    """

    name: str
    seed: int
    order: np.ndarray
    paced: bool
    steps: int | None = None
    lr: float | None = None
    a: float | None = None
    b: float | None = None
    draw: int | None = None
    dynamic: str | None = None

    @property
    def tried(self) -> dict[str, float]:
        """What this training has of its own, by name."""
        values = {"lr": self.lr, "a": self.a, "b": self.b, "draw": self.draw}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def training_seed(self) -> int:
        return self.seed if self.draw is None else self.draw


@dataclass(frozen=True)
class Outcome:
    """What all trainings of a comparison gave, per arm.

    steps: (E,) optimiser steps of the evaluations, of an arm whose steps cost more as many as cost the same. validation: (S, E) accuracy, and drawn: (E, parts) shares of the draws,
    mean over seeds; both of the arms that have these steps. at_best, at_end: (S, N) boolean, which test examples each
    training got right at the best validation step and at the last step; or (S,) accuracies. own_steps: of the arms that
    have fewer steps, which cost as much, or more.
    """

    steps: np.ndarray
    validation: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    at_best: dict[str, np.ndarray]
    at_end: dict[str, np.ndarray]
    own_steps: dict[str, int] = field(default_factory=dict)


def read_outcome(arms: Sequence[Arm], folders: Sequence[Path], examples: int) -> Outcome:
    """From the folders that `lab.compared.Compared` wrote, one for each of the arms with its seed. examples: N of the test set."""
    steps = np.array([])
    names = list(dict.fromkeys(arm.name for arm in arms))
    validation, drawn, at_best, at_end = ({name: [] for name in names} for _ in range(4))  # type: ignore[var-annotated]
    for arm, folder in zip(arms, folders, strict=True):
        right = np.load(folder / "right.npy", allow_pickle=False)
        for found, bits in zip((at_best, at_end), right, strict=True):
            found[arm.name].append(np.unpackbits(bits, count=examples).astype(bool))
        if arm.steps is None or arm.dynamic:  # evaluated at the same costs, if not at the same steps
            lines = read_lines(folder / "evaluations.jsonl")
            if arm.steps is None:
                steps = np.array([line["step"] for line in lines])
            validation[arm.name].append([line["validation/accuracy"] for line in lines])
            counts = np.load(folder / "drawn.npy", allow_pickle=False)
            drawn[arm.name].append(counts / counts.sum(axis=1, keepdims=True))
    return Outcome(
        steps,
        {name: np.array(each) for name, each in validation.items() if each},
        {name: np.mean(each, axis=0) for name, each in drawn.items() if each},
        {name: np.array(each) for name, each in at_best.items()},
        {name: np.array(each) for name, each in at_end.items()},
        {arm.name: arm.steps for arm in arms if arm.steps is not None},
    )


def picked(arms: Sequence[Arm], folders: Sequence[Path]) -> list[int]:
    """The trainings to compare: for each arm and seed the one with the best validation accuracy, the first of equal ones.

    Every arm has tried as much: so the second baseline of Wu et al. (2021), the best of as many shuffled trainings.
    """
    best: dict[tuple[str, int], tuple[float, int]] = {}
    for number, (arm, folder) in enumerate(zip(arms, folders, strict=True)):
        accuracy = max(line["validation/accuracy"] for line in read_lines(folder / "evaluations.jsonl"))
        if accuracy > best.get((arm.name, arm.seed), (-1.0, 0))[0]:
            best[arm.name, arm.seed] = accuracy, number
    return [number for _, number in best.values()]


def table_of(
    outcome: Outcome, comparisons: Mapping[str, Comparison], labels: np.ndarray | None = None
) -> "pd.DataFrame":
    """A row for each arm: means with 95 % intervals, and the paired differences from the baseline; below it a row for each
    other comparison of the arm, named as in `compare`, with the differences alone.

    Of several arms but `random` and `anti` the one with the largest gain comes first; the baseline is above all. Test accuracies and the
    area under the validation curve are fractions; `steps_until` is the median over seeds of the first step at which the
    validation accuracy reaches what the baseline of the same seed ends with, `seeds_until` the share of the seeds with which it does; `cost_until` is the same as a fraction of the
    cost of a whole training, with the interval of `median_interval`. With the labels (N,) of the test examples there
    is the balanced accuracy, `balanced_at_best`, too.
    """
    import pandas as pd  # here, because it takes long to import

    final = outcome.validation["shuffled"][:, -1]
    arms = list(outcome.at_best)
    if len(orders_of(arms)) + len(others_of(arms)) > 1:
        arms.sort(key=lambda arm: -comparisons[arm].difference if arm in comparisons else -np.inf)
    rows: dict[str, dict[str, float]] = {}
    for arm in arms:
        row: dict[str, float] = {}
        numbers = {"test_at_best": outcome.at_best[arm], "test_at_end": outcome.at_end[arm]}
        curve = outcome.validation.get(arm)
        if curve is not None and len(outcome.steps) > 1:
            numbers["validation_area"] = area_under_curve(outcome.steps, curve)
        for name, values in numbers.items():
            row[name], row[f"{name}_low"], row[f"{name}_high"] = mean_interval(values)
        if labels is not None:
            row["balanced_at_best"], row["balanced_at_best_low"], row["balanced_at_best_high"] = balanced_interval(
                outcome.at_best[arm], labels
            )
        if curve is not None:
            until = steps_until(outcome.steps, curve, final)
            row["steps_until"], row["seeds_until"] = float(np.median(until)), float(np.isfinite(until).mean())
            costs = median_interval(until / outcome.steps[-1])
            row["cost_until"], row["cost_until_low"], row["cost_until_high"] = costs
        rows[arm] = row
        for name, c in comparisons.items():
            if c.arm == arm:
                found = {name: getattr(c, name) for name in ("difference", "low", "high", "p", "corrected_p", "effect_size", "detectable")}  # fmt: skip
                rows[name] = rows.get(name, {}) | found
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
