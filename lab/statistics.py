"""The statistics of a split as both phases use them: computed, cached, and with the annotations beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lab.data import Split
from lab.errors import UserError
from lab.progress import Progress
from lab.settings import nearest
from lab.teacher import register
from metrics import EXAMPLE_STATISTICS, STATISTICS, statistics_table

UNIFORM = ("colourfulness", "height", "width")
RESIZED = ("entropy", "frequency")  # by statistics_resize=, as the paper does on ImageNet


class Resized(Sequence):
    """Images of a split as squares of `side` pixels (bilinear, antialiased), made when they are looked at."""

    def __init__(self, split: Split, side: int):
        self.split, self.side = split, side

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]  # nobody takes slices
        return np.asarray(
            Image.fromarray(self.split.original(i)).resize((self.side, self.side), Image.Resampling.BILINEAR)
        )


def check_names(names: list[str], weights: str | None) -> None:
    """Raise UserError for a statistic that is not known. weights: of teachers, see `lab.teacher`."""
    register(names, weights)
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"statistics: {name} stands there twice")
        if name not in STATISTICS and name not in EXAMPLE_STATISTICS:
            known = [*STATISTICS, *EXAMPLE_STATISTICS]
            raise UserError(f"statistics: there is no '{name}'{nearest(name, known)}")


def statistics_of(
    split: Split,
    labels: np.ndarray,
    names: Sequence[str],
    cache: str,
    resize: int | None,
    progress: Progress,
    words: str,
    seconds: dict[str, float] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """A row per example, a column per statistic named.

    labels: what the statistics of examples take for their classes, see `Data.classes_of`. cache: folder in which statistics
    are kept. resize: side of the squares that those in RESIZED are taken of. words: what the progress is called.
    seconds, seed: as of `metrics.statistics_table`.
    """

    def table(images: Any, names: list[str]) -> pd.DataFrame:
        try:
            return statistics_table(
                images, split.ids, names, Path(cache).expanduser() / "statistics",
                progress=lambda done, total: progress.step(words, done, total), labels=labels,
                seconds=seconds, seed=seed,
            )  # fmt: skip
        except ValueError as error:  # a statistic of one's own may fail, and the disk that numba compiles to be full
            raise UserError(str(error)) from error

    if not resize:
        return table(split.originals, list(names))
    small = [name for name in names if name in RESIZED]
    tables = [table(Resized(split, resize), small)] if small else []
    others = [name for name in names if name not in RESIZED]
    tables += [table(split.originals, others)] if others else []
    return pd.concat(tables, axis=1)[list(names)]


def varying(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of all splits without colourfulness and size where all images are alike in them: grey, or of one size."""
    values = {
        name: pd.concat([table[name] for table in tables.values()]) for name in UNIFORM if name in tables["train"]
    }
    alike = [name for name, column in values.items() if column.nunique() <= 1]
    return {split: table.drop(columns=alike) for split, table in tables.items()}


def annotated(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    """The table with a column more for every annotation that is a number."""
    numbers = {name: values for name, values in split.annotations.items() if values.dtype.kind in "fiub"}
    return table.assign(**numbers)


def kinds_of(split: Split) -> dict[str, np.ndarray]:
    """The annotations that sort examples into kinds, (N,) names each."""
    return {name: values for name, values in split.annotations.items() if values.dtype.kind not in "fiub"}
