"""The order of a comparison: the examples to train on, the scores that `metric=` names, and the arms.

Scores come from statistics of images or examples, from a measurement in MLflow, or from a file.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import LearningRecord
from curricula import combine, corrupt_labels, missing, order
from curricula.comparison import Arm
from curricula.scores import SCORES, read_scores
from lab import tracking
from lab.browse import find
from lab.data import ANNOTATIONS, Data, Images, Split
from lab.errors import UserError
from lab.progress import Progress
from lab.settings import PROGRAM, nearest
from lab.statistics import Resized, statistics_of
from metrics import EXAMPLE_STATISTICS, STATISTICS, clusters
from metrics.shallow.examples import SIDE


def check_metric(metric: str) -> list[str]:
    """The parts of `metric`, joined by +; raises UserError for one that is not known."""
    parts: list[str] = []
    known = [*STATISTICS, *EXAMPLE_STATISTICS, *ANNOTATIONS, *SCORES, "file:PATH"]
    for part in map(str.strip, metric.split("+")):
        if parts and parts[-1].startswith("file:") and part not in known and not part.startswith("file:"):
            parts[-1] += f"+{part}"  # a file may be called so
        else:
            parts.append(part)
    for part in parts:
        if not part:
            raise UserError(f"metric={metric}: name a score on either side of the +")
        if part not in known and not part.startswith("file:"):
            raise UserError(f"metric={metric}: there is no '{part}'{nearest(part, known)}")
    return parts


def scores_of(
    metric: str,
    train: Split,
    labels: np.ndarray,
    data: str,
    root: str,
    measurement: str | None,
    client: Any,
    cache: str,
    resize: int | None,
    progress: Progress,
) -> tuple[np.ndarray, list[str]]:
    """Scores (N,) of the train examples, lower is easier, NaN where there is none; and notes on where they are from.

    data, root, measurement: as in `record_of`. labels, cache, resize: as in `lab.statistics.statistics_of`.
    """
    notes, columns = [], []
    for part in check_metric(metric):
        if part.startswith("file:"):
            try:
                columns.append(read_scores(Path(part.removeprefix("file:")).expanduser(), train.ids))
            except ValueError as error:
                raise UserError(f"metric={error}") from error
        elif part in ANNOTATIONS:
            if part not in train.annotations:
                has = f"it has {', '.join(train.annotations)}" if train.annotations else "it has no annotations"
                raise UserError(f"metric={part}: the train set of data={data} has no such annotation; {has}")
            columns.append(train.annotations[part].astype(float))
        elif part in SCORES:
            record, run = record_of(measurement, metric, train, data, root, client)
            columns.append(SCORES[part](record.correct("train"), record.probability("train")))
            networks = ", ".join(f"{number} × {name}" for name, number in Counter(record.networks).items())
            notes.append(f"{part} is that of measurement {run} ({networks}; {record.epochs} epochs)")
        else:
            table = statistics_of(train, labels, [part], cache, resize, progress, f"{part} of the train images")
            columns.append(table[part].to_numpy())
    return (combine(columns) if len(columns) > 1 else columns[0]), notes


def record_of(
    measurement: str | None, metric: str, train: Split, data: str, root: str, client: Any
) -> tuple[LearningRecord, str]:
    """The learning record of the measurement asked for, or of the latest finished one with the same examples; and its run.

    data, root: of the train examples, as settings.
    """
    elsewhere = "" if root == "data" else f" root={root}"
    command = f"{PROGRAM} --mode measure data={data}{elsewhere}"
    with tracking.store_errors():
        if measurement:
            runs = [find(client, measurement, "measurement")]
            if runs[0].data.tags["phase"] != "measure":
                raise UserError(f"measurement={measurement}: that run is no measurement; --mode list shows which are")
        else:
            experiment = client.get_experiment_by_name(f"measure-{data}")
            runs = (
                client.search_runs(
                    [experiment.experiment_id],
                    "tags.phase = 'measure' and attributes.status = 'FINISHED'",
                    order_by=["attributes.start_time DESC"],
                    max_results=50,
                )
                if experiment
                else []
            )
        for run in runs:
            record = LearningRecord(Path(client.download_artifacts(run.info.run_id, "record")))
            try:
                if record.ids("train") == train.ids and np.array_equal(record.labels("train"), train.labels):
                    return record, run.info.run_id
            except ValueError as error:
                if measurement:
                    raise UserError(f"measurement={run.info.run_id}: {error}") from error
    if measurement:
        raise UserError(f"measurement={measurement}: it measured other examples than data={data}")
    raise UserError(f"metric={metric} needs a measurement of these examples; make one: {command}")


@dataclass(frozen=True)
class Part:
    """A part of the train set: images, labels, and the indices (n,) it is made of."""

    images: Images
    labels: np.ndarray
    index: np.ndarray


def held_out(data: Data, validation: float, label_noise: float, seed: int) -> tuple[Part, Part]:
    """Train and validation parts, class by class; a fixed draw from the seed.

    validation: fraction of the examples of each class that is held out. label_noise: fraction of the labels of the train part
    to replace by wrong ones.
    """
    split, draw = data.train, np.random.default_rng([seed, 1])
    chosen = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        chosen[draw.permutation(members)[: round(validation * len(members))]] = True
    if not chosen.any() or chosen.all():
        raise UserError(f"validation={validation} of {len(split)} examples leaves a part empty: give another share")

    def part(index: np.ndarray) -> Part:
        return Part(split.images.take(index), split.labels[index], index)

    train = part(np.flatnonzero(~chosen))
    if data.multi_label and label_noise:
        raise UserError(f"label_noise={label_noise}: the examples have sets of labels; give 0")
    if label_noise:
        train = replace(train, labels=corrupt_labels(train.labels, label_noise, len(data.classes), seed)[0])
    return train, part(np.flatnonzero(chosen))


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


def clusters_of(split: Split, labels: np.ndarray) -> np.ndarray:
    """A cluster of similar images of a class for every example, (N,)."""
    return clusters(
        Resized(split, SIDE), labels
    )  # one image after the other: whole photographs may not fit into memory


def arms_of(
    names: Sequence[str],
    seeds: Sequence[int],
    scores: np.ndarray,
    labels: np.ndarray,
    balance: bool,
    descending: bool,
    groups: np.ndarray | None,
) -> list[Arm]:
    """Every arm with every seed; the seed draws the random order and the order of equal scores.

    groups: clusters that an order takes from in turn, if any; the baseline, which draws from all, needs none.
    """
    return [
        Arm(
            name,
            seed,
            order(scores, name, labels, balance, seed, descending, None if name == "shuffled" else groups),
            name != "shuffled",
        )
        for seed in seeds
        for name in names
    ]


def withheld(
    arms: Sequence[Arm], labels: np.ndarray, sizes: np.ndarray, batch_size: int, classes: Sequence[str]
) -> list[str]:
    """What to say of classes that an order keeps from most batches, where shuffled training does not: accuracy may not show it.

    labels: (N,) of the examples to train on. sizes: how many of the first are drawn from, at steps spread evenly.
    """
    notes = []
    for name in dict.fromkeys(arm.name for arm in arms if arm.paced):
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
