"""MLflow: the store, runs with an honest status, and metrics sent in batches.

The store is `mlruns/mlflow.db` (SQLite) with artifacts beside it, unless MLFLOW_TRACKING_URI names another.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from lab.errors import UserError

STORE = Path("mlruns")
FLUSH_SECONDS = 10
LONGEST_PAUSE = 300  # seconds between attempts to send metrics to a store that does not take them
LARGEST_BATCH = 1000  # metrics in one request, MLflow's limit

# before MLflow is imported: no telemetry and no chatter unless the user asks for it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
RETRIES = "4"  # for half a minute a server is asked again, not for four
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STORE}/mlflow.db"


def open_store() -> Any:
    """An MlflowClient on the store, made when missing. Raises UserError where it cannot be read or written."""
    import logging

    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    # the whole path: MLflow keeps a connection per address as long as a process lives, whatever the current folder
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STORE.absolute()}/mlflow.db"
    with store_errors(), asked_once():
        if uri.startswith("sqlite:///"):
            make_database(Path(uri.removeprefix("sqlite:///").partition("?")[0]))
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def make_database(path: Path) -> None:
    """MLflow's tables in a new file, where there is none; whole or not at all, and by one process at a time.

    MLflow makes them in dozens of steps: two processes would disturb each other, and a killed one would leave a
    database that MLflow can neither use nor repair.
    """
    if path.exists():
        return
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        for left in (draft, draft.with_name(f"{draft.name}-journal")):
            left.unlink(missing_ok=True)
        SqlAlchemyStore(f"sqlite:///{draft}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        draft.replace(path)


@contextmanager
def asked_once() -> Iterator[None]:
    """Within, a server that does not answer is known after seconds, unless the user's environment says otherwise."""
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    before = {key: os.environ.get(key) for key in quick}
    if before["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == RETRIES and before["MLFLOW_HTTP_REQUEST_TIMEOUT"] is None:
        os.environ.update(quick)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what MLflow and its database raise into a UserError of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        root: BaseException = error
        while True:  # what the database or the network said, beneath what was made of it
            below: BaseException | None = (
                root.__context__ if isinstance(root.__context__, OSError | HTTPError) else None
            )
            if (below := root.__cause__ or below) is None:
                break
            root = below
        text = str(root).strip()
        if "locked" in text:
            advice = "another program holds the database; wait for it or stop it, then give the same command again"
        elif "No space left" in text or "disk is full" in text:
            advice = "make space, then give the same command again"
        elif "disk I/O error" in text:  # which SQLite says of a full disk as well
            advice = "make space, or see to the disk, then give the same command again"
        elif "out-of-date" in text or "Can't locate revision" in text or "schema" in text:
            advice = "another version of MLflow wrote it: `mlflow db upgrade` brings an older one up to date; a newer one needs the newer MLflow"
        else:
            advice = "check that it can be reached and written to, or set MLFLOW_TRACKING_URI to another store"
        raise UserError(
            f"MLflow store {tracking_uri()}: {text.splitlines()[0] if text else type(error).__name__} ({advice})"
        ) from error


def experiment_id(client: Any, name: str) -> str:
    """The experiment of that name, made when missing, with its artifacts below the local store."""
    from mlflow.exceptions import MlflowException

    with store_errors():
        found = client.get_experiment_by_name(name)
        here = None if os.environ.get("MLFLOW_TRACKING_URI") else (STORE.absolute() / "artifacts" / name).as_uri()
        if found is not None:
            if found.lifecycle_stage == "deleted":
                command = f"mlflow experiments restore --experiment-id {found.experiment_id}"
                raise UserError(
                    f"the experiment {name} was deleted; `MLFLOW_TRACKING_URI={tracking_uri()} {command}` brings it back"
                )
            if here and found.artifact_location.startswith("file:") and found.artifact_location != here:
                raise UserError(
                    f"this store was made elsewhere and its files are looked for there ({found.artifact_location}): "
                    "move the folder back, or work in another one"
                )
            return found.experiment_id
        try:
            return client.create_experiment(
                name,
                artifact_location=here,
                tags={"mlflow.experimentKind": "custom_model_development"},  # the UI shows runs first, not traces
            )
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process may have been quicker
            if found is None:
                raise
            return found.experiment_id


def begin_run(
    client: Any,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
    parent: str | None = None,
    begun: Any = None,
) -> str:
    """Create a run with its parameters and tags, or go on with one that was begun. Returns the run id."""
    from mlflow.entities import Param, RunTag

    with store_errors():
        tags = {**tags, **({"mlflow.parentRunId": parent} if parent else {})}
        if begun is None:
            begun = client.create_run(experiment, tags=tags, run_name=name)
        else:
            client.set_terminated(begun.info.run_id, "RUNNING")
            client.log_batch(begun.info.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        listed = [Param(key, str(value)[:6000]) for key, value in parameters.items() if key not in begun.data.params]
        for i in range(0, len(listed), 100):
            client.log_batch(begun.info.run_id, params=listed[i : i + 100])
    return begun.info.run_id


def begun_runs(client: Any, experiment: str, attempt: str) -> dict[str, Any]:
    """The runs that an interrupted attempt has begun, by their tag `part`."""
    with store_errors():
        runs = client.search_runs([experiment], f"tags.attempt = '{attempt}'", max_results=10_000)
    return {run.data.tags["part"]: run for run in runs}


def log_data(client: Any, run: str, config: Any, data: Any) -> None:
    """Name the data set (`lab.data.Data`) that a run learned from, with the numbers of examples of its splits."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps({"train": len(data.train), "test": len(data.test)})
    dataset = Dataset(config.data, data.digest[:32], "local", config.root, profile=profile)
    with store_errors():
        client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


@contextmanager
def in_the_end(action: Callable[[], object]) -> Iterator[None]:
    """Do something to the store as the block ends, however it ends. Where that fails too, the block's own error is told."""
    try:
        yield
    except BaseException:
        with suppress(UserError), asked_once():
            action()
        raise
    action()


@contextmanager
def ending(client: Any, runs: list[str], is_finished: Callable[[str], bool] = lambda run: False) -> Iterator[None]:
    """Mark runs finished, failed or killed, as the block ends; finished whatever happens where `is_finished` says so."""

    def end(status: str) -> None:
        with store_errors():
            for run in runs:
                client.set_terminated(run, "FINISHED" if status != "FINISHED" and is_finished(run) else status)

    try:
        yield
    except BaseException as error:
        with suppress(UserError), asked_once():  # the first error is the one to tell
            end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    end("FINISHED")


class MetricLog:
    """Gathers metrics of many runs and sends them in batches, at most every FLUSH_SECONDS; NaN values are left out.

    Each is in the store once: what a run has already, from an attempt that was cut off, is not sent again.
    """

    def __init__(self, client: Any):
        self.client = client
        self.waiting: dict[str, list[Any]] = defaultdict(list)
        self.held: dict[str, set[tuple[str, int]]] = {}
        self.sending = threading.Lock()
        self.flushed, self.pause = time.monotonic(), FLUSH_SECONDS

    def log(self, run: str, step: int, numbers: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.waiting[run] += [
            Metric(key, float(value), now, step) for key, value in numbers.items() if not np.isnan(value)
        ]

    def log_series(self, run: str, series: Mapping[str, np.ndarray], first_step: int = 1) -> None:
        """Whole curves at once: each value of `series` is (T,), one number per step."""
        for key, values in series.items():
            for step, value in enumerate(values, first_step):
                self.log(run, step, {key: value})

    def flush(self) -> None:
        """Send everything. Raises UserError, which says how much is not sent; it is kept for the next attempt."""
        if not self.sending.acquire(timeout=1):
            raise UserError(f"MLflow store {tracking_uri()}: does not answer")
        try:
            with store_errors():
                for run in list(self.waiting):
                    self.send(run)
        except UserError as error:
            left = sum(map(len, self.waiting.values()))
            raise UserError(
                f"{error}; {left} metrics are not sent: they are kept, and sent by the same command"
            ) from error
        finally:
            self.sending.release()

    def send(self, run: str) -> None:
        if run not in self.held:
            keys = self.client.get_run(run).data.metrics
            self.held[run] = {(key, at.step) for key in keys for at in self.client.get_metric_history(run, key)}
        waiting = self.waiting[run]
        waiting[:] = [metric for metric in waiting if (metric.key, metric.step) not in self.held[run]]
        while waiting:
            # repeated after an error, a metric has the same time: the store then keeps one of them
            self.client.log_batch(run, metrics=waiting[:LARGEST_BATCH])
            del waiting[:LARGEST_BATCH]

    def flush_now_and_then(self) -> None:
        """Send everything if it is time to. A store that cannot take it is tried again, ever more seldom."""
        if time.monotonic() - self.flushed < self.pause:
            return
        try:
            self.flush()
            self.pause = FLUSH_SECONDS
        except UserError:
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
        self.flushed = time.monotonic()


def holds(client: Any, run: str, key: str) -> bool:
    """Whether the store has a metric of a run."""
    with store_errors():
        return key in client.get_run(run).data.metrics
