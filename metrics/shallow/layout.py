"""Where which colours are: means of lightness and of two opponent colours on a grid of 8 x 8."""

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
