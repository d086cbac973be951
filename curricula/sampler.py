"""Batches drawn from a growing prefix of an order, for any PyTorch training loop."""

import sys
import warnings
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler

from agreement import tensors
from curricula.order import unknown
from curricula.pacing import PACING, check_counts

_CHUNK = 64  # batches converted at a time: what lies in the cache together


class PacedSampler(BatchSampler):
    """A batch sampler that draws from the first examples of an order, as many as a pacing function allows.

        order = curricula.order(scores, "curriculum", labels)
        sampler = PacedSampler(order, batch_size=128, steps=60 * 391)
        loader = DataLoader(dataset, batch_sampler=sampler)
        for epoch in range(60):
            for images, labels in loader:
                ...

    The plan is a sequence of passes. A pass begins by reading the pacing function at the current step, shuffles the
    prefix of that length (at least one batch, at most all examples) and goes through it without replacement; when it is
    through, the pacing is read again. So a pass over n examples has ⌈n / batch_size⌉ batches. The last is filled up
    with examples from the beginning of the same pass, as torch's DistributedSampler does: every batch is full and
    holds no example twice, and a pass draws every example of the prefix once, or a few, chosen by chance, twice.

    An epoch is a stretch of the plan: epoch e is the `steps_per_epoch` batches from step e · `steps_per_epoch` on, wherever passes
    begin and end. Each `iter()` is the next epoch. The step counts what was drawn, not what was trained: where a loop
    leaves an epoch early the next `iter()` is still the next epoch, unless `set_epoch` says which.

    Everything follows from the arguments: the passes from the pacing, the shuffle of pass p from (seed, p). To restart
    at any step costs one shuffle of one pass.

    Parameters
    ----------
    order : (N,) different indices of examples, easiest first (or whatever is to come first); from `curricula.order`.
    batch_size : examples per optimiser step, over all ranks.
    steps : number of batches that the pacing is planned for.
    pacing : name in ``curricula.PACING``; or a pure function from step to number of examples; or None: always all
        examples, the `shuffled` baseline.
    a, b : parameters of a named pacing function, see `curricula.pacing`; None for its own defaults.
    seed : of the shuffles, 0 or more.
    rank, ranks : this process draws the `rank`-th of `ranks` equal parts of every batch, as data-parallel training
        needs: together they are the batches of a single process. By default as torch.distributed says, if it runs when
        an epoch begins.
    steps_per_epoch : batches of an epoch, and the length of a DataLoader; by default those of a pass through all examples.
    after : past the plan, "all" draws from all examples, "raise" raises ValueError; neither gives an empty epoch.

    Raises
    ------
    ValueError
        For an empty order or one with an index twice, a batch larger than it, an unknown pacing function, bad
        parameters of it, one of your own that returns fractions of the examples, fewer than one step, a batch that
        `ranks` does not divide, or a rank outside 0..ranks-1. When an epoch begins: past the plan with after="raise", and where accelerate would share batches out a second time.
    """

    def __new__(cls, *arguments: Any, **others: Any) -> "PacedSampler":
        if "drop_last" in others:  # Lightning makes a batch sampler anew, around a sampler of its own
            raise ValueError("PacedSampler shares batches out itself: set Trainer(use_distributed_sampler=False)")
        return super().__new__(cls)

    def __init__(
        self,
        order: np.ndarray,
        batch_size: int,
        steps: int,
        pacing: str | Callable[[int], float] | None = "linear",
        a: float | None = None,
        b: float | None = None,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
        steps_per_epoch: int | None = None,
        after: str = "all",
    ):
        order = np.asarray(order)
        if order.ndim != 1 or order.size == 0 or order.dtype.kind not in "iu" or order.min() < 0:
            raise ValueError(f"order must be indices of examples, (N,), not {order.dtype} of shape {order.shape}")
        if (np.diff(np.sort(order)) == 0).any():
            raise ValueError("order holds an index twice")
        epoch = steps_of_epoch(len(order), batch_size, steps, seed, rank, ranks, steps_per_epoch)
        if after not in ("all", "raise"):
            raise ValueError(unknown("choice of after", after, ("all", "raise")))
        # frameworks call `set_epoch` on the sampler within a batch sampler
        super().__init__(self, int(batch_size), False)
        # half the bytes shuffle faster
        self.order = order.astype(np.int32 if order.max() < 2**31 else np.int64)
        self.steps, self.steps_per_epoch, self.seed, self.after = int(steps), epoch, seed, after
        self.step = 0  # of the next batch
        self._next = 0  # step at which the next `iter()` begins
        self._loaded = False  # to where the next `iter()` begins
        self._begun: tuple[int, int] | None = None  # steps of the epoch that was begun last
        self._rank, self._ranks = rank, ranks
        if rank is not None:
            self._part()
        self._begins, self._sizes = self._plan_passes(pacing, a, b)

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of the next epoch as lists of indices, for a DataLoader; what is left of it after `load_state_dict`."""
        self.step, self._loaded = self._next, False
        return self._epoch()

    def arrays(self) -> Iterator[np.ndarray]:
        """What is left of the plan, from the current step on, as int64 arrays: for loops that index tensors themselves."""
        self._loaded = False
        for chunk in self._chunks(self.step, self.steps, self._part()):
            for batch in chunk.astype(np.int64):
                self.step = self._next = self.step + 1
                yield batch

    def set_epoch(self, epoch: int) -> None:
        """The next `iter()` is this epoch, from 0 on. An epoch that `load_state_dict` went into is gone on with."""
        if epoch < 0 or int(epoch) != epoch:
            raise ValueError(f"the epoch must be a whole number from 0 on, not {epoch}")
        if self.epoch != epoch:
            if self._loaded:
                warnings.warn(
                    f"set_epoch({epoch}) goes elsewhere than to epoch {self.epoch}, where load_state_dict went. accelerate counts "
                    "from 0 in every process: set loader.iteration = sampler.epoch before the loop",
                    stacklevel=2,
                )
            self.step = self._next = int(epoch) * self.steps_per_epoch
        self._loaded = False

    @property
    def epoch(self) -> int:
        """The epoch, from 0 on, of the next `iter()`."""
        return self._next // self.steps_per_epoch

    def verify(self, seen: Sequence[Any], partial: bool = False) -> str:
        """How the batches trained in an epoch differ from the plan, in a sentence that is also a warning; "" where they do not.

        seen: the indices of each batch, in the order in which this process trained on them since the last epoch began.
        partial: the training came into the epoch or left it in the middle, so that batches before or behind may be missing.
        """
        if not len(seen) and self._begun is None:
            return ""
        begin, end = self._begun or (self._next, self._next + self.steps_per_epoch)  # nobody may have asked for batches
        planned = [batch for chunk in self._chunks(begin, end, self._part()) for batch in chunk.tolist()]
        trained = [np.asarray(batch).tolist() for batch in seen]
        starts = range(len(planned) - len(trained) + 1) if partial else [0]
        if any(planned[start : start + len(trained) if partial else None] == trained for start in starts):
            return ""
        told = f"the order of PacedSampler was not kept in steps {begin} to {end - 1}: {difference(planned, trained)}"
        warnings.warn(told, stacklevel=2)
        return told

    @property
    def share(self) -> float:
        """The share of the examples, up to 1, that batches are drawn from at the current step; for logging."""
        return self._pass_at(self.step)[2] / len(self.order)

    def prefix_sizes(self) -> np.ndarray:
        """How many of the first examples each step of the plan draws from, int64 (steps,)."""
        return np.repeat(self._sizes, np.diff([*self._begins, self.steps]))

    def state_dict(self, step: int | None = None) -> dict[str, int]:
        """What a restart needs: the seed, the step, and a check sum of order, passes and batch size.

        A DataLoader with workers draws batches ahead of the training. Give the number of steps trained as `step` then.
        """
        return {"seed": self.seed, "step": self.step if step is None else step, "plan": self._plan()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken: the batches from there on are the same, one for one.

        The next `iter()` is what is left of that epoch. Raises ValueError if the state was saved with another order,
        pacing or batch size, for a negative step, and with after="raise" for one past the plan.
        """
        if state["plan"] != self._plan():
            raise ValueError(
                "the state of the sampler was saved with another order, pacing, batch size or number of steps"
            )
        if state["step"] < 0 or (self.after == "raise" and state["step"] > self.steps):
            raise ValueError(f"the step must be in 0 to {self.steps}, not {state['step']}")
        self.seed = int(state["seed"])
        self.step = self._next = int(state["step"])
        self._loaded = True

    def _plan_passes(
        self, pacing: str | Callable[[int], float] | None, a: float | None, b: float | None
    ) -> tuple[list[int], list[int]]:
        """Step at which each pass begins, and the size of its prefix."""
        examples = len(self.order)
        if pacing is None:
            return self._passes(lambda step: examples)
        if callable(pacing):
            own, name = pacing, getattr(pacing, "__name__", "of your own")
            read: list[float] = []

            def count(step: int) -> float:
                read.append(own(step))
                return float(check_counts(name, np.array([read[-1], examples]), examples)[0])

            found = self._passes(count)
            check_counts(name, np.array(read), examples)  # fractions show in all of them: the first may be one example
            return found
        if pacing not in PACING:
            raise ValueError(unknown("pacing function", pacing, PACING))
        given = {name: value for name, value in (("a", a), ("b", b)) if value is not None}
        counts = np.asarray(PACING[pacing](np.arange(self.steps), self.steps, examples, **given))
        if counts.dtype.kind not in "iu":
            counts = check_counts(pacing, counts, examples)
        return self._passes(np.broadcast_to(counts, self.steps).tolist().__getitem__)

    def _passes(self, count: Callable[[int], float]) -> tuple[list[int], list[int]]:
        """Step at which each pass begins, and the size of its prefix."""
        begins, sizes, step = [], [], 0
        while step < self.steps:
            size = min(max(int(count(step)), self.batch_size), len(self.order))
            begins.append(step)
            sizes.append(size)
            step += self._batches(size)
        return begins, sizes

    def _pass_at(self, step: int) -> tuple[int, int, int]:
        """Number, first step and prefix size of the pass that a step belongs to; past the plan, passes through all examples."""
        end = self._begins[-1] + self._batches(self._sizes[-1])
        if step < end:
            number = bisect_right(self._begins, step) - 1
            return number, self._begins[number], self._sizes[number]
        further = (step - end) // self._batches(len(self.order))
        return len(self._begins) + further, end + further * self._batches(len(self.order)), len(self.order)

    def _batches(self, size: int) -> int:
        return -(-size // self.batch_size)

    def _epoch(self) -> Iterator[list[int]]:
        # counted with its first batch, not by iter(): a DataLoader with workers calls iter() twice for an epoch
        begin = self._next
        if self.after == "raise" and begin >= self.steps:
            raise ValueError(f"all {self.steps} steps of the plan are drawn; after='all' goes on with all examples")
        end = (begin // self.steps_per_epoch + 1) * self.steps_per_epoch
        self._next = end
        last = end if self.after == "all" else min(end, self.steps)
        self._begun = begin, last
        step = begin
        for chunk in self._chunks(begin, last, self._part(sys._getframe(1).f_locals.get("self"))):
            for batch in chunk.tolist():
                step += 1
                self.step = step
                yield batch

    def _chunks(self, begin: int, end: int, part: slice) -> Iterator[np.ndarray]:
        """A part of each batch from one step to another, some batches at a time, (batches, share)."""
        while begin < end:
            number, first, size = self._pass_at(begin)
            batches = self._pass(number, size)[begin - first : end - first, part]
            for start in range(0, len(batches), _CHUNK):
                yield batches[start : start + _CHUNK]
            begin += len(batches)

    def _pass(self, number: int, size: int) -> np.ndarray:
        """All batches of a pass, (batches, batch size)."""
        # SFC64 is the fastest of numpy's generators here
        rng = np.random.Generator(np.random.SFC64((self.seed, number)))
        drawn = rng.permutation(self.order[:size])
        fill = -len(drawn) % self.batch_size
        if fill:
            drawn = np.concatenate([drawn, drawn[:fill]])
        return drawn.reshape(-1, self.batch_size)

    def _part(self, drawing: object = None) -> slice:
        return part_of(self.batch_size, self._rank, self._ranks, drawing)

    def _plan(self) -> int:
        numbers = np.array([self.batch_size, self.steps, *self._begins, *self._sizes], np.int64)
        return zlib.crc32(numbers.tobytes(), zlib.crc32(self.order.tobytes()))


def steps_of_epoch(
    examples: int,
    batch_size: int,
    steps: int,
    seed: int,
    rank: int | None,
    ranks: int | None,
    steps_per_epoch: int | None,
) -> int:
    """How many batches an epoch has: by default those of a pass. Raises ValueError where a sampler cannot be made of these."""
    if not 1 <= batch_size <= examples:
        raise ValueError(f"a batch must have 1 to {examples} examples, as many as there are, not {batch_size}")
    if steps < 1 or int(steps) != steps:
        raise ValueError(f"there must be a whole number of steps, at least 1, not {steps}")
    epoch = -(-examples // batch_size) if steps_per_epoch is None else steps_per_epoch
    if epoch < 1 or int(epoch) != epoch:
        raise ValueError(f"an epoch must have a whole number of steps, at least 1, not {epoch}")
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, not {seed}")
    if (rank is None) != (ranks is None):
        raise ValueError("give both rank and ranks, or neither")
    return int(epoch)


def part_of(batch_size: int, rank: int | None, ranks: int | None, drawing: object = None) -> slice:
    """The part of every batch that this process draws. drawing: the object that asks for the batches.

    Where that is accelerate's, which splits whole batches among processes itself, all of it.
    """
    splitting = getattr(drawing, "num_processes", 1)
    if splitting > 1:
        if (ranks or 1) > 1:
            raise ValueError("accelerate shares the batches out too: leave out rank and ranks of the sampler")
        if not getattr(drawing, "split_batches", False):
            raise ValueError(
                "accelerate would give each process other batches of the plan, and the pacing would run too fast: "
                "set split_batches=True in its DataLoaderConfiguration (in accelerator_config of TrainingArguments)"
            )
        if batch_size % splitting:
            raise ValueError(f"{splitting} ranks cannot share a batch of {batch_size} equally")
        return slice(0, batch_size)
    if rank is None or ranks is None:
        rank, ranks = tensors.ranks()
    if not 0 <= rank < ranks:
        raise ValueError(f"the rank must be in 0 to {ranks - 1}, not {rank}")
    if batch_size % ranks:
        raise ValueError(f"{ranks} ranks cannot share a batch of {batch_size} equally")
    share = batch_size // ranks
    return slice(rank * share, (rank + 1) * share)


def difference(planned: list[list[int]], trained: list[list[int]]) -> str:
    """In words, with the numbers, how the batches trained differ from those planned."""
    asked, drawn = Counter(i for batch in planned for i in batch), Counter(i for batch in trained for i in batch)
    if drawn == asked:
        changed = sum(a != b for a, b in zip(planned, trained, strict=False)) + abs(len(planned) - len(trained))
        return (
            f"{changed} of {len(planned)} batches are not those planned, of the same examples: something shuffled again"
        )
    if all(batch in planned for batch in trained):
        told = f"only {len(trained)} of {len(planned)} batches were trained"
        times = round(len(planned) / max(1, len(trained)))
        if times > 1 and any(trained == planned[rank::times] for rank in range(times)):
            return f"{told}, one in {times}: processes shared them out twice"
        return f"{told}, the others were dropped; steps_per_epoch= says how many an epoch takes"
    size = max(map(len, trained))
    if size < len(planned[0]) and not drawn - asked:
        return f"batches had {size} of {len(planned[0])} examples: processes shared them out twice"
    return (
        f"{(drawn - asked).total()} of {drawn.total()} examples trained were not planned, and {(asked - drawn).total()} of "
        f"{asked.total()} planned were not trained: something else drew the batches"
    )
