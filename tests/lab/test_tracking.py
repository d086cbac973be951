"""MLflow on a real SQLite store: what goes in comes out, and a store that cannot be used is told in one line."""

import gzip
import json
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
from lab.store import experiment_id, open_store, tracking_uri
from lab.tracking import Tracked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(place) -> Path:
    return place / "mlruns" / "mlflow.db"


@pytest.fixture
def client(database):
    return open_store()


def tracked(client, work: Path, trainings: int = 1) -> Tracked:
    """A parent and its children, in the experiment `tests`; the trainings write to `1.jsonl` and so on in the folder of work."""
    work.mkdir(exist_ok=True)
    runs = [("all", {}, {}), *((f"training {k + 1}", {}, {}) for k in range(trainings))]
    return Tracked(client, work, "tests", runs, [work / f"{k + 1}.jsonl" for k in range(trainings)])


def write_rounds(work: Path, begin: int, end: int, time: float = 1e9, training: int = 1, **numbers: float) -> None:
    """Lines of the rounds from `begin` on, before `end`: `a` is half of the round's number."""
    with (work / f"{training}.jsonl").open("a") as file:
        for step in range(begin, end):
            file.write(json.dumps({"epoch": step, "a": step / 2, **numbers, "time": time + step}) + "\n")


def history(client, run: str, key: str = "a") -> list[tuple[int, float]]:
    return [(at.step, at.value) for at in client.get_metric_history(run, key)]


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


def test_a_run_with_its_parameters_and_tags(client, tmp_path):
    experiment = experiment_id(client, "measure-digits")
    assert experiment_id(client, "measure-digits") == experiment
    parameters = {f"key{i}": i for i in range(250)} | {"long": "x" * 9000, "none": None}
    runs = [("five", parameters, {"a": "b"}), ("one of five", {}, {})]
    made = Tracked(client, tmp_path, "measure-digits", runs, [tmp_path / "1.jsonl"])
    found = client.get_run(made.parent)
    assert found.info.experiment_id == experiment
    assert found.info.run_name == "five" and found.info.status == "RUNNING" and found.data.tags["a"] == "b"
    assert (
        len(found.data.params) == 252 and found.data.params["key249"] == "249" and found.data.params["none"] == "None"
    )
    assert len(found.data.params["long"]) == 6000
    assert client.get_run(made.children[0]).data.tags["mlflow.parentRunId"] == made.parent


def test_artifacts_lie_in_the_store(client, database, tmp_path):
    made = tracked(client, tmp_path / "work")
    (tmp_path / "work" / "findings").mkdir()
    (tmp_path / "work" / "findings" / "note.txt").write_text("hello")
    made.publish()
    (path,) = database.parent.rglob("note.txt")
    assert path.relative_to(database.parent).parts[:2] == ("artifacts", "tests")


def test_more_metrics_than_one_request_takes(client, tmp_path):
    made = tracked(client, tmp_path)
    write_rounds(tmp_path, 1, 1501, b=-1)
    for _ in range(2):  # the second time there is nothing new
        made.send(ended=True)
        assert history(client, made.children[0]) == [(step, step / 2) for step in range(1, 1501)]
        assert history(client, made.children[0], "b") == [(step, -1) for step in range(1, 1501)]


def test_a_metric_has_the_time_noted_in_its_line(client, tmp_path):
    made = tracked(client, tmp_path, 2)
    write_rounds(tmp_path, 1, 3, time=1e9)
    write_rounds(tmp_path, 1, 3, time=2e9, training=2)
    made.send(ended=True)
    times = [[at.timestamp for at in client.get_metric_history(run, "a")] for run in made.children]
    assert times == [[1_000_000_001_000, 1_000_000_002_000], [2_000_000_001_000, 2_000_000_002_000]]
    assert set(client.get_run(made.children[0]).data.metrics) == {"a"}
    assert made.times() == [2_000_000_001, 2_000_000_002]


def test_nan_is_left_out(client, tmp_path):
    made = tracked(client, tmp_path)
    (tmp_path / "findings").mkdir()
    nan = float("nan")
    made.publish(
        [(1, 1e9, {"a": nan, "b": 1.0, "c": np.float32(2), "d": nan}), (2, 1e9, {"d": 0.5}), (3, 1e9, {"d": nan})]
    )
    assert client.get_run(made.parent).data.metrics == {"b": 1.0, "c": 2.0, "d": 0.5}
    assert history(client, made.parent, "d") == [(2, 0.5)]


def test_metrics_wait_and_are_sent_together(client, tmp_path, monkeypatch):
    sent = []
    made = tracked(client, tmp_path)
    monkeypatch.setattr(client, "log_batch", lambda run, metrics: sent.append(len(metrics)))
    for step in range(6):
        write_rounds(tmp_path, step, step + 1, b=1)
        made.follow()
    assert sent == []
    made.next = 0
    made.follow()
    assert sent == [10]  # the last line may be written again


