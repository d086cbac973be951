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
from lab.teacher import PREFIX
from metrics import EXAMPLE_STATISTICS, STATISTICS, clusters
from metrics.shallow.examples import SIDE


def check_metric(metric: str) -> list[str]:
    """The parts of `metric`, joined by +; raises UserError for one that is not known."""
    parts: list[str] = []
    known = [*STATISTICS, *EXAMPLE_STATISTICS, *ANNOTATIONS, *SCORES, "file:PATH"]
    for part in map(str.strip, metric.split("+")):
        if parts and parts[-1].startswith("file:") and part not in known and not part.startswith(("file:", PREFIX)):
            parts[-1] += f"+{part}"  # a file may be called so
        else:
            parts.append(part)
    for part in parts:
        if not part:
            raise UserError(f"metric={metric}: name a score on either side of the +")
        if part not in known and not part.startswith(("file:", PREFIX)):
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
    descending: bool | None,
    digest: str,
) -> tuple[np.ndarray, bool, list[str]]:
    """Scores (N,) of the train examples, NaN where there is none; whether high is easy; and notes on where they are from and on that.

    data, root, measurement: as in `record_of`. labels, cache, resize: as in `lab.statistics.statistics_of`. descending: whether
    high is easy, of all parts; None: as each part declares. digest: of the data, by which a measurement of it is known.
    """
    notes, columns, high = [], [], []
    for part in check_metric(metric):
        declared, why = None, ""
        if part.startswith("file:"):
            try:
                values, declared = read_scores(Path(part.removeprefix("file:")).expanduser(), train.ids)
            except ValueError as error:
                raise UserError(f"metric={error}") from error
            columns.append(values)
            if declared is None and descending is None:
                declared, why = False, "; a column called easiness instead of score, or descending=true, says otherwise"
        elif part in ANNOTATIONS:
            if part not in train.annotations:
                has = f"it has {', '.join(train.annotations)}" if train.annotations else "it has no annotations"
                raise UserError(f"metric={part}: the train set of data={data} has no such annotation; {has}")
            columns.append(train.annotations[part].astype(float))
            declared = ANNOTATIONS[part]
            if declared is None and descending is None:
                declared, why = measured_direction(part, data, digest, len(train), client)
                if not why:
                    raise UserError(
                        f"metric={part}: whether high or low is easy is not known; give descending=true or false"
                    )
        elif part in SCORES:
            record, run = record_of(measurement, metric, train, data, root, client)
            try:
                columns.append(SCORES[part].read(record))
            except ValueError as error:
                command = f"{PROGRAM} --mode measure data={data}"
                raise UserError(f"metric={part}: {error}; measure again ({command}), or take confidence") from error
            declared = SCORES[part].descending
            if few := too_little(part, record.epochs, len(record.networks)):
                notes.append(few)
            networks = ", ".join(f"{number} × {name}" for name, number in Counter(record.networks).items())
            notes.append(f"{part} is that of measurement {run} ({networks}; {record.epochs} epochs)")
        else:
            table = statistics_of(train, labels, [part], cache, resize, progress, f"{part} of the train images")
            columns.append(table[part].to_numpy())
            declared = False
            if part in STATISTICS and descending is None:
                declared, why = measured_direction(part, data, digest, len(train), client)
        high.append(bool(declared) if descending is None else descending)
        notes.append(f"easy is {'high' if high[-1] else 'low'} {part}{why}")
    if len(columns) == 1:
        return columns[0], high[0], notes
    return combine([-column if easy else column for column, easy in zip(columns, high, strict=True)]), False, notes


def too_little(score: str, epochs: int, networks: int) -> str:
    """What to say where a score was read off fewer epochs or networks than it takes to be worth having."""
    least = SCORES[score]
    if epochs >= least.epochs and networks >= least.networks:
        return ""
    counts = f"{least.epochs} epochs and {least.networks} network{'s' if least.networks > 1 else ''}"
    return f"{score} is worth having from {counts} on; this measurement has {epochs} and {networks}"


def measured_direction(name: str, data: str, digest: str, examples: int, client: Any) -> tuple[bool, str]:
    """Whether high is easy, by the sign of the correlation with the order of learning in the latest measurement of these examples.

    Low is easy, and no reason given, where there is no measurement, or its correlation is within chance of 0.
    """
    with tracking.store_errors():
        for run in finished(client, data):
            rho = run.data.metrics.get(f"correlation/{name}")
            same = any(each.dataset.digest == digest[:32] for each in run.inputs.dataset_inputs)
            if rho is None or not same:
                continue
            if abs(rho) * examples**0.5 < 1.96:
                return False, ""
            return rho < 0, f": rho {rho:+.2f} with the order of learning in measurement {run.info.run_id[:8]}"
    return False, ""


def finished(client: Any, data: str) -> list[Any]:
    """The finished measurements of a data set, the latest first."""
    experiment = client.get_experiment_by_name(f"measure-{data}")
    if not experiment:
        return []
    return client.search_runs(
        [experiment.experiment_id],
        "tags.phase = 'measure' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=50,
    )


def record_of(
    measurement: str | None, metric: str, train: Split, data: str, root: str, client: Any
) -> tuple[LearningRecord, str]:
    """The learning record of the measurement asked for, or of the latest finished one with the same examples; and its run.

    data, root: of the train examples, as settings.
    """
    found = matching_record(measurement, train, data, client)
    if found is None:
        elsewhere = "" if root == "data" else f" root={root}"
        command = f"{PROGRAM} --mode measure data={data}{elsewhere}"
        raise UserError(f"metric={metric} needs a measurement of these examples; make one: {command}")
    return found


def matching_record(measurement: str | None, train: Split, data: str, client: Any) -> tuple[LearningRecord, str] | None:
    """As `record_of`; None where there is no measurement of these examples. Raises UserError where the one asked for is not that."""
    with tracking.store_errors():
        if measurement:
            runs = [find(client, measurement, "measurement")]
            if runs[0].data.tags["phase"] != "measure":
                raise UserError(f"measurement={measurement}: that run is no measurement; --mode list shows which are")
        else:
            runs = finished(client, data)
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
    return None


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
