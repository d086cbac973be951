"""MLflow on a real SQLite store: what goes in comes out, and a store that cannot be used is told in one line."""

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest

from lab import browse, tracking
from lab.errors import UserError
from lab.tracking import MetricLog, begin_run, ending, experiment_id, open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(place) -> Path:
    return place / "mlruns" / "mlflow.db"


@pytest.fixture
def client(database):
    return open_store()


@pytest.fixture
def run(client) -> str:
    return begin_run(client, experiment_id(client, "tests"), "a run", {}, {})


def elsewhere(code: str, folder: Path, *, environment: dict[str, str] | None = None, **named):
    """Run code in a process of its own, in a folder, as a user's first use of the program would."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True,
        env={**clean, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}, **named,
    )  # fmt: skip


def told(action=open_store) -> str:
    with pytest.raises(UserError) as raised:
        action()
    assert "\n" not in str(raised.value) and str(raised.value).startswith("MLflow store ")
    return str(raised.value)


def test_a_run_with_its_parameters_and_tags(client):
    experiment = experiment_id(client, "measure-digits")
    assert experiment_id(client, "measure-digits") == experiment
    parent = begin_run(client, experiment, "five", {f"key{i}": i for i in range(250)} | {"long": "x" * 9000, "none": None}, {"a": "b"})  # fmt: skip
    child = begin_run(client, experiment, "one of five", {}, {}, parent)
    found = client.get_run(parent)
    assert found.info.run_name == "five" and found.info.status == "RUNNING" and found.data.tags["a"] == "b"
    assert (
        len(found.data.params) == 252 and found.data.params["key249"] == "249" and found.data.params["none"] == "None"
    )
    assert len(found.data.params["long"]) == 6000
    assert client.get_run(child).data.tags["mlflow.parentRunId"] == parent


def test_artifacts_lie_in_the_store(client, database, tmp_path):
    run = begin_run(client, experiment_id(client, "measure-digits"), "a run", {}, {})
    (tmp_path / "note.txt").write_text("hello")
    client.log_artifact(run, str(tmp_path / "note.txt"))
    (path,) = database.parent.rglob("note.txt")
    assert path.relative_to(database.parent).parts[:2] == ("artifacts", "measure-digits")


def test_more_metrics_than_one_request_takes(client, run):
    log = MetricLog(client)
    log.log_series(run, {"train/a": np.arange(1500.0), "train/b": -np.arange(1500.0)})
    log.flush()
    for key, sign in (("train/a", 1), ("train/b", -1)):
        history = client.get_metric_history(run, key)
        assert {metric.step: metric.value for metric in history} == {t + 1: sign * t for t in range(1500)}
        assert len(history) == 1500
    log.flush()
    assert len(client.get_metric_history(run, "train/a")) == 1500


def test_nan_is_left_out(client, run):
    log = MetricLog(client)
    log.log(run, 1, {"a": float("nan"), "b": 1.0, "c": np.float32(2)})
    log.log_series(run, {"d": np.array([np.nan, 0.5, np.nan])})
    log.flush()
    assert client.get_run(run).data.metrics == {"b": 1.0, "c": 2.0, "d": 0.5}
    assert [metric.step for metric in client.get_metric_history(run, "d")] == [2]


def test_metrics_wait_and_are_sent_together(client, run, monkeypatch):
    sent = []
    log = MetricLog(client)
    monkeypatch.setattr(client, "log_batch", lambda run, metrics: sent.append(len(metrics)))
    for step in range(5):
        log.log(run, step, {"a": 1.0, "b": 2.0})
        log.flush_now_and_then()
    assert sent == []
    log.pause = 0
    log.flush_now_and_then()
    assert sent == [10]


def test_a_resumed_run_goes_on_after_what_the_store_holds(client, run):
    first = MetricLog(client)
    first.log_series(run, {"a": np.arange(3.0), "b": np.array([0, np.nan, 2])})
    first.flush()
    second = MetricLog(client)
    second.log_series(run, {"a": np.arange(5.0), "b": np.array([0, np.nan, 2, 3, 4]), "c": np.arange(5.0)})
    second.flush()
    steps = {key: sorted(metric.step for metric in client.get_metric_history(run, key)) for key in "abc"}
    assert steps == {"a": [1, 2, 3, 4, 5], "b": [1, 3, 4, 5], "c": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (KeyboardInterrupt, "KILLED"), (ValueError, "FAILED"), (SystemExit, "FAILED")],
)
def test_runs_end_with_an_honest_status(client, error, status):
    experiment = experiment_id(client, "tests")
    runs = [begin_run(client, experiment, "a run", {}, {}) for _ in range(2)]
    try:
        with ending(client, runs):
            if error:
                raise error
    except BaseException as raised:
        assert type(raised) is error
    assert [client.get_run(run).info.status for run in runs] == [status, status]
    assert all(client.get_run(run).info.end_time for run in runs)


@pytest.mark.slow
def test_first_runs_at_the_same_time_and_one_that_is_killed(tmp_path, monkeypatch):
    """One process is killed while it makes MLflow's tables; of four that begin together, one makes them."""
    monkeypatch.setattr(tracking, "STORE", tmp_path / "mlruns")

    def first_run(number: int) -> None:
        client = open_store()
        run = begin_run(client, experiment_id(client, "tests"), f"run {number}", {"number": number}, {})
        log = MetricLog(client)
        for step in range(20):
            log.log(run, step, {"a": number})
            log.flush()
        os._exit(0)

    begun = [multiprocessing.get_context("fork").Process(target=first_run, args=(number,)) for number in range(5)]
    begun[0].start()
    draft = tmp_path / "mlruns" / "mlflow.db.new"
    while not draft.exists() or draft.stat().st_size < 100_000:
        assert begun[0].is_alive()
        time.sleep(0.001)
    begun[0].kill()
    for process in begun[1:]:
        process.start()
    for process in begun:
        process.join()
    assert [process.exitcode for process in begun] == [-9, 0, 0, 0, 0]
    client = open_store()
    (experiment,) = client.search_experiments(filter_string="name = 'tests'")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"run {number}" for number in range(1, 5)]
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "a")
        assert [(at.step, at.value) for at in history] == [(step, int(run.data.params["number"])) for step in range(20)]
    assert not draft.exists()


