"""Training one network and writing down, epoch by epoch, what it gets right."""

import inspect
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agreement.record import SPLITS, LearningRecord
from agreement.recorder import RecordWriter
from lab import ranks
from lab.batches import Batches, losses_of, predicted
from lab.errors import Diverged, UserError
from lab.networks import build_network

EVALUATION_BATCH = 500


def train_network(k: int, name: str, config: Any, folder: Path, size: int, threads: int) -> Iterator[None]:
    """Train network k, a step at a time, and write its part of the learning record in `folder`, resuming from its last checkpoint there.

    The record has been begun, and the images shared beside it. size: side in pixels of what the network sees. Under torchrun
    all ranks call this at once, and rank 0 writes (see `lab.ranks`). All randomness of an epoch follows from (seed, k,
    epoch), so a resumed training repeats it exactly.
    Raises UserError where the loss is no longer a number.
    """
    torch.set_num_threads(threads)
    device = choose_device(config.device)
    bf16 = choose_bf16(config.precision, device)
    record = LearningRecord(folder)
    sets_of = len(record.classes) if record.multi_label else 0
    splits = {
        split: Batches.open(folder.parent / split, record.labels(split), device, config.crop, sets_of)
        for split in SPLITS
    }
    train = splits["train"]

    torch.manual_seed(seed_of(config.seed, k))
    network = build_network(name, train.channels, len(record.classes), size).to(device)
    if name != "lenet5":  # which has a layout of its own, see `lab.networks.convolution`
        network = network.to(memory_format=torch.channels_last)
    if config.sync_batchnorm and ranks.count() > 1:
        network = ranks.synchronised(network, device)
    optimizer = make_optimizer(network, config)
    batches = batches_of(torch.arange(len(train)), config.batch_size)
    for index in batches:
        ranks.share(len(index))  # a batch too small for the ranks is told before any training
    schedule, every_step = make_schedule(optimizer, config, len(batches))

    folder = record.network_folder(k)
    checkpoint = folder / "checkpoint.pt"
    finished = load_checkpoint(checkpoint, network, optimizer, schedule)
    sizes = {split: len(batches) for split, batches in splits.items()}
    try:
        recorder = RecordWriter(folder, sizes, record.number_of_labels, finished) if ranks.rank() == 0 else None
    except ValueError as error:
        raise damaged(folder) from error
    trained = ranks.data_parallel(network, device)  # when all have read the checkpoint
    for epoch in range(finished + 1, config.epochs + 1):
        started = time.perf_counter()
        numbers = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"]}
        torch.manual_seed(seed_of(config.seed, k, epoch) + ranks.rank())  # for networks with dropout
        draw = torch.Generator().manual_seed(seed_of(config.seed, k, epoch))
        seen = []
        for index in batches_of(torch.randperm(len(train), generator=draw), config.batch_size):
            part = ranks.share(len(index))
            batch = train.get(index, draw, part)
            logits, losses = training_step(trained, optimizer, *batch, bf16, ranks.weight(len(index), part))
            seen.append((index[part], predicted(logits, train.sets_of), losses))
            if every_step:
                schedule.step()
            yield
        if not every_step:
            schedule.step()
        if config.record == "after":
            seen = list(evaluate(network, train, bf16))
        numbers |= note(recorder, "train", seen, train)
        numbers |= note(recorder, "test", list(evaluate(network, splits["test"], bf16)), splits["test"])
        if recorder is None:
            continue
        if not np.isfinite(numbers["train/loss"]):
            raise Diverged(
                f"network {k + 1} ({name}): the loss is no longer a number in epoch {epoch}; a smaller lr than {config.lr} may help"
            )
        recorder.end_epoch(**numbers, seconds=time.perf_counter() - started, time=time.time())
        save_checkpoint(
            checkpoint,
            {
                "epoch": epoch,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
            },
        )


def batches_of(order: Tensor, size: int) -> list[Tensor]:
    """`order` (N,) in batches of `size`; a single example left over joins the last batch: batch-norm cannot normalise one."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def training_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Tensor, bf16: bool, weight: float = 1
) -> tuple[Tensor, Tensor]:
    """One optimiser step on the mean loss of a batch (see `losses_of`), times `weight`. Returns logits (B, classes) and losses (B,) from before it."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        logits = network(images)
    logits = logits.float()
    losses = losses_of(logits, targets)
    optimizer.zero_grad()
    (losses.mean() * weight).backward()
    optimizer.step()
    return logits.detach(), losses.detach()


