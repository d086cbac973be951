"""How well scores find wrong labels, with and without training, beside cleanlab on the same probabilities.

    uv run benchmarks/label_errors.py [--root data] [--record DIR]... [--images N]

``--root`` holds CIFAR-10, as ``data=cifar10`` reads it, ``cifar10n/`` and ``difficulty/cifar10_test_label_errors.json``.
Without training: 40 % of the train labels drawn wrong, CIFAR-10N's worst labels, and the 54 reviewed label errors of the test
set (Northcutt et al. 2021: of 5 people fewer than 3 chose the given label). Each statistic of examples sees the labels with
the wrong ones among them. cleanlab's scores are of the leave-one-out probabilities of `shallow`: the mean output of its eight
sets of features, of targets 1 and -1, as a probability.

``--record`` is the learning record of a measurement: all scores of it that there are numbers for, and what the column ``suspect``
makes of them and of `shallow`. Of one with ``random_labels=``, the train labels other than CIFAR-10's are the wrong ones; of
another, the reviewed errors of the test set.

Printed: area under the curve of wrong labels found over right labels suspected, and how many of the first hundred are wrong.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from cleanlab.rank import get_label_quality_scores

from agreement.record import LearningRecord
from agreement.suspicion import suspects
from curricula.choice import area
from curricula.scores import SCORES
from lab.compose import compose
from lab.data import Split, load
from metrics import EXAMPLE_STATISTICS
from metrics.shallow.examples import Examples, classes_of, squares_of
from metrics.shallow.leave_one_out import leave_one_out
from metrics.shallow.views import VIEWS

CLEANLAB = ("self_confidence", "normalized_margin")


def probabilities(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Leave-one-out probabilities of the classes, (N, C)."""
    examples, total, sets = Examples(squares_of(images), classes_of(labels, len(images))), 0.0, 0
    for view in VIEWS.values():
        for blocks, moments, ridge in view(examples):
            total += np.concatenate([block for _, block in leave_one_out(blocks, moments, examples.labels, ridge)])
            sets += 1
    expected = np.clip((total / sets + 1) / 2, 1e-6, None)  # a regression on 1 and -1 expects 2 p - 1
    return expected / expected.sum(axis=1, keepdims=True)


def before_training(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Columns (N,), high is suspect."""
    found = {name: statistic(images, labels) for name, statistic in EXAMPLE_STATISTICS.items()}
    known = probabilities(images, labels)
    for method in CLEANLAB:
        found[f"cleanlab {method}"] = -get_label_quality_scores(labels, known, method=method)
    return found


def after_training(record: LearningRecord, split: str, images: np.ndarray) -> dict[str, np.ndarray]:
    found = {}
    for name, score in SCORES.items():
        if score.reads in ("correct", "probability") or record.has_margins(split):
            values = score.read(record, split=split)
            found[name] = -values if score.descending else values
    shallow = EXAMPLE_STATISTICS["shallow"](images, record.labels(split))
    found["suspect, without shallow"] = -suspects(record, split, {})
    return found | {"shallow": shallow, "suspect": -suspects(record, split, {"shallow": shallow})}


def show(what: str, columns: Mapping[str, np.ndarray], wrong: np.ndarray) -> None:
    print(f"{what}: {wrong.sum()} of {len(wrong)} labels are wrong", flush=True)
    for name, values in columns.items():
        first = wrong[np.argsort(-values, kind="stable")[:100]].sum()
        print(f"    {name}: area {area(values, wrong):.4f}, first hundred {first}", flush=True)


def images_of(split: Split, number: int) -> np.ndarray:
    return np.stack([split.original(i) for i in range(number)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, default=Path("data"))
    parser.add_argument("--record", type=Path, action="append", default=[])
    parser.add_argument("--images", type=int, help="the first N of each set only")
    given = parser.parse_args()
    data = load(compose(["data=cifar10", f"root={given.root}"]))
    number = min(given.images or len(data.train), len(data.train))
    images, labels = images_of(data.train, number), data.train.labels[:number]
    reviewed = json.loads((given.root / "difficulty" / "cifar10_test_label_errors.json").read_text())
    errors = [str(each["id"]) for each in reviewed if each["mturk"]["given"] < 3]
    for folder in given.record:
        record, place = LearningRecord(folder), {name: i for i, name in enumerate(data.train.ids)}
        clean = data.train.labels[[place[name] for name in record.ids("train")]]
        if (wrong := record.labels("train") != clean).any():
            ordered = np.stack([data.train.original(place[name]) for name in record.ids("train")])
            show(folder.name, after_training(record, "train", ordered), wrong)
        else:
            place = {name: i for i, name in enumerate(data.test.ids)}
            ordered = np.stack([data.test.original(place[name]) for name in record.ids("test")])
            wrong = np.isin(record.ids("test"), errors)
            show(f"{folder.name}, test set", after_training(record, "test", ordered), wrong)
    test = min(given.images or len(data.test), len(data.test))
    wrong = np.isin(data.test.ids[:test], errors)
    show("CIFAR-10's test set", before_training(images_of(data.test, test), data.test.labels[:test]), wrong)
    draw = np.random.default_rng(40)
    drawn = np.where(draw.random(number) < 0.4, (labels + draw.integers(1, 10, number)) % 10, labels)
    show("40 % drawn", before_training(images, drawn), drawn != labels)
    people = np.load(given.root / "cifar10n" / "cifar10n_labels.npz", allow_pickle=False)["worse_label"][:number]
    show("CIFAR-10N's worst", before_training(images, people), people != labels)


if __name__ == "__main__":
    main()