# stores that cannot be used


HOLD = """
    import sqlite3, sys, time
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def hold():
    """Locks a database from another process until the test ends."""
    holders = []

    def begin(database: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", textwrap.dedent(HOLD), str(database)]
        holders.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert holders[-1].stdout.readline() == "held\n"
        return holders[-1]

    yield begin
    for holder in holders:
        holder.kill()
        holder.communicate()


@pytest.mark.slow
def test_a_locked_database(database, hold):
    hold(database)
    begin = time.monotonic()
    message = told()
    assert "database is locked" in message and "another program holds the database" in message
    assert time.monotonic() - begin < 60


@pytest.mark.slow
def test_a_database_locked_while_the_program_runs(client, run, database, hold):
    """MLflow waits 20 seconds (its busy_timeout); metrics that could not be sent are kept, and sent when it is free."""
    log = MetricLog(client)
    log.log(run, 1, {"a": 1.0})
    holder = hold(database)
    begin = time.monotonic()
    assert "database is locked" in told(log.flush)
    assert time.monotonic() - begin < 90
    holder.kill()
    holder.wait()
    log.flush()
    assert client.get_run(run).data.metrics == {"a": 1.0}


@pytest.mark.slow
def test_a_lock_of_some_seconds_is_waited_for(client, run, database, hold):
    log = MetricLog(client)
    log.log(run, 1, {"a": 1.0})
    holder = hold(database)
    timer = subprocess.Popen(["sh", "-c", f"sleep 2; kill -9 {holder.pid}"])
    log.flush()
    timer.wait()
    assert client.get_run(run).data.metrics == {"a": 1.0}


def test_a_database_of_a_newer_mlflow(database):
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00dfeedbeef'")
    connection.close()
    message = told()
    assert "f00dfeedbeef" in message and "a newer one needs the newer MLflow" in message
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("f00dfeedbeef",)]
    connection.close()


def test_a_file_that_is_no_database(database):
    database.write_bytes(b"something else entirely, and long enough to be looked at" * 40)
    assert "not a database" in told()


def test_a_store_whose_place_is_taken(tmp_path, monkeypatch):
    (tmp_path / "mlruns").write_text("a file")
    monkeypatch.chdir(tmp_path)
    assert "mlruns" in told()


@pytest.fixture
def read_only(tmp_path, empty_database, monkeypatch):
    """A folder with a store that cannot be written; for root, who may write anywhere, on a disk mounted read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.getuid() == 0
    if mounted and subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("root may write anywhere, and no disk can be mounted here")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns")
    (folder / "mlruns" / "mlflow.db").chmod(0o444)
    (folder / "mlruns").chmod(0o555)
    folder.chmod(0o555)
    if mounted:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    monkeypatch.setattr(tracking, "STORE", folder / "mlruns")
    yield folder
    folder.chmod(0o755) if not mounted else subprocess.run(["umount", "-l", folder], check=True)


