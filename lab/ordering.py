"""The order of a comparison: the examples to train on, the scores that `metric=` names, and the arms.

Scores come from statistics of images or examples, from a measurement in MLflow, or from a file.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import LearningRecord
from curricula import combine, corrupt_labels, missing, order
from curricula.outcome import Arm
from curricula.scores import SCORES, read_scores
from lab import tracking
from lab.browse import find
from lab.data import ANNOTATIONS, Data, Images, Split
from lab.errors import UserError
from lab.progress import Progress
from lab.settings import PROGRAM, known_as, nearest
from lab.statistics import Resized, statistics_of
from lab.teacher import PREFIX
from metrics import EXAMPLE_STATISTICS, STATISTICS, clusters
from metrics.shallow.examples import SIDE


def metrics_of(metric: str) -> list[str]:
    """The scores that `metric` names, separated by commas: each orders an arm of its own. Raises UserError as `check_metric`."""
    found: list[str] = []
    for part in map(str.strip, metric.split(",")):
        after_file = bool(found) and found[-1].startswith("file:") and not part.startswith("file:")
        if after_file and not all(map(is_known, map(str.strip, part.split("+")))):
            found[-1] += f",{part}"  # a file may be called so
        else:
            found.append(part)
    for part in found:
        if not part:
            raise UserError(f"metric={metric}: name a score on either side of the comma")
        if found.count(part) > 1:
            raise UserError(f"metric={metric}: {part} stands there twice")
        check_metric(part)
    return found


def known_names() -> list[str]:
    """The names of scores, and the form of a file of them."""
    return [*STATISTICS, *EXAMPLE_STATISTICS, *ANNOTATIONS, *SCORES, "file:PATH"]


def is_known(part: str) -> bool:
    """Whether a part of a metric is a name, a file or a teacher."""
    return part in known_names() or part.startswith(("file:", PREFIX))


def check_metric(metric: str) -> list[str]:
    """The parts of `metric`, joined by +; raises UserError for one that is not known."""
    parts: list[str] = []
    for part in map(str.strip, metric.split("+")):
        if parts and parts[-1].startswith("file:") and not is_known(part):
            parts[-1] += f"+{part}"  # a file may be called so
        else:
            parts.append(part)
    for part in parts:
        if not part:
            raise UserError(f"metric={metric}: name a score on either side of the +")
        if not is_known(part):
            raise UserError(f"metric={metric}: there is no '{part}'{nearest(part, known_names())}")
    return parts


def scores_of(
    metric: str,
    train: Split,
    labels: np.ndarray,
    data: str,
    root: str,
    measurement: str | None,
    folder: str | None,
    client: Any,
    cache: str,
    resize: int | None,
    progress: Progress,
    noise: str,
    descending: bool | None,
    digest: str,
) -> tuple[np.ndarray, bool, list[str], int]:
    """Scores (N,) of the train examples, NaN where there is none; whether high is easy; notes on where they are from and on that; and
    their cost.

    The cost is in passes of training over the data, as far as it is known: the networks times the epochs of a measurement,
    and none for statistics. data, root, measurement, folder, noise: as in `record_of`. labels, cache, resize: as in
    `lab.statistics.statistics_of`. descending: whether high is easy, of all parts; None: as each part declares. digest: of the
    data, by which a measurement of it is known.
    """
    notes, columns, high, cost = [], [], [], 0
    for part in check_metric(metric):
        declared, why = None, ""
        if part.startswith("file:"):
            path, column = file_and_column(part)
            try:
                values, declared = read_scores(path, train.ids, column)
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
                declared, why = measured_direction(part, known_as(data, root), digest, len(train), client)
                if not why:
                    raise UserError(
                        f"metric={part}: whether high or low is easy is not known; give descending=true or false"
                    )
        elif part in SCORES:
            record, source, gone = record_of(measurement, folder, metric, train, data, root, client, noise)
            cost = max(cost, len(record.networks) * SCORES[part].trained(record.epochs))
            notes += [note for note in gone if note not in notes]
            try:
                columns.append(SCORES[part].read(record))
            except ValueError as error:
                command = f"{PROGRAM} --mode measure data={data}"
                raise UserError(f"metric={part}: {error}; measure again ({command}), or take confidence") from error
            declared = SCORES[part].descending
            if few := too_little(part, record.epochs, len(record.networks)):
                notes.append(few)
            networks = ", ".join(f"{number} × {name}" for name, number in Counter(record.networks).items())
            notes.append(f"{part} is that of {source} ({networks}; {record.epochs} epochs)")
        else:
            table = statistics_of(train, labels, [part], cache, resize, progress, f"{part} of the train images")
            columns.append(table[part].to_numpy())
            declared = False
            if part in STATISTICS and descending is None:
                declared, why = measured_direction(part, known_as(data, root), digest, len(train), client)
        high.append(bool(declared) if descending is None else descending)
        notes.append(f"easy is {'high' if high[-1] else 'low'} {part}{why}")
    if len(columns) == 1:
        return columns[0], high[0], notes, cost
    easy_first = [-column if easy else column for column, easy in zip(columns, high, strict=True)]
    return combine(easy_first), False, notes, cost


def file_and_column(part: str) -> tuple[Path, str | None]:
    """The file of `file:PATH` or `file:PATH:COLUMN`, and the column of scores, if it is named."""
    whole = part.removeprefix("file:")
    path, colon, column = whole.rpartition(":")
    if not colon or not column or Path(whole).expanduser().exists():  # a colon may be part of a file's name
        return Path(whole).expanduser(), None
    return Path(path).expanduser(), column


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
    """The finished measurements of a data set, by what it is known as, the latest first."""
    names = dict.fromkeys((f"measure-{data}", "measure-folder"))  # older versions called all folders so
    experiments = [found for name in names if (found := client.get_experiment_by_name(name))]
    if not experiments:
        return []
    return client.search_runs(
        [experiment.experiment_id for experiment in experiments],
        "tags.phase = 'measure' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=50,
    )


def record_of(
    measurement: str | None,
    folder: str | None,
    metric: str,
    train: Split,
    data: str,
    root: str,
    client: Any,
    noise: str = "",
) -> tuple[LearningRecord, str, list[str]]:
    """The learning record of the measurement asked for, or of the latest finished one of the same images; what it is; and notes
    on others whose files are gone or damaged.

    folder: in place of a measurement, that of a record, such as of a loop of one's own. data, root: of the train examples, as
    settings. noise: the settings that their wrong labels come from, as words.
    """
    if folder:
        return record_in(Path(folder).expanduser(), train, data), f"the record in {folder}", []
    elsewhere = "" if root == "data" else f" root={root}"
    command = f"{PROGRAM} --mode measure data={data}{elsewhere}{noise}"
    record, run, gone = matching_record(measurement, train, known_as(data, root), client, noise)
    if record is None:
        told = f" ({'; '.join(gone)})" if gone else ""
        raise UserError(f"metric={metric} needs a measurement of these examples; make one: {command}{told}")
    return record, f"measurement {run}", gone


def matching_record(
    measurement: str | None, train: Split, data: str, client: Any, noise: str = ""
) -> tuple[LearningRecord | None, str, list[str]]:
    """The record of the measurement asked for, or of the latest finished one of the same images, if there is one; its run; and notes on others whose files are gone or damaged. Raises UserError where the one asked for is not that."""
    with tracking.store_errors():
        if measurement:
            runs = [find(client, measurement, "measurement")]
            if runs[0].data.tags["phase"] != "measure":
                raise UserError(f"measurement={measurement}: that run is no measurement; --mode list shows which are")
        else:
            runs = finished(client, data)
    gone, others = [], []
    for run in runs:
        name = f"measurement={run.info.run_id}"
        try:
            record = LearningRecord(tracking.download(client, run, "record"))
            same = record.ids("train") == train.ids and np.array_equal(record.labels("train"), train.labels)
            if same and record.digest("train") in (None, train.digest):
                record.predictions("train"), record.probability("train")  # whose sizes are checked
                if not record.digest("train"):
                    gone.append(f"{name} does not tell which images it is of: it was made by an older version")
                return record, run.info.run_id, gone
            others.append(f"{name}: it measured other {'images under the same names' if same else 'examples'}")
        except (ValueError, UserError) as error:
            gone.append(f"{name} is passed over, its record cannot be read: {error}")
    if measurement:
        labels = f" with{noise}" if noise else ""
        raise UserError(f"{others[0]} than {data}{labels}" if others else gone[0].replace("is passed over, ", ""))
    return None, "", gone


def record_in(folder: Path, train: Split, data: str) -> LearningRecord:
    """The record in a folder. Raises UserError where it is of other examples.

    A loop that gave no ids counted the examples: they are those of the data set where all labels are.
    """
    record = LearningRecord(folder)
    try:
        ids, labels = record.ids("train"), record.labels("train")
        if not record.epochs:
            raise UserError(f"record={folder}: no epoch of it is finished yet")
    except (OSError, ValueError) as error:
        raise UserError(f"record={error}") from error
    counted = ids == [str(i) for i in range(len(ids))]
    if not ((ids == train.ids or counted) and np.array_equal(labels, train.labels)):
        what = "labels" if ids == train.ids or (counted and len(ids) == len(train)) else "examples"
        raise UserError(f"record={folder}: it is of other {what} than the {len(train)} train examples of data={data}")
    return record


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


def part_of(split: Split, index: np.ndarray) -> Part:
    return Part(split.images.take(index), split.labels[index], index)


def wrong_labels_last(order: np.ndarray, wrong: np.ndarray) -> str:
    """How many of the wrong labels lie in the last fifth of an order (N,). wrong: boolean (N,)."""
    last = int(wrong[order[-(len(order) // 5) :]].sum())
    return f"{last:,} of the {wrong.sum():,} wrong labels ({last / wrong.sum():.0%}) lie in the last fifth of the order"


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


def named_arms(
    kinds: Sequence[str], scores: Sequence[str], varieties: Sequence[str]
) -> dict[str, tuple[str, str, str]]:
    """The arms by name, each with its kind, of `curricula.ARMS`, its score and its variety.

    Of several scores each has arms of its own, named after it; of several varieties "clusters" stands behind the names of
    its arms. The baseline, which draws from all examples, needs neither.
    """
    made: dict[str, tuple[str, str, str]] = {}
    for kind in kinds:
        for score in scores if kind in ("curriculum", "anti") else scores[:1]:
            for variety in varieties if kind != "shuffled" else varieties[:1]:
                own = len(scores) > 1 and kind in ("curriculum", "anti")
                words = ([] if own and kind == "curriculum" else [kind]) + ([score] if own else [])
                clustered = ["clusters"] if variety == "clusters" and len(varieties) > 1 else []
                made[" ".join(words + clustered)] = kind, score, variety
    return made


Try = tuple[float | None, float | None, float | None, int]  # lr, a, b, and the how manieth of its lr


def arms_of(
    named: Mapping[str, tuple[str, str, str]],
    seeds: Sequence[int],
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    balance: bool,
    descending: Mapping[str, bool],
    groups: Mapping[str, np.ndarray | None],
    steps: Mapping[str, int],
    tries: Sequence[Try] = ((None, None, None, 0),),
) -> list[Arm]:
    """Every arm with every seed and try; the seed draws the random order and the order of equal scores.

    named: of `named_arms`. scores: by name; descending: whether high is easy. groups: by variety, the clusters that an order takes from in turn, if any.
    steps: of the arms that have other numbers of them. tries: of `tries_of`; the baseline, for which pacings are all the
    same, tries other seeds.
    """
    arms = []
    for seed in seeds:
        for name, (kind, score, variety) in named.items():
            paced = kind != "shuffled"

            def ordered(draw: int, kind: str = kind, score: str = score, variety: str = variety) -> np.ndarray:
                clusters = None if kind == "shuffled" else groups[variety]
                return order(scores[score], kind, labels, balance, draw, descending[score], clusters)

            own = ordered(seed)
            for lr, a, b, again in tries:
                if paced or not again:
                    arms.append(
                        Arm(name, seed, own, paced, steps.get(name), lr, a if paced else None, b if paced else None)
                    )
                else:
                    other = seed + again * len(seeds)
                    arms.append(Arm(name, seed, ordered(other), paced, steps.get(name), lr, draw=other))
    return arms


def tries_of(lr: Sequence[float], a: Sequence[float], b: Sequence[float]) -> list[Try]:
    """All combinations of what is tuned, None for what is not, and which of those with its learning rate each is."""
    rates: list[float | None] = [*lr] or [None]
    ends: list[float | None] = [*a] or [None]
    begins: list[float | None] = [*b] or [None]
    pacings = list(itertools.product(ends, begins))
    return [(rate, *pacing, again) for rate in rates for again, pacing in enumerate(pacings)]


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
