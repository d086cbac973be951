"""Affinity of neighbouring pixels: how much their colours, and their variances, belong together.

It is the exponential of their pointwise mutual information: how much oftener two pixels with these features lie side by
side than by chance. The densities are kernel estimates from pairs of neighbouring pixels that are drawn at random;
regression trees learn from some pairs and predict all.

A pair of pixels has six numbers, three features of each. The first features of the two are put in descending order, so
that only half of the joint space has to be modelled. Pairs are at most five pixels apart. Symmetric matrices hold one
number for each: float64 arrays (41, H, W), where ``[o, y, x]`` belongs to pixel (y, x) and the pixel ``OFFSETS[o]``
further, each pair once, a pixel with itself at ``o = 0``. Entries whose second pixel lies outside the image are 0.

Everything compiled here is in one file, because numba looks for changes of cached code in that file only.
"""

import numpy as np
from numba import njit

RADIUS = 5  # pixels
OFFSETS = np.array(
    [(0, 0)]
    + [
        (y, x)
        for y in range(RADIUS + 1)
        for x in range(-RADIUS, RADIUS + 1)
        if y * y + x * x <= RADIUS**2 and (y, x) > (0, 0)
    ]
)
PLACE_OF = np.full((RADIUS + 1, 2 * RADIUS + 1), -1)  # [y, x + 5] is the place o of an offset (y, x); -1: there is none
PLACE_OF[OFFSETS[:, 0], OFFSETS[:, 1] + RADIUS] = range(len(OFFSETS))
_SAMPLES = 10_000  # pairs from which the trees learn

_DRAWN_PIXELS = 5000
_SPREAD = 0.5  # standard deviation of half the distance of a drawn pair, in pixels, before it is lengthened by one
_FARTHEST = 2.0  # pixels, of half the distance, high and wide
_BANDWIDTH = 0.05
_REGULARISATION = 100.0
_EXPONENT = 1.25
_FIRST = np.array([0, 3, 1, 4, 2, 5])  # the six numbers from the one that tells most to the one that tells least

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
_BIT_OF = np.empty(64, np.uint8)  # number of the only bit set in a word, by the upper six bits of its product with it
for _bit in range(64):
    _BIT_OF[((int(_DE_BRUIJN) << _bit) % 2**64) >> 58] = _bit


def affinities(features: np.ndarray, levels: np.ndarray, values: np.ndarray, state: np.ndarray) -> np.ndarray:
    """exp(PMI of colour) * exp(PMI of variance) of all pairs, PMI as trees have learned it from some.

    Parameters
    ----------
    features : float64 array (2, H, W, 3), colour and variance.
    levels, values : of the features, see ``feature_levels``.
    state : of the random numbers, see ``uniform``.

    Returns
    -------
    float64 array (41, H, W), a symmetric matrix as above; the affinity of a pixel to itself is 0.
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


# density and mutual information


def pmi_of_random_pairs(
    features: np.ndarray, height: int, width: int, number: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pointwise mutual information of pairs drawn with replacement from all pairs at most five pixels apart.

    Parameters
    ----------
    features : float64 array (H * W, 3), values in [0, 1].
    height, width : H and W, of which one at least is more than 1.
    number : how many pairs to draw.
    state : of the random numbers, see ``uniform``.

    Returns
    -------
    The different pairs drawn: first pixels, second pixels, int64 arrays (M,); how often each was drawn, their
    mutual information in nats, float64 arrays (M,).
    """
    points = ordered(features, *_side_by_side(height, width, state))
    places, times = _places(height, width, number, state)
    first, second = pixels_of(places, height, width)
    joint = _density(points[_FIRST], ordered(features, first, second)[_FIRST])
    single = _density_of_pixels(np.concatenate((points[:3], points[3:]), axis=1), features, first, second)
    information = np.log(
        (_REGULARISATION + joint / 2) ** _EXPONENT / (single[first] * single[second] + _REGULARISATION)
    )
    return first, second, times, information


