"""The arms of a comparison: the examples they train on, their orders, and what these leave open."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from curricula import DYNAMIC, PACING, check_counts, corrupt_labels, missing, order
from curricula.comparison import DROP, orders_of
from curricula.outcome import Arm
from lab.data import Data, Images, Split
from lab.errors import UserError
from lab.statistics import Resized
from metrics import clusters
from metrics.shallow.examples import SIDE


@dataclass(frozen=True)
class Part:
    """A part of the train set: images, labels, and the indices (n,) it is made of."""

    images: Images
    labels: np.ndarray
    index: np.ndarray


def parts_of(data: Data, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the train and the validation part, drawn class by class; a fixed draw from the seed.

    validation: fraction of the examples of each class that is held out.
    """
    split, draw = data.train, np.random.default_rng([seed, 1])
    chosen = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        chosen[draw.permutation(members)[: round(validation * len(members))]] = True
    if not chosen.any() or chosen.all():
        raise UserError(f"validation={validation} of {len(split)} examples leaves a part empty: give another share")
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def part_of(split: Split, index: np.ndarray) -> Part:
    return Part(split.images.take(index), split.labels[index], index)


def with_label_noise(data: Data, label_noise: float, validation: float, seed: int) -> Data:
    """The data with a fraction of the labels of the train part replaced by wrong ones, the same for all who ask with one seed.

    A measurement and a comparison that share it share the wrong labels, as where Wu et al. (2021) train on noisy labels.
    """
    if not label_noise:
        return data
    if data.multi_label:
        raise UserError(f"label_noise={label_noise}: the examples have sets of labels; give 0")
    train, _ = parts_of(data, validation, seed)
    labels = data.train.labels.copy()
    labels[train] = corrupt_labels(labels[train], label_noise, len(data.classes), seed)[0]
    return replace(data, train=replace(data.train, labels=labels))


BY_SCORE = ("curriculum", "anti", "drop hard", "drop easy")  # kinds of arms that a score makes


def named_arms(
    kinds: Sequence[str], scores: Sequence[str], varieties: Sequence[str]
) -> dict[str, tuple[str, str, str]]:
    """The arms by name, each with its kind, of `curricula.ARMS` or `curricula.DYNAMIC` or drop, its score and its variety.

    Of several scores each has arms of its own, named after it; of several varieties "clusters" stands behind the names of
    its arms. Arms that draw from all examples, or leave some out for good, need no variety.
    """
    made: dict[str, tuple[str, str, str]] = {}
    for kind in kinds:
        for score in scores if kind in BY_SCORE else scores[:1]:
            for variety in varieties if kind in ("curriculum", "anti", "random") else varieties[:1]:
                own = len(scores) > 1 and kind in BY_SCORE
                words = ([] if own and kind == "curriculum" else [kind]) + ([score] if own else [])
                clustered = ["clusters"] if variety == "clusters" and len(varieties) > 1 else []
                made[" ".join(words + clustered)] = kind, score, variety
    return made


PACED = ("curriculum", "anti", "random", "self_paced")  # kinds of arms that a pacing function applies to
FIRST = {"drop hard": "curriculum", "drop easy": "anti", "drop random": "random"}  # the order whose first are kept
Try = tuple[float | None, float | None, float | None, int]  # lr, a, b, and the how manieth of its lr


def tries_of(lr: Sequence[float], a: Sequence[float], b: Sequence[float]) -> list[Try]:
    """All combinations of what is tuned, None for what is not, and which of those with its learning rate each is."""
    rates: list[float | None] = [*lr] or [None]
    ends: list[float | None] = [*a] or [None]
    begins: list[float | None] = [*b] or [None]
    pacings = list(itertools.product(ends, begins))
    return [(rate, *pacing, again) for rate in rates for again, pacing in enumerate(pacings)]


def arms_of(
    named: Mapping[str, tuple[str, str, str]],
    seeds: Sequence[int],
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    balance: bool,
    descending: Mapping[str, bool],
    groups: Mapping[str, np.ndarray | None],
    keep: float,
    steps: Mapping[str, int],
    tries: Sequence[Try] = ((None, None, None, 0),),
) -> list[Arm]:
    """Every arm with every seed and try; the seed draws the random order and the order of equal scores.

    named: of `named_arms`. scores: by name; descending: whether high is easy. groups: by variety, the clusters that an
    order takes from in turn, if any. keep: the share of the examples that is left where some are dropped. steps: of the
    arms that have other numbers of them. tries: of `tries_of`; arms for which pacings are all the same try other seeds.
    """
    arms = []
    for seed in seeds:
        for name, (kind, score, variety) in named.items():
            dynamic = kind if kind in DYNAMIC else None
            # what decides while training needs no order: its draws are shown by the tenths of one
            by = FIRST.get(kind, "curriculum" if dynamic else kind)
            clusters = groups[variety] if kind in ("curriculum", "anti", "random") else None
            number = round(keep * len(labels)) if kind in FIRST else len(labels)
            orders: dict[int, np.ndarray] = {}
            for lr, a, b, again in tries:
                draw = seed + again * len(seeds) if kind not in PACED else seed
                if draw not in orders:
                    whole = order(scores[score], by, labels, balance, draw, descending[score], clusters)
                    orders[draw] = whole[:number]
                pacing = (a, b) if kind in PACED else (None, None)
                other = draw if draw != seed else None
                arms.append(Arm(name, seed, orders[draw], kind in PACED, steps.get(name), lr, *pacing, other, dynamic))
    return arms


def pacing_curve(
    name: str, steps: int, examples: int, a: float | None, b: float | None
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Some 400 steps, how many examples the pacing function lets in at them, and the number of examples."""
    t = np.unique(np.linspace(0, steps, 400).astype(int))
    given = {key: value for key, value in (("a", a), ("b", b)) if value is not None}
    try:
        return t, {name: check_counts(name, PACING[name](t, steps, examples, **given), examples)}, examples
    except ValueError as error:
        raise UserError(f"pacing={name}: {error}") from error


def pacings_of(
    name: str, steps: int, examples: int, a: float | None, b: float | None, tries: Sequence[Try]
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """As `pacing_curve`, a curve for each of the parameters that are tried; a, b: where they are not."""
    curves: dict[str, np.ndarray] = {}
    for _, own_a, own_b, _ in tries:
        own = [f"{key}={value:g}" for key, value in (("a", own_a), ("b", own_b)) if value is not None]
        t, curve, _ = pacing_curve(name, steps, examples, own_a or a, own_b or b)
        curves[" ".join([name, *own])] = curve[name]
    return t, curves, examples


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


def clusters_of(split: Split, labels: np.ndarray) -> np.ndarray:
    """A cluster of similar images of a class for every example, (N,)."""
    return clusters(
        Resized(split, SIDE), labels
    )  # one image after the other: whole photographs may not fit into memory


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


def orders_shown(
    arms: Sequence[Arm], named: Mapping[str, tuple[str, str, str]], scores: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The orders that begin with easy examples, of the first seed, with their scores, by the name of the arm."""
    first_seed = {arm.name: arm.order for arm in reversed(arms)}
    return {name: (first_seed[name], scores[score]) for name, (kind, score, _) in named.items() if kind == "curriculum"}


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
