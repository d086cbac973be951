"""Accuracy class by class, and balanced: what a mean over unequal classes hides."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from curricula.significance import mean_interval

if TYPE_CHECKING:
    import pandas as pd


def balanced_interval(right: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Balanced accuracy, and the two ends of its 95 % interval, over seeds and over the test examples within each class.

    The mean over classes of the accuracy in each (Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution",
    2010). right: boolean (S, N), of S seeds in N examples, S and N ≥ 2. labels: (N,).

    >>> balanced_interval(np.array([[True, True, True, False]] * 2), np.array([0, 0, 0, 1]))
    (0.5, 0.5, 0.5)
    """
    classes, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if right.ndim != 2 or right.shape[1] != len(labels):
        raise ValueError(f"right must have a column for each of {len(labels)} labels, not shape {right.shape}")
    means = np.array([right[:, which == c].mean() for c in range(len(classes))])
    weights = len(labels) / (len(classes) * counts)
    # centred by class, so that differences between classes do not count as chance
    return mean_interval((right - means[which]) * weights[which] + means.mean())


def class_table(
    right: Mapping[str, np.ndarray], labels: np.ndarray, trained: np.ndarray, classes: Sequence[str]
) -> "pd.DataFrame":
    """A row for each arm and class of the test set: `trained` and `examples`, how many there are to train and to test on, and the accuracy.

    right: arm to boolean (S, N). labels: (N,) of the test examples; trained: labels of those to train on. `low`, `high`: the
    95 % interval of the accuracy over seeds and test examples; over seeds alone where there is one example.
    """
    import pandas as pd  # here, because it takes long to import

    rows = []
    known, counts = np.unique(trained, return_counts=True)
    to_train = dict(zip(known.tolist(), counts.tolist(), strict=True))
    for arm, each in right.items():
        for label in np.unique(labels).tolist():
            own = each[:, labels == label]
            found = mean_interval(own)
            rows.append((arm, classes[label], to_train.get(label, 0), own.shape[1], *found))
    return pd.DataFrame(rows, columns=["arm", "class", "trained", "examples", "accuracy", "low", "high"])
