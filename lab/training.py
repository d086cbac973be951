"""Training a network, for a measurement or a comparison: one loop over optimiser steps, and a plan that says what is special.

A training goes in rounds: epochs, or the steps up to an evaluation. All randomness of a round follows from the seeds of the
plan and the number of the round. At the end of each a line of numbers is written, and then a checkpoint; a training that was
killed goes on from there, repeats the round that it was in, and ends as if nothing had happened.
"""

import io
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lab import ranks
from lab.batches import Batches, losses_of, smoothed
from lab.errors import Diverged, UserError
from lab.networks import build_network
from lab.own import import_own
from lab.passes import Pass, Seen, caught_up

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Each field is the setting of its name, see `lab.settings`."""

    epochs: int
    batch_size: int
    crop: int | None
    optimizer: str
    lr: float
    min_lr: float
    momentum: float
    weight_decay: float
    schedule: str
    step_epochs: int
    step_factor: float
    warmup: float
    label_smoothing: float
    device: str
    precision: str
    augment: str
    stem: str
    weights: str | None
    train: str
    imports: list[str]
    compile: bool = False
    graphs: bool = True
    sync_batchnorm: bool = False

    @classmethod
    def of(cls, settings: Any) -> "Recipe":
        names = [entry.name for entry in fields(cls) if hasattr(settings, entry.name)]
        return cls(**{name: getattr(settings, name) for name in names})


class Plan(Protocol):
    """What `train` does not know: which examples come next, what is noted of them, when a round ends."""

    name: str  # of the training, in messages
    folder: Path  # of its checkpoint
    seeds: tuple[int, ...]
    classes: int
    images: Batches  # to train on
    looks: dict[str, Batches]  # what the network is evaluated on after each round, by name
    ends: list[int]  # the step that each round ends with
    rates: list[float]  # the learning rate of each step
    weigh: Callable[[Tensor, Tensor], Tensor] | None  # indices and losses of a step to what each loss counts, all (B,)
    decides: bool  # whether the examples of a step, or what they count, follow from losses

    def open(self, recipe: Recipe, device: torch.device) -> None:
        """Open the images to train on and to look at, and set `ends` and `rates`."""

    def begin(self, done: int, state: dict[str, Any]) -> None:
        """Cut what has been written back to the rounds that are done, and take up the `state` after them. Raises ValueError."""

    def batches(self, number: int, draw: torch.Generator, network: nn.Module, bf16: bool) -> Iterable[Tensor]:
        """The examples of each step of a round, int64 (B,)."""

    def note(self, number: int, seen: Mapping[str, Seen], network: nn.Module) -> dict[str, float]:
        """The numbers of a round, `train/loss` among them, from what was seen of `train` while training and of each of the looks
        after it; on ranks but the first, none."""

    def when(self, number: int) -> str:
        """A round in messages."""

    def write(self, numbers: dict[str, float]) -> None:
        """Append the numbers of a round to a file."""

    def state(self) -> dict[str, Any]:
        """What a training that resumes needs beside network and optimiser."""

    def finish(self, network: nn.Module, bf16: bool) -> None:
        """Write what comes of all rounds."""


def train(plan: Plan, network_name: str, recipe: Recipe, size: int, threads: int) -> Iterator[None]:
    """Train a network, a step at a time, as far as its plan goes, resuming from a checkpoint in the plan's folder.

    size: side in pixels of what the network sees. threads: of torch. Under torchrun all ranks call this at once, and rank 0
    writes (see `lab.ranks`). Raises UserError where the loss is NaN or infinite.
    """
    import_own(recipe.imports)
    torch.set_num_threads(threads)
    kind, precision = settle(recipe.device, recipe.precision)
    device, bf16 = torch.device(kind), precision == "bf16"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    plan.open(recipe, device)
    torch.manual_seed(seed_of(*plan.seeds))  # for the initial weights
    network = build_network(
        network_name, plan.images.channels, plan.classes, size, recipe.stem, recipe.weights, recipe.train
    ).to(device)
    optimizer = make_optimizer(network, recipe)
    checkpoint = plan.folder / "checkpoint.pt"
    state, of = read_checkpoint(checkpoint), [plan.name, network_name, *plan.seeds]
    if state and state.get("of") != of:
        raise UserError(
            f"{plan.folder} is of another training than {plan.name} ({network_name}); delete it to train this again"
        )
    if state:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    done = state.get("done", 0)
    try:
        plan.begin(done, state)
    except ValueError as error:
        raise damaged(plan.folder) from error
    parallel = ranks.data_parallel(network, recipe.sync_batchnorm)  # when all have read the checkpoint
    compiled = torch.compile(parallel, dynamic=False) if recipe.compile else parallel
    graphs = recipe.graphs and ranks.count() == 1
    weight, weigh = 1.0, None  # of the step
    if device.type == "cuda":
        ready_for_graphs(optimizer, device)

    def learn(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        whole = compiled if len(images) == recipe.batch_size else parallel  # each size would be compiled by itself
        return training_step(whole, optimizer, images, targets, bf16, weight, recipe.label_smoothing, weigh)

    training = Pass(plan.images, learn, graphs and not plan.decides)
    looks = {name: look_at(batches, network, bf16, graphs) for name, batches in plan.looks.items()}
    step = plan.ends[done - 1] if done else 0
    for number in range(done, len(plan.ends)):
        began = time.perf_counter()
        seed = seed_of(*plan.seeds, number + 1)
        torch.manual_seed(seed + ranks.rank())  # for networks with dropout
        draw = torch.Generator().manual_seed(seed)
        training.begin()
        batches = plan.batches(number, draw, network, bf16)
        for some in ([batch] for batch in batches) if plan.decides else [list(batches)]:
            parts = [ranks.share(len(batch)) for batch in some]
            drawn = [plan.images.draws(len(batch), draw) for batch in some]
            training.add(
                [batch[part] for batch, part in zip(some, parts, strict=True)],
                [{name: each[part] for name, each in own.items()} for own, part in zip(drawn, parts, strict=True)],
            )
            for batch, part in zip(some, parts, strict=True):
                set_rate(optimizer, plan.rates[step])
                weight = ranks.weight(len(batch), part)
                weigh = plan.weigh and partial(plan.weigh, batch[part])
                if device.type == "cuda":  # where other trainings draw in between
                    torch.cuda.manual_seed(seed + step + ranks.rank())
                training.step(part.stop - part.start)
                step += 1
                yield
        for look in looks.values():
            evaluate(network, look)
        yield from caught_up(device)
        seen = {"train": training.seen()} | {name: look.seen() for name, look in looks.items()}
        numbers = plan.note(number, seen, network)
        if ranks.rank() > 0:
            continue
        if not math.isfinite(numbers["train/loss"]):
            raise Diverged(
                f"{plan.name} ({network_name}): the loss is NaN or infinite {plan.when(number)}; "
                f"try a smaller lr than {recipe.lr}"
            )
        plan.write(numbers | {"seconds": time.perf_counter() - began, "time": time.time()})
        kept = {"of": of, "done": number + 1, "network": network.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(checkpoint, kept | plan.state())
    plan.finish(network, bf16)


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    targets: Tensor,
    bf16: bool,
    weight: float = 1,
    label_smoothing: float = 0,
    weigh: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """One optimiser step on the mean loss of a batch (see `losses_of`), times `weight`, towards smoothed labels (see `smoothed`).

    weigh: gives what each loss (B,) counts in the mean, where not all count 1.

    Returns logits (B, classes) and losses (B,), of the labels as they are, from before it.
    """
    logits = logits_of(network, images, bf16)
    losses = losses_of(logits, targets)
    optimizer.zero_grad()
    descended = smoothed(losses, logits, label_smoothing)
    if weigh:
        descended = descended * weigh(losses.detach())
    (descended.mean() * weight).backward()
    optimizer.step()
    return logits.detach(), losses.detach()


def logits_of(network: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Logits (B, classes) of images (B, C, side, side), in float32 whatever the network computes in."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        logits = network(images)
    return logits.float()


def look_at(batches: Batches, network: nn.Module, bf16: bool, graphs: bool = False) -> Pass:
    """A pass of `evaluate` over a split."""

    def run(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = logits_of(network, images, bf16)
        return logits, losses_of(logits, targets)

    return Pass(batches, run, graphs)


@torch.inference_mode()
def evaluate(network: nn.Module, look: Pass) -> None:
    """Go through a pass of `look_at` in eval mode; the network is left in training mode.

    Under torchrun each rank goes through some of the batches.
    """
    ranks.same_buffers(network)
    network.eval()
    batches = torch.arange(len(look.batches)).split(EVALUATION_BATCH)[ranks.rank() :: ranks.count()]
    look.begin()
    look.add(batches)
    for index in batches:
        look.step(len(index))
    network.train()


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer in ("adam", "adamw"):
        kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
        betas = recipe.momentum, 0.999
        return kind(network.parameters(), recipe.lr, betas, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(
        network.parameters(),
        recipe.lr,
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.optimizer == "nesterov",
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def ready_for_graphs(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Let captured steps read the learning rate, and count them, on the device."""
    group = optimizer.param_groups[0]
    group["lr"] = torch.zeros((), device=device)
    if "capturable" in group:
        group["capturable"] = True


