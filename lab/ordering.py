"""What `metric=` names: scores from statistics of images or examples, from a measurement, or from a file."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curricula import combine
from curricula.scores import SCORES, read_scores
from lab.data import ANNOTATIONS, Split
from lab.errors import UserError
from lab.progress import Progress
from lab.records import finished, record_of
from lab.settings import PROGRAM, known_as, nearest
from lab.statistics import statistics_of
from lab.store import store_errors
from lab.teacher import PREFIX
from metrics import EXAMPLE_STATISTICS, STATISTICS


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


@dataclass(frozen=True)
class Score:
    """values: (N,) scores, NaN where there is none. high: whether high is easy, None where that is not declared; why: what says
    so, as words. notes: where the scores are from. passes: of training over the data that they cost, as far as it is known:
    the networks times the epochs of a measurement.
    """

    values: np.ndarray
    high: bool | None
    why: str = ""
    notes: tuple[str, ...] = ()
    passes: int = 0


@dataclass(frozen=True)
class Scores:
    """Reads the scores of the train examples that `metric=` names.

    labels, cache, resize, progress: as in `lab.statistics.statistics_of`. data, root, measurement, folder, noise: as in
    `lab.records.record_of`. digest: of the data, by which a measurement of it is known. within: whether examples are ordered
    within their classes. descending: whether high is easy, of all parts; None: as each part declares.
    """

    train: Split
    labels: np.ndarray
    data: str
    root: str
    digest: str
    client: Any
    cache: str
    progress: Progress
    resize: int | None = None
    measurement: str | None = None
    folder: str | None = None
    noise: str = ""
    within: bool = True
    descending: bool | None = None

    def read(self, metric: str) -> tuple[np.ndarray, bool, list[str], int]:
        """Scores (N,); whether high is easy; notes on where they are from and on that; and what they cost, see `Score`."""
        parts, high, notes = [], [], []
        for name in check_metric(metric):
            part = self.part(name, metric)
            easy = bool(part.high) if self.descending is None else self.descending
            parts.append(part)
            high.append(easy)
            notes += [note for note in part.notes if note not in notes]
            notes.append(f"easy is {'high' if easy else 'low'} {name}{part.why if self.descending is None else ''}")
        passes = max(part.passes for part in parts)
        if len(parts) == 1:
            return parts[0].values, high[0], notes, passes
        easy_first = [-part.values if easy else part.values for part, easy in zip(parts, high, strict=True)]
        return combine(easy_first), False, notes, passes

    def part(self, name: str, metric: str) -> Score:
        if name.startswith("file:"):
            return self.of_file(name)
        if name in ANNOTATIONS:
            return self.of_annotation(name)
        if name in SCORES:
            return self.of_measurement(name, metric)
        words = f"{name} of the train images"
        table = statistics_of(self.train, self.labels, [name], self.cache, self.resize, self.progress, words)
        return Score(table[name].to_numpy(), *(self.direction(name) if name in STATISTICS else (False,)))

    def of_file(self, name: str) -> Score:
        path, column = file_and_column(name)
        try:
            values, high = read_scores(path, self.train.ids, column)
        except ValueError as error:
            raise UserError(f"metric={error}") from error
        if high is None:
            return Score(
                values, False, "; a column called easiness instead of score, or descending=true, says otherwise"
            )
        return Score(values, high)

    def of_annotation(self, name: str) -> Score:
        known = self.train.annotations
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has no annotations"
            raise UserError(f"metric={name}: the train set of data={self.data} has no such annotation; {has}")
        high, why = ANNOTATIONS[name], ""
        if high is None and self.descending is None:
            high, why = self.direction(name)
            if not why:
                raise UserError(
                    f"metric={name}: whether high or low is easy is not known; give descending=true or false"
                )
        return Score(known[name].astype(float), high, why)

    def of_measurement(self, name: str, metric: str) -> Score:
        score = SCORES[name]
        record, source, gone = record_of(
            self.measurement, self.folder, metric, self.train, self.data, self.root, self.client, self.noise
        )
        try:
            values = score.read(record)
        except ValueError as error:
            command = f"{PROGRAM} --mode measure data={self.data}"
            raise UserError(f"metric={name}: {error}; measure again ({command}), or take confidence") from error
        few = too_little(name, record.epochs, len(record.networks))
        networks = ", ".join(f"{number} × {network}" for network, number in Counter(record.networks).items())
        found = f"{name} is that of {source} ({networks}; {record.epochs} epochs)"
        passes = len(record.networks) * score.trained(record.epochs)
        return Score(values, score.descending, "", (*gone, *([few] if few else []), found), passes)

    def direction(self, name: str) -> tuple[bool, str]:
        if self.descending is not None:
            return self.descending, ""
        known = known_as(self.data, self.root)
        return measured_direction(name, known, self.digest, len(self.train), self.client, self.within)


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


def measured_direction(
    name: str, data: str, digest: str, examples: int, client: Any, within: bool = True
) -> tuple[bool, str]:
    """Whether high is easy, by the sign of the correlation with the order of learning in the latest measurement of these examples.

    within: by that within classes, where it is known, as orders that balance the classes need it. Low is easy, and no reason
    given, where there is no measurement, or its correlation is within chance of 0.
    """
    with store_errors():
        for run in finished(client, data):
            overall, inside = (run.data.metrics.get(f"{kind}/{name}") for kind in ("correlation", "correlation_within"))
            same = any(each.dataset.digest == digest[:32] for each in run.inputs.dataset_inputs)
            if overall is None or not same:
                continue
            rho, where = (inside, " within classes") if within and inside is not None else (overall, "")
            if abs(rho) * examples**0.5 < 1.96:
                return False, ""
            return rho < 0, f": rho {rho:+.2f}{where} with the order of learning in measurement {run.info.run_id[:8]}"
    return False, ""
