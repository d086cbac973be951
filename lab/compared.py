"""The plan of one training of a comparison: an arm with a seed, paced by its order, evaluated as it goes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agreement.record import read_lines, replace_text, save_array
from curricula.sampler import PacedSampler
from lab.batches import Batches
from lab.passes import Seen
from lab.training import EVALUATION_BATCH, Recipe, evaluate, look_at, rates_of

PARTS = 10  # of the order, for the picture of what was drawn


@dataclass
class Compared:
    """Batches of a paced sampler, for so many steps; `lab.training.train` trains by it.

    arm, seed: see `curricula.Arm`; all arms of a seed begin with the same weights, and have the same steps, rates and
    evaluations. pacing: None draws from all examples always; a, b: its parameters. shared: folder with the images of train,
    validation and test (`lab.data.Images.save`) and their labels. sets_of: as in `Batches`.

    folder: holds the arm's order, order.npy, and gets evaluations.jsonl (a line per evaluation: step, loss of the train batches
    since the last, loss and accuracy on the validation part), drawn.npy (evaluations, PARTS): how often each tenth of the
    order was drawn in between, and at the end result.json with the test accuracy at the end and at the step of the best
    validation accuracy, and right.npy, which test examples the network got right then: packed bits, at best and at the end.
    """

    arm: str
    seed: int
    steps: int
    evaluations: int
    pacing: str | None
    a: float | None
    b: float | None
    shared: Path
    classes: int
    sets_of: int
    folder: Path

    @property
    def name(self) -> str:
        return f"arm {self.arm}, seed {self.seed}"

    @property
    def seeds(self) -> tuple[int, ...]:
        return (self.seed,)

    def open(self, recipe: Recipe, device: torch.device) -> None:
        self.images, self.validation, self.test = (
            Batches.open(
                self.shared / split,
                np.load(self.shared / f"{split}-labels.npy", allow_pickle=False),
                device,
                recipe.crop,
                self.sets_of,
                recipe.augment,
            )
            for split in ("train", "validation", "test")
        )
        self.looks, self.batch_size = {"validation": self.validation}, recipe.batch_size
        order = np.load(self.folder / "order.npy", allow_pickle=False)
        # whole batches on every rank: the training takes its rank's part of each
        self.sampler = PacedSampler(
            order, recipe.batch_size, self.steps, self.pacing, self.a, self.b, self.seed, rank=0, ranks=1
        )
        self.place = np.empty(len(self.images), np.int64)
        self.place[order] = np.arange(len(order)) * PARTS // len(order)
        evenly = (round(self.steps * part / self.evaluations) for part in range(1, self.evaluations + 1))
        self.ends = sorted({max(1, step) for step in evenly})
        self.rates = rates_of(recipe, self.steps, 1)

    def begin(self, done: int, state: dict[str, Any]) -> None:
        self.best = state.get("best", {"accuracy": -1.0, "step": 0, "network": None})
        self.drawn = np.array(state.get("drawn", np.zeros((len(self.ends), PARTS))), np.int64)
        self.sampler.load_state_dict(self.sampler.state_dict(self.ends[done - 1] if done else 0))
        self.drawing = self.sampler.arrays()
        self.lines = self.folder / "evaluations.jsonl"
        kept = read_lines(self.lines)[:done]
        if len(kept) < done:
            raise ValueError(f"{self.lines} holds {len(kept)} evaluations, not the {done} to resume from")
        replace_text(self.lines, "".join(json.dumps(line) + "\n" for line in kept))

    def batches(self, number: int, draw: torch.Generator) -> Sequence[Tensor]:
        steps = range(self.ends[number - 1] if number else 0, self.ends[number])
        drawn = [torch.from_numpy(next(self.drawing)) for _ in steps]
        self.drawn[number] = np.bincount(self.place[torch.cat(drawn)], minlength=PARTS)
        return drawn

    def note(self, number: int, seen: Mapping[str, Seen], network: nn.Module) -> dict[str, float]:
        step = self.ends[number]
        loss = torch.stack([part.mean() for part in seen["train"].losses.split(self.batch_size)]).mean().item()
        validation, right = assessed(seen["validation"], self.validation)
        accuracy = float(right.mean())
        if accuracy > self.best["accuracy"]:
            weights = {key: value.clone() for key, value in network.state_dict().items()}
            self.best = {"accuracy": accuracy, "step": step, "network": weights}
        return {"step": step, "train/loss": loss, "validation/loss": validation, "validation/accuracy": accuracy}

    def when(self, number: int) -> str:
        return f"by step {self.ends[number]}"

    def write(self, numbers: dict[str, float]) -> None:
        with self.lines.open("a") as file:
            file.write(json.dumps(numbers) + "\n")

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "drawn": self.drawn.tolist()}

    def finish(self, network: nn.Module, bf16: bool) -> None:
        save_array(self.folder / "drawn.npy", self.drawn)
        at_the_end = assess(network, self.test, bf16)[1]
        network.load_state_dict(self.best["network"])
        at_best = assess(network, self.test, bf16)[1]
        save_array(self.folder / "right.npy", np.packbits([at_best, at_the_end], axis=1))
        accuracies = {"test/accuracy": float(at_the_end.mean()), "test/accuracy_at_best": float(at_best.mean())}
        result = accuracies | {"best_step": self.best["step"]}
        replace_text(self.folder / "result.json", json.dumps(result))


def assess(network: nn.Module, batches: Batches, bf16: bool) -> tuple[float, np.ndarray]:
    """Mean loss, and which examples are right, boolean (N,), in eval mode."""
    look = look_at(batches, network, bf16)
    evaluate(network, look)
    return assessed(look.seen(), batches)


def assessed(seen: Seen, batches: Batches) -> tuple[float, np.ndarray]:
    loss = sum(part.double().sum().item() for part in seen.losses.split(EVALUATION_BATCH))
    return loss / len(batches), (seen.found == batches.labels.cpu()).numpy()
