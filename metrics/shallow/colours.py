"""Which colours an image has, and where."""

import numpy as np


def layout(squares: np.ndarray) -> np.ndarray:
    """uint8 (n, S, S, 3), S a multiple of 8, to float32 (n, 192): lightness, red less green, blue less yellow.

    Source: the opponent colours of D. Hasler and S. Süsstrunk, *Measuring Colourfulness in Natural Images* (2003).
    """
    number, side = squares.shape[:2]
    cell = side // 8
    cells = squares.reshape(number, 8, cell, 8, cell, 3).mean(axis=(2, 4), dtype=np.float32)
    red, green, blue = np.moveaxis(cells, -1, 0)
    return np.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], axis=1).reshape(number, -1)


def histogram(squares: np.ndarray) -> np.ndarray:
    """uint8 (n, S, S, 3), S even, to float32 (n, 256): roots of the shares of 64 colours in each quarter of the image.

    A colour is the two highest bits of each channel. Roots, so that distances are those of Hellinger.
    """
    number, side = squares.shape[:2]
    red, green, blue = np.moveaxis(squares >> 6, -1, 0).astype(np.int64)
    half = np.arange(side) // (side // 2)
    quarter = 4 * np.arange(number)[:, None, None] + 2 * half[:, None] + half
    counts = np.bincount((64 * quarter + 16 * red + 4 * green + blue).ravel(), minlength=256 * number)
    return np.sqrt(counts.reshape(number, 256) / (side * side / 4)).astype(np.float32)
