"""Tasks on the workers of a Dask cluster: each in a process of its own there, forked as on one machine.

Only names and settings travel: a task reads its images from, and writes its record to, files that all machines share under
the same path. A task whose worker dies is run again by Dask elsewhere, and resumes from the checkpoint in those files.
"""

import logging
import multiprocessing
import pickle
import pkgutil
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.errors import UserError
from lab.processes import POLL_SECONDS, run_tasks, warm_up

CONNECT_SECONDS = 10
WAIT_SECONDS = 5  # for a worker, before saying that there is none
END_SECONDS = 30  # for cancelled tasks to end
GPU = {"GPU": 1}  # a resource of workers, in Dask's words
LACKING = "scheduler and workers must have this program installed in the same version, here one has not: {}"


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A Dask client. Raises UserError where Dask is not installed or no scheduler answers."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("engine=dask needs Dask on every machine: pip install -e '.[cluster]'") from error
    for name in ("distributed", "distributed.client"):  # what goes wrong is told in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"scheduler={scheduler}: no Dask scheduler answers there; `dask scheduler --port 8786` starts one"
        ) from error
    with client:
        yield client


def ask_worker(question: str, arguments: tuple, scheduler: str, on_gpu: bool | None, say: Callable[[str], None]) -> Any:
    """What a function, named as for `by_name`, returns on some worker.

    on_gpu: whether that must offer the resource GPU; None: preferably. Waits as long as there is no such worker, having said
    so.
    """
    given = pickle.dumps(arguments)
    with connected(scheduler) as client, told_in_one_line():

        def offered() -> list[bool]:
            workers = client.scheduler_info()["workers"].values()
            return [bool(worker["resources"].get("GPU")) for worker in workers]

        future = client.submit(answer_on_worker, question, given, pure=False, resources=GPU if on_gpu else None)
        try:
            answer = future.result(timeout=WAIT_SECONDS)
        except TimeoutError:
            if not (any(offered()) if on_gpu else offered()):
                more = ' --resources "GPU=1"' if on_gpu else ""
                say(f"waiting for a worker: `dask worker {scheduler}{more}` starts one")
            answer = future.result()
        if on_gpu is None and any(offered()):
            answer = client.submit(answer_on_worker, question, given, pure=False, resources=GPU).result()
        return answer


def run_on_cluster(task: str, tasks: Mapping[str, tuple], scheduler: str, on_gpu: bool, work: Path) -> None:
    """Call a function, named as for `by_name`, with the arguments of each task, as many at a time as the workers take.

    on_gpu: each waits for a worker that offers the resource GPU, and takes one of it. work: the shared folder; a lock per
    name in it keeps a task from running twice at once, should a worker only seem dead.
    The first exception in a task is raised here; then, and on Ctrl-C, the others are cancelled and end at once.
    """
    with connected(scheduler) as client, told_in_one_line():
        from distributed import as_completed

        futures = [
            client.submit(
                run_on_worker, task, pickle.dumps(arguments), work / f"{name}.lock", pure=False,
                key=f"{name}-{client.id}", resources=GPU if on_gpu else None,
            )
            for name, arguments in tasks.items()
        ]  # fmt: skip
        try:
            for future in as_completed(futures, loop=client.loop):
                future.result()
        finally:
            client.cancel(futures, force=True)
            for name in tasks:
                wait_for_end(work / f"{name}.lock")


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what Dask itself raises into a UserError."""
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise UserError(
            f"{error.allowed_failures + 1} workers died while they ran the same training, perhaps for want of memory; "
            "the same command resumes from its last epoch"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise UserError("the Dask scheduler is gone; the same command resumes from the last epochs") from error
    except RuntimeError as error:
        if not isinstance(error.__cause__, ImportError | AttributeError):
            raise
        raise UserError(LACKING.format(error.__cause__)) from error  # Dask's: the scheduler could not read the task


def wait_for_end(lock: Path) -> None:
    """Until no process holds the lock; a machine that cannot be reached is not waited for for ever."""
    if not lock.exists():  # the task never began
        return
    try:
        with FileLock(lock, timeout=END_SECONDS):
            pass
    except Timeout:
        pass


def answer_on_worker(function: str, arguments: bytes) -> Any:
    """In a thread of a worker: what the named function returns for the pickled arguments, in a new process."""
    make_ready(function)
    return run_tasks(called, [(function, arguments)], 1)[0]


def called(function: str, arguments: bytes) -> Any:
    try:
        found, given = pkgutil.resolve_name(function), pickle.loads(arguments)
    except (ImportError, AttributeError) as error:
        raise UserError(LACKING.format(error)) from error
    return found(*given)


def make_ready(function: str) -> None:
    # the worker itself never imports torch, which would keep it from answering the scheduler for seconds
    multiprocessing.current_process().daemon = False  # as Dask's nannies start workers, which may have no children then
    warm_up(function.partition(":")[0])


def run_on_worker(function: str, arguments: bytes, lock: Path) -> None:
    """In a thread of a worker: call the function in a new process, until it ends or nobody wants it."""
    from distributed import Status, get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        known = worker.state.tasks.get(key)
        going = worker.status not in (Status.closing, Status.closed, Status.failed)
        return going and known is not None and known.state == "executing"  # else "cancelled"

    make_ready(function)
    run_tasks(run_alone, [(function, arguments, lock)], 1, wanted)


def run_alone(function: str, arguments: bytes, lock: Path) -> None:
    if not lock.parent.is_dir():
        raise UserError(
            f"{lock.parent} is not there on worker {platform.node()}: workers must share the current folder of the command, "
            "under the same path"
        )
    with FileLock(lock, poll_interval=POLL_SECONDS):
        called(function, arguments)
