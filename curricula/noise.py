"""Label noise, one of the two settings in which Wu et al. (2021) find that curricula help."""

import numpy as np


def corrupt_labels(labels: np.ndarray, fraction: float, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels with symmetric noise, and which of them are wrong: (N,) of the dtype given, boolean (N,).

    A fixed number of examples, `fraction` of N to the nearest, is drawn at random, so that all seeds suffer equally.
    Each gets one of the *other* classes, all equally likely: the symmetric noise of van Rooyen et al., "Learning with
    Symmetric Label Noise" (NeurIPS 2015). (Drawing from all classes, as Zhang et al. 2017 do, or permuting the chosen
    labels, as the code of Wu et al. does, leaves some of the chosen right: with ten classes about a tenth.)
    The same arguments give the same draw.

    Raises ValueError unless `labels` are integers (N,) in 0..classes-1 and 0 ≤ fraction ≤ 1, or if there is no other
    class.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be one integer per example, not {labels.dtype} of shape {labels.shape}")
    if not (0 <= fraction <= 1):
        raise ValueError(f"the fraction of wrong labels must be in 0 to 1, not {fraction}")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"labels must be in 0 to {classes - 1}, not {labels.min()} to {labels.max()}")
    if classes - 1 > np.iinfo(labels.dtype).max:
        raise ValueError(f"labels of type {labels.dtype} cannot be any of {classes} classes: give int64")
    wrong = round(fraction * len(labels))
    if wrong and classes < 2:
        raise ValueError(f"labels cannot be wrong with {classes} class")
    rng = np.random.default_rng([seed, 4])  # no draw that an order of the same seed is made of
    chosen = rng.permutation(len(labels))[:wrong]
    noisy = labels.copy()
    shift = rng.integers(1, max(classes, 2), wrong)
    noisy[chosen] = (labels[chosen].astype(np.int64) + shift) % classes
    mask = np.zeros(len(labels), bool)
    mask[chosen] = True
    return noisy, mask
