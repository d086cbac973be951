"""The order in which networks learn examples, and how far they share it.

Epochs are numbered from 1: an example with learned epoch 1 was right from the first record on.
"""

from collections.abc import Sequence

import numpy as np

from agreement.measures import check_correct, same_wrong_class

_BLOCK = 65_536  # examples


def learned_epoch(correct: np.ndarray, per_network: bool = False) -> np.ndarray:
    """The first epoch from which an example stays correct to the end, from `correct` (K, T, N).

    Joint over all networks, (N,), or for each network, (K, N). float64 in 1..T, and `inf` for an example that is wrong
    in the last epoch: it was never learned for good. The joint epoch is the latest of the networks' own.
    Raises ValueError unless `correct` is a non-empty boolean array of three dimensions.

    >>> learned_epoch(np.array([[[True, False, True], [False, True, True], [True, True, False]]]))
    array([ 3.,  2., inf])
    """
    correct = check_correct(correct)
    networks, epochs, examples = correct.shape
    unbroken = np.ones((networks, examples) if per_network else examples, bool)
    streak = np.zeros(unbroken.shape, np.int32)  # how many of the last epochs were all correct
    for epoch in reversed(range(epochs)):
        right = correct[:, epoch]
        unbroken &= right if per_network else right.all(axis=0)
        streak += unbroken
    return np.where(streak > 0, epochs + 1.0 - streak, np.inf)


def forgetting_events(correct: np.ndarray) -> np.ndarray:
    """How often each network went from right to wrong about an example, (K, N) int, from `correct` (K, T, N).

    Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning" (ICLR 2019). 0 also
    for an example that was never right; `mean_correctness` tells the two apart.
    """
    correct = check_correct(correct)
    events = np.zeros((correct.shape[0], correct.shape[2]), int)
    for epoch in range(1, correct.shape[1]):
        events += correct[:, epoch - 1] & ~correct[:, epoch]
    return events


def mean_correctness(correct: np.ndarray) -> np.ndarray:
    """Fraction of networks and epochs in which each example is right, (N,), from `correct` (K, T, N)."""
    return check_correct(correct).mean(axis=(0, 1))


def agreed(correct: np.ndarray) -> np.ndarray:
    """Whether all networks get an example right, boolean (T, N), from `correct` (K, T, N)."""
    return np.all(check_correct(correct), axis=0)


def rank_concordance(learned: np.ndarray) -> float:
    """Kendall's coefficient of concordance W of the networks' learned epochs, corrected for ties.

    `learned` (K, N) as from `learned_epoch(correct, per_network=True)`; examples never learned tie for the last rank.
    1 if all networks learn in one order (ties included), about 1/K if their orders are unrelated. Without ties the mean
    of Spearman's rho over pairs of networks is (K W - 1) / (K - 1). NaN for one network and where no network tells any
    two examples apart. Raises ValueError unless `learned` is (K, N) without NaN.

    Kendall and Babington Smith, "The Problem of m Rankings" (Annals of Mathematical Statistics 10, 1939); ties as in
    Siegel and Castellan, "Nonparametric Statistics for the Behavioral Sciences" (1988).
    """
    import pandas as pd  # here: see `agreement`

    learned = np.asarray(learned, float)
    if learned.ndim != 2 or learned.size == 0 or np.isnan(learned).any():
        raise ValueError(f"learned must be (networks, examples) without NaN, not {learned} of shape {learned.shape}")
    if len(learned) == 1:
        return float("nan")
    ranks = pd.DataFrame(learned.T).rank().to_numpy().T
    summed = ranks.sum(axis=0)
    # what the summed ranks would spread if all networks ranked alike
    full = len(learned) * ((ranks - ranks.mean(axis=1, keepdims=True)) ** 2).sum()
    return float(((summed - summed.mean()) ** 2).sum() / full) if full > 0 else float("nan")


def confidence_and_variability(probability: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the epochs of the probability given to the label, and its standard deviation over them; each (N,).

    probability: K arrays (T, N) in 1/255. Both are taken for each network and averaged over networks, so that networks
    that differ do not make an example look variable. Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing
    Datasets with Training Dynamics" (EMNLP 2020), where there is one network.
    """
    mean = np.mean([network.mean(axis=0) for network in probability], axis=0) / 255
    deviation = np.mean([_deviation_over_epochs(network) for network in probability], axis=0) / 255
    return mean, deviation


def _deviation_over_epochs(network: np.ndarray) -> np.ndarray:
    """Standard deviation over the first axis of (T, N), a block of examples at a time: numpy makes (T, N) float64 of all."""
    blocks = -(-network.shape[1] // _BLOCK)
    return np.concatenate([block.std(axis=0) for block in np.array_split(network, blocks, axis=1)])


def shared_mistakes(
    predictions: Sequence[np.ndarray], probability: Sequence[np.ndarray], labels: np.ndarray, most: int = 48
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Examples that all networks take for the same wrong class, at most `most`, the most confident mistakes first.

    predictions, probability: K arrays (T, N), the latter in 1/255; labels (N,). Returns the examples' indices, the class
    that the networks take each for, and the last epoch, from 1, in which they do; each (n,).

    An example counts if networks agree so in any epoch of the second half of the training: early mistakes say little, and
    in the end networks may know even wrong labels by heart. Confident is who leaves the label little probability, on
    average over these epochs. Of the first 50 of CIFAR-10 (five LeNet5, 15 epochs) the people of CIFAR-10N would give 30 %
    another label, of all images 9 %.
    """
    begin = len(predictions[0]) // 2
    together = same_wrong_class([network[begin:] for network in predictions], labels)
    chosen = np.flatnonzero(together.any(axis=0))
    left = np.mean([network[begin:, chosen].mean(axis=0) for network in probability], axis=0)
    chosen = chosen[np.argsort(left, kind="stable")[:most]]
    last = len(predictions[0]) - 1 - together[::-1, chosen].argmax(axis=0)
    return chosen, predictions[0][last, chosen], last + 1