def test_a_line_that_is_written_again_was_not_sent(client, tmp_path):
    """A training is killed between a line and its checkpoint: the epoch is trained again and ends at another time."""
    made = tracked(client, tmp_path)
    write_rounds(tmp_path, 1, 4)
    with pytest.raises(KeyboardInterrupt), made:
        made.next = 0
        made.follow()
        raise KeyboardInterrupt
    assert history(client, made.children[0]) == [(1, 0.5), (2, 1)]
    kept = (tmp_path / "1.jsonl").read_text().splitlines(keepends=True)[:2]
    (tmp_path / "1.jsonl").write_text("".join(kept))
    write_rounds(tmp_path, 3, 6, time=2e9)
    with tracked(client, tmp_path) as made:
        made.send(ended=True)
    assert history(client, made.children[0]) == [(1, 0.5), (2, 1), (3, 1.5), (4, 2), (5, 2.5)]


def test_a_training_that_is_done_is_finished_whatever_happens(client, tmp_path):
    made = tracked(client, tmp_path, 2)
    done, going = tmp_path / "done", tmp_path / "going"
    for folder in (done, going):
        folder.mkdir()
        (folder / "evaluations.jsonl").write_text(
            '{"step": 4, "a": 1, "time": 1e9}\n{"step": 8, "a": 2, "time": 1e9}\n'
        )
    for name in ("drawn.npy", "right.npy"):
        (done / name).touch()
    (done / "result.json").write_text('{"test/accuracy": 0.5}')
    made.trainings = [done / "evaluations.jsonl", going / "evaluations.jsonl"]
    with pytest.raises(ZeroDivisionError), made:
        raise ZeroDivisionError
    assert [client.get_run(run).info.status for run in (made.parent, *made.children)] == [
        "FAILED",
        "FINISHED",
        "FAILED",
    ]
    assert [history(client, run) for run in made.children] == [[(4, 1), (8, 2)], [(4, 1)]]
    assert [history(client, run, "test/accuracy") for run in made.children] == [[(0, 0.5)], []]
    found = [{file.path for file in client.list_artifacts(run, "training")} for run in made.children]
    assert found == [{f"training/{name}" for name in tracking.RESULT_FILES}, set()]


def test_runs_are_taken_up_again_and_what_is_sent_twice_is_there_once(client, tmp_path):
    first = tracked(client, tmp_path, 2)
    for training in (1, 2):
        write_rounds(tmp_path, 1, 4, training=training)
    with pytest.raises(ZeroDivisionError), first:
        first.send(ended=True)
        raise ZeroDivisionError
    write_rounds(tmp_path, 4, 6)
    second = tracked(client, tmp_path, 2)
    assert (second.parent, second.children) == (first.parent, first.children)
    assert client.get_run(second.parent).info.status == "RUNNING"
    second.send(ended=True)
    assert [history(client, run) for run in second.children] == [
        [(step, step / 2) for step in range(1, 6)],
        [(step, step / 2) for step in range(1, 4)],
    ]


def test_runs_that_somebody_removed_or_of_another_store_are_made_anew(client, tmp_path, monkeypatch):
    first = tracked(client, tmp_path)
    write_rounds(tmp_path, 1, 3)
    client.delete_run(first.children[0])
    second = tracked(client, tmp_path)
    assert not {second.parent, *second.children} & {first.parent, *first.children}
    monkeypatch.setattr("lab.store.STORE", tmp_path / "another")
    elsewhere = open_store()
    third = tracked(elsewhere, tmp_path)
    third.send(ended=True)
    assert history(elsewhere, third.children[0]) == [(1, 0.5), (2, 1)]


