"""Image files that a table lists: a line each with its path, its label, and perhaps its split."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lab.data.arrays import numbered
from lab.data.images import Files, read_splits
from lab.data.split import Data, halves, taken
from lab.errors import UserError


def csv(root: Path, resize: int | None, cache: Path, skip_bad_images: bool) -> Data:
    """The files of the table `root`: columns path (from the table's folder on, or absolute), label and, optionally, split."""
    table = read_table(root, "root", ["path", "label"])
    paths = [Path(os.path.normpath(root.absolute().parent / path)) for path in table["path"]]
    for line, (path, given) in enumerate(zip(paths, table["label"], strict=True), start=2):
        if not path.is_file() or not given:
            what = "has no label" if path.is_file() else f"there is no file {path}"
            raise UserError(f"root={root}, line {line}: {what}")
    twice = pd.Series(paths)[pd.Series(paths).duplicated()]
    if len(twice):
        raise UserError(
            f"root={root}: {twice.iloc[0]} stands there twice ({len(twice)} such lines); give each image once"
        )
    if table.empty:
        raise UserError(f"root={root}: lists no images")
    labels, classes = numbered(table["label"])
    if "split" in table:
        train, test, notes = taken([*table["split"].unique()], f"root={root}, column split")
        index = [np.flatnonzero(table["split"] == name) for name in (train, test)] if test else []
    else:
        index, notes = [], ()
    if not index:
        *index, note = halves(labels)
        notes += (note,)
    place = Path(os.path.commonpath([path.parent for path in paths]))
    parts = [Files(place, [paths[i] for i in each], labels[each]) for each in index]
    (train_part, test_part), more, left_out = read_splits(parts, resize, cache, skip_bad_images)
    return Data(train_part, test_part, classes, (*notes, *more), left_out=left_out)


def read_table(path: Path, setting: str, needed: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text, with the columns that are needed. Raises UserError in one line."""
    if not path.is_file():
        raise UserError(f"{setting}={path}: there is no such file; a table with {' and '.join(needed)} is needed")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, compression=None)
    except Exception as error:  # pandas meets bad text with errors of many types
        raise UserError(f"{setting}={path}: cannot be read as CSV ({' '.join(str(error).split())})") from error
    if not {*needed} <= {*table.columns}:
        known, verb = ", ".join(map(str, table.columns)), "is" if len(needed) == 1 else "are"
        raise UserError(f"{setting}={path}: has columns {known}; {' and '.join(needed)} {verb} needed")
    return table
