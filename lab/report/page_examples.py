"""What the report page knows about single examples: which of them it shows, and the facts beside each image."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from agreement import confidence_and_variability, forgetting_events, learned_epoch, mean_correctness, shared_mistakes
from agreement.record import classes_in
from curricula.scores import agreement_score
from lab.report.page_images import IMAGE_CHARACTERS, image_address

SAMPLE = 4000  # images of the gallery: more are no easier to look through, and a browser draws a point for each
DIGITS = 4  # significant ones of numbers in the page


@dataclass(frozen=True)
class Examples:
    """A split: its images and what the networks made of them.

    images: N uint8 arrays (H, W), (H, W, 1) or (H, W, 3). ids: N names. labels: (N,) class indices, or sets of classes as
    the learning record has them. predictions: K arrays (T, N), like labels. probability: K arrays (T, N), given to the
    label, in 1/255. statistics: N rows, a column each.
    """

    images: Any
    ids: Sequence[str]
    labels: np.ndarray
    predictions: Sequence[np.ndarray]
    probability: Sequence[np.ndarray]
    statistics: pd.DataFrame


def spread(place: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """Indices of at most `size` examples, evenly spaced in the order of learning within each class.

    place: (N,), smaller is earlier. labels: (N,). Classes keep their proportions; in the order of learning.
    """
    by_class = np.lexsort((place, labels))
    chosen = by_class[np.unique(np.linspace(0, len(labels) - 1, min(size, len(labels))).round().astype(int))]
    return chosen[np.lexsort((chosen, place[chosen]))]


def example_facts(train: Examples, test: Examples, classes: Sequence[str], multi_label: bool) -> dict[str, Any]:
    """The page's examples as plain lists, ready for JSON.

    sample: how many of the train examples are in the gallery (they come first, first learned to never learned). train,
    test: sizes of the splits. mistakes: per split what `shared_mistakes` finds, examples by position. labels: per label the
    name and the classes it has. columns: a list per fact, an entry per example; see `facts_of`.
    """
    names = names_of(train, test)
    place = agreement_score(correct_of(train), train.probability)
    wrong, wrong_said, wrong_epoch = shared_mistakes(train.predictions, train.probability, train.labels)
    test_wrong, test_said, test_epoch = shared_mistakes(test.predictions, test.probability, test.labels)
    sample = spread(place, train.labels, SAMPLE)
    addresses = [image_address(train.images[i]) for i in sample]
    size = sum(map(len, addresses))
    if size > IMAGE_CHARACTERS:  # large images, or many colours: fewer of them
        kept = np.linspace(0, len(sample) - 1, int(len(sample) * IMAGE_CHARACTERS / size)).astype(int)
        sample, addresses = sample[kept], [addresses[i] for i in kept]
    others = np.setdiff1d(wrong, sample)
    shown = np.concatenate([sample, others]).astype(int)
    columns = facts_of(train, names, shown, place)
    if len(test_wrong):
        for name, column in facts_of(test, names, test_wrong).items():
            columns[name] += column
    columns["image"] = [
        *addresses,
        *(image_address(train.images[i]) for i in others),
        *(image_address(test.images[i]) for i in test_wrong),
    ]
    position = {example: i for i, example in enumerate(shown.tolist())}
    at, said = [position[i] for i in wrong.tolist()], wrong_said.tolist()
    test_at, said_of_test = list(range(len(shown), len(shown) + len(test_wrong))), test_said.tolist()
    used = sorted({*columns["label"], *(label for each in columns["said"] for label in each), *said, *said_of_test})
    code = {label: i for i, label in enumerate(used)}  # sets of classes can be numbers that JSON has no room for
    columns["label"] = [code[label] for label in columns["label"]]
    columns["said"] = [[code[label] for label in each] for each in columns["said"]]
    return {
        "sample": len(sample),
        "train": len(train.labels),
        "test": len(test.labels),
        "mistakes": {
            "train": {"at": at, "said": [code[label] for label in said], "epoch": wrong_epoch.tolist()},
            "test": {"at": test_at, "said": [code[label] for label in said_of_test], "epoch": test_epoch.tolist()},
        },
        "labels": [label_facts(label, classes, multi_label) for label in used],
        "columns": columns,
    }


def label_facts(label: int, classes: Sequence[str], multi_label: bool) -> dict[str, Any]:
    """A label's name, and the classes that it has."""
    members = classes_in(label, len(classes), multi_label)
    return {"name": ", ".join(classes[c] for c in members) or "nothing", "classes": members}


