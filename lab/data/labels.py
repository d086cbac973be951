"""Random labels: the paper's test of whether agreement comes of the images alone (section 3)."""

from dataclasses import replace

import numpy as np

from lab.data.examples import Data, Split
from lab.errors import UserError


def with_random_labels(data: Data, probability: float, seed: int) -> Data:
    """The data with each label replaced, with that probability, by a class drawn uniformly from all (Zhang et al. 2017).

    Train and test alike; a fixed draw per example, the same for all networks and epochs. Raises UserError for examples
    with sets of labels.
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
