"""Where a phase trains its networks: in processes on this machine, on a Dask cluster, or each on all ranks of torchrun."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lab.cluster import ask_worker, run_on_cluster
from lab.errors import UserError
from lab.processes import by_name, run_tasks, under_torchrun


def settled(config: Any, say: Callable[[str], None]) -> Any:
    """The configuration with device= and precision= as they come to where the networks will be trained.

    say: prints what there is to wait for. Raises UserError where there is no such device, UserError where there is no
    such cluster.
    """
    if config.engine == "dask" and under_torchrun():
        raise UserError("engine=dask under torchrun: one of them can spread the trainings, not both")
    question, asked = "lab.training:settle", (config.device, config.precision)
    if config.engine == "dask":
        on_gpu = {"cpu": False, "cuda": True, "auto": None}[config.device]
        found = ask_worker(question, asked, config.scheduler, on_gpu, say)
    else:
        found = ask(question, *asked)
    return OmegaConf.create(OmegaConf.to_container(config) | found)


def check_networks(names: Iterable[str], channels: int, classes: int, size: int) -> None:
    """Raises UserError for the first of the networks that does not exist or does not take images of `size` pixels."""
    ask("lab.networks:check_networks", list(dict.fromkeys(names)), channels, classes, size)


def ask(question: str, *arguments: Any) -> Any:
    """What a function named "module:function" returns in a process that has torch, which this one does without."""
    return run_tasks(by_name, [(question, *arguments)], 1)[0]


def run(task: str, tasks: Mapping[str, tuple], workers: int, config: Any, work: Path) -> None:
    """Call the function named "module:function" for the arguments of each task, wherever the `settled` config says.

    workers: how many at a time on this machine. work: folder of files that the tasks share.
    """
    if config.engine == "dask":
        run_on_cluster(task, tasks, config.scheduler, config.device == "cuda", work)
        return
    named = [(task, *arguments) for arguments in tasks.values()]
    if under_torchrun():
        from lab.ranks import run_on_ranks

        run_on_ranks(by_name, named)
    else:
        run_tasks(by_name, named, workers)
