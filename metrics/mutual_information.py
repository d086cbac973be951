"""Pointwise mutual information of the features of two pixels: how much oftener they lie side by side than by chance.

The densities are kernel estimates from pairs of neighbouring pixels that are drawn at random. A pair of pixels has six
numbers, three features of each. The first features of the two are put in descending order, so that only half of the
joint space has to be modelled.
"""

import numpy as np

from metrics.compiled import compiled
from metrics.neighbourhood import OFFSETS, ordered, pixels_of
from metrics.random_numbers import below, normal_pair

_DRAWN_PIXELS = 5000
_SPREAD = 0.5  # standard deviation of half the distance of a drawn pair, in pixels, before it is lengthened by one
_FARTHEST = 2.0  # pixels, of half the distance, high and wide
_BANDWIDTH = 0.05
_REGULARISATION = 100.0
_EXPONENT = 1.25
_FIRST = np.array([0, 3, 1, 4, 2, 5])  # the six numbers from the one that tells most to the one that tells least


def pmi_of_random_pairs(
    features: np.ndarray, height: int, width: int, number: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pointwise mutual information of pairs drawn with replacement from all pairs at most five pixels apart.

    Parameters
    ----------
    features : float64 array (H * W, 3), values in [0, 1].
    height, width : H and W, of which one at least is more than 1.
    number : how many pairs to draw.
    state : of the random numbers, see ``metrics.random_numbers``.

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


@compiled
def _side_by_side(height, width, state):
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


@compiled
def _places(height, width, number, state):
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


@compiled
def _density_of_pixels(points, features, first, second):
    """Density of the features of each pixel that is in a pair; 0 elsewhere."""
    used = np.zeros(len(features), np.bool_)
    used[first] = True
    used[second] = True
    pixels = np.flatnonzero(used)
    density = np.zeros(len(features))
    density[pixels] = _density(points, features[pixels].T)
    return density


@compiled(fastmath={"reassoc", "nsz", "contract"})
def _density(points, queries):
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
