"""A batch sampler that may be told what happened, for any PyTorch training loop."""

import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler

from agreement import tensors
from curricula.dynamic import DYNAMIC
from curricula.dynamic.arm import drawn_of, step_cost
from curricula.order import unknown
from curricula.sampler import part_of, steps_of_epoch

AHEAD = 256  # batches that the workers of a loader may draw before the first of them is told of


class DynamicSampler(BatchSampler):
    """A batch sampler whose arm decides, from the losses it is told, what comes next and what each loss counts.

        sampler = DynamicSampler("infobatch", examples=len(data), batch_size=128, steps=60 * 391)
        for index, (images, labels) in DataLoader(agreement.Indexed(data), batch_sampler=sampler):
            losses = cross_entropy(network(images), labels, reduction="none")
            (sampler.update(index, losses) * losses).mean().backward()

    `update` takes the losses of a batch before the optimiser's step and returns what each counts in the mean. The arm goes
    through passes: at the beginning of each it chooses the examples from the losses told until then; the last batch of a
    pass is filled up from its beginning. An epoch is the next `steps_per_epoch` batches, wherever passes begin and end.

    With arms that choose among candidates (`rho`, `hard_first`) a batch of the loader has all candidates, `drawn` of them,
    and those that are not chosen count 0. Only a loop that finds the losses without gradients first and trains on
    `weights > 0` saves their backward passes:

            with torch.no_grad():
                chosen = sampler.update(index, cross_entropy(network(images), labels, reduction="none")) > 0
            cross_entropy(network(images[chosen]), labels[chosen]).backward()

    Data-parallel processes draw the `rank`-th of `ranks` equal parts of every batch, by default as torch.distributed says.
    Each calls `update` with its own part, all at the same time; they exchange the losses, so that all come to the same state.
    The chosen of candidates lie unequally over processes: there, descend the mean of weight times loss, not that of the chosen.

    Parameters
    ----------
    arm : name in ``curricula.DYNAMIC``.
    examples : N; the indices drawn are 0..N-1.
    batch_size : examples trained on per optimiser step, over all ranks.
    steps : optimiser steps that are planned; past them the arm does as at the end.
    seed : of all that is drawn, 0 or more.
    steps_per_epoch : batches of an epoch, and the length of a DataLoader; by default those of a pass through all examples.
    options : of the arm, such as `irreducible` of `rho`.

    Raises
    ------
    ValueError
        For an unknown arm, a batch larger than the data, fewer than one step, a negative seed, a batch that `ranks` does not divide. From
        `update`: losses of other examples than were drawn. When a pass begins: where none of 256 batches was told of.
    """

    def __init__(
        self,
        arm: str,
        examples: int,
        batch_size: int,
        steps: int,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
        steps_per_epoch: int | None = None,
        **options: Any,
    ):
        if arm not in DYNAMIC:
            raise ValueError(unknown("arm", arm, DYNAMIC))
        self.steps_per_epoch = steps_of_epoch(examples, batch_size, steps, seed, rank, ranks, steps_per_epoch)
        self.arm = DYNAMIC[arm](examples, int(steps), batch_size, **options)
        self.drawn = drawn_of(type(self.arm), examples, batch_size)
        super().__init__(self, self.drawn, False)
        self.steps, self.seed = int(steps), seed
        self.step = 0  # of the next batch
        self._rank, self._ranks = rank, ranks
        self._passes = 0  # begun
        self._left: deque[tuple[np.ndarray, np.ndarray]] = deque()  # batches of the pass: index, weight
        self._waiting: deque[tuple[np.ndarray, np.ndarray]] = deque()  # drawn, and not told of yet

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of the next epoch, or what is left of one that a loop has left or a restart goes on with."""
        part = part_of(self.drawn, self._rank, self._ranks, sys._getframe(1).f_locals.get("self"))  # who draws
        while True:
            yield self._next()[part].tolist()
            if self.step % self.steps_per_epoch == 0:
                return

    def arrays(self) -> Iterator[np.ndarray]:
        """What is left of the plan, as int64 arrays: for loops that index tensors themselves."""
        part = part_of(self.drawn, self._rank, self._ranks)
        while self.step < self.steps:
            yield self._next()[part]

    def update(self, index: Any, loss: Any) -> Any:
        """Tell the losses (B,) of a batch that was drawn; returns what each counts, (B,), as a tensor or an array like `loss`.

        index: (B,) int, tensor or array. With several ranks each tells its part.
        """
        own_index, own_loss = array_of(index).astype(np.int64), array_of(loss).astype(np.float64)
        if own_index.ndim != 1 or own_index.shape != own_loss.shape:
            raise ValueError(f"there must be one loss per example, not {own_loss.shape} for {own_index.shape}")
        whole, losses, part = gathered(own_index, own_loss, self._ranks)
        while self._waiting:  # batches that were drawn ahead and never trained on lie before it
            drawn, weight = self._waiting.popleft()
            if np.array_equal(drawn, whole):
                found = self.arm.update(whole, losses, weight)[part]
                return loss.new_tensor(found) if isinstance(loss, torch.Tensor) else found
        raise ValueError("these are not the examples that were drawn: tell each batch once, whole, in the order drawn")

    def state_dict(self) -> dict[str, Any]:
        """What a restart needs: it goes on with the first batch that was not told of, also where workers draw ahead."""
        left = [*self._waiting, *self._left]
        kept = {
            "seed": self.seed,
            "step": self.step - len(self._waiting),
            "passes": self._passes,
            "index": torch.from_numpy(np.array([index for index, _ in left], np.int64).reshape(-1, self.drawn)),
            "weight": torch.from_numpy(np.array([weight for _, weight in left], float).reshape(-1, self.drawn)),
        }
        return kept | {f"arm.{name}": torch.from_numpy(getattr(self.arm, name).copy()) for name in self.arm.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. Raises ValueError where it is of another arm, or of other data."""
        names = {f"arm.{name}": name for name in self.arm.state}
        fits = all(key in state and state[key].shape == getattr(self.arm, name).shape for key, name in names.items())
        if not fits or state["index"].shape[1] != self.drawn:
            raise ValueError("the state of the sampler was saved with another arm, batch size or number of examples")
        for key, name in names.items():
            setattr(self.arm, name, state[key].numpy().copy())
        self.seed, self.step, self._passes = (int(state[name]) for name in ("seed", "step", "passes"))
        self._left = deque(zip(state["index"].numpy().copy(), state["weight"].numpy().copy(), strict=True))
        self._waiting.clear()

    @property
    def cost(self) -> float:
        """Of a step, in those of a plain one: a forward pass over candidates counts a third of a forward and backward pass."""
        return step_cost(type(self.arm), self.arm.examples, self.arm.batch_size)

    def _next(self) -> np.ndarray:
        if not self._left:
            self._begin_pass()
        batch = self._left.popleft()
        self._waiting.append(batch)
        self.step += 1
        return batch[0]

    def _begin_pass(self) -> None:
        if len(self._waiting) > AHEAD:
            raise ValueError(f"the sampler was told no losses of {len(self._waiting)} batches: call update for each")
        rng = np.random.Generator(np.random.SFC64((self.seed, self._passes)))
        index, weight = self.arm.choose(self.step, rng)
        size = -(-len(index) // self.drawn) * self.drawn
        self._left.extend(
            zip(
                np.resize(index, size).reshape(-1, self.drawn),
                np.resize(weight, size).reshape(-1, self.drawn),
                strict=True,
            )
        )
        self._passes += 1


def array_of(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().float() if values.is_floating_point() else values
        return values.cpu().numpy()
    return np.asarray(values)


def gathered(index: np.ndarray, loss: np.ndarray, ranks: int | None) -> tuple[np.ndarray, np.ndarray, slice]:
    """The batch of all ranks, in their order, and which part of it is this one's."""
    rank, together = tensors.ranks()
    if ranks == 1 or together == 1:
        return index, loss, slice(None)
    parts = tensors.gathered((index, loss))
    begin = sum(len(each[0]) for each in parts[:rank])
    whole = (np.concatenate([each[k] for each in parts]) for k in (0, 1))
    return (*whole, slice(begin, begin + len(index)))  # type: ignore[return-value]
