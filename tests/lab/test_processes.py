"""Trainings in processes of their own: what they raise, how they die, how many run, and that none outlives the program."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import processes
from lab.errors import UserError
from lab.processes import ranks_of_torchrun, run_tasks, run_through, side_by_side

ROOT = Path(__file__).parents[2]


def write(folder: Path, name: str) -> Iterator[None]:
    (folder / name).write_text(str(os.getpid()))
    yield


def span(folder: Path, name: str, seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    time.sleep(seconds)
    yield
    (folder / name).write_text(json.dumps([begin, time.monotonic()]))


def fail(kind: type[Exception], *arguments: object) -> Iterator[None]:
    yield
    raise kind(*arguments)


def die(sign: int) -> Iterator[None]:
    os.kill(os.getpid(), sign)
    time.sleep(60)
    yield


class NeedsTwo(Exception):
    """Pickles without complaint and cannot be unpickled."""

    def __init__(self, first: str, second: str):
        super().__init__(f"{first} and {second}")


def fail_or_write(folder: Path, which: str) -> Iterator[None]:
    yield
    if which == "fail":
        while not (folder / "long begun").exists():
            time.sleep(0.01)
        raise ValueError("no good")
    if which == "long":
        (folder / "long begun").touch()
        time.sleep(60)
    (folder / which).touch()


def test_each_runs_to_its_end_in_a_process_of_its_own(tmp_path):
    run_tasks(write, [(tmp_path, str(i)) for i in range(5)], workers=2)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(found) == ["0", "1", "2", "3", "4"]
    assert len({*found.values(), str(os.getpid())}) == 6
    run_tasks(fail, [], workers=2)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_at_most_so_many_at_once_and_no_fewer(tmp_path, workers):
    run_tasks(span, [(tmp_path, str(i), 0.4) for i in range(4)], workers)
    spans = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    together = max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)
    assert len(spans) == 4
    assert together == workers if workers == 1 else 2 <= together <= workers


def test_the_caller_looks_about_every_half_second(tmp_path):
    looked: list[bool] = []
    run_tasks(span, [(tmp_path, "a", 2.0)], 1, lambda: looked.append((tmp_path / "a").exists()))
    assert 3 <= len(looked) <= 20 and looked[-1] and not looked[0]


def test_so_it_does_while_it_trains_itself():
    """As rank 0 of torchrun does."""
    moments: list[float] = []
    begun = time.monotonic()

    def steps() -> Iterator[None]:
        while time.monotonic() < begun + 1.8:
            time.sleep(0.01)
            yield

    run_through(steps, (), lambda: moments.append(time.monotonic() - begun))
    assert len(moments) == 3 and moments == pytest.approx([0.5, 1, 1.5], abs=0.3)


@pytest.mark.parametrize(
    "error",
    [ValueError("no good"), FileNotFoundError(2, "No such file", "x.png"), UserError("one line"), ValueError("x" * 300_000)],
)  # fmt: skip
def test_exceptions_arrive_as_they_are_with_the_traceback_of_their_process(error):
    with pytest.raises(type(error)) as raised:
        run_tasks(fail, [(type(error), *error.args, *([error.filename] if isinstance(error, OSError) else []))], 1)
    assert type(raised.value) is type(error)
    assert str(raised.value) == str(error)
    assert "in fail" in str(raised.value.__cause__)


def test_an_exception_that_cannot_travel_is_one_line_and_its_traceback_beneath(capfd):
    with pytest.raises(UserError, match=r"^a training process died") as raised:
        run_tasks(fail, [(NeedsTwo, "this", "that")], 1)
    assert "NeedsTwo" in str(raised.value.__cause__.__cause__)
    assert "Traceback" not in capfd.readouterr().err


def test_the_first_failure_ends_the_others_and_starts_no_more(tmp_path):
    begin = time.monotonic()
    with pytest.raises(ValueError, match="no good"):
        run_tasks(fail_or_write, [(tmp_path, "long"), (tmp_path, "fail"), (tmp_path, "never")], workers=2)
    assert time.monotonic() - begin < 30
    assert not (tmp_path / "never").exists() and not (tmp_path / "long").exists()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_is_one_line(sign):
    with pytest.raises(
        UserError, match=r"^a training process died, possibly out of memory.*; the same command resumes.*$"
    ):
        run_tasks(die, [(sign,), (sign,)], 1)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def wait_for(program: subprocess.Popen, *paths: Path) -> None:
    assert wait_until(lambda: all(path.exists() for path in paths) or program.poll() is not None)
    assert program.poll() is None, program.communicate()


def test_what_lies_in_the_current_folder_is_not_imported(tmp_path):
    """Not even under the name of a package of ours; and of two checkouts the one that was called."""
    for name in ("lab", "torch", "metrics"):
        (tmp_path / f"{name}.py").write_text(f"open('{name} was imported', 'w')")
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "lab.py").write_text("open('another lab was imported', 'w')")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ask.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from lab.processes import run_tasks\n"
        "from lab.training import save_checkpoint\n"
        "if __name__ == '__main__':\n"
        "    run_tasks(save_checkpoint, [(Path('there.pt'), {})], 1)\n"
    )
    subprocess.run(
        [sys.executable, "elsewhere/ask.py"], cwd=tmp_path, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
    )  # fmt: skip
    assert (tmp_path / "there.pt").exists()
    assert not list(tmp_path.glob("* was imported"))


PROGRAM = """
    import os, sys, time
    from pathlib import Path
    from lab.processes import PROCESSES, run_tasks

    set_preload = PROCESSES.set_forkserver_preload
    PROCESSES.set_forkserver_preload = lambda modules: set_preload(["slow"])  # to import as long as torch, at no cost

    def task(folder, name):
        (folder / f"{name}.draft").write_text(str(os.getpid()))
        (folder / f"{name}.draft").rename(folder / name)
        time.sleep(120)
        yield

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        (folder / "begun").touch()
        try:
            run_tasks(task, [(folder, "a"), (folder, "b")], 2)
        except KeyboardInterrupt:
            os._exit(130)