def rates_of(recipe: Recipe, times: int, steps: int) -> list[float]:
    """The learning rate of each step, `times` times `steps` of them: schedules by epoch change it after each `steps`.

    They are torch's schedules, stretched over `times` where these are not the recipe's epochs; in warm-up they rise to it step by step.
    """
    schedules = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], recipe.lr)
    each, schedule = steps, None
    match recipe.schedule:
        case "cosine":
            schedule = schedules.CosineAnnealingLR(optimizer, times, min(recipe.min_lr, recipe.lr))
        case "step":
            drop = max(1, round(recipe.step_epochs * times / recipe.epochs))
            schedule = schedules.StepLR(optimizer, drop, recipe.step_factor)
        case "one_cycle":
            # the paper's Adam keeps its beta: only the learning rate cycles
            schedule, each = schedules.OneCycleLR(optimizer, recipe.lr, times * steps, cycle_momentum=False), 1
    rates: list[float] = []
    while len(rates) < times * steps:
        rates += [optimizer.param_groups[0]["lr"]] * each
        if schedule:
            optimizer.step()  # there is no gradient; torch warns where a schedule goes ahead of its optimiser
            schedule.step()
    rising = round(recipe.warmup * times * steps / recipe.epochs)
    return [rate * min(1, (step + 1) / rising) if rising else rate for step, rate in enumerate(rates)]