def test_a_store_that_cannot_be_written(read_only):
    message = told(lambda: experiment_id(open_store(), "tests"))
    assert "readonly" in message or "ermission denied" in message or "ead-only" in message


def test_a_folder_in_which_no_store_can_be_made(read_only, monkeypatch):
    monkeypatch.setattr(tracking, "STORE", read_only / "another")
    message = told()
    assert "another" in message and ("ermission denied" in message or "ead-only" in message)


# what the user's environment decides


def test_the_store_is_mlruns_in_the_current_folder(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.tracking_uri() == "sqlite:///mlruns/mlflow.db"


@pytest.mark.parametrize("uri", ["sqlite:////elsewhere/x.db", "http://localhost:5000"])
def test_the_users_store_comes_first(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking.tracking_uri() == uri


def test_the_users_store_is_used_for_all(database, tmp_path, monkeypatch, empty_database):
    """Runs and artifacts go there, none into `mlruns`."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(empty_database, other / "own.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/own.db")
    monkeypatch.chdir(other)
    before = database.read_bytes()
    client = open_store()
    run = begin_run(client, experiment_id(client, "tests"), "a run", {}, {})
    (tmp_path / "note.txt").write_text("hello")
    client.log_artifact(run, str(tmp_path / "note.txt"))
    assert mlflow.MlflowClient(f"sqlite:///{other}/own.db").get_run(run).info.run_name == "a run"
    assert len(list(other.rglob("note.txt"))) == 1
    assert database.read_bytes() == before and not list(database.parent.rglob("note.txt"))


def test_an_empty_variable_counts_as_none(client, monkeypatch, database):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking.tracking_uri() == "sqlite:///mlruns/mlflow.db"
    experiment = client.get_experiment(experiment_id(client, "measure-folder"))
    assert experiment.artifact_location == (database.parent / "artifacts" / "measure-folder").as_uri()


@pytest.mark.parametrize(("users", "expected"), [(None, "true"), ("false", "false")])
def test_no_telemetry_unless_the_user_asks_for_it(tmp_path, users, expected):
    """The variable is set before MLflow can be imported."""
    code = "import sys, os, lab.tracking; print(os.environ['MLFLOW_DISABLE_TELEMETRY'], 'mlflow' in sys.modules)"
    done = elsewhere(code, tmp_path, environment={"MLFLOW_DISABLE_TELEMETRY": users} if users else None)
    assert done.stdout.split() == [expected, "False"], done.stderr


def test_a_store_that_was_moved(place, client, monkeypatch):
    run = begin_run(client, experiment_id(client, "tests"), "a run", {}, {})
    client.set_terminated(run)
    moved = place.rename(place.with_name("moved"))
    monkeypatch.chdir(moved)
    with pytest.raises(UserError, match=r"this store was made elsewhere .*: move the folder back"):
        experiment_id(open_store(), "tests")
    with pytest.raises(UserError, match=r"it is finished, without a summary; .*: was the store moved\?"):
        browse.show(open_store(), open_store().get_run(run), None, as_json=False)
    assert not place.exists()


def test_an_experiment_that_was_deleted(client):
    client.delete_experiment(experiment_id(client, "tests"))
    with pytest.raises(
        UserError, match=r"the experiment tests was deleted; `MLFLOW_TRACKING_URI=.* mlflow experiments restore"
    ):
        experiment_id(client, "tests")
