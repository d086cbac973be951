"""Affinity of neighbouring pixels: how much their colours, and their variances, belong together."""

import numpy as np

from metrics.mutual_information import pmi_of_random_pairs
from metrics.neighbourhood import OFFSETS, all_pairs, ordered
from metrics.regression_trees import LEVELS, fit_trees, predict

_SAMPLES = 10_000  # pairs from which the trees learn


def affinities(features: np.ndarray, levels: np.ndarray, values: np.ndarray, state: np.ndarray) -> np.ndarray:
    """exp(PMI of colour) * exp(PMI of variance) of all pairs, PMI as trees have learned it from some.

    Parameters
    ----------
    features : float64 array (2, H, W, 3), colour and variance.
    levels, values : of the features, see ``feature_levels``.
    state : of the random numbers, see ``metrics.random_numbers``.

    Returns
    -------
    float64 array (41, H, W), see ``metrics.neighbourhood``; the affinity of a pixel to itself is 0.
    """
    _, height, width, _ = features.shape
    places, first, second = all_pairs(height, width)
    pmi = np.zeros(places.size)
    for s in range(2):
        flat, levels_of = features[s].reshape(-1, 3), levels[s].reshape(-1, 3)
        drawn_first, drawn_second, times, drawn_pmi = pmi_of_random_pairs(flat, height, width, _SAMPLES, state)
        samples = ordered(levels_of, drawn_first, drawn_second)
        nodes, predictions = fit_trees(samples, times, drawn_pmi, values[s], state)
        pmi += predict(nodes, predictions, ordered(levels_of, first, second))
    affinity = np.zeros((len(OFFSETS), height, width))
    affinity.reshape(-1)[places] = np.exp(pmi)
    return affinity


def feature_levels(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the values of each channel in 256 levels, one for each different value where there are no more of them.

    Parameters
    ----------
    features : float64 array (2, H, W, 3).

    Returns
    -------
    uint8 array (2, H, W, 3) of levels, and float64 array (2, 3, 256) of the value in the middle of each level. Else
    all levels hold nearly the same number of pixels.
    """
    levels = np.empty(features.shape, np.uint8)
    values = np.empty((len(features), 3, LEVELS))
    for s in range(len(features)):
        for c in range(3):
            channel = features[s, ..., c]
            different = np.unique(channel)
            if different.size > LEVELS:
                different = np.unique(np.quantile(channel, (np.arange(LEVELS) + 0.5) / LEVELS))
            values[s, c] = different[-1]
            values[s, c, : different.size] = different
            levels[s, ..., c] = np.searchsorted((different[:-1] + different[1:]) / 2, channel)
    return levels, values
