"""Any images, in folders named after their classes."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lab.data.images import Files, read_splits
from lab.data.split import TEST_NAMES, TRAIN_NAMES, Data, halves
from lab.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def folder(root: Path, resize: int | None, cache: Path, skip_bad_images: bool) -> Data:
    """`root/train/<class>/*` and `root/test/<class>/*` (or `val`, see TEST_NAMES), at any depth below the class; or `root/<class>/*`.

    What comes without splits is split by a fixed draw, class by class, and a note says so.
    Hidden files and folders (.ipynb_checkpoints, ._cat.jpg) hold no examples; a note counts the images in them, and another
    the files that are no images by their names. Raises OSError where a folder cannot be read.
    """
    if not root.is_dir():
        raise UserError(
            f"root={root}: there is no such folder; it should hold train/<class>/ and test/<class>/ (or val/)"
        )
    there = [name for name in (*TRAIN_NAMES, *TEST_NAMES) if (root / name).is_dir()]
    train_folder = next((root / name for name in TRAIN_NAMES if name in there), root / "train")
    test_folder = next((root / name for name in TEST_NAMES if name in there), root / "test")
    unsplit = not there and not [*root.glob("*/train")] and classes_below(root) > 1
    parts: list[Files] = []
    classes: list[list[str]] = []
    hidden: list[Path] = []
    others: list[Path] = []
    for part in (root,) if unsplit else (train_folder, test_folder):
        if not part.is_dir():
            deeper = sorted(str(found.parent) for found in root.glob("*/train"))
            meant = f"; did you mean root={deeper[0]}?" if len(deeper) == 1 else ""
            raise UserError(
                f"{part}: there is no such folder; root= should hold train/<class>/ and test/<class>/ (or val/){meant}"
            )
        folders = sorted(entry for entry in part.iterdir() if entry.is_dir())
        names = [entry.name for entry in folders if not entry.name.startswith(".")]
        if not names:
            raise UserError(f"{part}: holds no class folders; expected {part.name}/<class>/<image>")
        if len(names) == 1:
            raise UserError(f"{part}: holds one class only, {names[0]!r}{one_too_deep(part / names[0])}")
        paths, labels = [], []
        for path in [path for entry in folders for path in files_below(entry)]:
            below, is_image = path.relative_to(part).parts, path.suffix.lower() in SUFFIXES and path.is_file()
            if any(name.startswith(".") for name in below):
                hidden += [path] * is_image
            elif not is_image:
                others.append(path)
            else:
                paths.append(path)
                labels.append(names.index(below[0]))
        empty = sorted({*range(len(names))} - {*labels})
        if empty:
            raise UserError(f"{part / names[empty[0]]}: a class without images; add some or remove the folder")
        parts.append(Files(part, paths, np.array(labels)))
        classes.append(names)
    said: tuple[str, ...] = ()
    if unsplit:
        (whole,), (train_index, test_index, note) = parts, halves(parts[0].labels)
        parts = [
            Files(root, [whole.paths[i] for i in index], whole.labels[index]) for index in (train_index, test_index)
        ]
        classes, said = classes * 2, (note,)
    elif left := [name for name in there if name not in (train_folder.name, test_folder.name)]:
        said = (
            f"{' and '.join(left)} {'is' if len(left) == 1 else 'are'} left out; the test set is {test_folder.name}",
        )
    if classes[0] != classes[1]:
        raise UserError(
            f"train and {test_folder.name} differ in their classes: {difference(classes[0], classes[1], test_folder.name)}"
        )
    (train, test), notes, left_out = read_splits(parts, resize, cache, skip_bad_images)
    notes = said + notes
    for one, other in alike(classes[0], classes[0]):
        notes += (
            f"{parts[0].folder.name}/{one} and {parts[0].folder.name}/{other} count as two classes: their names differ only in {in_what(one, other)}",
        )
    if deeper := folders_below(parts[0].folder, parts[0].paths):
        first, below_them = classes[0][0], ", ".join(deeper[:3])
        notes += (
            f"the classes are the folders in {parts[0].folder.name} ({first}, ...), not those below them ({below_them}, ...)",
        )
    if hidden:
        number = f"{len(hidden)} image{'s' if len(hidden) > 1 else ''}"
        notes += (f"{number} in hidden files or folders left out, the first: {hidden[0]}",)
    if others:
        number = f"{len(others)} file{'s' if len(others) > 1 else ''}"
        notes += (f"{number} without the suffix of an image left out, the first: {others[0]}",)
    return Data(train, test, classes[0], notes, left_out=(*left_out, *map(str, (*hidden, *others))))


def classes_below(root: Path) -> int:
    """How many folders in `root` hold images themselves: those of splits, whatever they are called, hold the classes' folders."""
    folders = (entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return sum(any(path.suffix.lower() in SUFFIXES for path in entry.iterdir()) for entry in folders)


def images_below(place: Path) -> list[Path]:
    return [path for path in files_below(place) if path.suffix.lower() in SUFFIXES and path.is_file()]


def files_below(place: Path) -> list[Path]:
    """Files, and links to folders, which are not followed, sorted. Raises OSError where a folder cannot be read."""

    def stop(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for folder, folders, names in os.walk(place, onerror=stop):
        found += [Path(folder, name) for name in names]
        found += [path for path in (Path(folder, name) for name in folders) if path.is_symlink()]
    return sorted(found)


def one_too_deep(lonely: Path) -> str:
    """What to say of the only class of a split: whether the classes seem to lie in it."""
    below = sorted({path.relative_to(lonely).parts[0] for path in images_below(lonely) if path.parent != lonely})
    if not below:
        return "; nothing can be learned from one class: two or more folders of classes are needed"
    shown = ", ".join(below[:3]) + (", ..." if len(below) > 3 else "")
    expected = f"{lonely.parent.name}/<class>/<image>"
    return f"; are the classes the folders in it ({shown})? Move them up: expected {expected}"


def difference(train: list[str], test: list[str], test_name: str) -> str:
    """How the classes of two splits differ: names that are written in two ways, and names that one of them lacks."""
    pairs = alike(set(train) - set(test), set(test) - set(train))
    told = [
        f"train has {one!r}, {test_name} {other!r}, which differ only in {in_what(one, other)}" for one, other in pairs
    ]
    for here, there, names, others in (("train", test_name, train, test), (test_name, "train", test, train)):
        lacking = [name for name in names if name not in {*others, *(each for pair in pairs for each in pair)}]
        if lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            told.append(f"{there} lacks {', '.join(lacking[:5])}{more}, which {here} has")
    return "; ".join(told)


def alike(names: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a name and another that differ only in case or in Unicode form; each pair once."""
    by_form: dict[str, list[str]] = {}
    for other in others:
        by_form.setdefault(plain_form(other), []).append(other)
    pairs = {(one, other) for one in names for other in by_form.get(plain_form(one), []) if one != other}
    return sorted(pair for pair in pairs if pair[::-1] not in pairs or pair[0] < pair[1])


def plain_form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def in_what(one: str, other: str) -> str:
    return "Unicode form" if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other) else "case"


def folders_below(part: Path, paths: Sequence[Path]) -> list[str]:
    """Names of the folders below the classes, where each class has its images in two or more of them, else none."""
    below: dict[str, set[str]] = {}
    for path in paths:
        name, *rest = path.relative_to(part).parts
        below.setdefault(name, set()).add(rest[0] if len(rest) > 1 else "")
    if any(len(each) < 2 or "" in each for each in below.values()):
        return []
    return sorted(set.union(*below.values()))
