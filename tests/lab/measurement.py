"""A tiny measurement, how it is started as a program, and what MLflow holds of it; for the tests of what it leaves and survives."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import mlflow

from agreement.record import LearningRecord, read_epochs

ROOT = Path(__file__).parents[2]
EPOCHS = 12  # enough that accidents happen in the middle
RECIPE = [
    "data=folder", "resize=null", "crop=null", "network=lenet5", "networks=3", f"epochs={EPOCHS}", "batch_size=25",
    "lr=0.004", "schedule=cosine", "min_lr=0.001", "device=cpu",
    "statistics=[entropy,frequency,segments]",
]  # fmt: skip

MEASURED = ["entropy", "frequency", "segments"]  # edges takes too long here


def words(digits: Path, *others: str) -> list[str]:
    return ["--mode", "measure", *RECIPE, f"root={digits}", *others]


def program(place: Path, arguments: list[str]) -> subprocess.Popen:
    """The program as a user starts it in a terminal: a process group of its own, which Ctrl-C reaches as a whole."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "MLFLOW"))}
    return subprocess.Popen(
        [sys.executable, ROOT / "train.py", *arguments], cwd=place, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@dataclass
class Store:
    """What MLflow holds of the only measurement in a folder."""

    place: Path

    def __post_init__(self):
        self.client, runs = all_runs(self.place)
        (self.parent,) = parents_among(runs)
        self.children = sorted((run for run in runs if run is not self.parent), key=lambda run: run.info.run_name)
        assert {run.data.tags["mlflow.parentRunId"] for run in self.children} <= {self.parent.info.run_id}

    @property
    def statuses(self) -> list[str]:
        return [run.info.status for run in [self.parent, *self.children]]

    @property
    def artifacts(self) -> Path:
        return Path(self.parent.info.artifact_uri.removeprefix("file://"))

    @property
    def record(self) -> LearningRecord:
        return LearningRecord(self.artifacts / "record")

    def series(self, run, key: str) -> dict[int, float]:
        """Value by step; a step that was logged twice fails."""
        history = self.client.get_metric_history(run.info.run_id, key)
        assert max(Counter(metric.step for metric in history).values(), default=1) == 1, key
        return {metric.step: metric.value for metric in history}

    def assert_logged_once_and_fully(self) -> None:
        for run in [self.parent, *self.children]:
            for key in run.data.metrics:
                steps = sorted(self.series(run, key))
                if run is self.parent and key.split("/")[0] not in ("train", "test"):
                    assert steps == [0], key
                elif "agreed_" in key:  # left out where the networks agree on nothing
                    assert set(steps) <= set(range(1, EPOCHS + 1)), key
                else:
                    assert steps == list(range(1, EPOCHS + 1)), key


def assert_same_record(one: LearningRecord, other: LearningRecord) -> None:
    """Bit for bit, but for the seconds that the epochs took, and when they ended."""
    names = sorted(path.relative_to(one.folder).as_posix() for path in one.folder.rglob("*") if path.is_file())
    assert names == sorted(p.relative_to(other.folder).as_posix() for p in other.folder.rglob("*") if p.is_file())
    for name in names:
        if not name.endswith("epochs.jsonl"):
            assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    for k in range(len(one.networks)):
        lines, others = (read_epochs(record.network_folder(k)) for record in (one, other))
        untimed = {"seconds": 0, "time": 0}
        assert [line | untimed for line in lines] == [line | untimed for line in others]


def nothing_unfinished(place: Path) -> bool:
    return not [path for path in (place / "mlruns" / "unfinished").glob("*") if path.is_dir()]


def artifacts_of(store: Store) -> set[str]:
    return {path.relative_to(store.artifacts).as_posix() for path in store.artifacts.rglob("*") if path.is_file()}


def all_runs(place: Path) -> tuple[mlflow.MlflowClient, list]:
    """A client of the store in a folder, and all runs in it."""
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    return client, list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def parents_among(runs: list) -> list:
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def all_parents(place: Path) -> list:
    return parents_among(all_runs(place)[1])
