"""The score that `metric=` names, for every training example: from image statistics, a measurement in MLflow, or a file."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import LearningRecord
from curricula import combine
from curricula.scores import SCORES, read_scores
from lab import tracking
from lab.browse import find
from lab.data import ANNOTATIONS, Split
from lab.errors import UserError
from lab.progress import Progress
from lab.settings import PROGRAM, nearest
from lab.statistics import statistics_of
from metrics import STATISTICS


def check_metric(metric: str) -> list[str]:
    """The parts of `metric`, joined by +; raises UserError for one that is not known."""
    parts: list[str] = []
    known = [*STATISTICS, *ANNOTATIONS, *SCORES, "file:PATH"]
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


def scores_of(config: Any, train: Split, client: Any, progress: Progress) -> tuple[np.ndarray, list[str]]:
    """Scores (N,) of the train examples, lower is easier, NaN where there is none; and notes on where they are from."""
    notes, columns = [], []
    for part in check_metric(config.metric):
        if part.startswith("file:"):
            try:
                columns.append(read_scores(Path(part.removeprefix("file:")).expanduser(), train.ids))
            except ValueError as error:
                raise UserError(f"metric={error}") from error
        elif part in ANNOTATIONS:
            if part not in train.annotations:
                has = f"it has {', '.join(train.annotations)}" if train.annotations else "it has no annotations"
                raise UserError(f"metric={part}: the train set of data={config.data} has no such annotation; {has}")
            columns.append(train.annotations[part].astype(float))
        elif part in SCORES:
            record, run = measurement(config, train, client)
            columns.append(SCORES[part](record.correct("train"), record.probability("train")))
            networks = ", ".join(f"{number} × {name}" for name, number in Counter(record.networks).items())
            notes.append(f"{part} is that of measurement {run} ({networks}; {record.epochs} epochs)")
        else:
            columns.append(
                statistics_of(train, [part], config, progress, f"{part} of the train images")[part].to_numpy()
            )
    return (combine(columns) if len(columns) > 1 else columns[0]), notes


def measurement(config: Any, train: Split, client: Any) -> tuple[LearningRecord, str]:
    """The learning record of the measurement asked for, or of the latest finished one with the same examples."""
    elsewhere = "" if config.root == "data" else f" root={config.root}"
    command = f"{PROGRAM} --mode measure data={config.data}{elsewhere}"
    with tracking.store_errors():
        if config.measurement:
            runs = [find(client, config.measurement, "measurement")]
            if runs[0].data.tags["phase"] != "measure":
                raise UserError(
                    f"measurement={config.measurement}: that run is no measurement; --mode list shows which are"
                )
        else:
            experiment = client.get_experiment_by_name(f"measure-{config.data}")
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
                if config.measurement:
                    raise UserError(f"measurement={run.info.run_id}: {error}") from error
    if config.measurement:
        raise UserError(f"measurement={config.measurement}: it measured other examples than data={config.data}")
    raise UserError(f"metric={config.metric} needs a measurement of these examples; make one: {command}")
