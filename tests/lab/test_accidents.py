"""What happens to a measurement, and that nothing is lost by it: kills, signals, full disks, numbers that are none."""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from measurement import (
    EPOCHS,
    Store,
    all_parents,
    artifacts_of,
    assert_same_record,
    nothing_unfinished,
    program,
    words,
)
from PIL import Image

import train
from agreement.record import LearningRecord, read_epochs
from lab.processes import PROCESSES


def one_line(capsys) -> str:
    error = capsys.readouterr().err
    assert error.startswith("train.py: ") and error.count("\n") == 1 and error.endswith("\n"), error
    return error


@pytest.mark.slow
def test_a_loss_that_is_no_number(digits, place, capsys):
    """Two sound epochs, then a learning rate that is absurd."""
    recipe = ["schedule=step", "step_epochs=2", "step_factor=1e12", "networks=2"]
    assert train.main(words(digits, *recipe)) == 2
    assert re.search(
        r"network [12] \(lenet5\): the loss is NaN or infinite in epoch 3; try a smaller lr than", one_line(capsys)
    )
    store = Store(place)
    assert store.statuses == ["FAILED"] * 3
    lines = [read_epochs(store.record.network_folder(k)) for k in (0, 1)]
    assert max(map(len, lines)) == 2
    assert len(store.series(store.children[0], "train/accuracy")) == len(lines[0])
    assert nothing_unfinished(place)


def epochs_done(place: Path) -> list[int]:
    folders = sorted((place / "mlruns" / "unfinished").glob("*/record/network-*"))
    return [len(read_epochs(folder)) for folder in folders]


def wait_for_training(place: Path, beyond: int = 0) -> None:
    """Until every network has finished more epochs than so many."""
    end = time.monotonic() + 900
    while len(epochs_done(place)) < 3 or min(epochs_done(place)) <= beyond:
        assert time.monotonic() < end, "the training does not begin"
        time.sleep(0.005)


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again(measured, store, digits, place, capsys, without_figures):
    arguments = words(digits, f"cache={measured[0] / 'cache'}")
    process = program(place, arguments)
    wait_for_training(place)
    os.kill(grandchild_of(process.pid), signal.SIGKILL)  # as the kernel does when memory runs out
    _, error = process.communicate(timeout=400)
    assert process.returncode == 2
    assert error.strip() == (
        "train.py: a training process died, possibly out of memory: try workers=1; "
        "the same command resumes from its last epoch"
    )
    assert Store(place).statuses == ["FAILED"] * 4

    process, before = program(place, arguments), min(epochs_done(place))
    wait_for_training(place, before)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=400)
    assert process.returncode == 130
    assert error.strip() == "interrupted; the same command continues where this one stopped"
    interrupted = Store(place)
    assert interrupted.statuses == ["KILLED"] * 4
    kept = interrupted.record
    assert 1 <= kept.epochs < EPOCHS
    np.testing.assert_array_equal(kept.correct("train"), store.record.correct("train")[:, : kept.epochs])

    assert train.main(arguments) == 0
    resumed = Store(place)
    assert resumed.parent.info.run_id == interrupted.parent.info.run_id
    assert [run.info.run_id for run in resumed.children] == [run.info.run_id for run in interrupted.children]
    assert resumed.statuses == ["FINISHED"] * 4
    assert_same_record(store.record, resumed.record)
    resumed.assert_logged_once_and_fully()
    assert nothing_unfinished(place)