"""


@pytest.fixture
def program(tmp_path):
    """A program with two tasks that take long, in a process group of its own, as a terminal starts it."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "slow.py").write_text("import time; time.sleep(1.5)")
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", tmp_path], env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        start_new_session=True, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_the_tasks_end_when_the_program_is_killed(program, tmp_path):
    wait_for(program, tmp_path / "a", tmp_path / "b")
    tasks = [int((tmp_path / name).read_text()) for name in "ab"]
    assert all(alive(pid) for pid in tasks)
    program.kill()
    assert wait_until(lambda: not any(alive(pid) for pid in tasks), 20)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("moment", ["the server is being started", "the tasks run"])
def test_ctrl_c_reaches_every_process_and_only_the_program_answers(program, tmp_path, moment):
    """A terminal sends SIGINT to the whole group; neither the server nor a task may print a traceback."""
    if moment == "the tasks run":
        wait_for(program, tmp_path / "a", tmp_path / "b")
    else:
        wait_for(program, tmp_path / "begun")
        time.sleep(0.3)
    os.killpg(program.pid, signal.SIGINT)
    _, error = program.communicate(timeout=60)
    assert program.returncode == 130
    assert error == ""
    for path in [path for path in tmp_path.glob("[ab]")]:
        assert wait_until(lambda path=path: not alive(int(path.read_text())), 20)


@pytest.mark.parametrize(
    ("cores", "tasks", "asked", "on_gpu", "workers", "threads"),
    [
        (2, 5, 0, False, 5, 1),  # all at once: one core would idle in the last round
        (2, 4, 0, False, 2, 1),  # fills the cores evenly
        (2, 7, 0, False, 2, 1),  # beyond three a core they queue
        (2, 1, 0, False, 1, 2),
        (8, 5, 0, False, 5, 1),
        (8, 2, 0, False, 2, 4),
        (8, 3, 0, False, 3, 2),
        (8, 8, 0, False, 8, 1),
        (2, 5, 1, False, 1, 1),
        (2, 5, 99, False, 5, 1),
        (8, 2, 1, False, 1, 4),  # the threads do not follow workers=, so that results do not
        (8, 5, 0, True, 5, 1),
        (8, 20, 0, True, 8, 1),
        (8, 5, 3, True, 3, 1),
    ],
)
def test_side_by_side(monkeypatch, cores, tasks, asked, on_gpu, workers, threads):
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    assert side_by_side(tasks, asked, on_gpu) == (workers, threads)


def test_torchrun_is_known_by_all_of_its_variables(monkeypatch):
    """Other programs set some of them, such as WORLD_SIZE."""
    for name in processes.TORCHRUN:
        monkeypatch.setenv(name, "4")
    assert ranks_of_torchrun() == 4
    monkeypatch.setenv("WORLD_SIZE", "")
    assert ranks_of_torchrun() == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert ranks_of_torchrun() == 1


def test_variables_of_a_block_end_with_it_but_for_those_changed_within(monkeypatch):
    monkeypatch.setenv("LAB_ONE", "1")
    with processes.environment(LAB_ONE="2", LAB_TWO="2", LAB_THREE="2"):
        assert os.environ["LAB_ONE"] == os.environ["LAB_TWO"] == "2"
        monkeypatch.setenv("LAB_THREE", "3")  # as the handler of a signal may
    assert os.environ["LAB_ONE"] == "1" and "LAB_TWO" not in os.environ and os.environ["LAB_THREE"] == "3"
