"""Trainings on a Dask cluster, in the worker processes themselves, which therefore have one thread each.

Only functions, by name, and settings travel: a training reads its images from, and writes its record to, files that all
machines share under the same path. One whose worker dies is run again by Dask elsewhere, and resumes from its checkpoint.
"""

import logging
import pickle
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.errors import UserError
from lab.processes import POLL_SECONDS, Task

CONNECT_SECONDS = 10
END_SECONDS = 30  # for cancelled trainings to end
GPU = {"GPU": 1}  # a resource of workers, in Dask's words
LACKING = "scheduler and workers must have this program installed in the same version, here one has not: {}"


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A Dask client; within, what Dask raises is a UserError. Raises UserError where no scheduler answers."""
    try:
        from distributed import Client, KilledWorker
        from distributed.comm import CommClosedError
    except ImportError as error:
        raise UserError("engine=dask needs Dask on every machine: pip install -e '.[cluster]'") from error
    for name in ("distributed", "distributed.client"):  # errors are one line, here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"scheduler={scheduler}: no Dask scheduler answers there; `dask scheduler --port 8786` starts one"
        ) from error
    try:
        with client:
            yield client
    except KilledWorker as error:
        raise UserError(
            f"{error.allowed_failures + 1} workers died while they ran the same training, possibly out of memory; "
            "the same command resumes from its last epoch"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise UserError("the Dask scheduler is gone; the same command resumes from the last epochs") from error
    except RuntimeError as error:
        if not isinstance(error.__cause__, ImportError | AttributeError):
            raise
        raise UserError(LACKING.format(error.__cause__)) from error  # Dask's: the scheduler could not read the task


def ask_worker(
    question: Callable[..., Any], arguments: tuple, scheduler: str, on_gpu: bool | None, say: Callable[[str], None]
) -> Any:
    """What a function returns on some worker, having said so where it has to wait for one.

    on_gpu: whether that must offer the resource GPU; None: if one does.
    """
    with connected(scheduler) as client:

        def gpus() -> list[bool]:
            workers = client.scheduler_info()["workers"].values()
            return [bool(worker["resources"].get("GPU")) for worker in workers]

        if not (any(gpus()) if on_gpu else gpus()):
            more = ' --resources "GPU=1"' if on_gpu else ""
            say(f"waiting for a worker: `dask worker {scheduler} --nthreads 1{more}` starts one")
        client.wait_for_workers(1)
        resources = GPU if on_gpu or (on_gpu is None and any(gpus())) else None
        return client.submit(answer, pickle.dumps((question, arguments)), pure=False, resources=resources).result()


def run_on_cluster(
    task: Task, tasks: Mapping[str, tuple], meanwhile: Callable[[], None], scheduler: str, on_gpu: bool, work: Path
) -> None:
    """Run a training for the arguments of each task, as many at a time as there are workers; `meanwhile` as they run.

    on_gpu: each waits for a worker that offers the resource GPU, and takes one of it. work: the shared folder; a lock per
    name in it keeps a training from running twice at once, should a worker only seem dead.
    The first exception in a task is raised here; then, and on Ctrl-C, the others are cancelled and end after their step.
    """
    with connected(scheduler) as client:
        locks, resources = [work / f"{name}.lock" for name in tasks], GPU if on_gpu else None
        pickled = [pickle.dumps((task, arguments)) for arguments in tasks.values()]
        keys = [f"{name}-{client.id}" for name in tasks]
        futures = client.map(train_here, pickled, locks, key=keys, pure=False, resources=resources)
        going = set(futures)
        try:
            while going:
                time.sleep(POLL_SECONDS)
                ended = {future for future in going if future.done()}
                for future in ended:
                    future.result()
                going -= ended
                meanwhile()
        finally:
            client.cancel(futures, force=True)
            for lock in filter(Path.exists, locks):  # a machine that cannot be reached is not waited for for ever
                with suppress(Timeout), FileLock(lock, timeout=END_SECONDS):
                    pass


def read_task(pickled: bytes) -> tuple[Any, tuple]:
    """A function and its arguments. Raises UserError where this worker lacks the function."""
    try:
        return pickle.loads(pickled)
    except (ImportError, AttributeError) as error:
        raise UserError(LACKING.format(error)) from error


def answer(question: bytes) -> Any:
    """On a worker: what a pickled function returns for its arguments."""
    function, arguments = read_task(question)
    return function(*arguments)


def train_here(pickled: bytes, lock: Path) -> None:
    """On a worker: run a pickled training, until it ends or nobody wants it."""
    from distributed import Status, get_worker

    worker = get_worker()
    key = worker.get_current_task()
    if worker.state.nthreads > 1:  # torch's random numbers and threads belong to the process
        raise UserError(f"the worker {worker.address} has {worker.state.nthreads} threads: start it with --nthreads 1")
    if not lock.parent.is_dir():
        raise UserError(
            f"{lock.parent} is not there on worker {platform.node()}: workers must share the current folder of the command, "
            "under the same path"
        )
    task, arguments = read_task(pickled)
    with FileLock(lock).acquire(poll_interval=POLL_SECONDS):
        for _ in task(*arguments) or ():
            known = worker.state.tasks.get(key)
            wanted = known is not None and known.state == "executing"  # else "cancelled"
            if not wanted or worker.status in (Status.closing, Status.closed, Status.failed):
                return
