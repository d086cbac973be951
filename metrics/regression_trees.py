"""Regression trees on features of few levels, fitted and evaluated in bulk.

Breiman, Friedman, Olshen and Stone's trees (1984): each split halves the squared error best, of those that three of the
six features, drawn anew for each split, allow. The features are levels, whole numbers from 0 to 255. Sums per level take
the place of sorting, and the levels that occur are found by the bits of four words.
"""

import numpy as np

from metrics.compiled import compiled
from metrics.random_numbers import below

LEVELS = 256
_TREES = 4
_FINENESS = 2.0**20  # targets are rounded to multiples of its inverse: their sums are then exact, equal splits are
# told as equal, and the trees are the same on all machines
_FEATURES = 6
_NUMBER = np.uint64(8 * _FEATURES)  # bit from which on a packed sample holds its number
_TRIED = 3  # features at each split
_SPLIT = 10  # fewer samples are not split
_LEAF = 5  # samples that each side of a split must have
_WORDS = LEVELS // 64
_LANES = 16  # samples that go down a tree at the same time
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_bit_of = np.empty(64, np.uint8)
for _bit in range(64):
    _bit_of[((int(_DE_BRUIJN) << _bit) % 2**64) >> 58] = _bit
_BIT_OF = _bit_of  # number of the only bit set in a word, by the upper six bits of its product with _DE_BRUIJN