def test_a_run_of_which_a_kill_left_the_id_alone_gets_its_parameters(client, tmp_path, monkeypatch):
    runs = [("all", {"lr": 0.1}, {}), ("training 1", {"arm": "anti"}, {})]
    with monkeypatch.context() as patch:
        patch.setattr(client, "log_batch", lambda *arguments, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Tracked(client, tmp_path, "tests", runs, [tmp_path / "1.jsonl"])
    made = Tracked(client, tmp_path, "tests", runs, [tmp_path / "1.jsonl"])
    assert client.get_run(made.parent).data.params == {"lr": "0.1"}
    assert client.get_run(made.children[0]).data.params == {"arm": "anti"}
    assert len(client.search_runs([experiment_id(client, "tests")])) == 2
    assert made.notes == []


def test_work_that_goes_on_with_other_settings_does_so_in_new_runs(client, tmp_path):
    """MLflow keeps the parameters of the first command, which are not what was used in the end."""
    write_rounds(tmp_path, 1, 3)
    first, second = (
        Tracked(
            client, tmp_path, "tests", [("all", {"lr": 0.1, "name": name}, {}), ("one", {}, {})], [tmp_path / "1.jsonl"]
        )
        for name in ("a", "b")
    )
    assert second.notes == [
        f"This work was begun with other settings, now name=b (was a). It goes on in new runs; {first.parent} keeps the old ones."
    ]
    second.publish()
    assert client.get_run(second.parent).data.params == {"lr": "0.1", "name": "b"}
    assert history(client, second.children[0]) == [(1, 0.5), (2, 1.0)]
    assert [client.get_run(run).info.status for run in (first.parent, *first.children)] == ["KILLED"] * 2
    third = Tracked(
        client, tmp_path, "tests", [("all", {"lr": 0.1, "name": "b"}, {}), ("one", {}, {})], [tmp_path / "1.jsonl"]
    )
    assert third.parent == second.parent and third.notes == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (KeyboardInterrupt, "KILLED"), (ValueError, "FAILED"), (SystemExit, "FAILED")],
)
def test_runs_end_with_an_honest_status(client, tmp_path, error, status):
    made = tracked(client, tmp_path)
    runs = [made.parent, *made.children]
    try:
        with made:
            if error:
                raise error
    except BaseException as raised:
        assert type(raised) is error
    assert [client.get_run(run).info.status for run in runs] == [status, status]
    assert all(client.get_run(run).info.end_time for run in runs)


def test_a_store_that_fails_is_tried_ever_more_seldom(client, tmp_path, monkeypatch):
    made, pauses = tracked(client, tmp_path), []
    write_rounds(tmp_path, 1, 3)
    with monkeypatch.context() as patch:
        patch.setattr(client, "log_batch", lambda *arguments, **named: (tmp_path / "gone").stat())
        for _ in range(8):
            made.next = 0
            began = time.monotonic()
            made.follow()
            pauses.append(round(made.next - began))
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
    made.next = 0
    made.follow()
    assert history(client, made.children[0]) == [(1, 0.5)]
    assert made.next - time.monotonic() <= 10


@pytest.mark.slow
def test_first_runs_at_the_same_time_and_one_that_is_killed(tmp_path, monkeypatch):
    """One process is killed while it makes MLflow's tables; of four that begin together, one makes them."""
    monkeypatch.setattr("lab.store.STORE", tmp_path / "mlruns")

    def first_run(number: int) -> None:
        client, work = open_store(), tmp_path / f"work-{number}"
        work.mkdir()
        runs = [("all", {}, {}), (f"run {number}", {"number": number}, {})]
        made = Tracked(client, work, "tests", runs, [work / "1.jsonl"])
        for step in range(20):
            write_rounds(work, step, step + 1, b=number)
            made.send(ended=True)
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
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name != "all"]
    assert sorted(run.info.run_name for run in runs) == [f"run {number}" for number in range(1, 5)]
    for run in runs:
        number = int(run.data.params["number"])
        assert history(client, run.info.run_id, "b") == [(step, number) for step in range(20)]
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
def test_a_database_locked_while_the_program_runs(client, tmp_path, database, hold):
    """MLflow waits 20 seconds (its busy_timeout); metrics that could not be sent are sent when it is free."""
    made = tracked(client, tmp_path)
    write_rounds(tmp_path, 1, 2)
    holder = hold(database)
    begin = time.monotonic()
    message = told(lambda: made.send(ended=True))
    assert "database is locked" in message
    assert message.endswith("; 1 metrics could not be sent; run the same command to send them")
    assert time.monotonic() - begin < 90
    holder.kill()
    holder.wait()
    made.send(ended=True)
    assert history(client, made.children[0]) == [(1, 0.5)]


@pytest.mark.slow
def test_a_lock_of_some_seconds_is_waited_for(client, tmp_path, database, hold):
    made = tracked(client, tmp_path)
    write_rounds(tmp_path, 1, 2)
    holder = hold(database)
    timer = subprocess.Popen(["sh", "-c", f"sleep 2; kill -9 {holder.pid}"])
    made.send(ended=True)
    timer.wait()
    assert history(client, made.children[0]) == [(1, 0.5)]


def test_a_database_of_a_newer_mlflow(database):
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00dfeedbeef'")
    connection.close()
    message = told()
    assert "f00dfeedbeef" in message and "a newer MLflow" in message and "install that MLflow" in message
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("f00dfeedbeef",)]
    connection.close()