@torch.inference_mode()
def evaluate(network: nn.Module, batches: Batches, bf16: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Index, prediction and loss of every example in eval mode, batch by batch; the network is left in training mode.

    Under torchrun each rank goes through some of the batches.
    """
    ranks.same_buffers(network)
    network.eval()
    for index in torch.arange(len(batches)).split(EVALUATION_BATCH)[ranks.rank() :: ranks.count()]:
        images, targets = batches.get(index)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = network(images)
        logits = logits.float()
        yield index, predicted(logits, batches.sets_of), losses_of(logits, targets)
    network.train()


def note(
    recorder: RecordWriter | None, split: str, seen: list[tuple[Tensor, Tensor, Tensor]], batches: Batches
) -> dict[str, float]:
    """Hand a pass over a split to the recorder, in one transfer from the device. Returns its mean loss and accuracy.

    Under torchrun rank 0, which has the recorder, gets what all have seen.
    """
    found_here = []
    if seen:
        found_here = [tuple(torch.cat(parts).cpu() for parts in zip(*seen, strict=True))]
    found_by_all = ranks.gathered(found_here)
    if recorder is None or found_by_all is None:
        return {}
    index, found, losses = (torch.cat(parts) for parts in zip(*found_by_all, strict=True))
    # of a set of classes, the probability that all of it is right
    probability = torch.exp(-losses * max(1, batches.sets_of)).nan_to_num_(0)
    recorder.update(split, index.numpy(), found.numpy(), probability.numpy())
    correct = found == batches.labels.cpu()[index]
    return {f"{split}/loss": losses.double().mean().item(), f"{split}/accuracy": correct.double().mean().item()}


def without_compiler(kind: Any) -> Any:
    """An optimiser of torch without the wrappers that keep torch's compiler off it: they import the compiler, in seconds."""
    names = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
    own = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    return type(kind.__name__, (kind,), own | {"step": torch.no_grad()(inspect.unwrap(kind.step))})


SGD, Adam = without_compiler(torch.optim.SGD), without_compiler(torch.optim.Adam)


def make_optimizer(network: nn.Module, config: Any) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        betas = config.momentum, 0.999
        return Adam(network.parameters(), config.lr, betas, weight_decay=config.weight_decay, fused=True)
    return SGD(network.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, config: Any, steps_an_epoch: int
) -> tuple[torch.optim.lr_scheduler.LRScheduler, bool]:
    """The learning-rate schedule and whether it advances every step rather than every epoch."""
    schedules = torch.optim.lr_scheduler
    match config.schedule:
        case "cosine":
            return schedules.CosineAnnealingLR(optimizer, config.epochs, min(config.min_lr, config.lr)), False
        case "one_cycle":
            # the paper's Adam keeps its beta: only the learning rate cycles
            return schedules.OneCycleLR(
                optimizer, config.lr, total_steps=config.epochs * steps_an_epoch, cycle_momentum=False
            ), True
        case "step":
            return schedules.StepLR(optimizer, config.step_epochs, config.step_factor), False
        case _:
            return schedules.ConstantLR(optimizer, factor=1.0), False


def settle(device: str, precision: str) -> dict[str, str]:
    """device= and precision= as they come to on this machine, by their names. Raises UserError as `choose_device`."""
    found = choose_device(device)
    return {"device": found.type, "precision": "bf16" if choose_bf16(precision, found) else "fp32"}


def choose_device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no GPU here; leave device=auto or give device=cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def choose_bf16(precision: str, device: torch.device) -> bool:
    """bf16 where asked for, or where the machine multiplies it faster than fp32."""
    if precision != "auto":
        return precision == "bf16"
    return torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_gains_from_bf16()


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
    """A seed for (seed, network, epoch); zeros at the end do not count, so that (seed, 0) has the seed of (seed)."""
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


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, None where there is no file. Raises UserError where it is not as it was written."""
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch's reader, zip and pickle fail in many ways
        raise damaged(path.parent) from error


def damaged(folder: Path) -> UserError:
    return UserError(f"{folder} is damaged, possibly by a power failure; delete it to train this network again")


def load_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, schedule: Any) -> int:
    """Restore an earlier attempt, if there is one. Returns the number of epochs it finished."""
    state = read_checkpoint(path)
    if state is None:
        return 0
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return state["epoch"]
