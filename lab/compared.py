"""The plan of one training of a comparison: an arm with a seed, paced by its order or deciding as it goes, evaluated on the way."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agreement.record import read_lines, replace_text, save_array
from curricula.dynamic.sampler import DynamicSampler
from curricula.sampler import PacedSampler
from lab.batches import Batches, losses_of
from lab.passes import Seen
from lab.pixels import Images
from lab.training import EVALUATION_BATCH, Recipe, evaluate, logits_of, look_at, rates_of

PARTS = 10  # of the order, for the picture of what was drawn


@dataclass
class Compared:
    """Batches of a paced sampler, for so many steps; `lab.training.train` trains by it.

    arm, seed: see `curricula.Arm`; all arms of a seed begin with the same weights, and have steps, rates and
    evaluations of the same cost. pacing: None draws from the whole order always; a, b: its parameters. dynamic: name in
    `curricula.DYNAMIC` of an arm that decides while training. shared: folder with the images of train,
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
    dynamic: str | None = None

    @property
    def name(self) -> str:
        return f"arm {self.arm}, seed {self.seed}"

    @property
    def seeds(self) -> tuple[int, ...]:
        return (self.seed,)

    def open(self, recipe: Recipe, device: torch.device) -> None:
        self.images, self.validation, self.test = (
            Batches(
                Images.open(self.shared / split),
                np.load(self.shared / f"{split}-labels.npy", allow_pickle=False),
                device,
                recipe.crop,
                self.sets_of,
                recipe.augment,
            )
            for split in ("train", "validation", "test")
        )
        self.looks, self.decides = {"validation": self.validation}, self.dynamic is not None
        order = np.load(self.folder / "order.npy", allow_pickle=False)
        # whole batches on every rank: the training takes its rank's part of each
        whole: dict[str, Any] = {"seed": self.seed, "rank": 0, "ranks": 1}
        if self.dynamic:
            options: dict[str, Any] = {}
            if self.dynamic == "self_paced":
                options = {"pacing": self.pacing, "a": self.a, "b": self.b}
            elif self.dynamic == "rho":
                options = {"irreducible": np.load(self.shared / "irreducible.npy", allow_pickle=False)}
            told = DynamicSampler(self.dynamic, len(order), recipe.batch_size, self.steps, **whole, **options)
            # of candidates, those that count are trained on: `batches` tells their losses
            self.weigh = told.update if told.drawn == recipe.batch_size else None
            self.sampler: PacedSampler | DynamicSampler = told
        else:
            self.sampler = PacedSampler(order, recipe.batch_size, self.steps, self.pacing, self.a, self.b, **whole)
            self.weigh = None
        self.place = np.empty(len(self.images), np.int64)
        self.place[order] = np.arange(len(order)) * PARTS // len(order)
        evenly = (round(self.steps * part / self.evaluations) for part in range(1, self.evaluations + 1))
        self.ends = sorted({max(1, step) for step in evenly})
        self.rates = rates_of(recipe, self.steps, 1)

    def begin(self, done: int, state: dict[str, Any]) -> None:
        self.best = state.get("best", {"accuracy": -1.0, "step": 0, "network": None})
        self.drawn = np.array(state.get("drawn", np.zeros((len(self.ends), PARTS))), np.int64)
        if isinstance(self.sampler, PacedSampler):
            self.sampler.load_state_dict(self.sampler.state_dict(self.ends[done - 1] if done else 0))
        elif done:
            self.sampler.load_state_dict(state["sampler"])
        self.drawing = self.sampler.arrays()
        self.lines = self.folder / "evaluations.jsonl"
        kept = read_lines(self.lines)[:done]
        if len(kept) < done:
            raise ValueError(f"{self.lines} holds {len(kept)} evaluations, not the {done} to resume from")
        replace_text(self.lines, "".join(json.dumps(line) + "\n" for line in kept))

    def batches(self, number: int, draw: torch.Generator, network: nn.Module, bf16: bool) -> Iterable[Tensor]:
        for _ in range(self.ends[number - 1] if number else 0, self.ends[number]):
            index = next(self.drawing)
            if isinstance(self.sampler, DynamicSampler) and not self.weigh:
                losses = losses_now(network, self.images, torch.from_numpy(index), bf16)
                index = index[(self.sampler.update(index, losses) > 0).cpu().numpy()]
            self.drawn[number] += np.bincount(self.place[index], minlength=PARTS)
            yield torch.from_numpy(index)

    def note(self, number: int, seen: Mapping[str, Seen], network: nn.Module) -> dict[str, float]:
        step = self.ends[number]
        loss = seen["train"].losses.double().mean().item()
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
        told = {"sampler": self.sampler.state_dict()} if isinstance(self.sampler, DynamicSampler) else {}
        return {"best": self.best, "drawn": self.drawn.tolist(), **told}

    def finish(self, network: nn.Module, bf16: bool) -> None:
        save_array(self.folder / "drawn.npy", self.drawn)
        at_the_end = assess(network, self.test, bf16)[1]
        network.load_state_dict(self.best["network"])
        at_best = assess(network, self.test, bf16)[1]
        save_array(self.folder / "right.npy", np.packbits([at_best, at_the_end], axis=1))
        accuracies = {"test/accuracy": float(at_the_end.mean()), "test/accuracy_at_best": float(at_best.mean())}
        result = accuracies | {"best_step": self.best["step"]}
        replace_text(self.folder / "result.json", json.dumps(result))


@torch.no_grad()
def losses_now(network: nn.Module, batches: Batches, index: Tensor, bf16: bool) -> Tensor:
    """Losses (B,) of examples as they are, not augmented; in training mode, as the released code of RHO-LOSS has it."""
    images, targets = batches.get(index)
    return losses_of(logits_of(network, images, bf16), targets)


def assess(network: nn.Module, batches: Batches, bf16: bool) -> tuple[float, np.ndarray]:
    """Mean loss, and which examples are right, boolean (N,), in eval mode."""
    look = look_at(batches, network, bf16)
    evaluate(network, look)
    return assessed(look.seen(), batches)


def assessed(seen: Seen, batches: Batches) -> tuple[float, np.ndarray]:
    loss = sum(part.double().sum().item() for part in seen.losses.split(EVALUATION_BATCH))
    return loss / len(batches), (seen.found == batches.labels.cpu()).numpy()
