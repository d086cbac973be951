"""Images that come as arrays, from libraries and .npz files, as data: held in memory, split where they are not."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lab.data.images import as_network_input
from lab.data.split import Data, Split, halves, taken
from lab.errors import UserError
from lab.pixels import Images

Part = tuple[Sequence[np.ndarray], np.ndarray]  # images, uint8 (H, W[, 3]), and labels (N,)


def data_of(
    parts: Mapping[str, Part], classes: list[str], resize: int | None, source: str, multi_label: bool = False
) -> Data:
    """Data made of the parts that are named as training and test sets are, see `taken`; of one part alone, of both halves.

    source: where the parts are from, in messages.
    """
    train, test, notes = taken(parts, source)
    images, labels = parts[train]
    index = {name: np.arange(len(parts[name][1])) for name in (train, test) if name}
    if test:
        chosen = [(*parts[name], index[name]) for name in (train, test)]
    else:
        *apart, note = halves(labels, multi_label)
        chosen = [([images[i] for i in each], labels[each], each) for each in apart]
        notes += (note,)
    for part, (_, of_part, _) in zip((train, test or train), chosen, strict=True):
        if not len(of_part):
            raise UserError(f"{source}: {part} holds no images")
    grey = all(image.ndim == 2 for pictures, _, _ in chosen for image in pictures)

    def split(pictures: Sequence[np.ndarray], labels: np.ndarray, index: np.ndarray) -> Split:
        seen = Images.of([as_network_input(image, 1 if grey else 3, resize) for image in pictures])
        same = len({image.shape for image in pictures}) == 1
        originals = np.stack(list(pictures)) if same else list(pictures)
        return Split(seen, labels.astype(np.int64), [str(i) for i in index], originals)  # type: ignore[arg-type]

    return Data(split(*chosen[0]), split(*chosen[1]), classes, notes, multi_label)


def numbered(labels: Sequence[object] | np.ndarray | pd.Series) -> tuple[np.ndarray, list[str]]:
    """Labels of any kind as numbers (N,) of their classes, and these, sorted."""
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    return numbers.reshape(-1), [str(each) for each in classes]
