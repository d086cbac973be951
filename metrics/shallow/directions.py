"""Which way edges run where: histograms of oriented gradients."""

import numpy as np

_DIRECTIONS = 9


def directions(squares: np.ndarray, cell: int) -> np.ndarray:
    """uint8 (n, S, S, 3), S a multiple of `cell`, to float32 (n, 36 (S / cell - 1)²).

    Gradients of the square root of the values, of the channel where they are largest; nine unsigned directions; square
    cells; each 2 x 2 cells scaled to length 1, cut at 0.2 and scaled again. Source: N. Dalal and B. Triggs,
    *Histograms of Oriented Gradients for Human Detection* (CVPR 2005).
    """
    values = np.sqrt(squares, dtype=np.float32)
    number, side = values.shape[:2]
    down, right = np.zeros_like(values), np.zeros_like(values)
    down[:, 1:-1] = values[:, 2:] - values[:, :-2]
    right[:, :, 1:-1] = values[:, :, 2:] - values[:, :, :-2]
    lengths = np.hypot(down, right)
    largest = lengths.argmax(axis=-1)[..., None]
    down, right, lengths = (np.take_along_axis(each, largest, axis=-1)[..., 0] for each in (down, right, lengths))
    direction = np.floor(np.arctan2(down, right) / np.pi * _DIRECTIONS).astype(np.int64) % _DIRECTIONS
    cells = side // cell
    row = np.arange(side) // cell
    place = (np.arange(number)[:, None, None] * cells + row[:, None]) * cells + row
    histogram = np.bincount((place * _DIRECTIONS + direction).ravel(), lengths.ravel(), number * cells**2 * _DIRECTIONS)
    histogram = histogram.reshape(number, cells, cells, _DIRECTIONS).astype(np.float32)
    corners = (slice(None, -1), slice(1, None))
    blocks = np.concatenate([histogram[:, y, x] for y in corners for x in corners], axis=-1)
    blocks = np.minimum(_unit(blocks), 0.2)
    return _unit(blocks).reshape(number, -1)


def _unit(blocks: np.ndarray) -> np.ndarray:
    return blocks / np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + 1e-10)
