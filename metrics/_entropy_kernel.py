"""Entropy of all windows of an image by one histogram that slides over it.

Of a window of n pixels in which value v occurs c_v times, the entropy is ``log2 n - (sum_v c_v log2 c_v) / n``. When a
pixel enters, one count grows by one and one term of the sum changes, so a step to the next window costs 10 pixels
leaving and 10 entering. The sum is kept in fixed point: integers do not drift, however many windows follow each other.
"""

import numpy as np
from numba import njit

_ONE = 2.0**52  # fixed-point unit; 100 log2 100 of these fit an int64
_COUNTS = np.arange(1, 102)
_TERM = np.concatenate([[0], np.rint(_COUNTS * np.log2(_COUNTS) * _ONE)]).astype(np.int64)  # c log2 c for c = 0..101
_GAIN = np.diff(_TERM)  # what the sum gains when a count c becomes c + 1


@njit(nogil=True, cache=True)
def window_entropies(values: np.ndarray, window: int) -> np.ndarray:
    """Entropy in bits of every ``window`` x ``window`` patch (window <= 10, clipped to the image).

    Parameters
    ----------
    values : float64 array (H, W), C-contiguous; pixels are equal where their values are.

    Returns
    -------
    float64 array (H - window + 1, W - window + 1).
    """
    codes, distinct = _codes(values)
    counts = np.zeros(distinct, np.uint8)
    high, wide = min(window, values.shape[0]), min(window, values.shape[1])
    rows, columns = values.shape[0] - high + 1, values.shape[1] - wide + 1
    pixels = high * wide
    entropies = np.empty((rows, columns))

    # rows are walked to the right and to the left in turn, so that the histogram is never rebuilt
    total = _enter(codes, counts, 0, high, 0, wide)
    x = 0
    for y in range(rows):
        if y > 0:
            total -= _leave(codes, counts, y - 1, y, x, x + wide)
            total += _enter(codes, counts, y + high - 1, y + high, x, x + wide)
        entropies[y, x] = (_TERM[pixels] - total) / (pixels * _ONE)
        for _ in range(columns - 1):
            if y % 2 == 0:
                total -= _leave(codes, counts, y, y + high, x, x + 1)
                total += _enter(codes, counts, y, y + high, x + wide, x + wide + 1)
                x += 1
            else:
                x -= 1
                total -= _leave(codes, counts, y, y + high, x + wide, x + wide + 1)
                total += _enter(codes, counts, y, y + high, x, x + 1)
            entropies[y, x] = (_TERM[pixels] - total) / (pixels * _ONE)
    return entropies


@njit(nogil=True, cache=True)
def _enter(codes: np.ndarray, counts: np.ndarray, top: int, bottom: int, left: int, right: int) -> int:
    gained = 0
    for y in range(np.uint64(top), np.uint64(bottom)):
        for x in range(np.uint64(left), np.uint64(right)):
            code = codes[y, x]
            gained += _GAIN[counts[code]]
            counts[code] += 1
    return gained


@njit(nogil=True, cache=True)
def _leave(codes: np.ndarray, counts: np.ndarray, top: int, bottom: int, left: int, right: int) -> int:
    lost = 0
    for y in range(np.uint64(top), np.uint64(bottom)):
        for x in range(np.uint64(left), np.uint64(right)):
            code = codes[y, x]
            counts[code] -= 1
            lost += _GAIN[counts[code]]
    return lost


@njit(nogil=True, cache=True)
def _codes(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the distinct values 0, 1, 2, ... in order of appearance, by a hash table of their bits."""
    bits = values.reshape(-1).view(np.uint64)
    size_log2 = 1
    while (1 << size_log2) < 2 * bits.size:
        size_log2 += 1
    mask = (1 << size_log2) - 1
    shift = np.uint64(64 - size_log2)
    keys = np.empty(mask + 1, np.uint64)
    code_of = np.full(mask + 1, -1, np.int32)
    codes = np.empty(bits.size, np.uint32)
    distinct = 0
    for i in range(bits.size):
        slot = np.int64((bits[i] * np.uint64(0x9E3779B97F4A7C15)) >> shift)
        while code_of[slot] >= 0 and keys[slot] != bits[i]:
            slot = (slot + 1) & mask
        if code_of[slot] < 0:
            keys[slot] = bits[i]
            code_of[slot] = distinct
            distinct += 1
        codes[i] = code_of[slot]
    return codes.reshape(values.shape), distinct
