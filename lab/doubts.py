"""What to say of a comparison beside its result: what its orders leave open, keep from the networks, or cannot show."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from curricula import missing, seeds_needed
from curricula.comparison import DROP, orders_of
from curricula.outcome import Arm
from lab.errors import UserError


def too_few(seeds: int, comparisons: int) -> list[str]:
    """What to say where so many seeds cannot show any difference, so many being tested."""
    if not comparisons or seeds >= (needed := seeds_needed(comparisons)):
        return []
    return [f"seeds={seeds} is too few to reach a corrected p below 0.05, which takes {needed}. Continuing."]


def doubts_on(scores: Mapping[str, np.ndarray], ids: list[str]) -> list[str]:
    """What the scores leave open, in notes. Raises UserError where one gives no order."""
    notes = []
    for metric, values in scores.items():
        about = notes_on(values, ids, metric)
        notes += [f"{metric}: {note}" for note in about] if len(scores) > 1 else about
    return notes


def notes_on(scores: np.ndarray, ids: list[str], metric: str) -> list[str]:
    """What the scores of the examples to train on leave open. Raises UserError where they give no order at all."""
    notes, without, of = [], missing(scores), f"{len(scores)} training examples"
    values, counts = np.unique(scores[~np.isnan(scores)], return_counts=True)
    if len(values) < 2:
        what = "are all equal" if len(values) else "are all missing"
        raise UserError(f"metric={metric}: the scores {what}, which gives no order")
    if len(without):
        first = ids[without[0]]
        notes.append(f"{len(without)} of {of} have no score ({first!r}, ...) and come last in the order")
    if counts.max() > len(scores) / 4:
        notes.append(f"{counts.max()} of {of} share the score {values[counts.argmax()]:g}, in random order")
    return notes


def never_drawn(name: str, pacing: tuple[np.ndarray, dict[str, np.ndarray], int]) -> list[str]:
    """What to say where a pacing function ends before all examples are in: H&W's count steps, however short a training is."""
    t, sizes, examples = pacing
    reached = int(sizes[name][-1])
    if reached >= examples:
        return []
    return [
        f"pacing={name} reaches {reached:,} of {examples:,} examples by the end of the {t[-1]} steps; "
        "the rest are never trained on. a=0.8 lets all in after 80 % of the steps. Continuing."
    ]


def withheld(
    arms: Sequence[Arm], labels: np.ndarray, sizes: np.ndarray, batch_size: int, classes: Sequence[str]
) -> list[str]:
    """What to say of classes that an order keeps from most batches, where shuffled training does not: accuracy may not show it.

    labels: (N,) of the examples to train on. sizes: how many of the first are drawn from, at steps spread evenly.
    """
    notes = []
    for name in dict.fromkeys(arm.name for arm in arms if arm.paced and not arm.dynamic):
        arm = next(each for each in arms if each.name == name)
        for label in np.unique(labels):
            among = np.cumsum(labels[arm.order] == label)
            lacking = (1 - among[np.clip(sizes, batch_size, len(labels)) - 1] / np.clip(sizes, batch_size, len(labels))) ** batch_size  # fmt: skip
            usual = (1 - among[-1] / len(labels)) ** batch_size
            if lacking.mean() > 0.5 > usual:
                notes.append(
                    f"{name}: about {lacking.mean():.0%} of the batches hold no example of class {classes[label]!r}, "
                    f"{usual:.0%} where they are drawn from all"
                )
    return notes


def wrong_labels_last(arms: Sequence[Arm], wrong: np.ndarray) -> list[str]:
    """How many of the wrong labels lie in the last fifth of each order, or are dropped, where there are any. wrong: boolean (N,)."""
    notes = []
    for arm in {arm.name: arm for arm in arms}.values() if wrong.any() else ():
        if orders_of([arm.name]):
            last = int(wrong[arm.order[-(len(wrong) // 5) :]].sum())
            notes.append(
                f"{arm.name}: {last:,} of the {wrong.sum():,} wrong labels ({last / wrong.sum():.0%}) lie in the last "
                "fifth of the order"
            )
        elif arm.name.startswith(DROP):
            out = int(wrong.sum() - wrong[arm.order].sum())
            notes.append(
                f"{arm.name}: {out:,} of the {wrong.sum():,} wrong labels ({out / wrong.sum():.0%}) are among the "
                f"{len(wrong) - len(arm.order):,} examples left out"
            )
    return notes


def picks(arms: Sequence[Arm]) -> list[str]:
    """How often each value was picked by each arm, over seeds, in words; nothing where there was no choice."""
    said = []
    for name in dict.fromkeys(arm.name for arm in arms):
        chosen = [arm for arm in arms if arm.name == name]
        for key in ("lr", "a", "b"):
            counts = Counter(arm.tried[key] for arm in chosen if key in arm.tried)
            if counts:
                often = ", ".join(f"{value:g} {count}×" for value, count in sorted(counts.items()))
                said.append(f"{name} picked {key}={often}")
    return said
