"""Where a phase trains its networks: in processes on this machine, on a Dask cluster, or each on all ranks of torchrun."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from conf import ConfigurationError
from training import ranks
from training.cluster import ask_worker, run_on_cluster
from training.loop import choose_bf16, choose_device
from training.parallel import run_tasks


def settled(config: Any, say: Callable[[str], None]) -> Any:
    """The configuration with device= and precision= as they come to where the networks will be trained.

    say: prints what there is to wait for. Raises TrainingError where there is no such device, TaskError where there is no
    such cluster.
    """
    if config.engine == "dask" and ranks.count() > 1:
        raise ConfigurationError("engine=dask under torchrun: one of them can spread the trainings, not both")
    if config.engine == "dask":
        on_gpu = {"cpu": False, "cuda": True, "auto": None}[config.device]
        found = ask_worker(chosen, (config.device, config.precision), config.scheduler, on_gpu, say)
    else:
        found = chosen(config.device, config.precision)
    return OmegaConf.create(OmegaConf.to_container(config) | found)


def chosen(device: str, precision: str) -> dict[str, str]:
    found = choose_device(device)
    return {"device": found.type, "precision": "bf16" if choose_bf16(precision, found) else "fp32"}


def run(task: Callable[..., None], tasks: Mapping[str, tuple], workers: int, config: Any, work: Path) -> None:
    """Call `task(*arguments)` for the arguments of each name, wherever the `settled` config says.

    workers: how many at a time on this machine. work: folder of files that the tasks share.
    """
    if config.engine == "dask":
        run_on_cluster(task, tasks, config.scheduler, config.device == "cuda", work)
    elif ranks.count() > 1:
        ranks.run_on_ranks(task, tasks.values())
    else:
        run_tasks(task, tasks.values(), workers)
