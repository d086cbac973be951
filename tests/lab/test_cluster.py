"""Measurements and comparisons on a real Dask cluster of two workers: what comes of them, and what they survive."""

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import Client
from filelock import FileLock

import train
from agreement.record import read_epochs
from lab import cluster
from lab.cluster import run_on_cluster
from lab.errors import UserError

EPOCHS = 60  # enough that the accidents below happen in the middle
RECIPE = [
    "data=folder", "resize=null", "crop=null", "network=lenet5", "networks=2", f"epochs={EPOCHS}", "batch_size=25",
    "lr=0.004", "schedule=cosine", "min_lr=0.001", "device=cpu", "statistics=[entropy]",
]  # fmt: skip


def start(*words: object, **environment: str) -> subprocess.Popen:
    # where the workers find the tasks of this file
    path = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[2])))
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, words)], stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler with two workers, each under its nanny; the second offers the resource GPU."""
    folder = tmp_path_factory.mktemp("cluster")
    about = folder / "scheduler.json"
    common = ("--no-dashboard", "--scheduler-file", about)
    worker = ("worker", *common, "--nthreads", 1, "--host", "127.0.0.1", "--local-directory", folder)
    processes = [
        start("scheduler", *common, "--host", "127.0.0.1", "--port", 0, "--dashboard-address", "127.0.0.1:0"),
        start(*worker, NAME="one"),
        start(*worker, "--resources", "GPU=1", NAME="two"),
    ]
    try:
        assert wait_until(lambda: about.is_file() and about.read_text().endswith("}"))  # it is written in place
        address = json.loads(about.read_text())["address"]
        with Client(address, set_as_default=False, timeout=300) as client:
            client.wait_for_workers(2, timeout=300)
        yield address
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def measure(digits: Path, *words: str) -> int:
    return train.main(["--mode", "measure", *RECIPE, f"root={digits}", *words])


def record_of(place: Path) -> dict[str, object]:
    """The record in the only finished measurement of a store, file by file, without the times of epochs.

    What was stopped under an engine= and went on under another has a run of its own for what came before.
    """
    records = place.glob("mlruns/artifacts/*/*/artifacts/record")
    done = [each for each in records if all(len(read_epochs(each / f"network-{k}")) == EPOCHS for k in (1, 2))]
    (folder,) = done
    return {
        path.relative_to(folder).as_posix(): [line | {"seconds": 0, "time": 0} for line in read_epochs(path.parent)]
        if path.name == "epochs.jsonl"
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def local(digits, empty_database, tmp_path_factory) -> dict[str, object]:
    """The record of the same measurement on this machine."""
    place = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert measure(digits) == 0
    record = record_of(place)
    assert len(record["network-2/epochs.jsonl"]) == EPOCHS
    return record


def epochs_of_first(place: Path) -> list[dict[str, float]]:
    found = list(place.glob("mlruns/unfinished/*/record/network-1"))
    return read_epochs(found[0]) if found else []


class meanwhile(threading.Thread):
    """Does something as soon as the first network has finished three epochs, while the block runs."""

    def __init__(self, place: Path, act: Callable[[], None]):
        super().__init__(daemon=True)
        self.place, self.act, self.before = place, act, []

    def run(self) -> None:
        if wait_until(lambda: len(epochs_of_first(self.place)) >= 3):
            self.act()
            self.before = epochs_of_first(self.place)

    def __enter__(self) -> "meanwhile":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.join()
        if not any(exception):
            assert 3 <= len(self.before) < EPOCHS, "it did not happen in the middle"


def worker_of_first(client: Client) -> int:
    """Process id of the worker that trains the first network."""
    address = next(worker for worker, keys in client.processing().items() if any("network-1" in key for key in keys))
    return client.run(os.getpid, workers=[address])[address]


@pytest.mark.slow
def test_ctrl_c_ends_the_tasks_and_the_same_command_goes_on_anywhere(
    scheduler, local, digits, place, capsys, without_figures
):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    with Client(scheduler, set_as_default=False) as client:
        with meanwhile(place, lambda: os.kill(os.getpid(), signal.SIGINT)):
            assert measure(digits, "engine=dask", f"scheduler={scheduler}") == 130
        assert "the same command continues where this one stopped" in capsys.readouterr().err
        done = epochs_of_first(place)
        time.sleep(1)
        assert epochs_of_first(place) == done  # nobody trains on
        assert wait_until(lambda: not any(client.processing().values()))
    assert measure(digits) == 0
    assert record_of(place) == local


@pytest.mark.slow
def test_a_comparison_is_the_same_and_on_the_same_terms(
    scheduler, digits, place, tmp_path, capsys, monkeypatch, without_figures
):
    words = [
        "--mode", "curriculum", "data=folder", f"root={digits}", "resize=null", "crop=null", "network=lenet5",
        "batch_size=27", "epochs=2", "evaluations=3", "seeds=2", "arms=[shuffled,curriculum]", "device=cpu",
    ]  # fmt: skip

    def compared() -> list[str]:
        found = Path.cwd().glob("mlruns/artifacts/*/*/artifacts/comparison.csv")
        return [path.read_text() for path in found]

    assert train.main([*words, "engine=dask", f"scheduler={scheduler}"]) == 0
    assert "done before" not in capsys.readouterr().out
    assert train.main(words) == 0
    assert "4 of 4 trainings had been done before on identical terms" in " ".join(capsys.readouterr().out.split())
    over_dask = compared()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train.main(words) == 0
    assert over_dask == compared() * 2


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_one_line(scheduler, digits, place, capsys):
    recipe = ["schedule=step", "step_epochs=2", "step_factor=1e12"]
    assert measure(digits, *recipe, "engine=dask", f"scheduler={scheduler}") == 2
    error = capsys.readouterr().err
    assert (
        "(lenet5): the loss is NaN or infinite in epoch 3; try a smaller lr than 0.004" in error
        and error.count("\n") == 1
    ), error
    assert not [path for path in place.glob("mlruns/unfinished/*") if path.is_dir()]


def span(folder: Path, name: str) -> Iterator[None]:
    begin = time.monotonic()
    time.sleep(0.5)
    yield
    (folder / name).write_text(json.dumps([os.environ["NAME"], begin, time.monotonic()]))


def look() -> None:
    """What the submitting program does meanwhile."""


@pytest.mark.slow
def test_a_task_for_a_gpu_goes_to_a_worker_that_offers_one(scheduler, tmp_path):
    run_on_cluster(span, {name: (tmp_path, name) for name in "abc"}, look, scheduler, on_gpu=True, work=tmp_path)
    where, begins, ends = zip(*(json.loads((tmp_path / name).read_text()) for name in "abc"), strict=True)
    assert set(where) == {"two"}
    in_turn = sorted(zip(begins, ends, strict=True))
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(in_turn))  # one GPU, one at a time


@pytest.mark.slow
def test_a_program_that_the_workers_lack_is_one_line(scheduler, tmp_path, monkeypatch):
    (tmp_path / "not_installed_there.py").write_text("def function():\n    yield\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("not_installed_there").function
    with pytest.raises(UserError, match=r"in the same version.*not_installed_there"):
        run_on_cluster(function, {"a": ()}, look, scheduler, on_gpu=False, work=tmp_path)


@pytest.mark.slow
def test_a_folder_that_is_not_shared_is_one_line(scheduler, tmp_path):
    with pytest.raises(UserError, match=r"elsewhere is not there on worker .*workers must share the current folder"):
        run_on_cluster(span, {"a": (tmp_path, "a")}, look, scheduler, on_gpu=False, work=tmp_path / "elsewhere")


@pytest.mark.slow
def test_a_worker_with_several_threads_is_refused_in_one_line(scheduler, tmp_path):
    """Trainings in one process would share torch's random numbers."""
    worker = start("worker", scheduler, "--nthreads", 3, "--resources", "GPU=1,MANY=1", "--no-dashboard", "--no-nanny")
    try:
        with Client(scheduler, set_as_default=False) as client, pytest.MonkeyPatch.context() as patch:
            client.wait_for_workers(3, timeout=300)
            patch.setattr(cluster, "GPU", {"MANY": 1})
            with pytest.raises(UserError, match=r"^the worker tcp://.* has 3 threads: start it with --nthreads 1$"):
                run_on_cluster(span, {"a": (tmp_path, "a")}, look, scheduler, on_gpu=True, work=tmp_path)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


