"""Labels in place of those that came with the images: corrected by a table, or drawn at random; and which of them are wrong."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from lab.data.csv import read_table
from lab.data.split import Data, Narrow, Split
from lab.errors import UserError
from lab.settings import nearest


def with_corrections(data: Data, table: str | None, root: Path) -> Data:
    """The data with the labels of a table, such as the report page saves; a note counts what changed.

    table: CSV with the column `label`, a class, or empty where the image is to be left out; and which image it is of: the
    column `id`, as in scores.parquet, of what a column `split` says, else of the train set, or of the test set where only that
    has it; or `path`, from `root` on or absolute.
    Raises UserError in one line for what is not there, and where a class has no train images left.
    """
    if table is None:
        return data
    said, given = f"labels={table}", read_table(Path(table).expanduser(), "labels", ["label"])
    if data.multi_label:
        raise UserError(f"{said}: the examples of this data set have sets of labels; leave it out")
    if not {"id", "path"} & {*given.columns}:
        raise UserError(f"{said}: has columns {', '.join(map(str, given.columns))}; id or path is needed beside label")
    key = "id" if "id" in given else "path"
    splits = {"train": data.train, "test": data.test}
    names = {name: split.ids if key == "id" else paths_of(split, said) for name, split in splits.items()}
    places = {(part * (key == "id"), name): (part, i) for part in splits for i, name in enumerate(names[part])}
    labels = {name: split.labels.copy() for name, split in splits.items()}
    kept = {name: np.ones(len(split), bool) for name, split in splits.items()}
    lines: dict[tuple[str, int], int] = {}
    for line, row in enumerate(given.to_dict("records"), start=2):
        part, label = row.get("split") or "train", row["label"]
        if key == "id" and "split" not in row and (part, row["id"]) not in places:
            part = "test"  # where only this has such an image
        name = (part, row["id"]) if key == "id" else ("", absolute(root, row["path"]))
        if name not in places:
            where = f"{row['split'] or 'train'} image" if key == "id" and "split" in row else "image"
            raise UserError(f"{said}, line {line}: there is no {where} {row[key]!r}")
        place = part, i = places[name]
        if lines.setdefault(place, line) != line:
            raise UserError(f"{said}: lines {lines[place]} and {line} are of the same image")
        if label and label not in data.classes:
            raise UserError(f"{said}, line {line}: there is no class {label!r}{nearest(label, data.classes)}")
        kept[part][i] = bool(label)
        if label:
            labels[part][i] = data.classes.index(label)
    changed = sum(int((labels[name] != split.labels).sum()) for name, split in splits.items())
    left = sum(int((~each).sum()) for each in kept.values())
    if (lost := np.setdiff1d(data.train.labels, labels["train"][kept["train"]])).size:
        raise UserError(f"{said}: leaves no train image of the class {data.classes[lost[0]]!r}")
    if not kept["test"].any():
        raise UserError(f"{said}: leaves no test image")
    made = {name: replace(split, labels=labels[name]) for name, split in splits.items()}
    made = {name: split if kept[name].all() else split.take(np.flatnonzero(kept[name])) for name, split in made.items()}
    words = [
        f"{n:,} {what}{'s' * (n != 1)} {done}"
        for n, what, done in ((changed, "label", "changed"), (left, "image", "left out"))
    ]
    same = len(given) - changed - left
    note = f"{said}: {', '.join(words)}" + (f", {same:,} of the table as before" if same else "")
    return replace(data, train=made["train"], test=made["test"], notes=(*data.notes, note))


def paths_of(split: Split, said: str) -> list[str]:
    """Absolute paths of a split's images. Raises UserError where these are no files."""
    paths = split.originals.paths if isinstance(split.originals, Narrow) else split.originals
    if not all(isinstance(path, Path) for path in paths):
        raise UserError(f"{said}: the images of this data set are no files; name them in a column id")
    return [os.path.normpath(Path(path).absolute()) for path in paths]  # type: ignore[arg-type]


def absolute(root: Path, path: str) -> str:
    return os.path.normpath((root if root.is_dir() else root.parent).absolute() / path)


def with_random_labels(data: Data, probability: float, seed: int) -> Data:
    """The data with each label replaced, with that probability, by a class drawn uniformly from all (Zhang et al. 2017).

    The paper's test of whether agreement comes of the images alone (section 3). Train and test alike; a fixed draw per
    example, the same for all networks and epochs. Raises UserError for examples with sets of labels.
    """
    if not probability:
        return data
    if data.multi_label:
        raise UserError("random_labels: the examples of this data set have sets of labels; give 0")

    def drawn(split: Split, part: int) -> Split:
        draw = np.random.default_rng([seed, part])
        chosen = draw.random(len(split)) < probability
        return replace(split, labels=np.where(chosen, draw.integers(len(data.classes), size=len(split)), split.labels))

    return replace(data, train=drawn(data.train, 2), test=drawn(data.test, 3))


def wrong_labels(clean: Split, train: Split) -> tuple[np.ndarray | None, str]:
    """Which labels are wrong, bool (N,), where that is known, and how it is known."""
    drawn = clean.labels != train.labels
    if drawn.any():
        return drawn, "drawn at random"
    if "label_noise" in train.annotations:
        people = np.nan_to_num(train.annotations["label_noise"]) > 0.5
        return people, "those to which most of the people asked gave another label"
    return None, ""