@pytest.mark.parametrize("make", [True, False])
def test_a_database_of_an_older_mlflow_is_not_migrated(tmp_path, monkeypatch, make):
    """Its other users would be locked out. The file is one that MLflow 2.22 made."""
    folder = tmp_path / "my%20folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///own.db")
    Path("own.db").write_bytes(gzip.decompress((ROOT / "tests/lab/mlflow-2.22.db.gz").read_bytes()))
    before = Path("own.db").read_bytes()
    message = told(lambda: open_store(make))
    assert "an older MLflow" in message and "take a backup" in message
    assert "`mlflow db upgrade sqlite:///own.db`" in message
    assert Path("own.db").read_bytes() == before and [path.name for path in folder.iterdir()] == ["own.db"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    Path("mlruns").mkdir()
    Path("own.db").rename("mlruns/mlflow.db")
    assert "`mlflow db upgrade sqlite:///mlruns/mlflow.db`" in told(lambda: open_store(make))


IN_ODD_FOLDER = """
    from pathlib import Path
    from lab.store import open_store
    from lab.tracking import Tracked

    client, work = open_store(), Path("../work")
    made = Tracked(client, work, "tests", [("all", {}, {})])
    made.publish()
    print(Path(client.download_artifacts(made.parent, "note.txt")).read_text())
"""


def test_a_store_in_a_folder_whose_name_means_something_in_addresses(tmp_path):
    folder = tmp_path / "what? feature%2Fx#1"
    folder.mkdir()
    (tmp_path / "work" / "findings").mkdir(parents=True)
    (tmp_path / "work" / "findings" / "note.txt").write_text("hello")
    done = elsewhere(IN_ODD_FOLDER, folder)
    assert done.stdout == "hello\n", done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "work"}
    assert {path.name for path in (folder / "mlruns").iterdir()} == {"mlflow.db", "mlflow.db.lock", "artifacts"}


def test_a_file_that_is_no_database(database):
    database.write_bytes(b"something else entirely, and long enough to be looked at" * 40)
    assert "not a database" in told()


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_in_place_of_the_database(place, make):
    Path("mlruns/mlflow.db").unlink(missing_ok=True)
    Path("mlruns/mlflow.db").mkdir(parents=True)
    assert "mlflow.db: it is a folder; move it away" in told(lambda: open_store(make=make))


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
    monkeypatch.setattr("lab.store.STORE", folder / "mlruns")
    yield folder
    folder.chmod(0o755) if not mounted else subprocess.run(["umount", "-l", folder], check=True)


def test_a_store_that_cannot_be_written(read_only):
    message = told(lambda: experiment_id(open_store(), "tests"))
    assert "readonly" in message or "ermission denied" in message or "ead-only" in message


def test_a_folder_in_which_no_store_can_be_made(read_only, monkeypatch):
    monkeypatch.setattr("lab.store.STORE", read_only / "another")
    message = told()
    assert "another" in message and ("ermission denied" in message or "ead-only" in message)


# what the user's environment decides


def test_the_store_is_mlruns_in_the_current_folder(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == "sqlite:///mlruns/mlflow.db"


@pytest.mark.parametrize("uri", ["sqlite:////elsewhere/x.db", "http://localhost:5000"])
def test_the_users_store_comes_first(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri() == uri


def test_the_users_store_is_used_for_all(database, tmp_path, monkeypatch, empty_database):
    """Runs and artifacts go there, none into `mlruns`."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(empty_database, other / "own.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/own.db")
    monkeypatch.chdir(other)
    before = database.read_bytes()
    client = open_store()
    made = tracked(client, tmp_path / "work")
    (tmp_path / "work" / "findings").mkdir()
    (tmp_path / "work" / "findings" / "note.txt").write_text("hello")
    made.publish()
    assert mlflow.MlflowClient(f"sqlite:///{other}/own.db").get_run(made.parent).info.run_name == "all"
    assert len(list(other.rglob("note.txt"))) == 1
    assert database.read_bytes() == before and not list(database.parent.rglob("note.txt"))


def test_an_empty_variable_counts_as_none(client, monkeypatch, database):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking_uri() == "sqlite:///mlruns/mlflow.db"
    experiment = client.get_experiment(experiment_id(client, "measure-folder"))
    assert experiment.artifact_location == (database.parent / "artifacts" / "measure-folder").as_uri()


@pytest.mark.parametrize(("users", "expected"), [(None, "true"), ("false", "false")])
def test_no_telemetry_unless_the_user_asks_for_it(tmp_path, users, expected):
    """The variable is set before MLflow can be imported."""
    code = "import sys, os, lab.tracking; print(os.environ['MLFLOW_DISABLE_TELEMETRY'], 'mlflow' in sys.modules)"
    done = elsewhere(code, tmp_path, environment={"MLFLOW_DISABLE_TELEMETRY": users} if users else None)
    assert done.stdout.split() == [expected, "False"], done.stderr


def test_a_store_that_was_moved(place, client, monkeypatch):
    run = client.create_run(experiment_id(client, "tests")).info.run_id
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
