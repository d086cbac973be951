"""Progress for a person at a terminal: a bar over the rounds of all trainings with the time left; without one, a line now and then."""

import time
from typing import Any

from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from lab.errors import printable

LINE_SECONDS = 30


def tell(console: Any, *notes: str) -> None:
    """Print notes, a line each, as they are: names of files in them are no markup."""
    for note in notes:
        console.print(printable(note), highlight=False, markup=False)


class Progress:
    """Shows what is going on. Use as a context manager around the work.

    trainings: number of networks to train; rounds: epochs, or evaluations, of each.
    """

    def __init__(self, console: Any, trainings: int, rounds: int):
        self.console, self.rounds = console, rounds
        self.done = [0] * trainings
        self.bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.current: Any = None
        self.name, self.said = "", 0.0

    def __enter__(self) -> "Progress":
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def step(self, name: str, done: int, total: int, detail: str = "") -> None:
        """`done` of `total` of the work called `name`."""
        if name != self.name:
            if self.current is not None:
                self.bars.remove_task(self.current)
            self.name, self.current = name, self.bars.add_task(name, total=total or None, detail=detail)
            self.said = time.monotonic() if total else 0.0
        # without a total the bar runs to and fro: it must not stand at "0:00:00" left
        self.bars.update(self.current, completed=done, total=total or None, detail=detail)
        if not self.console.is_terminal and time.monotonic() - self.said >= LINE_SECONDS:
            count = f": {done} of {total} {detail}" if total else ""
            self.console.print(f"{name}{count}".rstrip(), highlight=False)
            self.said = time.monotonic()

    def trained(self, k: int, done: int, detail: str) -> None:
        """Training k has done so many of its rounds."""
        self.done[k] = done
        self.step(f"training {len(self.done)} networks", sum(self.done), self.rounds * len(self.done), detail)

    def begin(self) -> None:
        """The trainings begin, or go on: until a first round is done, say what there is to wait for."""
        self.trained(0, self.done[0], "starting processes, compiling")

    def say(self, name: str) -> None:
        self.step(name, 0, 0)
