"""Trainings side by side: in processes of their own on this machine, on a Dask cluster, or one by one on all ranks of torchrun.

A training is a generator function: it yields after every step, so that whoever runs it can look around in between.
Processes are forked from a server that has imported the training's module, and with it torch, once.
"""

import gc
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from typing import Any

from lab.errors import UserError

POLL_SECONDS = 0.5
ON_A_GPU = 8  # trainings at once
STEADY = 8  # steps until a training has taken what memory it needs, see lab.passes.WARM
PROCESSES = multiprocessing.get_context("forkserver")
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "TORCHELASTIC_RUN_ID")
Task = Callable[..., Iterable[None] | None]


def ranks_of_torchrun() -> int:
    """Processes of `torchrun`, of which this is one; 1 without it."""
    size = os.environ.get("WORLD_SIZE", "")
    return int(size) if size.isdecimal() and all(os.environ.get(name) for name in TORCHRUN) else 1


def side_by_side(tasks: int, asked: int, on_gpu: bool) -> tuple[int, int]:
    """How many of this many tasks to run at once, and torch threads for each.

    On a GPU they share one process, see `in_turn`. On the CPU each has its own, and every core stays busy to the end when all tasks run at once, unless they fill the cores evenly; beyond three
    tasks a core they queue. The threads depend on the number of tasks alone, so that `workers=` does not change a result.
    """
    from metrics.table import cores as cores_allowed  # here, because it takes long to import

    cores = cores_allowed()
    if on_gpu:
        workers = ON_A_GPU
    elif tasks < cores or (tasks % cores and tasks <= 3 * cores):
        workers = tasks
    else:
        workers = cores
    return min(asked or workers, tasks), max(1, cores // tasks)


def train_all(
    task: Task,
    tasks: Mapping[str, tuple],
    meanwhile: Callable[[], None],
    workers: int,
    on_gpu: bool,
    work: Path,
    scheduler: str | None,
) -> None:
    """Run a training for the arguments of each task; call `meanwhile` about every half second, and once at the end.

    workers: how many at a time on this machine, on a GPU in one process. scheduler: of the Dask cluster that trains instead. work: folder of files
    that the tasks share. The first exception of a task is raised, and ends the others.
    """
    try:
        if scheduler and tasks:
            from lab.cluster import run_on_cluster

            run_on_cluster(task, tasks, meanwhile, scheduler, on_gpu, work)
        elif ranks_of_torchrun() > 1 and tasks:
            from lab.ranks import run_on_ranks

            run_on_ranks(task, tasks.values(), meanwhile)
        elif tasks and on_gpu:
            run_tasks(in_turn, [(task, list(tasks.values()), workers)], 1, meanwhile)
        elif tasks:
            run_tasks(task, tasks.values(), workers, meanwhile)
    finally:
        meanwhile()  # also of what a training wrote before it failed


def run_tasks(
    task: Task, arguments: Iterable[tuple], workers: int, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Run a training for each of the arguments, at most `workers` at a time, each in a new process.

    The first exception in one is raised here, and UserError where a process died; then, and on Ctrl-C, the others are
    killed at once.
    """
    start_server(task)
    pool = ProcessPoolExecutor(workers, PROCESSES, begin_process, max_tasks_per_child=1)
    futures = []
    try:
        for each in arguments:
            futures.append(pool.submit(run_through, task, each))
        going = set(futures)
        while going:
            ended, going = wait(going, POLL_SECONDS, FIRST_COMPLETED)
            for future in ended:
                future.result()
            meanwhile()
    except BrokenProcessPool as error:
        raise UserError(
            "a training process died, possibly out of memory: try workers=1; the same command resumes from its last epoch"
        ) from error
    finally:
        while not all(future.done() for future in futures):  # the pool fails those that wait once one is killed
            for process in multiprocessing.active_children():
                process.kill()
            time.sleep(0.01)
        pool.shutdown()


def run_through(task: Task, arguments: tuple, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Run a training in this process to its end, and `meanwhile` about every half second."""
    looked = time.monotonic()
    for _ in task(*arguments) or ():
        if time.monotonic() - looked >= POLL_SECONDS:
            meanwhile()
            looked = time.monotonic()


def in_turn(task: Task, arguments: Sequence[tuple], at_once: int) -> Iterator[None]:
    """Run trainings on one GPU in this process: a step of each in turn, each on a CUDA stream of its own.

    at_once: so many at most, and no more than memory allows: another begins once those that run have taken a few steps and
    left room for it. Without a GPU they take turns all the same.
    """
    import torch

    gpu, waiting, turns = torch.cuda.is_available(), list(arguments), 0
    going: dict[Iterator[None], Any] = {}
    while waiting or going:
        turns += 1
        steady = turns > STEADY and not (gpu and crowded(len(going)))
        if waiting and len(going) < at_once and (steady or not going):
            going[iter(task(*waiting.pop(0)) or ())] = torch.cuda.Stream() if gpu else None
            turns = 0
        for training, stream in list(going.items()):
            with torch.cuda.stream(stream):
                if next(training, going) is going:
                    del going[training]
            yield


def crowded(trainings: int) -> bool:
    """Whether half as much again as each of the trainings takes is no longer free on the GPU."""
    import torch

    return torch.cuda.mem_get_info()[0] < 1.5 * torch.cuda.memory_reserved() / trainings


def start_server(task: Callable[..., Any]) -> None:
    """Start the server that processes are forked from, if it does not run yet; it imports the module of `task` at once."""
    # torch's optimisers import its compiler when the first is made, in seconds
    PROCESSES.set_forkserver_preload([task.__module__, "torch._dynamo"])
    # Python 3.11 gives the server no other path to import from. Never from the current folder: it may hold a metrics.py
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    # a program that is killed leaves semaphores behind; Python removes them and would print a warning
    quiet = f"{os.environ.get('PYTHONWARNINGS', '')},ignore:resource_tracker"
    with environment(PYTHONPATH=path, PYTHONSAFEPATH="1", PYTHONWARNINGS=quiet), short_temporary_folder():
        resource_tracker.ensure_running()  # which would unblock the signals
        # Ctrl-C reaches every process of a terminal, and a batch system may signal all of a job; only this process answers
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def short_temporary_folder() -> Iterator[None]:
    """Within, temporary files lie in /tmp where the folder in TMPDIR, as of a job system, is too long for the path of a socket."""
    before = tempfile.gettempdir()
    if len(os.fsencode(before)) > 60:  # 104 bytes with what multiprocessing puts behind it
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = before


def begin_process() -> None:
    """In a new process, where the server's signals are blocked: let SIGTERM end it, and the end of its parent."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    gc.freeze()  # what the server has imported is no garbage: looking through it would take tenths of a second each time
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])  # type: ignore[union-attr]  # a child has a parent
    os._exit(1)


def device_and_precision(
    device: str, precision: str, scheduler: str | None, say: Callable[[str], None]
) -> tuple[str, str]:
    """device= and precision= as they come to where the networks will be trained, on this machine or the cluster.

    say: prints what there is to wait for. Raises UserError where there is no such device or no such cluster.
    """
    from lab.training import settle

    if not scheduler:
        return settle(device, precision)
    if ranks_of_torchrun() > 1:
        raise UserError("engine=dask under torchrun: one of them can spread the trainings, not both")
    from lab.cluster import ask_worker

    on_gpu = {"cpu": False, "cuda": True, "auto": None}[device]
    return ask_worker(settle, (device, precision), scheduler, on_gpu, say)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Environment variables as given within the block; one that is changed within, as by a signal, stays as it is then."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in variables.items():
            if os.environ.get(name) == value:
                os.environ.pop(name)
                os.environ.update({name: before[name]} if name in before else {})
