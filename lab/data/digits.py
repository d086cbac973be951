"""Handwritten digits that need no download."""

from pathlib import Path

import numpy as np

from lab.data.images import as_network_input
from lab.data.split import Data, Split
from lab.pixels import Images

MNIST = Path(__file__).with_name("mnist-5000.npz")  # mnist-5000.txt says where it is from


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """5,000 digits of MNIST, 500 of each class: uint8 (5000, 28, 28), int64 (5000,)."""
    with np.load(MNIST, allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)


def digits(resize: int | None) -> Data:
    """5,000 real digits of MNIST, 500 of each class: 400 to train, 100 to test.

    Padded by 2 to 32×32 pixels for the networks, as in LeCun et al. 1998; statistics are taken on the 28×28 original.
    """
    images, labels = mnist()
    draw = np.random.default_rng(0)  # the split is part of the data set: it does not follow seed=
    test = np.sort(
        np.concatenate([draw.choice(np.flatnonzero(labels == digit), 100, replace=False) for digit in range(10)])
    )
    train = np.setdiff1d(np.arange(len(labels)), test)

    def split(index: np.ndarray) -> Split:
        padded = np.pad(images[index], ((0, 0), (2, 2), (2, 2)))
        seen = Images.of([as_network_input(image, 1, resize) for image in padded])
        return Split(seen, labels[index], [str(i) for i in index], images[index])

    return Data(split(train), split(test), [str(digit) for digit in range(10)])