@pytest.mark.slow
def test_a_task_does_not_begin_while_its_lock_is_held(scheduler, tmp_path):
    """As it is by the same task on a worker that only seemed dead."""
    arguments = (span, {"a": (tmp_path, "a")}, look, scheduler, False, tmp_path)
    running = threading.Thread(target=run_on_cluster, args=arguments)
    with FileLock(tmp_path / "a.lock"), Client(scheduler, set_as_default=False) as client:
        running.start()
        assert wait_until(lambda: any(client.processing().values()))
        time.sleep(2)
        assert not (tmp_path / "a").exists()
    running.join()
    assert (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(scheduler, local, digits, place, capsys, without_figures):
    """Its task runs again from the last checkpoint: epochs done before are kept, and the record is that of one machine."""
    with (
        Client(scheduler, set_as_default=False) as client,
        meanwhile(place, lambda: os.kill(worker_of_first(client), signal.SIGKILL)) as killed,
    ):
        assert measure(digits, "engine=dask", f"scheduler={scheduler}") == 0
    assert record_of(place) == local
    (lines,) = place.glob("mlruns/artifacts/*/*/artifacts/record/network-1")
    # the seconds that an epoch took tell that it was not trained anew; of the last, the checkpoint may be missing
    assert read_epochs(lines)[: len(killed.before) - 1] == killed.before[:-1]
    assert capsys.readouterr().err == ""


def test_a_scheduler_that_does_not_answer_is_one_line(place, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    assert train.main(["--mode", "measure", "engine=dask", "scheduler=tcp://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "train.py: scheduler=tcp://127.0.0.1:9: no Dask scheduler answers there; "
        "`dask scheduler --port 8786` starts one\n"
    )
