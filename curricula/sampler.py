"""Batches drawn from a growing prefix of an order, for any PyTorch training loop."""

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from curricula.order import unknown
from curricula.pacing import PACING

_CHUNK = 64  # batches converted at a time: what lies in the cache together


class PacedSampler(Sampler[list[int]]):
    """A batch sampler that draws from the first examples of an order, as many as a pacing function allows.

        order = curricula.order(scores, "curriculum", labels)
        sampler = PacedSampler(order, batch_size=128, steps=60 * 391)
        for images, labels in DataLoader(dataset, batch_sampler=sampler):
            ...  # `steps` batches in all

    Training is a sequence of passes. A pass begins by reading the pacing function at the current step, shuffles the
    prefix of that length (at least one batch, at most all examples) and goes through it without replacement; when it is
    through, the pacing is read again. So a pass over n examples has ⌈n / batch_size⌉ batches. The last is filled up
    with examples from the beginning of the same pass, as torch's DistributedSampler does: every batch is full and
    holds no example twice, and a pass draws every example of the prefix once, or a few, chosen by chance, twice.

    Everything follows from the arguments: the passes from the pacing, the shuffle of pass p from (seed, p). To restart
    at any step costs one shuffle of one pass.

    Parameters
    ----------
    order : (N,) different indices of examples, easiest first (or whatever is to come first); from `curricula.order`.
    batch_size : examples per optimiser step, over all ranks.
    steps : number of batches in all.
    pacing : name in ``curricula.PACING``; or a pure function from step to number of examples; or None: always all
        examples, the `shuffled` baseline.
    a, b : parameters of a named pacing function, see `curricula.pacing`; None for its own defaults.
    seed : of the shuffles, 0 or more.
    rank, ranks : this process draws the `rank`-th of `ranks` equal parts of every batch, as data-parallel training
        needs: together they are the batches of a single process.

    Raises
    ------
    ValueError
        For an empty order or one with an index twice, a batch larger than it, an unknown pacing function or bad
        parameters of it, fewer than one step, a batch that `ranks` does not divide, or a rank outside 0..ranks-1.
    """

    def __init__(
        self,
        order: np.ndarray,
        batch_size: int,
        steps: int,
        pacing: str | Callable[[int], float] | None = "linear",
        a: float | None = None,
        b: float | None = None,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ):
        order = np.asarray(order)
        if order.ndim != 1 or order.size == 0 or order.dtype.kind not in "iu" or order.min() < 0:
            raise ValueError(f"order must be indices of examples, (N,), not {order.dtype} of shape {order.shape}")
        if (np.diff(np.sort(order)) == 0).any():
            raise ValueError("order holds an index twice")
        if not 1 <= batch_size <= len(order):
            raise ValueError(f"a batch must have 1 to {len(order)} examples, as many as there are, not {batch_size}")
        if steps < 1 or int(steps) != steps:
            raise ValueError(f"there must be a whole number of steps, at least 1, not {steps}")
        if seed < 0:
            raise ValueError(f"the seed must be 0 or more, not {seed}")
        if not 0 <= rank < ranks:
            raise ValueError(f"the rank must be in 0 to {ranks - 1}, not {rank}")
        if batch_size % ranks:
            raise ValueError(f"{ranks} ranks cannot share a batch of {batch_size} equally")
        # half the bytes shuffle faster
        self.order = order.astype(np.int32 if order.max() < 2**31 else np.int64)
        self.batch_size, self.steps, self.seed = batch_size, int(steps), seed
        self.step = 0  # batches drawn so far
        share = batch_size // ranks
        self._part = slice(rank * share, (rank + 1) * share)
        self._begins, self._sizes = self._passes(self._pacing(pacing, a, b))

    def __len__(self) -> int:
        """Number of batches still to come."""
        return self.steps - self.step

    def __iter__(self) -> Iterator[list[int]]:
        """Batches as lists of indices, for a DataLoader; from the current step on, until `steps` are drawn."""
        for chunk in self._chunks():
            for batch in chunk.tolist():
                self.step += 1
                yield batch

    def arrays(self) -> Iterator[np.ndarray]:
        """The same batches as int64 arrays, which costs less: for loops that index tensors themselves."""
        for chunk in self._chunks():
            for batch in chunk.astype(np.int64):
                self.step += 1
                yield batch

    def prefix_sizes(self) -> np.ndarray:
        """How many of the first examples each step draws from, int64 (steps,)."""
        return np.repeat(self._sizes, np.diff([*self._begins, self.steps]))

    def state_dict(self, step: int | None = None) -> dict[str, int]:
        """What a restart needs: the seed, the step, and a check sum of order, passes and batch size.

        A DataLoader with workers draws batches ahead of the training. Give the number of steps trained as `step` then.
        """
        return {"seed": self.seed, "step": self.step if step is None else step, "plan": self._plan()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken: the batches from there on are the same, one for one.

        Raises ValueError if that was with another order, pacing or batch size, or for a step outside 0..steps. Take a
        new iterator afterwards.
        """
        if state["plan"] != self._plan():
            raise ValueError(
                "the state of the sampler was saved with another order, pacing, batch size or number of steps"
            )
        if not 0 <= state["step"] <= self.steps:
            raise ValueError(f"the step must be in 0 to {self.steps}, not {state['step']}")
        self.seed, self.step = int(state["seed"]), int(state["step"])

    def _pacing(
        self, pacing: str | Callable[[int], float] | None, a: float | None, b: float | None
    ) -> Callable[[int], float]:
        """From step to number of examples."""
        if pacing is None:
            return lambda step: len(self.order)
        if callable(pacing):
            return pacing
        if pacing not in PACING:
            raise ValueError(unknown("pacing function", pacing, PACING))
        given = {name: value for name, value in (("a", a), ("b", b)) if value is not None}
        counts = PACING[pacing](np.arange(self.steps), self.steps, len(self.order), **given)
        return np.broadcast_to(counts, self.steps).tolist().__getitem__

    def _passes(self, count: Callable[[int], float]) -> tuple[list[int], list[int]]:
        """Step at which each pass begins, and the size of its prefix."""
        begins, sizes, step = [], [], 0
        while step < self.steps:
            size = min(max(int(count(step)), self.batch_size), len(self.order))
            begins.append(step)
            sizes.append(size)
            step += -(-size // self.batch_size)
        return begins, sizes

    def _chunks(self) -> Iterator[np.ndarray]:
        """This rank's part of some batches at a time, (batches, share), from the current step on."""
        while self.step < self.steps:
            number = bisect_right(self._begins, self.step) - 1
            begin = self._begins[number]
            batches = self._pass(number)[: self.steps - begin]
            for first in range(self.step - begin, len(batches), _CHUNK):
                yield batches[first : first + _CHUNK]

    def _pass(self, number: int) -> np.ndarray:
        """All batches of a pass, this rank's part of them, (batches, share)."""
        # SFC64 is the fastest of numpy's generators here
        rng = np.random.Generator(np.random.SFC64((self.seed, number)))
        drawn = rng.permutation(self.order[: self._sizes[number]])
        fill = -len(drawn) % self.batch_size
        if fill:
            drawn = np.concatenate([drawn, drawn[:fill]])
        return drawn.reshape(-1, self.batch_size)[:, self._part]

    def _plan(self) -> int:
        numbers = np.array([self.batch_size, self.steps, *self._begins, *self._sizes], np.int64)
        return zlib.crc32(numbers.tobytes(), zlib.crc32(self.order.tobytes()))
