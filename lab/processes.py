"""Tasks side by side: each in a process of its own, watched from here while it runs.

Processes are forked from a server that has imported torch once, so that a task starts in milliseconds. The process that
starts them need not import it at all: it names their functions.
"""

import multiprocessing
import os
import pickle
import pkgutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any

from lab.errors import UserError

POLL_SECONDS = 0.5
STOP_SECONDS = 2.0
PROCESSES = multiprocessing.get_context("forkserver")


def warm_up(*modules: str) -> None:
    """Start the server from which tasks are forked, so that it imports their modules while others work."""
    from multiprocessing import forkserver, resource_tracker

    PROCESSES.set_forkserver_preload(list(modules))
    with importing_from_here():
        # Ctrl-C reaches every process of a terminal, and a scheduler may signal all of a job; only this one answers. The
        # server and all its tasks inherit the mask
        resource_tracker.ensure_running()  # which would lift it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def importing_from_here() -> Iterator[None]:
    """Python started meanwhile imports from this checkout: not from another that is installed, never from the current folder."""
    names = ("PYTHONPATH", "PYTHONSAFEPATH")
    own = {name: os.environ[name] for name in names if name in os.environ}
    path = [str(Path(__file__).parents[1]), *filter(None, [own.get("PYTHONPATH")])]
    os.environ.update(PYTHONPATH=os.pathsep.join(path), PYTHONSAFEPATH="1")
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(own)


def side_by_side(tasks: int, asked: int, on_gpu: bool) -> tuple[int, int]:
    """Processes to use for this many tasks, and torch threads in each.

    On the CPU every core stays busy to the end when all tasks run at once, unless they fill the cores evenly; beyond three
    tasks a core they queue. The threads depend on the number of tasks alone, so that `workers=` does not change a result.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if on_gpu:
        workers = 1
    elif tasks < cores or (tasks % cores and tasks <= 3 * cores):
        workers = tasks
    else:
        workers = cores
    return min(asked or workers, tasks), max(1, cores // tasks)


def run_tasks(
    task: Callable[..., Any], arguments: Iterable[tuple], workers: int, wanted: Callable[[], bool] = lambda: True
) -> list[Any]:
    """What `task(*each)` returns for each of the arguments, at most `workers` at a time, each in a new process.

    The first exception in a task is raised here, as it is; a process that died, and `wanted` turning false, raise
    UserError. Either way, and on Ctrl-C, the others are ended at once.
    """
    waiting = list(enumerate(arguments))[::-1]
    results: list[Any] = [None] * len(waiting)
    running: dict[Any, tuple[int, Any]] = {}  # number and process by the end of the pipe that its result comes from
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                ours, theirs = PROCESSES.Pipe(duplex=False)
                number, each = waiting.pop()
                process = PROCESSES.Process(target=call, args=(theirs, task, each), daemon=True)
                process.start()
                theirs.close()
                running[ours] = number, process
            ended: list[Any] = connection.wait(list(running), POLL_SECONDS)
            if not ended and not wanted():
                raise UserError("cancelled")
            for ours in ended:
                number, process = running.pop(ours)
                try:
                    results[number], error = ours.recv()
                except (EOFError, OSError):  # nothing came, or not all of it
                    process.join()
                    killed = process.exitcode == -signal.SIGKILL
                    reason = (
                        "killed, perhaps for want of memory: try workers=1"
                        if killed
                        else f"exit status {process.exitcode}"
                    )
                    raise UserError(
                        f"a training process died ({reason}); the same command resumes from its last epoch"
                    ) from None
                process.join()
                if error is not None:
                    raise error
        return results
    finally:
        for _, process in running.values():
            process.kill()
        for _, process in running.values():
            process.join()


def call(result: Any, task: Callable[..., Any], arguments: tuple) -> None:
    """In the new process: run the task, send what it returns or raises, and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        result.send((task(*arguments), None))
    except Exception as error:
        result.send((None, portable(error)))


def by_name(function: str, *arguments: Any) -> Any:
    """What a function returns that is named "module:function", so that only the process that calls it imports its module."""
    return pkgutil.resolve_name(function)(*arguments)


def under_torchrun() -> bool:
    """Whether this is one of several processes of `torchrun`, see `lab.ranks`."""
    return processes() > 1


def processes() -> int:
    """Of torchrun; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def portable(error: Exception) -> Exception:
    """The exception with a note of where it arose; one that cannot be pickled is told by a RuntimeError."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        told: Exception = RuntimeError(f"{type(error).__name__}: {error}")
    else:
        told = error
    told.add_note(f"In the training process:\n{''.join(traceback.format_exception(error))}")
    return told


def end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])  # type: ignore[union-attr]  # a child has a parent
    os._exit(1)


class Watch:
    """Follows the epochs that training networks write, in a thread, and passes new ones on.

    file: the name of what they write in their folders, a line of numbers at a time. on_epochs: called about every half second with a list of (task, numbers) of the epochs that are new, perhaps empty.
    An exception it raises is kept in `error` and ends the watching, never the training.
    """

    def __init__(
        self,
        folders: list[Path],
        on_epochs: Callable[[list[tuple[int, dict[str, float]]]], None],
        file: str = "epochs.jsonl",
    ):
        self.folders, self.on_epochs, self.file = folders, on_epochs, file
        self.seen = [0] * len(folders)
        self.stopping = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def look(self) -> None:
        from agreement.record import read_lines  # here, so that `warm_up` can come before all that imports slowly

        new = []
        for k, folder in enumerate(self.folders):
            lines = read_lines(folder / self.file)[self.seen[k] :]
            self.seen[k] += len(lines)
            new += [(k, line) for line in lines]
        self.on_epochs(new)

    def follow(self) -> None:
        try:
            while not self.stopping.wait(POLL_SECONDS):
                self.look()
            self.look()
        except Exception as error:
            self.error = error

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.stopping.set()
        # it may be waiting for a server that does not answer, and someone who stops the program should not
        self.thread.join(STOP_SECONDS if kind else None)
