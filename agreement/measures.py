"""Agreement of networks in each epoch: which examples do all of them get right, against what chance would give?

Arrays are indexed [network, epoch, example]: `correct` is boolean (K, T, N), `predictions` integer (K, T, N), or a list
of K arrays (T, N), `labels` (N,). Every measure walks through the epochs one by one, so that it needs memory for a few
(K, N) slices and no more; memory-mapped arrays are read once.

Sources: Pliushch et al., "When Deep Classifiers Agree" (2021), called "the paper"; Hacohen et al., "Let's Agree to
Agree: Neural Networks Share Classification Order on Real Datasets" (ICML 2020).
"""

from collections.abc import Hashable, Iterator

import numpy as np


def accuracy(correct: np.ndarray) -> np.ndarray:
    """Fraction of the examples that each network gets right, (K, T), from `correct` (K, T, N).

    Raises ValueError unless `correct` is a non-empty boolean array of three dimensions.
    """
    correct = check_correct(correct)
    return np.array([[np.count_nonzero(epoch) for epoch in network] for network in correct]) / correct.shape[2]


def mean_accuracy(correct: np.ndarray) -> np.ndarray:
    """Accuracy averaged over networks, (T,), from `correct` (K, T, N)."""
    return accuracy(correct).mean(axis=0)


