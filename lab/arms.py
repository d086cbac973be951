"""The arms of a comparison: the examples they train on, their orders and pacings."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from curricula import DYNAMIC, PACING, check_counts, corrupt_labels, order
from curricula.outcome import Arm
from lab.data import Data, Images, Split
from lab.errors import UserError
from lab.statistics import Resized
from metrics import clusters
from metrics.shallow.examples import SIDE

BY_SCORE = ("curriculum", "anti", "drop hard", "drop easy")  # kinds of arms that a score makes
PACED = ("curriculum", "anti", "random", "self_paced")  # kinds of arms that a pacing function applies to
FIRST = {"drop hard": "curriculum", "drop easy": "anti", "drop random": "random"}  # the order whose first are kept
Try = tuple[float | None, float | None, float | None, int]  # lr, a, b, and the how manieth of its lr


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


def pacings_of(
    name: str, steps: int, examples: int, a: float | None, b: float | None, tries: Sequence[Try]
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Some 400 steps, how many examples a pacing function lets in at them, and the number of examples.

    A curve for each of the parameters that are tried; a, b: where they are not.
    """
    t, curves = np.unique(np.linspace(0, steps, 400).astype(int)), {}
    for _, own_a, own_b, _ in tries:
        own = [f"{key}={value:g}" for key, value in (("a", own_a), ("b", own_b)) if value is not None]
        given = {key: value for key, value in (("a", own_a or a), ("b", own_b or b)) if value is not None}
        try:
            sizes = check_counts(name, PACING[name](t, steps, examples, **given), examples)
        except ValueError as error:
            raise UserError(f"pacing={name}: {error}") from error
        curves[" ".join([name, *own])] = sizes
    return t, curves, examples


def clusters_of(split: Split, labels: np.ndarray) -> np.ndarray:
    """A cluster of similar images of a class for every example, (N,)."""
    return clusters(
        Resized(split, SIDE), labels
    )  # one image after the other: whole photographs may not fit into memory


def orders_shown(
    arms: Sequence[Arm], named: Mapping[str, tuple[str, str, str]], scores: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The orders that begin with easy examples, of the first seed, with their scores, by the name of the arm."""
    first_seed = {arm.name: arm.order for arm in reversed(arms)}
    return {name: (first_seed[name], scores[score]) for name, (kind, score, _) in named.items() if kind == "curriculum"}
