"""What the example statistics know of the order of learning and of wrong labels, in what time and memory.

    uv run benchmarks/shallow.py [--root data] [--record DIR]... [--images N] [--views]

``--root`` holds CIFAR-10, as ``data=cifar10`` reads it; with ``cscores/`` and ``cifar10n/`` there, published values are
compared too. ``--record`` is a learning record of its train images (the artifact ``record`` of a measurement). Each
statistic is computed in a process of its own: on the labels as they are, and for `shallow` and `shallow:fast` on 40 % wrong
ones, drawn, and on CIFAR-10N's worst.

``--views`` instead shows each of the eight sets of features behind `shallow` by itself: the share of examples whose class the
leave-one-out outputs name, and how well the rank of its margin does.

Printed: seconds and memory (largest resident set, with the 50,000 images); rho and R² with the learning time of a record
(``agreement.spearman``, ``agreement.explained_variance``, the statistic alone); area: of the curve of wrong labels found
over right labels suspected, in the order of the statistic; first 100: how many of the first hundred suspects are wrong.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import metrics
from agreement import explained_variance, mean_correctness, spearman
from agreement.record import LearningRecord
from lab.compose import compose
from lab.data import load
from metrics.shallow.examples import Examples, classes_of, squares_of
from metrics.shallow.leave_one_out import leave_one_out, margins
from metrics.shallow.views import VIEWS


def computed(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float, float]:
    """A statistic, seconds, and gigabytes."""
    began = time.perf_counter()
    values = metrics.EXAMPLE_STATISTICS[name](images, labels)
    return values, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def found(values: np.ndarray, wrong: np.ndarray) -> str:
    """Area under the curve, and how many of the first hundred suspects are wrong."""
    number = wrong.sum()
    area = (rankdata(values)[wrong].sum() - number * (number + 1) / 2) / (number * (len(wrong) - number))
    return f"area {area:.4f}, of the first 100 suspects {wrong[np.argsort(-values)[:100]].sum()} are wrong"


def show(values: np.ndarray, times: dict[str, np.ndarray], labels: np.ndarray) -> None:
    for what, learned in times.items():
        part = explained_variance({"values": values}, learned, labels).loc["statistics", "share"]
        print(f"    {what}: rho {spearman(values, learned):+.3f}, R² {part:.3f}", flush=True)


def by_view(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, minus the margin, and accuracy, of every set of features."""
    examples = Examples(squares_of(images), classes_of(labels, len(images)))
    for name, view in VIEWS.items():
        for number, (blocks, moments, ridge) in enumerate(view(examples), start=1):
            parts = leave_one_out(blocks, moments, examples.labels, ridge)
            outputs = np.concatenate([block for _, block in parts])
            accuracy = (outputs.argmax(axis=1) == examples.labels.argmax(axis=1)).mean()
            yield f"{name} {number}", -margins(outputs, examples.labels), accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", default="data")
    parser.add_argument("--record", type=Path, action="append", default=[])
    parser.add_argument("--images", type=int, help="the first N only")
    parser.add_argument("--views", action="store_true")
    given = parser.parse_args()
    train = load(compose(["data=cifar10", f"root={given.root}"])).train
    number = given.images or len(train)
    images, labels = np.stack([train.original(i) for i in range(number)]), train.labels[:number]
    times = {}
    for folder in given.record:
        record = LearningRecord(folder)
        place = {name: i for i, name in enumerate(record.ids("train"))}
        rows = [place[name] for name in train.ids[:number]]
        times[f"{folder.name}, {len(record.networks)} networks"] = 1 - mean_correctness(record.correct("train"))[rows]
    if "c_score" in train.annotations:
        print("C-scores, for comparison:")
        show(-train.annotations["c_score"][:number], times, labels)
    draw = np.random.default_rng(40)
    wrong = draw.random(number) < 0.4
    noisy = {"40 % drawn": np.where(wrong, (labels + draw.integers(1, 10, number)) % 10, labels)}
    people = Path(given.root) / "cifar10n" / "cifar10n_labels.npz"
    if people.is_file():
        noisy["CIFAR-10N's worst"] = np.load(people, allow_pickle=False)["worse_label"][:number]
    if given.views:
        for name, values, accuracy in by_view(images, labels):
            print(f"{name}: accuracy {accuracy:.3f}", flush=True)
            show(values, times, labels)
        for what, others in noisy.items():
            for name, values, _ in by_view(images, others):
                print(f"{what}, {name}: {found(values, others != labels)}", flush=True)
        return
    # a process for each, so that memory is its own
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name in metrics.EXAMPLE_STATISTICS:
            values, seconds, memory = pool.apply(computed, (name, images, labels))
            print(f"{name}: {seconds:.0f} s, {memory:.2f} GB", flush=True)
            show(values, times, labels)
            for what, others in noisy.items() if name.startswith("shallow") else ():
                print(
                    f"    {what}: {found(pool.apply(computed, (name, images, others))[0], others != labels)}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