def names_of(*splits: Examples) -> list[str]:
    """Names of all statistics with a number for any example, those of the first split first: others may have more."""
    known = [name for split in splits for name, column in split.statistics.items() if column.notna().any()]
    return list(dict.fromkeys(known))


def facts_of(
    split: Examples, names: Sequence[str], chosen: np.ndarray, place: np.ndarray | None = None
) -> dict[str, list[Any]]:
    """What is told of the chosen (n,) examples of a split, n > 0: a list per fact, an entry per example.

    id, label. learned: the joint learned epoch; networks: that of each network; null for never. right: who was right
    when, K·T bits in base64, network by network. confidence, variability. correctness: fraction of networks and epochs
    that are right. forgotten: forgetting events over all networks. said: each network's class in the last epoch. place:
    rank in the order of learning, from 1, where one is given; else null. statistics: a number for each of `names`, null
    where there is none.
    """
    part = np.ascontiguousarray(correct_of(split)[:, :, chosen])
    probability = [network[:, chosen] for network in split.probability]
    confidence, variability = confidence_and_variability(probability)
    bits = np.packbits(part.transpose(2, 0, 1).reshape(len(chosen), part.shape[0] * part.shape[1]), axis=1)
    ranks = None if place is None else pd.Series(place).rank(method="first").to_numpy(int)
    return {
        "id": [str(split.ids[i]) for i in chosen],
        "label": split.labels[chosen].tolist(),
        "learned": whole(learned_epoch(part)),
        "networks": [whole(row) for row in learned_epoch(part, per_network=True).T],
        "right": [base64.b64encode(row.tobytes()).decode() for row in bits],
        "confidence": numbers(confidence),
        "variability": numbers(variability),
        "correctness": numbers(mean_correctness(part)),
        "forgotten": forgetting_events(part).sum(axis=0).tolist(),
        "said": np.array([network[-1, chosen] for network in split.predictions]).T.tolist(),
        "place": [None] * len(chosen) if ranks is None else ranks[chosen].tolist(),
        "statistics": [numbers(row) for row in split.statistics.reindex(columns=names).to_numpy(float)[chosen]],
    }


def class_facts(train: Examples, classes: Sequence[str], multi_label: bool) -> list[dict[str, Any]]:
    """Per class that has train examples: its index, name, number of examples, median learned epoch (null: never) and
    share never learned."""
    learned = learned_epoch(correct_of(train))
    facts = []
    for c, name in enumerate(classes):
        own = learned[(train.labels >> c) & 1 == 1 if multi_label else train.labels == c]
        if len(own):
            median = np.percentile(own, [50], method="lower")  # of epochs and of never there is no half
            never = float(np.isinf(own).mean())
            facts.append({"index": c, "name": name, "n": len(own), "median": whole(median)[0], "never": never})
    return facts


def correct_of(split: Examples) -> np.ndarray:
    """Boolean (K, T, N)."""
    return np.stack([np.equal(network, split.labels) for network in split.predictions])


def whole(epochs: np.ndarray) -> list[int | None]:
    return [None if np.isinf(epoch) else int(epoch) for epoch in epochs.tolist()]


def numbers(values: np.ndarray) -> list[float | None]:
    """Rounded to what can be told apart by eye; JSON has no NaN."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in np.asarray(values, float)]