@njit(nogil=True, cache=True)
def _side_by_side(height: int, width: int, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pixels a few apart, on opposite sides of random pixels: first and second pixels."""
    centre = np.zeros(height * width, np.bool_)
    for _ in range(_DRAWN_PIXELS):
        centre[below(centre.size, state)] = True
    first, second = np.empty(centre.size, np.int64), np.empty(centre.size, np.int64)
    found = 0
    for pixel in np.flatnonzero(centre):
        down, right = normal_pair(state)
        longer = _SPREAD + 1 / np.hypot(down, right)
        down = min(max(longer * down, -_FARTHEST), _FARTHEST)
        right = min(max(longer * right, -_FARTHEST), _FARTHEST)
        y, x = pixel // width + 0.5, pixel % width + 0.5
        if 0 <= y + down < height and 0 <= y - down < height and 0 <= x + right < width and 0 <= x - right < width:
            first[found] = np.int64(y + down) * width + np.int64(x + right)
            second[found] = np.int64(y - down) * width + np.int64(x - right)
            found += 1
    return first[:found], second[:found]


@njit(nogil=True, cache=True)
def _places(height: int, width: int, number: int, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw from all pairs at most five pixels apart: places in the flat matrix, and how often each was drawn."""
    pixels = height * width
    drawn = np.zeros(len(OFFSETS) * pixels, np.uint16)
    while number > 0:
        o, pixel = 1 + below(len(OFFSETS) - 1, state), below(pixels, state)
        if pixel // width + OFFSETS[o, 0] < height and 0 <= pixel % width + OFFSETS[o, 1] < width:
            drawn[o * pixels + pixel] += 1
            number -= 1
    places = np.flatnonzero(drawn)
    return places, drawn[places].astype(np.float64)


@njit(nogil=True, cache=True)
def _density_of_pixels(points: np.ndarray, features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Density of the features of each pixel that is in a pair; 0 elsewhere."""
    used = np.zeros(len(features), np.bool_)
    used[first] = True
    used[second] = True
    pixels = np.flatnonzero(used)
    density = np.zeros(len(features))
    density[pixels] = _density(points, features[pixels].T)
    return density


@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _density(points: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Density of ``points`` (d, M) at ``queries`` (d, N) by a product of Epanetchnikov kernels; 0 without points.

    Only points near in the first three of the d numbers are looked at, by way of a grid as wide as the kernel.
    """
    numbers, size = points.shape
    wide = np.int64(1 / _BANDWIDTH) + 3  # cells; the first and the last stay empty
    points, queries = points / _BANDWIDTH + 1, queries / _BANDWIDTH + 1
    cells = np.empty(size, np.int64)
    starts = np.zeros(wide**3 + 1, np.int64)
    for i in range(size):
        cells[i] = (np.int64(points[0, i]) * wide + np.int64(points[1, i])) * wide + np.int64(points[2, i])
        starts[cells[i] + 1] += 1
    starts = np.cumsum(starts)
    points = points[:, np.argsort(cells, kind="mergesort")]
    density = np.empty(queries.shape[1])
    scale = (0.75 / _BANDWIDTH) ** numbers / max(size, 1)
    for i in range(queries.shape[1]):
        query = queries[:, i].copy()
        total = 0.0
        for y in range(np.int64(query[0]) - 1, np.int64(query[0]) + 2):
            for x in range(np.int64(query[1]) - 1, np.int64(query[1]) + 2):
                cell = (y * wide + x) * wide + np.int64(query[2])
                for j in range(np.uint64(starts[cell - 1]), np.uint64(starts[cell + 2])):
                    product = 1.0
                    for d in range(numbers):
                        product *= max(1 - (points[d, j] - query[d]) ** 2, 0.0)
                    total += product
        density[i] = scale * total
    return density


# pairs of pixels


@njit(nogil=True, cache=True)
def all_pairs(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of two different pixels: their places in the flat matrix, first pixels and second pixels."""
    pixels = height * width
    places = np.empty((len(OFFSETS) - 1) * pixels, np.int64)
    found = 0
    for o in range(1, len(OFFSETS)):
        down, right = OFFSETS[o]
        for y in range(height - down):
            for x in range(max(-right, 0), width - max(right, 0)):
                places[found] = o * pixels + y * width + x
                found += 1
    first, second = pixels_of(places[:found], height, width)
    return places[:found], first, second


@njit(nogil=True, cache=True)
def pixels_of(places: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second pixels, numbered in reading order, of pairs given by their places in the flat matrix."""
    first, second = np.empty_like(places), np.empty_like(places)
    for i in range(places.size):
        o = places[i] // (height * width)
        first[i] = places[i] - o * height * width
        second[i] = first[i] + OFFSETS[o, 0] * width + OFFSETS[o, 1]
    return first, second


@njit(nogil=True, cache=True)
def ordered(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The six numbers (6, N) of each pair of pixels: three features (pixels, 3) of the one, then of the other.

    The first features of the two change places where need be, so that the first number is not less than the fourth.
    """
    pairs = np.empty((6, first.size), features.dtype)
    for i in range(first.size):
        one, other = features[first[i]], features[second[i]]
        pairs[0, i], pairs[3, i] = max(one[0], other[0]), min(one[0], other[0])
        pairs[1, i], pairs[2, i] = one[1], one[2]
        pairs[4, i], pairs[5, i] = other[1], other[2]
    return pairs


# regression trees


@njit(nogil=True, cache=True)
def fit_trees(
    samples: np.ndarray, times: np.ndarray, targets: np.ndarray, values: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit four trees, each to all samples.

    Breiman, Friedman, Olshen and Stone's regression trees (1984): each split halves the squared error best, of those that
    three of the six features, drawn anew for each split, allow. The features are levels, whole numbers from 0 to 255.
    Sums per level take the place of sorting, and the levels that occur are found by the bits of four words.

    Parameters
    ----------
    samples : uint8 array (6, M), the levels of the features; M is at most 65,536.
    times : float64 array (M,), how often each sample counts.
    targets : float64 array (M,), counted to the nearest 2^-20.
    values : float64 array (3, 256), for features 0 to 2, and 3 to 5 likewise, the ascending values that the levels stand
        for; a split lies in the middle of two values.
    state : of the random numbers, see ``uniform``.

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


@njit(nogil=True, cache=True)
def _fit(
    packed: np.ndarray,
    weights: np.ndarray,
    values: np.ndarray,
    state: np.ndarray,
    nodes: np.ndarray,
    predictions: np.ndarray,
) -> None:
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


@njit(nogil=True, cache=True)
def _best_split(
    here: np.ndarray,
    weights: np.ndarray,
    features: np.ndarray,
    count: float,
    total: float,
    sums: np.ndarray,
    present: np.ndarray,
) -> tuple[int, np.int64, np.int64, float, float]:
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
                        best, best_over, feature = gain, gain_over, features[t]
                        low, high = last, level  # type: ignore[assignment]  # numba makes them one type
                        best_count, best_total = left_count, left_total
                left_count += sums_here[level, 0]
                left_total += sums_here[level, 1]
                sums_here[level, 0] = 0
                sums_here[level, 1] = 0
                last = level
    return feature, np.int64(low), np.int64(high), best_count, best_total


@njit(nogil=True, cache=True)
def _add(sums: np.ndarray, present: np.ndarray, shifted: np.uint64, weight: np.ndarray) -> None:
    level = shifted & np.uint64(255)
    sums[level, 0] += weight[0]
    sums[level, 1] += weight[1]
    present[level >> np.uint64(6)] |= np.uint64(1) << (level & np.uint64(63))


@njit(nogil=True, cache=True)
def _middle(values: np.ndarray, low: np.int64, high: np.int64) -> np.int64:
    """The highest level whose value is at most the middle of the values of two levels."""
    middle = (values[low] + values[high]) / 2
    while high - low > 1:
        between = (low + high) // 2
        if values[between] <= middle:
            low = between
        else:
            high = between
    return low


@njit(nogil=True, cache=True)
def _part(here: np.ndarray, feature: int, level: np.int64, spare: np.ndarray) -> np.int64:
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


@njit(nogil=True, cache=True)
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


# random numbers


@njit(nogil=True, cache=True)
def uniform(state: np.ndarray) -> float:
    """Next number, uniform in [0, 1). ``state``, a uint64 array (1,), moves on.

    Steele, Lea and Flood's splitmix64 (2014), the same in every version of numpy.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return np.float64(bits >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def below(number: int, state: np.ndarray) -> np.int64:
    """A whole number, uniform in 0, 1, ..., ``number`` - 1."""
    return np.int64(uniform(state) * number)


@njit(nogil=True, cache=True)
def normal_pair(state: np.ndarray) -> tuple[float, float]:
    """Two independent standard normal numbers, by Box and Muller's transform."""
    radius = np.sqrt(-2 * np.log(1 - uniform(state)))
    angle = 2 * np.pi * uniform(state)
    return radius * np.cos(angle), radius * np.sin(angle)
