"""What an arm that decides while training does: which examples come next, and what the loss of each counts."""

import numpy as np


class Dynamic:
    """An arm that learns the loss of each example as training goes on. This one does as `shuffled` does; the others change it.

    examples: N. steps: optimiser steps that are planned. batch_size: examples trained on in each.

    losses: (N,), as last told; NaN where never. candidates: how many examples are drawn for each that is trained on. Where
    that is more than one, the loop gives the losses of all that are drawn, from a forward pass, and trains on those that count.
    """

    candidates = 1
    state: tuple[str, ...] = ("losses",)  # the arrays that a restart needs

    def __init__(self, examples: int, steps: int, batch_size: int):
        self.examples, self.steps, self.batch_size = examples, steps, batch_size
        self.losses = np.full(examples, np.nan)

    def choose(self, step: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The pass that begins at a step: its examples in the order they are drawn, int64 (n,), and what each counts, (n,)."""
        return everything(self.examples, draw)

    def update(self, index: np.ndarray, loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Take the losses (B,) of a batch that was drawn. Returns what each counts, (B,); weight: by `choose`."""
        self.losses[index] = loss
        return weight


def drawn_of(arm: type[Dynamic], examples: int, batch_size: int) -> int:
    """How many examples an arm draws for a step."""
    return min(arm.candidates * batch_size, examples)


def step_cost(arm: type[Dynamic], examples: int, batch_size: int) -> float:
    """Of a step, in those of a plain one: where there are candidates, their forward pass counts a third of a forward and backward pass.

    A backward pass takes twice the multiplications of a forward pass: the gradients of activations and those of weights.
    """
    return 1 + drawn_of(arm, examples, batch_size) / (3 * batch_size) if arm.candidates > 1 else 1.0


def everything(examples: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A pass through all, shuffled; each counts 1."""
    return draw.permutation(examples), np.ones(examples)


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """What each of (B,) counts where only the `count` highest are trained on: B/count or 0, so that the mean is theirs."""
    weight = np.zeros(len(values))
    weight[np.argsort(-values, kind="stable")[:count]] = len(values) / count
    return weight
