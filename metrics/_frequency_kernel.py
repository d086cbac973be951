"""How many of the largest coefficients hold nearly all energy, found without sorting all of them.

The energies (squared coefficients) are dealt into buckets of a quarter octave by the leading bits of their float64
form. Whole buckets are left out, from the smallest energies on, for as long as what is left out is negligible; only the
bucket in which that ends is sorted.
"""

from typing import Any

import numpy as np
from numba import njit

_BUCKETS = 256  # 64 octaves below the largest energy; the last bucket takes all that is smaller
_SHIFT = np.uint64(50)  # leaves the exponent and two bits of the fraction


@njit(nogil=True, cache=True)
def coefficient_counts(transformed: np.ndarray, kept: float) -> np.ndarray:
    """Smallest number, at least 1, of coefficients per row whose norm is ``kept`` of the norm of the row.

    Parameters
    ----------
    transformed : float64 array (N, coefficients), C-contiguous.
    kept : share of the norm, in (0, 1).

    Returns
    -------
    int64 array (N,).
    """
    counts = np.empty(len(transformed), np.int64)
    for i in range(len(transformed)):
        counts[i] = _count(np.square(transformed[i]), kept)
    return counts


@njit(nogil=True, cache=True)
def _count(energies: np.ndarray, kept: float) -> int:
    bits = energies.view(np.uint64) >> _SHIFT  # ordered as the energies are, which are not negative
    top = np.int64(bits.max())
    bucket = np.empty(energies.size, np.uint8)
    size = np.zeros(_BUCKETS, np.int64)
    held = np.zeros(_BUCKETS)
    for i in range(energies.size):
        b: Any = min(top - np.int64(bits[i]), _BUCKETS - 1)
        bucket[i] = b
        size[b] += 1
        held[b] += energies[i]
    negligible = (1 - kept**2) * held[::-1].sum()

    needed, left_out, b = energies.size, 0.0, _BUCKETS - 1
    while b >= 0 and left_out + held[b] <= negligible:
        left_out += held[b]
        needed -= size[b]
        b -= 1
    for energy in np.sort(energies[bucket == b]):
        left_out += energy
        if left_out > negligible:
            break
        needed -= 1
    return max(needed, 1)
