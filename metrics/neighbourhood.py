"""Pairs of pixels at most five apart, and symmetric matrices that hold one number for each.

Such a matrix is a float64 array (41, H, W): ``[o, y, x]`` belongs to pixel (y, x) and the pixel ``OFFSETS[o]`` further,
each pair once, a pixel with itself at ``o = 0``. Entries whose second pixel lies outside the image are 0.
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
_place_of = np.full((RADIUS + 1, 2 * RADIUS + 1), -1)
_place_of[OFFSETS[:, 0], OFFSETS[:, 1] + RADIUS] = range(len(OFFSETS))
PLACE_OF = _place_of  # [y, x + 5] is the place o of an offset (y, x); -1 where there is none


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
