"""Strength of boundaries: how fast eigenvectors change across them, summed, in the strongest of eight directions."""

import math

import numpy as np
from numba import njit

_ORIENTATIONS = 8
_REACH = 3  # pixels on each side of the filter's middle
_BORDER = 0.03  # of the height


def _tap(low: float, high: float) -> tuple[float, float]:
    """Means over a pixel, from ``low`` to ``high``, of a Gaussian of sigma 1 and of its derivative."""
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (low, high)]
    return (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2, density[1] - density[0]


_taps = np.array([_tap(i - 0.5, i + 0.5) for i in range(-_REACH, _REACH + 1)])
_SMOOTH, _DERIVATIVE = _taps[:, 0].copy(), _taps[:, 1].copy()
_angles = np.pi * np.arange(1, _ORIENTATIONS + 1) / _ORIENTATIONS
_COSINES, _SINES = np.cos(_angles), np.sin(_angles)
_down, _right = np.outer(_DERIVATIVE, _SMOOTH), np.outer(_SMOOTH, _DERIVATIVE)
_SCALES = np.array([1 / np.abs(c * _down - s * _right).sum() for c, s in zip(_COSINES, _SINES, strict=True)])


@njit(nogil=True, cache=True)
def oriented_strength(vectors: np.ndarray, eigenvalues: np.ndarray) -> np.ndarray:
    """Strength of the boundary at every pixel.

    Parameters
    ----------
    vectors : float64 array (K, H, W), values in [0, 1].
    eigenvalues : float64 array (K,); where one is not positive its vector does not count.

    Returns
    -------
    float64 array (H, W), at least 0, without an upper limit.
    """
    _, height, width = vectors.shape
    strength = np.zeros((_ORIENTATIONS, height, width))
    for k in range(len(vectors)):
        if eigenvalues[k] > 0:
            down, right = _derivatives(vectors[k])
            weight = 1 / np.sqrt(eigenvalues[k])
            for o in range(_ORIENTATIONS):
                cosine, sine = weight * _SCALES[o] * _COSINES[o], weight * _SCALES[o] * _SINES[o]
                for y in range(height):
                    for x in range(width):
                        strength[o, y, x] += abs(cosine * down[y, x] - sine * right[y, x])
    strongest = np.zeros((height, width))
    for o in range(_ORIENTATIONS):
        for y in range(height):
            for x in range(width):
                beside, above = _closeness(y, x, height, width)
                open_share = 1 - abs(_COSINES[o]) * above - abs(_SINES[o]) * beside
                strongest[y, x] = max(strongest[y, x], strength[o, y, x] * open_share)
    return strongest


@njit(nogil=True, cache=True)
def _derivatives(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the smoothed vector downwards and to the right; pixels of the border are repeated outwards."""
    height, width = vector.shape
    smooth, slope = np.empty((height + 2 * _REACH, width)), np.empty((height + 2 * _REACH, width))
    row = np.empty(width + 2 * _REACH)
    for y in range(-_REACH, height + _REACH):
        source = vector[_mirrored(y, height)]
        for x in range(-_REACH, width + _REACH):
            row[x + _REACH] = source[_mirrored(x, width)]
        for x in range(width):
            smoothed, sloped = 0.0, 0.0
            for i in range(_SMOOTH.size):
                smoothed += _SMOOTH[i] * row[x + i]
                sloped += _DERIVATIVE[i] * row[x + i]
            smooth[y + _REACH, x], slope[y + _REACH, x] = smoothed, sloped
    down, right = np.zeros((height, width)), np.zeros((height, width))
    for y in range(height):
        for i in range(_SMOOTH.size):
            for x in range(width):
                down[y, x] += _DERIVATIVE[i] * smooth[y + i, x]
                right[y, x] += _SMOOTH[i] * slope[y + i, x]
    return down, right


@njit(nogil=True, cache=True)
def _mirrored(place: int, size: int) -> int:
    """Where a place outside the image lies when the image is mirrored at its edges, edge pixels repeated."""
    place %= 2 * size
    return min(place, 2 * size - 1 - place)


@njit(nogil=True, cache=True)
def _closeness(y: int, x: int, height: int, width: int) -> tuple[float, float]:
    """How close a pixel is to the left or right edge, and to the upper or lower: from 0 to 1 at the edge.

    Each counts only between the diagonals of the image that end at that edge.
    """
    border = np.ceil(_BORDER * height)
    down, right = min(y, height - 1 - y), min(x, width - 1 - x)
    from_middle_down, from_middle_right = abs(2 * y + 1 - height) * width, abs(2 * x + 1 - width) * height
    beside = 1 - (right / border) ** 2 if right < border and from_middle_right >= from_middle_down else 0.0
    above = 1 - (down / border) ** 2 if down < border and from_middle_down >= from_middle_right else 0.0
    return beside, above
