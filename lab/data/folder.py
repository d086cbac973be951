"""Any images, in folders named after their classes."""

from pathlib import Path

import numpy as np

from lab.data.images import Files, read_splits
from lab.data.split import Data
from lab.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def folder(root: Path, resize: int | None, cache: Path, skip_bad_images: bool) -> Data:
    """`root/train/<class>/*` and `root/test/<class>/*` (or `val`), at any depth below the class.

    Hidden files and folders (.ipynb_checkpoints, ._cat.jpg) hold no examples; a note counts the images in them.
    """
    if not root.is_dir():
        raise UserError(
            f"root={root}: there is no such folder; it should hold train/<class>/ and test/<class>/ (or val/)"
        )
    test_folder = next((root / name for name in ("test", "val") if (root / name).is_dir()), root / "test")
    parts: list[Files] = []
    classes: list[list[str]] = []
    hidden: list[Path] = []
    for part in (root / "train", test_folder):
        if not part.is_dir():
            raise UserError(
                f"{part}: there is no such folder; root= should hold train/<class>/ and test/<class>/ (or val/)"
            )
        folders = sorted(entry for entry in part.iterdir() if entry.is_dir())
        names = [entry.name for entry in folders if not entry.name.startswith(".")]
        if not names:
            raise UserError(f"{part}: holds no class folders; expected {part.name}/<class>/<image>")
        paths, labels = [], []
        for path in [path for entry in folders for path in images_below(entry)]:
            below = path.relative_to(part).parts
            if any(name.startswith(".") for name in below):
                hidden.append(path)
            else:
                paths.append(path)
                labels.append(names.index(below[0]))
        empty = sorted({*range(len(names))} - {*labels})
        if empty:
            raise UserError(f"{part / names[empty[0]]}: a class without images; add some or remove the folder")
        parts.append(Files(part, paths, np.array(labels)))
        classes.append(names)
    if classes[0] != classes[1]:
        only = sorted(set(classes[0]) ^ set(classes[1]))
        raise UserError(
            f"train and {test_folder.name} differ in their classes: only one of them has {', '.join(only[:5])}"
        )
    (train, test), notes = read_splits(parts, resize, cache, skip_bad_images)
    if hidden:
        number = f"{len(hidden)} image{'s' if len(hidden) > 1 else ''}"
        notes += (f"{number} in hidden files or folders left out, the first: {hidden[0]}",)
    return Data(train, test, classes[0], notes)


def images_below(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
