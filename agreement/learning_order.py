"""The order in which networks learn examples, and how far they share it.

Epochs are numbered from 1: an example with learned epoch 1 was right from the first record on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

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


def epochs_wrong(correct: np.ndarray) -> np.ndarray:
    """In how many epochs each network is wrong about an example, (K, N) int, from `correct` (K, T, N)."""
    correct = check_correct(correct)
    return correct.shape[1] - np.count_nonzero(correct, axis=1)


def learning_time(correct: np.ndarray) -> np.ndarray:
    """1 minus the mean correctness over networks and epochs, (N,) in 0..1, from `correct` (K, T, N): the order of learning.

    0 for what every network has right from the first epoch on, 1 for what none ever has. It uses all epochs, so that two
    networks agree on it better than on any single epoch: of CIFAR-10's images the rank correlation of two DenseNet121 is
    0.88 by it, 0.54 by `first_epoch` and 0.70 by `learned_epoch` (docs/statistics.md).

    >>> learning_time(np.array([[[True, False], [True, True]], [[True, False], [True, True]]]))
    array([0. , 0.5])
    """
    return epochs_wrong(correct).sum(axis=0) / (correct.shape[0] * correct.shape[1])


def first_epoch(correct: np.ndarray, per_network: bool = False) -> np.ndarray:
    """The first epoch in which an example is right, mean over networks (N,) or of each (K, N), from `correct` (K, T, N).

    In 1..T; a network that is never right counts as T + 1.

    >>> first_epoch(np.array([[[True, False], [False, False]], [[False, True], [True, False]]]))
    array([1.5, 2. ])
    """
    correct = check_correct(correct)
    first = np.where(correct.any(axis=1), correct.argmax(axis=1), correct.shape[1]) + 1.0
    return first if per_network else first.mean(axis=0)


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


def orders_by_network(correct: np.ndarray) -> dict[str, np.ndarray]:
    """The three orders of learning by network, each (K, N) in whole epochs, larger is later; from `correct` (K, T, N).

    `learning_time`: epochs in which the network is wrong; `first`: see `first_epoch`; `last`: see `learned_epoch`. Sums of
    whole numbers are exact, so that examples that tie still do when networks are averaged.
    """
    return {
        "learning_time": epochs_wrong(correct),
        "first": first_epoch(correct, per_network=True),
        "last": learned_epoch(correct, per_network=True),
    }


COMBINED: dict[str, Callable[..., np.ndarray]] = {
    "learning_time": np.mean,
    "first": np.mean,
    "last": np.max,
}  # how networks make one order of their own


def rank_correlation_of_two(order: np.ndarray) -> float:
    """Mean over all pairs of networks of Spearman's rho of their orders (K, N); NaN for one network.

    It is (K W - 1) / (K - 1) of Kendall's W where nothing ties, but does not depend on the number of networks: W of two
    unrelated ones is 0.5. Pairs in which a network tells no two examples apart are left out.
    """
    ranks = _ranked(order)
    rho = ranks @ ranks.T
    pairs = rho[np.triu_indices(len(ranks), 1)]
    return float(np.nanmean(pairs)) if np.isfinite(pairs).any() else float("nan")


def reliability(order: np.ndarray) -> float:
    """How far the mean of K networks' orders would correlate with that of K others, from (K, N); NaN for one network.

    Spearman's rho of halves of the networks, stepped up from half of them to all by Spearman and Brown's formula (1910):
    K / m times the halves' signal. Halves are of m = K // 2 networks; each of the K that begin with the next network is
    taken once. At most what any statistic could explain of the variance of the ranks.
    """
    order = np.asarray(order, float)
    networks, half = len(order), len(order) // 2
    if not half:
        return float("nan")
    rho = []
    for k in range(networks):
        turned = np.roll(order, -k, axis=0)
        one, other = _ranked(np.array([turned[:half].mean(axis=0), turned[half : 2 * half].mean(axis=0)]))
        rho.append(one @ other)
    r = float(np.mean(rho))
    times = networks / half
    return float(np.clip(times * r / (1 + (times - 1) * r), 0, 1)) if r > 0 else 0.0 * r


def _ranked(order: np.ndarray) -> np.ndarray:
    """Ranks of each row (K, N), centred and of length 1; NaN in rows that do not vary."""
    import pandas as pd  # here: see `agreement`

    order = np.asarray(order, float)
    if order.ndim != 2 or order.size == 0 or np.isnan(order).any():
        raise ValueError(f"order must be (networks, examples) without NaN, not {order} of shape {order.shape}")
    ranks = pd.DataFrame(order.T).rank().to_numpy(copy=True).T
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    return np.divide(ranks, size, out=np.full_like(ranks, np.nan), where=size > 0)


def mean_over_epochs(values: Iterable[np.ndarray], known: np.ndarray | None = None) -> np.ndarray:
    """Mean of K arrays (T, N) over the epochs and then over the networks, float64 (N,).

    known: boolean (K, T, N), which examples each network was shown in each epoch; None: all. Others do not count. NaN for what was never shown.
    """
    if known is None:
        return np.mean([network.mean(axis=0, dtype=np.float64) for network in values], axis=0)
    return _over_networks([network.mean(axis=0, dtype=np.float64) for network in _masked(values, known)])


def _masked(values: Iterable[np.ndarray], known: np.ndarray) -> Iterator[np.ma.MaskedArray]:
    for network, seen in zip(values, known, strict=True):
        yield np.ma.array(network, mask=~seen)


def _over_networks(values: Sequence[np.ma.MaskedArray]) -> np.ndarray:
    """Mean of masked arrays (N,), NaN where all are masked."""
    return np.ma.stack(values).mean(axis=0).filled(np.nan)


def confidence_and_variability(
    probability: Sequence[np.ndarray], known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the epochs of the probability given to the label, and its standard deviation over them; each (N,).

    probability: K arrays (T, N) in 1/255. Both are taken for each network and averaged over networks, so that networks
    that differ do not make an example look variable. Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing
    Datasets with Training Dynamics" (EMNLP 2020), where there is one network. known: as of `mean_over_epochs`.
    """
    mean = mean_over_epochs(probability, known) / 255
    if known is None:
        return mean, np.mean([_deviation_over_epochs(network) for network in probability], axis=0) / 255
    return mean, _over_networks([_deviation_over_epochs(network) for network in _masked(probability, known)]) / 255


def _deviation_over_epochs(network: Any) -> Any:
    """Standard deviation over the first axis of (T, N), a block of examples at a time: numpy makes (T, N) float64 of all."""
    blocks = -(-network.shape[1] // _BLOCK)
    join: Any = np.ma.concatenate if isinstance(network, np.ma.MaskedArray) else np.concatenate
    return join([block.std(axis=0) for block in np.array_split(network, blocks, axis=1)])


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
