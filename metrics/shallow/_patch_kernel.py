"""Responses to filters, rectified and averaged over parts of the image, without ever standing in memory as a whole."""

import numpy as np
from numba import njit


# images may be of a file that is mapped for reading
@njit("void(Array(uint8, 3, 'C', readonly=True), int64, float32[:, ::1])", nogil=True, cache=True)
def normalised_patches(image, side, patches):  # type: ignore[no-untyped-def]  # numba compiles it
    """All patches of an image (H, W, 3), row by row, each less its mean and divided by sqrt(variance + 10), into (places, 3 side²)."""
    height, width, _ = image.shape
    length = patches.shape[1]
    row = 0
    for y in range(height - side + 1):
        for x in range(width - side + 1):
            total = np.int64(0)
            squares = np.int64(0)
            at = 0
            for dy in range(side):
                for dx in range(side):
                    for channel in range(3):
                        value = np.int64(image[y + dy, x + dx, channel])
                        total += value
                        squares += value * value
                        patches[row, at] = value
                        at += 1
            mean = total / length
            scale = np.float32(1 / np.sqrt(squares / length - mean * mean + 10))
            shift = np.float32(mean)
            for at in range(length):
                patches[row, at] = (patches[row, at] - shift) * scale
            row += 1


@njit(
    "void(float32[:, ::1], float32[:, ::1], int64[::1], float32, float32[:, :, :, ::1])",
    nogil=True,
    cache=True,
    fastmath=True,
)
def pool(even, odd, ends, threshold, pooled):  # type: ignore[no-untyped-def]
    """Sums of both signs of the responses over parts × parts regions, added up over an image and its mirror image.

    even, odd: (places, filters), places being a square grid; the response of a filter is their sum, that of its mirror
    image their difference. ends: where each part of a side ends. pooled: (parts, parts, 2, filters).
    """
    parts = len(ends)
    side = ends[parts - 1]
    filters = even.shape[1]
    pooled[:] = 0
    top = 0
    for i in range(parts):
        for y in range(top, ends[i]):
            left = 0
            for j in range(parts):
                here = pooled[i, j]
                mirrored = pooled[i, parts - 1 - j]
                for x in range(left, ends[j]):
                    a, b = even[y * side + x], odd[y * side + x]
                    for f in range(filters):
                        response = a[f] + b[f]
                        here[0, f] += max(response - threshold, np.float32(0))
                        here[1, f] += max(-response - threshold, np.float32(0))
                    for f in range(filters):
                        response = a[f] - b[f]
                        mirrored[0, f] += max(response - threshold, np.float32(0))
                        mirrored[1, f] += max(-response - threshold, np.float32(0))
                left = ends[j]
        top = ends[i]
