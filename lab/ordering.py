"""What `metric=` names: scores from statistics of images or examples, from a measurement, or from a file."""

from collections import Counter
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
    within: bool = True,
) -> tuple[np.ndarray, bool, list[str], int]:
    """Scores (N,) of the train examples, NaN where there is none; whether high is easy; notes on where they are from and on that; and
    their cost.

    The cost is in passes of training over the data, as far as it is known: the networks times the epochs of a measurement,
    and none for statistics. data, root, measurement, folder, noise: as in `record_of`. labels, cache, resize: as in
    `lab.statistics.statistics_of`. descending: whether high is easy, of all parts; None: as each part declares. digest: of the
    data, by which a measurement of it is known. within: whether examples are ordered within their classes.
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
                declared, why = measured_direction(part, known_as(data, root), digest, len(train), client, within)
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
                declared, why = measured_direction(part, known_as(data, root), digest, len(train), client, within)
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