def grandchild_of(program: int) -> int:
    """A training process: child of the server that is a child of the program."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return next(pid for pid, parent in parents.items() if parents.get(parent) == program)


def wait_for_finding(place: Path, file: str) -> None:
    end = time.monotonic() + 900
    while not list(place.glob(f"mlruns/unfinished/*/findings/{file}")):
        assert time.monotonic() < end, f"{file} is not made"
        time.sleep(0.002)


def measure_in(place: Path, arguments: list[str]) -> None:
    os.chdir(place)
    train.main(arguments)


@pytest.mark.slow
def test_killed_outright_at_several_moments_and_the_same_command_again(measured, store, digits, place, capsys):
    # one statistic, as every one has figures of its own
    arguments = words(digits, "statistics=[entropy]", f"cache={measured[0] / 'cache'}")

    def begun(wait: Callable[[Path], None]) -> multiprocessing.process.BaseProcess:
        process = PROCESSES.Process(target=measure_in, args=(place, arguments))
        process.start()
        wait(place)
        return process

    process = begun(wait_for_training)
    os.kill(process.pid, signal.SIGSTOP)  # it holds its place, however fast it would be
    assert train.main(arguments) == 2
    assert "the same measure" in (line := one_line(capsys)) and "already running" in line
    process.kill()
    process.join()
    killed = Store(place)
    assert killed.statuses == ["RUNNING"] * 4  # nobody was left to say otherwise
    for file in ("figures/train-examples.png", "config.yaml"):  # while it draws, and when that is over
        process = begun(partial(wait_for_finding, file=file))
        process.kill()
        process.join()
    assert train.main(arguments) == 0
    resumed = Store(place)
    assert resumed.parent.info.run_id == killed.parent.info.run_id
    assert resumed.statuses == ["FINISHED"] * 4
    assert_same_record(store.record, resumed.record)
    resumed.assert_logged_once_and_fully()
    others = re.compile("-(frequency|segments)[.]")
    assert artifacts_of(resumed) == {name for name in artifacts_of(store) if not others.search(name)}
    assert nothing_unfinished(place)


@pytest.mark.slow
def test_interrupted_while_the_findings_are_logged(
    measured, store, digits, place, capsys, monkeypatch, without_figures
):
    """After the curves went into the store, before the summary: resuming must not log them a second time."""
    arguments = words(digits, f"cache={measured[0] / 'cache'}")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lab.measure.describe", interrupt)
        assert train.main(arguments) == 130
    assert Store(place).statuses == ["KILLED"] * 4
    assert train.main(arguments) == 0
    resumed = Store(place)
    assert resumed.statuses == ["FINISHED"] * 4
    resumed.assert_logged_once_and_fully()
    assert_same_record(store.record, resumed.record)


@pytest.mark.slow
def test_other_images_under_the_same_name_are_not_resumed(digits, place, capsys, monkeypatch, without_figures):
    """The record of an interrupted run is of its images; changed ones begin anew."""
    shutil.copytree(digits, place / "copy")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("agreement.analyse", interrupt)
        assert train.main(words(place / "copy", "networks=1", "epochs=2")) == 130
    for path in (place / "copy" / "train").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert train.main(words(place / "copy", "networks=1", "epochs=2")) == 0
    parents = all_parents(place)
    assert Counter(run.info.status for run in parents) == {"KILLED": 1, "FINISHED": 1}
    records = [Path(run.info.artifact_uri.removeprefix("file://")) / "record/network-1" for run in parents]
    one, other = (np.load(record / "train-probability.npy") for record in records)
    assert (one != other).any()


def test_other_threads_or_processes_are_other_work(digits, place, monkeypatch):
    """Sums in another order, or batch-norm over other parts of a batch: what was begun so cannot be repeated exactly."""
    works = []

    def interrupt(task, tasks, look, workers, on_gpu, work, *rest):
        works.append(work)
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.measure.train_all", interrupt)
    for threads, processes in ((1, 1), (1, 1), (2, 1), (1, 2)):
        monkeypatch.setattr("lab.measure.side_by_side", lambda *arguments, threads=threads: (1, threads))
        monkeypatch.setattr("lab.measure.ranks_of_torchrun", lambda processes=processes: processes)
        assert train.main(words(digits, "networks=1", "epochs=2")) == 130
    assert works[0] == works[1] and len(set(works)) == 3


@pytest.fixture
def small_disk(place):
    """A disk of 6 MB, mounted where the store is; needs to be root."""
    disk = place / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        shutil.copytree(place / "mlruns", disk / "mlruns")
        yield disk
    finally:
        os.chdir(place)
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("free", [60_000, 400_000, 1_000_000])
def test_a_full_disk(measured, store, digits, small_disk, monkeypatch, capsys, free, without_figures):
    """One line wherever the space ends: the shared images, the record, a checkpoint or the store; with space, it resumes."""
    monkeypatch.chdir(small_disk)
    ballast = small_disk / "ballast"
    state = os.statvfs(small_disk)
    ballast.write_bytes(b"\1" * (state.f_bavail * state.f_frsize - free))
    arguments = words(digits, f"cache={measured[0] / 'cache'}")
    assert train.main(arguments) == 2
    line = one_line(capsys)
    assert (
        re.search(r"No space left|disk (is )?full|disk I/O error", line)
        and "make space" in line
        and "the same command" in line
    )
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert train.main(arguments) == 0
    finished = [run for run in all_parents(small_disk) if run.info.status == "FINISHED"]
    assert len(finished) == 1
    kept = LearningRecord(Path(finished[0].info.artifact_uri.removeprefix("file://")) / "record")
    assert_same_record(store.record, kept)
