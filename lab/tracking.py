"""Runs in the MLflow store as a view of a folder of work."""

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import read_lines, replace_text
from lab.errors import Diverged, UserError
from lab.store import begun_at, experiment_id, little_patience, store_errors

# of a training of a comparison; the last says that it is done
RESULT_FILES = ("evaluations.jsonl", "drawn.npy", "right.npy", "result.json")
REUSED_FROM = "reused_from"  # a file beside them where they were taken from another run: its id
SEND_SECONDS = 10  # between two looks for new metrics, and before the first new attempt at a store that failed
LONGEST_PAUSE = 300  # before further attempts
LARGEST_BATCH = 1000  # metrics in one request, MLflow's limit

# step, unix time in seconds, numbers by name. What there is one number of stands at step 0: MLflow then shows it as a
# number with a bar, from step 1 on as a line of one dot
Point = tuple[int, float, Mapping[str, float]]
Run = tuple[str, Mapping[str, Any], Mapping[str, str]]  # name, parameters, tags


def log_data(client: Any, run: str, name: str, root: str, data: Any) -> None:
    """Name the data set (`lab.data.Data`) that a run learned from, with the numbers of examples of its splits."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps({"train": len(data.train), "test": len(data.test)})
    dataset = Dataset(name, data.digest[:32], "local", root, profile=profile)
    with store_errors():
        client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def metrics_of(points: Iterable[Point]) -> list[Any]:
    """Points as metrics of MLflow, which shows every digit: six of them count; NaN values are left out."""
    from mlflow.entities import Metric

    return [
        Metric(key, float(value if float(value).is_integer() else f"{value:.6g}"), int(1000 * seconds), step)
        for step, seconds, numbers in points
        for key, value in numbers.items()
        if not np.isnan(value)
    ]


def by_arm(table: Any, columns: Sequence[str]) -> dict[str, float]:
    """Columns of a DataFrame with a row for each arm, as numbers by names that MLflow takes: of few characters, and no path."""
    names = {arm: re.sub(r"[^\w. :-]", "_", str(arm)) for arm in table.index}
    return {f"comparison/{column}_{names[arm]}": row[column] for arm, row in table.iterrows() for column in columns}


def log_metrics(client: Any, run: str, metrics: Sequence[Any]) -> None:
    with store_errors():
        for begin in range(0, len(metrics), LARGEST_BATCH):
            client.log_batch(run, metrics=metrics[begin : begin + LARGEST_BATCH])


def points_of(lines: Path, ended: bool) -> list[Point]:
    """What a training has written down, and its result where it is done.

    The last line is left out until the trainings have ended: one that is killed between line and checkpoint writes it again,
    with another time.
    """
    points: list[Point] = []
    for line in read_lines(lines):
        step = line.pop("epoch") if "epoch" in line else line.pop("step")
        points.append((int(step), line.pop("time"), line))
    if is_done(lines):
        return [*points, (0, points[-1][1], json.loads(lines.with_name(RESULT_FILES[-1]).read_text()))]
    return points if ended else points[:-1]


def is_done(lines: Path) -> bool:
    """Whether a training of a comparison, of which this is the file of lines, is done."""
    return lines.with_name(RESULT_FILES[-1]).is_file()


class Tracked:
    """The runs of a folder of work: a parent, and a child for each training. Use as a context manager around the work.

    What they hold is what stands in the folder, each metric with the time noted there. MLflow keeps one of equal metrics, so
    all can be sent again. The runs end as the block does: finished, failed or killed.
    """

    def __init__(
        self,
        client: Any,
        work: Path,
        experiment: str,
        runs: Sequence[Run],
        trainings: Sequence[Path] = (),
        above: str | None = None,
    ):
        """Take up the runs that are noted in the folder, or create them.

        runs: the parent, then its children. trainings: for each child, the file that its training writes a line into after
        every round. above: the run that the parent is a child of. `notes` then holds what there is to say of it,
        `begun` when it began, for reading.
        """
        self.client, self.work, self.trainings = client, work, trainings
        self.sent = [0] * len(trainings)
        self.pause, self.next = SEND_SECONDS, time.monotonic() + SEND_SECONDS
        with store_errors():
            experiment = experiment_id(client, experiment)
            ids, self.notes = begin_runs(client, work / "runs.json", experiment, runs, above)
            self.begun = begun_at(client.get_run(ids[0]))
        self.parent, *self.children = ids

    def follow(self) -> None:
        """While networks train: send what is new now and then. A store that fails is tried again, ever more seldom."""
        if time.monotonic() < self.next:
            return
        try:
            with little_patience():
                self.send(ended=False)
            pause, self.pause = SEND_SECONDS, SEND_SECONDS
        except UserError:
            pause, self.pause = self.pause, min(2 * self.pause, LONGEST_PAUSE)
        self.next = time.monotonic() + pause

    def send(self, ended: bool) -> None:
        """Send what trainings wrote since the last time. ended: see `points_of`. Raises UserError where the store fails."""
        points = [points_of(lines, ended) for lines in self.trainings]
        waiting = [metrics_of(new[sent:]) for new, sent in zip(points, self.sent, strict=True)]
        for k, run in enumerate(self.children):
            try:
                log_metrics(self.client, run, waiting[k])
            except UserError as error:
                left = sum(map(len, waiting[k:]))
                again = f"{left} metrics could not be sent; run the same command to send them"
                raise UserError(f"{error}; {again}") from error
            self.sent[k] = len(points[k])

    def send_files(self) -> None:
        """The learning record, complete or not, without its checkpoints; and the results of trainings that are done."""
        with store_errors():
            for file in (self.work / "record").rglob("*"):
                if file.is_file() and not file.name.startswith("checkpoint") and file.suffix != ".tmp":
                    under = file.parent.relative_to(self.work).as_posix()
                    self.client.log_artifact(self.parent, str(file), under)
            for run, lines in zip(self.children, self.trainings, strict=True):
                for name in RESULT_FILES if is_done(lines) else ():
                    self.client.log_artifact(run, str(lines.with_name(name)), "training")

    def publish(self, points: Iterable[Point] = ()) -> None:
        """All has ended: send all that stands in the folder. points: what was found, metrics of the parent."""
        self.send(ended=True)
        self.send_files()
        log_metrics(self.client, self.parent, metrics_of(points))
        with store_errors():
            self.client.log_artifacts(self.parent, str(self.work / "findings"))

    def times(self) -> list[float]:
        """When the last of the trainings ended each of its rounds."""
        each = [[line["time"] for line in read_lines(lines)] for lines in self.trainings]
        return [max(times) for times in zip(*each, strict=True)]

    def end(self, status: str) -> None:
        """Trainings that are done are finished whatever happened."""
        with store_errors():
            for run, lines in zip(self.children, self.trainings, strict=True):
                self.client.set_terminated(run, "FINISHED" if is_done(lines) else status)
            self.client.set_terminated(self.parent, status)

    def __enter__(self) -> "Tracked":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            return self.end("FINISHED")
        with suppress(UserError), little_patience():  # the first error is the one to tell
            self.send(ended=isinstance(error, Diverged))  # whose folder goes
            self.send_files()
            self.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")


def begin_runs(
    client: Any, noted: Path, experiment: str, runs: Sequence[Run], above: str | None
) -> tuple[list[str], list[str]]:
    """Ids of a parent and its children, see `Tracked`, and notes: those that a file notes, else new ones, which are noted there.

    MLflow changes no parameter: where one differs from what the work began with, it goes on in new runs.
    """
    from mlflow.entities import Param, RunTag

    ids, notes = json.loads(noted.read_text()) if noted.is_file() else [], []
    listed = ", ".join(f"'{run}'" for run in ids)
    found = client.search_runs([experiment], f"attributes.run_id IN ({listed})", max_results=len(ids)) if ids else []
    begun = {run.info.run_id: run for run in found}
    if len(begun) < len(ids):  # somebody removed one, or it is in another store
        ids = []
    given = [{key: str(value)[:6000] for key, value in parameters.items()} for _, parameters, _ in runs]
    before = begun[ids[0]].data.params if ids else {}
    if other := [key for key in given[0] if before.get(key, given[0][key]) != given[0][key]]:
        told = ", ".join(f"{key}={given[0][key]} (was {before[key]})" for key in other)
        notes = [
            f"This work was begun with other settings, now {told}. It goes on in new runs; {ids[0]} keeps the old ones."
        ]
        for run_id in ids:
            client.set_terminated(run_id, "KILLED")
        ids = []
    for number, (name, _, tags) in enumerate(runs):
        parent = ids[0] if number else above
        tags = {**tags, "mlflow.parentRunId": parent} if parent else tags
        if number < len(ids):
            run = begun[ids[number]]
            client.set_terminated(run.info.run_id, "RUNNING")
            client.log_batch(run.info.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        else:
            run = client.create_run(experiment, tags=tags, run_name=name)
            ids.append(run.info.run_id)
            replace_text(noted, json.dumps(ids))
        new = [Param(key, value) for key, value in given[number].items() if not run.data.params]
        for i in range(0, len(new), 100):
            client.log_batch(run.info.run_id, params=new[i : i + 100])
    return ids, notes