@compiled
def fit_trees(
    samples: np.ndarray, times: np.ndarray, targets: np.ndarray, values: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit four trees, each to all samples.

    Parameters
    ----------
    samples : uint8 array (6, M), the levels of the features; M is at most 65,536.
    times : float64 array (M,), how often each sample counts.
    targets : float64 array (M,), counted to the nearest 2^-20.
    values : float64 array (3, 256), for features 0 to 2, and 3 to 5 likewise, the ascending values that the levels stand
        for; a split lies in the middle of two values.
    state : of the random numbers, see ``metrics.random_numbers``.

    Returns
    -------
    Nodes, uint32 array (4, nodes), and predictions, float64 array (4, nodes). A node holds its feature (3 bits),
    the highest level that goes to the left (8 bits) and the number of its left child (the rest), after which comes
    the right one. A leaf is its own left child, to which all levels go.
    """
    room = 2 * max(np.int64(times.sum()) // _LEAF, 1)  # type: ignore[operator]  # numba's max gives an integer
    nodes, predictions = np.empty((_TREES, room), np.uint32), np.zeros((_TREES, room))
    packed = np.arange(targets.size).astype(np.uint64) << _NUMBER  # number and levels of a sample in one word
    for feature in range(_FEATURES):
        packed |= samples[feature].astype(np.uint64) << np.uint64(8 * feature)
    weights = np.stack((times, times * np.round(targets * _FINENESS) / _FINENESS), axis=1)
    for tree in range(_TREES):
        _fit(packed, weights, values, state, nodes[tree], predictions[tree])
    return nodes, predictions


@compiled
def _fit(packed, weights, values, state, nodes, predictions):
    # of each level the count and the sum of the targets, and as bits which levels there are; all 0 between calls
    sums, present = np.zeros((_TRIED, LEVELS, 2)), np.zeros((_TRIED, _WORDS), np.uint64)
    spare = np.empty_like(packed)
    features = np.arange(_FEATURES)
    starts, ends = np.empty(nodes.size, np.int64), np.empty(nodes.size, np.int64)
    counts, totals = np.empty(nodes.size), np.empty(nodes.size)
    starts[0], ends[0], counts[0], totals[0] = 0, packed.size, weights[:, 0].sum(), weights[:, 1].sum()
    made, node = 1, 0
    while node < made:
        count, total = counts[node], totals[node]
        predictions[node] = total / count
        nodes[node] = (np.uint32(node) << 11) | ((LEVELS - 1) << 3)
        if count >= _SPLIT:
            for i in range(_TRIED):
                j = i + below(_FEATURES - i, state)
                features[i], features[j] = features[j], features[i]
            start, end = starts[node], ends[node]
            here = packed[start:end]
            feature, low, high, left_count, left_total = _best_split(
                here, weights, features, count, total, sums, present
            )
            if feature >= 0:
                level = _middle(values[feature % 3], low, high)
                split = start + _part(here, feature, level, spare)
                nodes[node] = (np.uint32(made) << 11) | (np.uint32(level) << 3) | np.uint32(feature)
                starts[made], ends[made] = start, split
                counts[made], totals[made] = left_count, left_total
                starts[made + 1], ends[made + 1] = split, end
                counts[made + 1], totals[made + 1] = count - left_count, total - left_total
                made += 2
        node += 1


@compiled
def _best_split(here, weights, features, count, total, sums, present):
    """Where to split, if that lessens the error, else feature -1.

    Returns the feature, the two levels next to each other between which to split, and of the samples of the lower
    levels their count and the sum of their targets.
    """
    first, second, third = np.uint64(8 * features[0]), np.uint64(8 * features[1]), np.uint64(8 * features[2])
    for sample in here:
        weight = weights[sample >> _NUMBER]
        _add(sums[0], present[0], sample >> first, weight)
        _add(sums[1], present[1], sample >> second, weight)
        _add(sums[2], present[2], sample >> third, weight)
    # sum over both sides of (sum of targets)^2 / count, as a fraction: a division would take longer than all the rest
    best, best_over = total * total * (1 + 1e-12), count  # more than rounding
    feature, low, high, best_count, best_total = -1, 0, 0, 0.0, 0.0
    for t in range(_TRIED):
        sums_here = sums[t]
        left_count, left_total, last = 0.0, 0.0, np.uint64(0)
        for word in range(np.uint64(_WORDS)):
            bits = present[t, word]
            present[t, word] = 0
            while bits != 0:
                lowest = bits & (~bits + np.uint64(1))
                bits ^= lowest
                level = (word << np.uint64(6)) + np.uint64(_BIT_OF[(lowest * _DE_BRUIJN) >> np.uint64(58)])
                right_count = count - left_count
                if left_count >= _LEAF and right_count >= _LEAF:
                    right_total = total - left_total
                    gain = left_total * left_total * right_count + right_total * right_total * left_count
                    gain_over = left_count * right_count
                    if gain * best_over > best * gain_over:
                        best, best_over, feature, low, high = gain, gain_over, features[t], last, level
                        best_count, best_total = left_count, left_total
                left_count += sums_here[level, 0]
                left_total += sums_here[level, 1]
                sums_here[level, 0] = 0
                sums_here[level, 1] = 0
                last = level
    return feature, np.int64(low), np.int64(high), best_count, best_total


@compiled
def _add(sums, present, shifted, weight):
    level = shifted & np.uint64(255)
    sums[level, 0] += weight[0]
    sums[level, 1] += weight[1]
    present[level >> np.uint64(6)] |= np.uint64(1) << (level & np.uint64(63))


@compiled
def _middle(values, low, high):
    """The highest level whose value is at most the middle of the values of two levels."""
    middle = (values[low] + values[high]) / 2
    while high - low > 1:
        between = (low + high) // 2
        if values[between] <= middle:
            low = between
        else:
            high = between
    return low


@compiled
def _part(here, feature, level, spare):
    """Put the samples of at most this level first, and return how many there are."""
    shift, highest = np.uint64(8 * feature), np.uint64(level)
    left, right = np.uint64(0), np.uint64(0)
    for sample in here:  # without a branch, which the processor could not foretell
        here[left] = sample
        spare[right] = sample
        goes_left = np.uint64(((sample >> shift) & np.uint64(255)) <= highest)
        left += goes_left
        right += np.uint64(1) - goes_left
    here[left:] = spare[:right]
    return np.int64(left)


@compiled
def predict(nodes: np.ndarray, predictions: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Mean prediction of the trees of ``fit_trees`` for samples, uint8 array (6, N): float64 array (N,)."""
    means = np.zeros(samples.shape[1])
    levels, at = np.zeros((_FEATURES, _LANES), np.uint32), np.empty(_LANES, np.uint32)
    for start in range(0, means.size, _LANES):
        lanes = min(_LANES, means.size - start)
        for feature in range(_FEATURES):
            for lane in range(lanes):
                levels[feature, lane] = samples[feature, start + lane]
        for tree in range(_TREES):
            at[:] = 0
            moved = np.uint32(1)
            while moved != 0:  # all lanes step together, so that the processor is busy while each waits for its node
                moved = np.uint32(0)
                for lane in range(_LANES):
                    node = nodes[tree, at[lane]]
                    child = (node >> 11) + np.uint32(levels[node & 7, lane] > ((node >> 3) & 255))
                    moved |= child ^ at[lane]
                    at[lane] = child
            for lane in range(lanes):
                means[start + lane] += predictions[tree, at[lane]] / _TREES
    return means
