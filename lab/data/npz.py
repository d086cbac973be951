"""Arrays in a .npz file: as MedMNIST ships them (train_images, train_labels, ...), as Keras does (x_train, y_train), or unsplit."""

from pathlib import Path

import numpy as np

from lab.data.arrays import Part, data_of, numbered
from lab.data.split import Data
from lab.errors import UserError


def npz(root: Path, resize: int | None) -> Data:
    """The arrays of the file `root`: images uint8 (N, H, W[, 1 or 3]), labels (N,), (N, 1), or 0 and 1 (N, classes) for sets of classes."""
    if not root.is_file():
        raise UserError(f"root={root}: there is no such file; data=npz reads one .npz file")
    try:
        with np.load(root, allow_pickle=False) as read:
            arrays = {name: read[name] for name in read.files}
    except Exception as error:  # numpy and zipfile meet a damaged file with errors of many types
        raise UserError(f"root={root}: cannot be read as .npz ({' '.join(str(error).split())})") from error
    pairs = {}
    for name in arrays:
        for images, labels, part in (
            (f"{name[:-7]}_images", f"{name[:-7]}_labels", name[:-7]),
            (f"x_{name[2:]}", f"y_{name[2:]}", name[2:]),
            ("images", "labels", "all"),
        ):
            if name == images and labels in arrays:
                pairs[part] = (arrays[images], arrays[labels])
    if not pairs:
        raise UserError(
            f"root={root}: holds {', '.join(arrays)}; train_images and train_labels (or x_train, y_train) are needed"
        )
    for part, (images, labels) in pairs.items():
        if (
            images.dtype != np.uint8
            or images.ndim not in (3, 4)
            or (images.ndim == 4 and images.shape[3] not in (1, 3))
        ):
            raise UserError(
                f"root={root}: images of {part} are {images.dtype} {images.shape}, not uint8 (N, H, W[, 1 or 3])"
            )
        if labels.ndim not in (1, 2) or len(labels) != len(images):
            raise UserError(f"root={root}: {part} has labels {labels.shape} for {len(images)} images")
    widths = {labels.shape[1] if labels.ndim == 2 else 1 for _, labels in pairs.values()}
    if len(widths) > 1:
        raise UserError(f"root={root}: the labels of its parts have {' and '.join(map(str, sorted(widths)))} columns")
    (sets_of,) = widths
    everything = np.concatenate([labels.reshape(len(labels), -1) for _, labels in pairs.values()])
    if sets_of > 1:
        if not np.isin(everything, (0, 1)).all() or sets_of > 62:
            raise UserError(f"root={root}: labels of {sets_of} columns must be 0 and 1, of 62 classes at most")
        numbers, classes = everything.astype(np.int64) @ (1 << np.arange(sets_of)), [str(c) for c in range(sets_of)]
    else:
        numbers, classes = numbered(everything[:, 0])
    parts: dict[str, Part] = {}
    for part, (images, labels) in pairs.items():
        parts[part] = (images[..., 0] if images.shape[3:] == (1,) else images), numbers[: len(labels)]
        numbers = numbers[len(labels) :]
    return data_of(parts, classes, resize, f"root={root}", multi_label=sets_of > 1)