def settle(device: str, precision: str) -> tuple[str, str]:
    """device= and precision= as they come to on this machine: cpu or cuda, and bf16, fp32 or tf32, by default the faster of
    the first two.

    Raises UserError where the device is not there, or does not know the precision.
    """
    gpu = torch.cuda.is_available()
    if device == "cuda" and not gpu:
        raise UserError("device=cuda: torch sees no GPU here; leave device=auto or give device=cpu")
    found = "cuda" if gpu and device != "cpu" else "cpu"
    if precision == "tf32" and found == "cpu":
        raise UserError("precision=tf32 is of NVIDIA GPUs; leave precision=auto or give precision=fp32")
    if precision == "auto":
        faster = torch.cuda.is_bf16_supported() if found == "cuda" else cpu_gains_from_bf16()
        precision = "bf16" if faster else "fp32"
    return found, precision


def cpu_gains_from_bf16() -> bool:
    """Whether this CPU multiplies bf16 faster than fp32: with AMX, or AMD's from Zen 4 on.

    Intel's AVX-512 alone has the instruction too, at half the speed of fp32 (docs/performance.md). Told by what the CPU
    is, not by timing it: the precision must be the same in every process and in a run that resumes.
    """
    if torch.cpu._is_amx_tile_supported():
        return True
    about = Path("/proc/cpuinfo")
    return torch.cpu._is_avx512_bf16_supported() and about.is_file() and "AuthenticAMD" in about.read_text()


def seed_of(*parts: int) -> int:
    """A seed for (seed, network, round); zeros at the end do not count, so that (seed, 0) has the seed of (seed)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a file for `torch.load`, never seen half-written. Raises OSError where the disk is full, as torch.save does not."""
    content = io.BytesIO()
    torch.save(state, content)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_bytes(content.getbuffer())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, nothing where there is no file. Raises UserError where it is not as it was written."""
    if not path.is_file():
        return {}
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch's reader, zip and pickle fail in many ways
        raise damaged(path.parent) from error


def damaged(folder: Path) -> UserError:
    return UserError(f"{folder} is damaged, possibly by a power failure; delete it to train this network again")
