"""How far each example's pairs agree: the part of Kendall's tau that one example has, compiled."""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def concordance(order: np.ndarray, x: np.ndarray, y: np.ndarray, start: np.ndarray, y_start: np.ndarray) -> np.ndarray:
    """Of each example, pairs of its class ordered alike by x and y, less those ordered the other way; (n,), ties count 0.

    order: (n,) examples sorted by x, class by class. x, y: (n,) cells as in `_ranks.Ranking`. start: (classes + 1,) where
    each class begins in `order`; y_start: (classes + 1,) its first cell of y. A Fenwick tree (1994) counts the examples
    passed so far by y, so that time is n log(cells).
    """
    found = np.zeros(len(x), np.int64)
    for c in range(len(start) - 1):
        first, cells = y_start[c], y_start[c + 1] - y_start[c]
        for direction in (1, -1):  # against the examples with less x, then against those with more
            tree = np.zeros(cells + 1, np.int64)
            at = start[c] if direction == 1 else start[c + 1] - 1
            end = start[c + 1] if direction == 1 else start[c] - 1
            passed = 0
            while at != end:
                tie = at
                while tie != end and x[order[tie]] == x[order[at]]:
                    i = order[tie]
                    below, upto, j = 0, 0, y[i] - first
                    while j > 0:
                        below += tree[j]
                        j -= j & -j
                    j = y[i] - first + 1
                    while j > 0:
                        upto += tree[j]
                        j -= j & -j
                    found[i] += direction * (below - (passed - upto))
                    tie += direction
                while at != tie:
                    j = y[order[at]] - first + 1
                    while j <= cells:
                        tree[j] += 1
                        j += j & -j
                    passed += 1
                    at += direction
    return found
