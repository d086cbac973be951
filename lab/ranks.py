"""One network over all processes of `torchrun`: each takes its share of every batch (DistributedDataParallel).

Rank 0 runs the program, and alone reads data sets, writes records and speaks to MLflow; the other ranks wait for its
trainings and take part in them. The batches are those of one process, and so are the gradients, which are means over all
of a batch. Without torchrun there is one rank, and every function here does nothing.
"""

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # now: imported later, as DDP does, its functions' defaults would hold the group for ever
from torch import nn

from lab.errors import UserError
from lab.processes import Task, run_through

PATIENCE = timedelta(days=30)  # between two trainings rank 0 may be busy for long; torchrun notices a rank that died
SILENCE = 10  # seconds of waiting for the others before it says so
LEAST = 2  # examples of a batch for each rank: batch-norm cannot normalise one


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def led(program: Callable[[], int]) -> int:
    """In a process of torchrun: the program where this is rank 0, and else what it asks for. Returns the exit status."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    join("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    status = program() if rank() == 0 else follow()
    if status == 0:  # else the others may be in the middle of a training: torchrun ends them
        if rank() == 0:
            dist.broadcast_object_list([None])
        leave()
    return status


def join(backend: str) -> None:
    """Join the group of ranks, once all are there. While it waits, a signal ends the process, and a line says what for."""
    size, where = os.environ["WORLD_SIZE"], f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT')}"
    line = f"waiting for all {size} processes of torchrun (WORLD_SIZE) to meet at {where}"
    said = threading.Timer(SILENCE, print, [line], {"file": sys.stderr, "flush": True})
    said.daemon = True
    said.start()
    # torch waits outside Python, where no handler of Python's is called
    handlers = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGTERM)}
    dist.init_process_group(backend, timeout=PATIENCE)
    said.cancel()
    for each, handler in handlers.items():
        signal.signal(each, handler)


def leave() -> None:
    """Leave the group of ranks, all at once, such that none of its threads is left to meet the end of Python."""
    dist.barrier()
    gc.collect()  # networks that were trained lie in circles, and hold the group
    dist.destroy_process_group()


def follow() -> int:
    """Take part in the trainings of rank 0 until it is through."""
    while True:
        asked: list[Any] = [None]
        try:
            dist.broadcast_object_list(asked)
            if asked[0] is None:
                return 0
            task, arguments = asked[0]
            run_through(task, arguments)
        except KeyboardInterrupt:
            return 130
        except UserError:  # rank 0 tells
            return 2
        except Exception as error:
            print(f"train.py, rank {rank()}: {' '.join(str(error).split())}", file=sys.stderr)
            return 1


def run_on_ranks(task: Task, arguments: Iterable[tuple], meanwhile: Callable[[], None] = lambda: None) -> None:
    """On rank 0: run a training for each of the arguments, one after the other, on all ranks at once."""
    for each in arguments:
        dist.broadcast_object_list([(task, each)])
        run_through(task, each, meanwhile)


def share(size: int) -> slice:
    """This rank's part of a batch of `size`: equal parts in the order of the ranks, the first ones larger by one if need be.

    Raises UserError where a part would be too small to train on.
    """
    if count() == 1:
        return slice(0, size)
    if size < LEAST * count():
        raise UserError(
            f"a batch of {size} is too small for {count()} processes: choose another batch_size=, or fewer processes"
        )
    part, more = divmod(size, count())
    begin = rank() * part + min(rank(), more)
    return slice(begin, begin + part + (rank() < more))


def weight(size: int, part: slice) -> float:
    """What makes the mean over the ranks of their mean losses, which is what DDP descends, the mean over the batch."""
    return count() * (part.stop - part.start) / size


def data_parallel(network: nn.Module, sync_batchnorm: bool) -> nn.Module:
    """The network such that its gradients are means over the ranks; all begin with the weights of rank 0.

    sync_batchnorm: batch-norm is over the whole batch as well, between GPUs.
    """
    if count() == 1:
        return network
    if sync_batchnorm:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    # of kernels of one channel, whose layout has two names
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    return nn.parallel.DistributedDataParallel(network)


def same_buffers(network: nn.Module) -> None:
    """Give all ranks the running means and variances of rank 0, as a network of one process has them."""
    if count() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def gathered(parts: list[Any]) -> list[Any] | None:
    """The lists of all ranks as one, on rank 0; None on the others."""
    if count() == 1:
        return parts
    lists: list[Any] | None = [None] * count() if rank() == 0 else None
    dist.gather_object(parts, lists)
    return None if lists is None else [part for each in lists for part in each]
