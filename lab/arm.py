"""Training one arm of a comparison with one seed: optimiser steps on paced batches, evaluated as they go."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from agreement.record import read_lines, replace_text, save_array
from curricula.sampler import PacedSampler
from lab.batches import Batches
from lab.errors import Diverged
from lab.networks import build_network
from lab.training import (
    choose_bf16,
    choose_device,
    evaluate,
    make_optimizer,
    make_schedule,
    read_checkpoint,
    save_checkpoint,
    seed_of,
    training_step,
)

PARTS = 10  # of the order, for the picture of what was drawn


def train_arm(
    name: str,
    seed: int,
    paced: bool,
    network_name: str,
    config: Any,
    shared: Path,
    classes: int,
    sets_of: int,
    size: int,
    threads: int,
    folder: Path,
) -> Iterator[None]:
    """Train `config.steps` optimiser steps, one at a time, and write what comes of it into `folder`, resuming from a checkpoint there.

    name, seed, paced: see `curricula.Arm`; its order is order.npy in `folder`. shared: folder with the images of train, validation and
    test (`lab.data.Images.save`) and their labels. Writes evaluations.jsonl (a line per evaluation: step, loss of the train
    batches since the last, loss and accuracy on the validation part), drawn.npy (evaluations, PARTS): how often each tenth
    of the order was drawn in between, and at the end result.json with the test accuracy at the end and at the step of the
    best validation accuracy.

    All arms of a seed begin with the same weights, and have the same steps, schedule and evaluations. Raises
    UserError where the loss is no longer a number.
    """
    torch.set_num_threads(threads)
    device = choose_device(config.device)
    bf16 = choose_bf16(config.precision, device)
    splits = {
        split: Batches.open(
            shared / split, np.load(shared / f"{split}-labels.npy", allow_pickle=False), device, config.crop, sets_of
        )
        for split in ("train", "validation", "test")
    }
    torch.manual_seed(seed_of(seed))
    network = build_network(network_name, splits["train"].channels, classes, size).to(device)
    if network_name != "lenet5":
        network = network.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, config)
    schedule = step_schedule(optimizer, config)
    pacing = config.pacing if paced else None
    order = np.load(folder / "order.npy", allow_pickle=False)
    sampler = PacedSampler(order, config.batch_size, config.steps, pacing, config.a, config.b, seed)
    place = np.empty(len(splits["train"]), np.int64)
    place[order] = np.arange(len(order)) * PARTS // len(order)

    checkpoint, lines = folder / "checkpoint.pt", folder / "evaluations.jsonl"
    stops = evaluation_steps(config.steps, config.evaluations)
    drawn = np.zeros((len(stops), PARTS), np.int64)
    best: dict[str, Any] = {"accuracy": -1.0, "step": 0, "network": None}
    done = 0
    state = read_checkpoint(checkpoint)
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best, done = state["best"], state["done"]
        drawn[:done] = np.array(state["drawn"])
        sampler.load_state_dict(sampler.state_dict(stops[done - 1]))
    replace_text(lines, "".join(json.dumps(line) + "\n" for line in read_lines(lines)[:done]))

    batches = sampler.arrays()
    for number in range(done, len(stops)):
        began, losses = time.perf_counter(), []
        torch.manual_seed(seed_of(seed, number + 1))  # for networks with dropout
        crops = torch.Generator().manual_seed(seed_of(seed, number + 1))
        for _ in range(stops[number] - (stops[number - 1] if number else 0)):
            index = next(batches)
            drawn[number] += np.bincount(place[index], minlength=PARTS)
            images, targets = splits["train"].get(torch.from_numpy(index), crops)
            losses.append(training_step(network, optimizer, images, targets, bf16)[1].mean())
            schedule.step()
            yield
        line = {"step": stops[number], "train/loss": torch.stack(losses).mean().item()}
        if not np.isfinite(line["train/loss"]):
            raise Diverged(
                f"arm {name}, seed {seed}: the loss is no longer a number by step {stops[number]}; "
                f"a smaller lr than {config.lr} may help"
            )
        line |= {f"validation/{key}": value for key, value in assess(network, splits["validation"], bf16).items()}
        line |= {"seconds": time.perf_counter() - began, "time": time.time()}
        if line["validation/accuracy"] > best["accuracy"]:
            weights = {key: value.clone() for key, value in network.state_dict().items()}
            best = {"accuracy": line["validation/accuracy"], "step": stops[number], "network": weights}
        with lines.open("a") as file:
            file.write(json.dumps(line) + "\n")
        save_checkpoint(
            checkpoint,
            {
                "done": number + 1,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "best": best,
                "drawn": drawn[: number + 1].tolist(),
            },
        )

    save_array(folder / "drawn.npy", drawn)
    at_the_end = assess(network, splits["test"], bf16)["accuracy"]
    network.load_state_dict(best["network"])
    at_best = assess(network, splits["test"], bf16)["accuracy"]
    result = {"test/accuracy": at_the_end, "test/accuracy_at_best": at_best, "best_step": best["step"]}
    replace_text(folder / "result.json", json.dumps(result))


def step_schedule(optimizer: torch.optim.Optimizer, config: Any) -> torch.optim.lr_scheduler.LRScheduler:
    """The configured schedule, stretched over the steps and advanced at every one: equal for all arms."""
    by_step = {"epochs": config.steps, "step_epochs": max(1, round(config.step_epochs * config.steps / config.epochs))}
    return make_schedule(optimizer, SimpleNamespace(**{**vars(config), **by_step}), 1)[0]


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """The steps after which a training is evaluated: evenly spaced, the last one included."""
    return sorted({max(1, round(steps * part / evaluations)) for part in range(1, evaluations + 1)})


def assess(network: torch.nn.Module, batches: Batches, bf16: bool) -> dict[str, float]:
    """Mean loss and accuracy in eval mode."""
    loss, correct = 0.0, 0
    for index, found, losses in evaluate(network, batches, bf16):
        loss += losses.double().sum().item()
        correct += int((found.cpu() == batches.labels.cpu()[index]).sum())
    return {"loss": loss / len(batches), "accuracy": correct / len(batches)}
