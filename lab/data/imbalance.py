"""A long tail: fewer and fewer train examples from class to class, as where balanced sets are made unequal to study it."""

from dataclasses import replace

import numpy as np

from lab.data.split import Data
from lab.errors import UserError


def long_tailed(data: Data, imbalance: float, seed: int) -> Data:
    """The data with train examples left out until the first class has `imbalance` times as many as the last; test stays whole.

    Sizes fall exponentially, class by class, from that of the largest (Cui et al., "Class-Balanced Loss Based on Effective
    Number of Samples", 2019; CurBench, Zhou et al. 2024); no class gets more than it has, and each keeps one. Which are
    kept is a fixed draw from the seed. Raises UserError for examples with sets of labels.
    """
    if imbalance == 1:
        return data
    if data.multi_label:
        raise UserError(f"imbalance={imbalance:g}: the examples have sets of labels; give 1")
    labels, draw = data.train.labels, np.random.default_rng([seed, 4])
    counts = np.bincount(labels, minlength=len(data.classes))
    sizes = tail_of(counts, imbalance)
    kept = [draw.permutation(np.flatnonzero(labels == c))[:size] for c, size in enumerate(sizes.tolist())]
    index = np.sort(np.concatenate(kept))
    most, least = int(sizes.argmax()), len(sizes) - 1 - int(sizes[::-1].argmin())
    note = (
        f"imbalance={imbalance:g}: {len(index):,} of {len(labels):,} train examples are kept, from {sizes[most]:,} of class "
        f"{data.classes[most]!r} to {sizes[least]:,} of class {data.classes[least]!r}; the test set is whole"
    )
    return replace(data, train=data.train.take(index), notes=(*data.notes, note))


def tail_of(counts: np.ndarray, imbalance: float) -> np.ndarray:
    """How many examples of each class stay, whole (C,), of so many (C,).

    >>> tail_of(np.array([100, 100, 100]), 100)
    array([100,  10,   1])
    """
    place = np.arange(len(counts)) / max(1, len(counts) - 1)
    wanted = np.maximum(1, np.round(counts.max() * imbalance**-place)).astype(int)
    return np.minimum(counts, wanted)
