"""MLflow: the store, runs with an honest status, and metrics sent in batches.

The store is `mlruns/mlflow.db` (SQLite) with artifacts beside it, unless MLFLOW_TRACKING_URI names another.
"""

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

STORE = Path("mlruns")
FLUSH_SECONDS = 10
LARGEST_BATCH = 1000  # metrics in one request, MLflow's limit

# before MLflow is imported: no telemetry and no chatter unless the user asks for it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


class StoreError(RuntimeError):
    """The MLflow store cannot be used; the message is one line that says what to do."""


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STORE}/mlflow.db"


def open_store() -> Any:
    """An MlflowClient on the store, made when missing. Raises StoreError where it cannot be read or written."""
    import logging

    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    # the whole path: MLflow keeps a connection per address as long as a process lives, whatever the current folder
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STORE.absolute()}/mlflow.db"
    with store_errors():
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what MLflow and its database raise into a StoreError of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        root: BaseException = error
        while root.__cause__ is not None:  # what the database said, beneath what was made of it
            root = root.__cause__
        text = str(root).strip()
        if "locked" in text:
            advice = "another program holds the database; wait for it or stop it, then give the same command again"
        elif "No space left" in text or "disk is full" in text:
            advice = "make space, then give the same command again"
        elif "out-of-date" in text or "Can't locate revision" in text or "schema" in text:
            advice = "another version of MLflow wrote it: `mlflow db upgrade` brings an older one up to date; a newer one needs the newer MLflow"
        else:
            advice = "check that it can be reached and written to, or set MLFLOW_TRACKING_URI to another store"
        raise StoreError(
            f"MLflow store {tracking_uri()}: {text.splitlines()[0] if text else type(error).__name__} ({advice})"
        ) from error


def experiment_id(client: Any, name: str) -> str:
    """The experiment of that name, made when missing, with its artifacts below the local store."""
    with store_errors():
        found = client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        local = not os.environ.get("MLFLOW_TRACKING_URI")
        return client.create_experiment(
            name,
            artifact_location=(STORE.absolute() / "artifacts" / name).as_uri() if local else None,
            tags={"mlflow.experimentKind": "custom_model_development"},  # the UI shows runs first, not traces
        )


def begin_run(
    client: Any,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
    parent: str | None = None,
) -> str:
    """Create a run with its parameters and tags. Returns the run id."""
    from mlflow.entities import Param

    with store_errors():
        tags = {**tags, **({"mlflow.parentRunId": parent} if parent else {})}
        run = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        listed = [Param(key, str(value)[:6000]) for key, value in parameters.items()]
        for i in range(0, len(listed), 100):
            client.log_batch(run, params=listed[i : i + 100])
    return run


def describe(client: Any, run: str, headline: str, summary: str) -> None:
    """Give a run its headline, and its summary as description and as the artifact summary.txt."""
    longest = max(map(len, re.findall("`+", summary)), default=0)
    fence = "`" * max(3, longest + 1)  # of Markdown: no name in the summary can end it
    with store_errors():
        client.set_tag(run, "headline", headline[:500])
        client.set_tag(run, "mlflow.note.content", f"{fence}\n{summary[:7900]}\n{fence}")
        client.log_text(run, summary, "summary.txt")


def log_data(client: Any, run: str, config: Any, data: Any) -> None:
    """Name the data set (`training.examples.Data`) that a run learned from, with the numbers of examples of its splits."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps({"train": len(data.train), "test": len(data.test)})
    dataset = Dataset(config.data, data.digest[:32], "local", config.root, profile=profile)
    with store_errors():
        client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


@contextmanager
def ending(client: Any, runs: list[str]) -> Iterator[None]:
    """Mark runs finished, failed or killed, as the block ends."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        with store_errors():
            for run in runs:
                client.set_terminated(run, status)


class MetricLog:
    """Gathers metrics of many runs and sends them in batches, at most every FLUSH_SECONDS; NaN values are left out."""

    def __init__(self, client: Any):
        self.client = client
        self.waiting: dict[str, list[Any]] = defaultdict(list)
        self.flushed = time.monotonic()

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

    def leave_out_logged(self, run: str) -> None:
        """Forget what the store holds already of a run that resumes."""
        with store_errors():
            keys = self.client.get_run(run).data.metrics
            held = {(key, metric.step) for key in keys for metric in self.client.get_metric_history(run, key)}
        self.waiting[run] = [metric for metric in self.waiting[run] if (metric.key, metric.step) not in held]

    def flush(self, now: bool = True) -> None:
        if not now and time.monotonic() - self.flushed < FLUSH_SECONDS:
            return
        with store_errors():
            for run, metrics in self.waiting.items():
                while metrics:
                    self.client.log_batch(run, metrics=metrics[:LARGEST_BATCH])
                    del metrics[:LARGEST_BATCH]
        self.flushed = time.monotonic()


def finished_steps(client: Any, run: str, key: str) -> int:
    """How many steps of a metric the store already holds, for a run that resumes."""
    with store_errors():
        return len(client.get_metric_history(run, key))
