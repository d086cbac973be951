"""Networks trained side by side: independent tasks in processes of their own, watched from here while they run."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from agreement.record import read_epochs

POLL_SECONDS = 0.5


def side_by_side(tasks: int, asked: int, on_gpu: bool) -> tuple[int, int]:
    """Processes to use for this many tasks, and torch threads in each.

    On the CPU every core stays busy to the end when all tasks run at once, unless they fill the cores evenly; beyond three
    tasks a core they queue. The threads depend on the number of tasks alone, so that `workers=` does not change a result.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if on_gpu:
        return asked or 1, max(1, cores // max(1, asked))
    workers = tasks if tasks < cores or (tasks % cores and tasks <= 3 * cores) else cores
    return min(asked or workers, tasks), max(1, cores // tasks)


def run_tasks(task: Callable[..., Any], arguments: Iterable[tuple], workers: int) -> Iterable[Any]:
    """Call `task(*arguments[i])` in `workers` processes (in this one if a single worker is asked for); yields results as they come.

    Large arrays among the arguments are shared through memory-mapped files. An exception in a task ends all of them.
    """
    from joblib import Parallel, delayed

    pool = Parallel(workers, backend="loky" if workers > 1 else "sequential", return_as="generator_unordered", max_nbytes="1M", mmap_mode="c", pre_dispatch="all")
    return pool(delayed(quietly if workers > 1 else task)(*((task, *each) if workers > 1 else each)) for each in arguments)


def quietly(task: Callable[..., Any], *arguments: Any) -> Any:
    """Ctrl-C reaches every process of a terminal; the parent alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return task(*arguments)


class Watch:
    """Follows the epochs that training networks write, in a thread, and passes new ones on.

    on_epochs: called with a list of (task, numbers) whenever there are new lines, and with [] about every half second.
    An exception it raises is kept in `error` and ends the watching, never the training.
    """

    def __init__(self, folders: list[Path], on_epochs: Callable[[list[tuple[int, dict[str, float]]]], None]):
        self.folders, self.on_epochs = folders, on_epochs
        self.seen = [0] * len(folders)
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def look(self) -> None:
        new = []
        for k, folder in enumerate(self.folders):
            lines = read_epochs(folder)[self.seen[k] :]
            self.seen[k] += len(lines)
            new += [(k, line) for line in lines]
        self.on_epochs(new)

    def follow(self) -> None:
        try:
            while not self.stopping.wait(POLL_SECONDS):
                self.look()
        except Exception as error:
            self.error = error

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopping.set()
        self.thread.join()
        if self.error is None:
            self.look()