def class_accuracy(correct: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy in each of the C classes that `labels` (N,) has, sorted, averaged over networks, (T, C), from `correct` (K, T, N).

    Its mean over classes is the balanced accuracy (Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution",
    2010), which a large class does not rule. Raises ValueError unless there is a label for each example.

    >>> class_accuracy(np.array([[[True, True, False]]]), np.array([0, 0, 7]))
    array([[1., 0.]])
    """
    correct, labels = check_correct(correct), np.asarray(labels)
    if labels.shape != correct.shape[2:]:
        raise ValueError(f"there must be {correct.shape[2]} labels, one an example, not shape {labels.shape}")
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = [np.bincount(which, right.sum(axis=0, dtype=np.int32)) for right in _by_epoch(correct)]
    return np.array(by_class) / (counts * len(correct))


def accuracy_deviation(correct: np.ndarray) -> np.ndarray:
    """Standard deviation of the accuracy over networks, (T,), from `correct` (K, T, N).

    The divisor is K, not K - 1 (`ddof=0`), as in the paper's figures: it describes these K networks and is 0 for one.
    """
    return accuracy(correct).std(axis=0)


def true_positive_agreement(correct: np.ndarray) -> np.ndarray:
    """Examples that all networks get right, as a fraction of those that any gets right, (T,): eq. 2 of the paper.

    0 where no network is right about any example. Raises ValueError unless `correct` is boolean (K, T, N).

    >>> true_positive_agreement(np.array([[[True, True, False]], [[True, False, False]]]))
    array([0.5])
    """
    counts = [
        (np.count_nonzero(right.all(axis=0)), np.count_nonzero(right.any(axis=0)))
        for right in _by_epoch(check_correct(correct))
    ]
    return _fraction(*np.transpose(counts))


def lower_bound(correct: np.ndarray) -> np.ndarray:
    """The least fraction of the data set that all networks must share given their accuracies, (T,): eq. 3 of the paper.

    `1 - min(sum_k (1 - accuracy_k), 1)`. Sharing is counted against the whole data set here and against the examples
    that any network knows in `true_positive_agreement`, so this bounds that one from below too.

    >>> lower_bound(np.array([[[True, True, False, True]], [[True, False, True, True]]]))
    array([0.5])
    """
    correct = check_correct(correct)
    wrong = sum(correct.shape[2] - np.count_nonzero(right, axis=1) for right in correct)  # exact, unlike summed errors
    return np.maximum(correct.shape[2] - wrong, 0) / correct.shape[2]


def chance_agreement(correct: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """True-positive agreement expected of independent networks with these accuracies, (T,).

    labels: (N,) classes. With them the accuracies are those within each class: networks that all answer with the commonest
    class agree on it, and have learned nothing else in common.

    `prod_k accuracy_k / (1 - prod_k (1 - accuracy_k))`: the ratio of the expected numbers of examples that all, and
    that any, would get right if what one network knows said nothing about what another knows. 0 where no network is
    right about any example. One network agrees with itself: 1.

    >>> chance_agreement(np.array([[[True, False]], [[False, True]]]))  # (1/4) / (3/4)
    array([0.33333333])
    """
    correct = check_correct(correct)
    of_all, of_any = np.zeros(correct.shape[1]), np.zeros(correct.shape[1])
    for members in [slice(None)] if labels is None else [np.flatnonzero(labels == c) for c in np.unique(labels)]:
        right = correct[:, :, members]
        by_all, by_any = np.ones(len(of_all)), np.zeros(len(of_all))
        for network in accuracy(right):
            by_all = by_all * network
            by_any = by_any + network * (1 - by_any)  # equals 1 - prod(1 - accuracy), without its cancellation
        share = right.shape[2] / correct.shape[2]
        of_all, of_any = of_all + share * by_all, of_any + share * by_any
    return _fraction(of_all, of_any)


def excess_agreement(correct: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Share of the room above chance that the networks' agreement fills, (T,); with labels (N,), above chance within classes.

    `(agreement - chance) / (1 - chance)`, the form of Cohen's kappa: 1 is perfect agreement, 0 is what independent
    networks would show, less than 0 means that they avoid each other's examples. NaN where chance is 1 (every network
    is right about every example, or there is one network only): nothing can be told from agreement there.
    """
    chance = chance_agreement(correct, labels)
    room = 1 - chance
    return np.divide(true_positive_agreement(correct) - chance, room, out=np.full_like(room, np.nan), where=room > 0)


def commonest(labels: np.ndarray) -> float:
    """The share of the commonest label, or set of labels. labels: (N,), or (N, C) with a row for each set."""
    return float(np.unique(labels, axis=0, return_counts=True)[1].max() / len(labels))


def beats_commonest(correct: np.ndarray, labels: np.ndarray) -> bool:
    """Whether some network is shown, after the last epoch, to be right more often than always naming the commonest class.

    An exact sign test on the examples that one of the two gets right and the other does not, at 5 %, Bonferroni-corrected over
    networks. correct: (K, T, N); labels: (N,).
    """
    from scipy.stats import binom  # here, because it takes long to import

    values, counts = np.unique(labels, return_counts=True)
    named = labels == values[counts.argmax()]
    right = check_correct(correct)[:, -1]
    better, worse = (right & ~named).sum(axis=1), (~right & named).sum(axis=1)
    return bool((binom.sf(better - 1, better + worse, 0.5) * len(right) < 0.05).any())


def false_positive_agreement(predictions: np.ndarray | list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Examples for which all networks predict the same wrong class, as a fraction of those any gets wrong, (T,).

    The paper names it (section 2) and leaves it for later. 0 where no network is wrong. Raises ValueError unless
    `predictions` is integer (K, T, N) and `labels` is (N,).
    """
    networks, labels = _check_labelled(predictions, labels)
    counts = []
    for predicted in _by_epoch(networks):
        unanimous = (predicted == predicted[0]).all(axis=0)
        first_wrong = predicted[0] != labels
        # where networks differ at least one of them is wrong
        counts.append((np.count_nonzero(unanimous & first_wrong), np.count_nonzero(~unanimous | first_wrong)))
    return _fraction(*np.transpose(counts))


def same_wrong_class(predictions: np.ndarray | list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Whether all networks predict the same wrong class for an example, boolean (T, N): see figure 1 of the paper.

    What `false_positive_agreement` counts; errors as there.

    >>> same_wrong_class(np.array([[[3, 1, 2]], [[3, 2, 2]]]), np.array([1, 1, 2]))
    array([[ True, False, False]])
    """
    networks, labels = _check_labelled(predictions, labels)
    return np.array(
        [(predicted == predicted[0]).all(axis=0) & (predicted[0] != labels) for predicted in _by_epoch(networks)]
    )


def majority(predicted: np.ndarray | list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The label that most of the networks give, (N,), and the share of them that give it, float (N,).

    predicted: integer (K, N), of one epoch. Of labels that equally many give, the one of the first of these networks.

    >>> majority(np.array([[3, 1], [5, 2], [5, 3]]))
    (array([5, 1]), array([0.66666667, 0.33333333]))
    """
    predicted = np.asarray(predicted)
    votes = np.array([(predicted == network).sum(axis=0) for network in predicted])
    chosen = votes.argmax(axis=0)
    return np.take_along_axis(predicted, chosen[None], axis=0)[0], votes.max(axis=0) / len(predicted)


def hacohen_agreement(predictions: np.ndarray | list[np.ndarray], per_example: bool = False) -> np.ndarray:
    """Largest fraction of the networks that predict the same label, right or wrong (Hacohen et al. 2020).

    Averaged over examples, (T,), or for every example, (T, N). At least 1/K. Raises ValueError unless `predictions`
    is integer (K, T, N).

    >>> hacohen_agreement(np.array([[[3, 1]], [[3, 2]], [[5, 2]], [[3, 1]]]), per_example=True)
    array([[0.75, 0.5 ]])
    """
    by_network = _check_predictions(predictions)
    networks = len(by_network)
    agreement = []
    for predicted in _by_epoch(by_network):
        votes = np.zeros(predicted.shape[1], np.min_scalar_type(networks))
        for k in range(networks):
            # the first network to predict the winning label meets all others that do, so later ones suffice
            np.maximum(votes, (predicted[k:] == predicted[k]).sum(axis=0, dtype=votes.dtype), out=votes)
        agreement.append(votes / networks if per_example else votes.mean() / networks)
    return np.array(agreement)


def hacohen_true_positive_agreement(correct: np.ndarray, per_example: bool = False) -> np.ndarray:
    """Fraction of the networks that get an example right (Hacohen et al. 2020).

    For every example, (T, N), or averaged over examples, (T,). That average *is* the mean accuracy: it tells how much
    the networks know, and only its distribution over examples tells whether they know the same.
    """
    if not per_example:
        return mean_accuracy(correct)
    return np.array([right.mean(axis=0) for right in _by_epoch(check_correct(correct))])


def agreement_by_kind(correct: np.ndarray, kinds: np.ndarray) -> dict[Hashable, np.ndarray]:
    """Fraction of the examples of each kind that all networks get right in each epoch, kind to (T,), kinds sorted.

    `correct` is boolean (K, T, N); `kinds` (N,) holds names or numbers, of which None and NaN belong to no kind. Counted
    against all examples of the kind, not only those that some network gets right: the paper's illumination and rotation
    in figures 5 and 7. Raises ValueError if shapes differ or `correct` is not boolean (K, T, N).

    >>> agreement_by_kind(np.array([[[True, False, True]]]), np.array(["top", "top", "side"]))
    {'side': array([1.]), 'top': array([0.5])}
    """
    import pandas as pd  # here: see `agreement`

    correct = check_correct(correct)
    kinds = np.asarray(kinds, None if isinstance(kinds, np.ndarray) else object)  # NaN among names would become one
    if kinds.shape != correct.shape[2:]:
        raise ValueError(f"kinds must have shape {correct.shape[2:]}, one per example, not {kinds.shape}")
    codes, names = pd.factorize(kinds, sort=True)
    known = codes >= 0
    sizes = np.bincount(codes[known], minlength=len(names))
    shared = [
        np.bincount(codes[known & correct[:, epoch].all(axis=0)], minlength=len(names))
        for epoch in range(correct.shape[1])
    ]
    return dict(zip(names.tolist(), np.transpose(shared) / sizes[:, None], strict=True))


def exact_match(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`correct` (K, T, N) for examples with several labels: right only where every label is (the paper, section 2).

    `predicted` (K, T, N, L) and `target` (N, L) are boolean or integer, one entry per label, present or absent.
    Raises ValueError if shapes differ, or for fractions: probabilities have to be thresholded first.

    >>> exact_match(np.array([[[[True, False], [True, True]]]]), np.array([[True, False], [True, False]]))
    array([[[ True, False]]])
    """
    predicted, target = np.asarray(predicted), np.asarray(target)
    for name, array in (("predicted", predicted), ("target", target)):
        if array.dtype.kind not in "biu":
            raise ValueError(f"{name} must be boolean or integer label sets, not {array.dtype}")
    if predicted.ndim != 4 or predicted.size == 0 or predicted.shape[2:] != target.shape:
        raise ValueError(
            "predicted must be non-empty (networks, epochs, examples, labels) and target (examples, labels), "
            f"not {predicted.shape} and {target.shape}"
        )
    return np.array([[(epoch == target).all(axis=1) for epoch in network] for network in predicted])


def check_correct(correct: np.ndarray) -> np.ndarray:
    """`correct` itself, as an array; ValueError unless it is boolean (K, T, N) and not empty."""
    correct = np.asarray(correct)
    if correct.ndim != 3 or correct.dtype != bool or correct.size == 0:
        raise ValueError(
            "correct must be a non-empty boolean array (networks, epochs, examples), "
            f"not {correct.dtype} of shape {correct.shape}"
        )
    return correct


def _check_predictions(predictions: np.ndarray | list[np.ndarray]) -> list[np.ndarray]:
    """K integer arrays (T, N); where they are listed as such, they stay where they are, memory-mapped perhaps."""
    listed = isinstance(predictions, list) and len({np.shape(network) for network in predictions}) == 1
    networks = [np.asarray(network) for network in predictions] if listed else [np.asarray(predictions)]
    shape = (len(networks), *networks[0].shape) if listed else networks[0].shape
    kinds = {network.dtype.kind for network in networks}
    if len(shape) != 3 or not kinds <= set("iu") or 0 in shape:
        raise ValueError(
            "predictions must be a non-empty integer array (networks, epochs, examples), "
            f"not {networks[0].dtype} of shape {shape}"
        )
    return networks if listed else list(networks[0])


def _check_labelled(
    predictions: np.ndarray | list[np.ndarray], labels: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    networks, labels = _check_predictions(predictions), np.asarray(labels)
    if labels.shape != networks[0].shape[1:]:
        raise ValueError(f"labels must have shape {networks[0].shape[1:]}, one per example, not {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers, as predictions are, not {labels.dtype}")
    return networks, labels


def _by_epoch(networks: np.ndarray | list[np.ndarray]) -> Iterator[np.ndarray]:
    """The (K, N) slices of a (K, T, N) array, or of K arrays (T, N), epoch by epoch."""
    return (np.array([network[epoch] for network in networks]) for epoch in range(len(networks[0])))


def _fraction(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
