"""A pass of a network over examples: what its steps read and what they find stays on the device until the pass ends."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lab.augment import Draws
from lab.batches import Batches, errors_of, margins_of, predicted

Run = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
WARM = 3  # steps of a size that run as they are before the next is captured: kernels are chosen, optimisers begin


class Seen(NamedTuple):
    """What a network made of examples, each (n,): their indices, predictions, losses, margins and errors."""

    index: Tensor
    found: Tensor
    losses: Tensor
    margins: Tensor
    errors: Tensor


class Pass:
    """Steps over examples, one after the other, that can be begun again.

    run: from images and targets of a step to logits (B, classes) and losses (B,); it may change the network. graphs: on a GPU,
    a step is captured as a CUDA graph after a few, and replayed from then on, which spares launching its kernels one by one;
    where a network cannot be captured, such as one that looks at its data, a warning says so and its steps run as they are.
    """

    def __init__(self, batches: Batches, run: Run, graphs: bool = False):
        self.batches, self.run, self.device = batches, run, batches.labels.device
        self.graphs = graphs and self.device.type == "cuda" and batches.can_be_captured
        self.captured: dict[int, torch.cuda.CUDAGraph] = {}
        self.times: Counter[int] = Counter()
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.upto = self.order = self.found = self.place[:0]
        self.losses = self.margins = self.errors = torch.zeros(0, device=self.device)
        self.drawn: Draws | None = None
        self.begin()

    def begin(self) -> None:
        self.index: list[Tensor] = []
        self.filled = self.done = 0

    def add(self, index: Sequence[Tensor], drawn: Sequence[Draws] | None = None) -> None:
        """Hand over the examples of the next steps, and in training what is random of them."""
        if not index:
            return
        self.index += index
        end = self.filled + sum(map(len, index))
        if drawn and self.drawn is None:
            self.drawn = {name: each[:0].to(self.device) for name, each in drawn[0].items()}
        if end > len(self.order):
            self.make_room(end)
        self.order[self.filled : end].copy_(torch.cat([*index]))
        for name, each in (self.drawn or {}).items():
            each[self.filled : end].copy_(torch.cat([step[name] for step in drawn or ()]))
        self.filled = end

    def make_room(self, size: int) -> None:
        """Longer arrays. What was captured would write into the old ones, and is captured again."""
        self.captured.clear()
        self.times.clear()
        self.upto = torch.arange(size, device=self.device)
        for name in ("order", "found", "losses", "margins", "errors"):
            setattr(self, name, longer(getattr(self, name), size))
        self.drawn = self.drawn and {name: longer(each, size) for name, each in self.drawn.items()}

    def step(self, size: int) -> None:
        """The step of the next `size` examples."""
        self.place.fill_(self.done)
        self.times[size] += 1
        if self.graphs and self.times[size] == WARM + 1:
            self.capture(size)
        if size in self.captured:
            self.captured[size].replay()
        else:
            self.plain(size)
        self.done += size

    def plain(self, size: int) -> None:
        places = self.place + self.upto[:size]
        index = self.order.index_select(0, places)
        drawn = (
            None if self.drawn is None else {name: each.index_select(0, places) for name, each in self.drawn.items()}
        )
        images, targets = self.batches.get(index, drawn)
        logits, losses = self.run(images, targets)
        self.found.index_copy_(0, places, predicted(logits, self.batches.sets_of))
        self.losses.index_copy_(0, places, losses)
        self.margins.index_copy_(0, places, margins_of(logits, targets))
        self.errors.index_copy_(0, places, errors_of(logits, targets))

    def capture(self, size: int) -> None:
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self.plain(size)
        except RuntimeError as error:
            self.graphs = False
            why = str(error).strip().splitlines()[0]
            warnings.warn(f"steps are not captured as CUDA graphs, and take longer: {why}", stacklevel=2)
        else:
            self.captured[size] = graph

    def seen(self) -> Seen:
        """What was found since the pass began, on the host."""
        found = (self.found, self.losses, self.margins, self.errors)
        index = torch.cat(self.index) if self.index else torch.empty(0, dtype=torch.int64)
        return Seen(index, *(each[: self.done].cpu() for each in found))


def longer(values: Tensor, size: int) -> Tensor:
    """The values (n, ...) in an array of that size."""
    return torch.cat([values, values.new_zeros(size - len(values), *values.shape[1:])])


def caught_up(device: torch.device) -> Iterator[None]:
    """Yields until a GPU has done what it was asked to: other networks may be trained meanwhile."""
    if device.type == "cuda":
        event = torch.cuda.Event()
        event.record()
        while not event.query():
            yield
