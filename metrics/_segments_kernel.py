"""Felzenszwalb and Huttenlocher's segmentation, the arithmetic of the authors' C++ program to the last bit.

Which pixels merge depends on comparisons of float32 weights and on the order of edges of equal weight. Smoothing,
weights and thresholds are therefore float32 throughout, and the sort is stable.
"""

import math

import numpy as np
from numba import njit

SIGMA, K, MIN_SIZE = 0.5, 500, 20


def _taps(sigma: float) -> np.ndarray:
    """One half of the Gaussian, centre first: float32 array (ceil(4 sigma) + 1,); the whole sums to 1."""
    half = np.array([math.exp(-0.5 * (i / sigma) ** 2) for i in range(math.ceil(4 * sigma) + 1)], np.float32)
    total = np.float32(0)
    for tap in half[1:]:
        total += tap
    return half / (np.float32(2) * total + half[0])


_GAUSSIAN = _taps(SIGMA)
_K = np.float32(K)


@njit(nogil=True, cache=True)
def felzenszwalb(image: np.ndarray) -> np.ndarray:
    """Segment of every pixel: float32 array (H, W, C) of 8-bit values to int32 array (H, W).

    C is 3, or 1 for a grey image, which is treated as one of three equal channels. Segments are numbered in reading
    order.
    """
    height, width, _ = image.shape
    pixels = height * width
    weights, edges = _sorted_by_weight(*_edges(_smooth(_smooth(image))))

    parent = np.arange(pixels, dtype=np.int32)
    size = np.ones(pixels, np.int32)
    limit = np.full(pixels, _K)  # largest weight at which a component still merges: internal weight + K / size
    between = 0  # edges that did not merge are kept, in order, at the front of the array
    for i in range(edges.size):
        first, second = _ends(edges[i], width)
        a, b = _root(parent, first), _root(parent, second)
        if a == b:
            continue
        if weights[i] <= limit[a] and weights[i] <= limit[b]:
            a = _join(parent, size, a, b)
            limit[a] = weights[i] + _K / np.float32(size[a])
        else:
            edges[between] = edges[i]
            between += 1
    for i in range(between):
        first, second = _ends(edges[i], width)
        a, b = _root(parent, first), _root(parent, second)
        if a != b and (size[a] < MIN_SIZE or size[b] < MIN_SIZE):
            _join(parent, size, a, b)
    return _numbered(parent).reshape(height, width)


@njit(nogil=True, cache=True)
def _smooth(image: np.ndarray) -> np.ndarray:
    """Convolve along each row with the Gaussian, border pixels repeated, and transpose, as the original does."""
    height, width, channels = image.shape
    smoothed = np.empty((width, height, channels), np.float32)
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                total = _GAUSSIAN[0] * image[y, x, c]
                for i in range(1, _GAUSSIAN.size):
                    total += _GAUSSIAN[i] * (image[y, max(x - i, 0), c] + image[y, min(x + i, width - 1), c])
                smoothed[x, y, c] = total
    return smoothed


@njit(nogil=True, cache=True)
def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges to the right, lower, lower-right and upper-right neighbour, pixel by pixel.

    Returns their weights, the colour distances, and their numbers ``4 * pixel + direction``.
    """
    height, width, _ = image.shape
    weights = np.empty(4 * height * width, np.float32)
    edges = np.empty(4 * height * width, np.uint32)
    found = 0
    for y in range(height):
        for x in range(width):
            for direction in range(4):
                to_y, to_x = y, x
                if direction != 1:
                    to_x += 1
                if direction == 1 or direction == 2:
                    to_y += 1
                if direction == 3:
                    to_y -= 1
                if to_x < width and 0 <= to_y < height:
                    weights[found] = _distance(image, y, x, to_y, to_x)
                    edges[found] = 4 * (y * width + x) + direction
                    found += 1
    return weights[:found], edges[:found]


@njit(nogil=True, cache=True)
def _distance(image: np.ndarray, y: int, x: int, to_y: int, to_x: int) -> float:
    last = image.shape[2] - 1
    red = image[y, x, 0] - image[to_y, to_x, 0]
    green = image[y, x, last // 2] - image[to_y, to_x, last // 2]
    blue = image[y, x, last] - image[to_y, to_x, last]
    return np.sqrt(red * red + green * green + blue * blue)


@njit(nogil=True, cache=True)
def _ends(edge: int, width: int) -> tuple[np.int64, np.int64]:
    """The two pixels that an edge joins."""
    pixel = np.int64(edge >> 2)
    direction = edge & 3
    if direction == 0:
        return pixel, pixel + 1
    if direction == 1:
        return pixel, pixel + width
    if direction == 2:
        return pixel, pixel + width + 1
    return pixel, pixel - width + 1


@njit(nogil=True, cache=True)
def _sorted_by_weight(weights: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stable radix sort of the edges: the bits of non-negative floats are ordered as the floats are.

    Overwrites the arrays it is given.
    """
    keys = weights.view(np.uint32)
    starts = np.zeros((3, 2048), np.int64)  # of the low 11, the middle 11 and the high 10 bits
    for key in keys:
        for digit in range(3):
            starts[digit, (key >> (11 * digit)) & 2047] += 1
    for digit in range(3):
        start = 0
        for value in range(2048):
            count = starts[digit, value]
            starts[digit, value] = start
            start += count
    new_keys, new_edges = np.empty_like(keys), np.empty_like(edges)
    for digit in range(3):
        for i in range(edges.size):
            value = (keys[i] >> (11 * digit)) & 2047
            place = starts[digit, value]
            starts[digit, value] += 1
            new_keys[place], new_edges[place] = keys[i], edges[i]
        keys, new_keys = new_keys, keys
        edges, new_edges = new_edges, edges
    return keys.view(np.float32), edges


@njit(nogil=True, cache=True)
def _root(parent: np.ndarray, pixel: np.int64) -> np.int64:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = np.int64(parent[pixel])
    return pixel


@njit(nogil=True, cache=True)
def _join(parent: np.ndarray, size: np.ndarray, a: np.int64, b: np.int64) -> np.int64:
    """Merge two components and return the root of both."""
    if size[a] < size[b]:
        a, b = b, a
    parent[b] = a
    size[a] += size[b]
    return a


@njit(nogil=True, cache=True)
def _numbered(parent: np.ndarray) -> np.ndarray:
    number = np.full(parent.size, -1, np.int32)
    numbers = np.empty(parent.size, np.int32)
    found = 0
    for pixel in range(parent.size):
        root = _root(parent, np.int64(pixel))
        if number[root] < 0:
            number[root] = found
            found += 1
        numbers[pixel] = number[root]
    return numbers
