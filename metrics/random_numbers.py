"""Random numbers for compiled code: Steele, Lea and Flood's splitmix64 (2014), the same in every version of numpy.

Compiled functions of other files that call these are decorated by `metrics.compiled`: they hold copies of them.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def uniform(state: np.ndarray) -> float:
    """Next number, uniform in [0, 1). ``state``, a uint64 array (1,), moves on."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return np.float64(bits >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def below(number: int, state: np.ndarray) -> np.int64:
    """A whole number, uniform in 0, 1, ..., ``number`` - 1."""
    return np.int64(uniform(state) * number)


@njit(nogil=True, cache=True)
def normal_pair(state: np.ndarray) -> tuple[float, float]:
    """Two independent standard normal numbers, by Box and Muller's transform."""
    radius = np.sqrt(-2 * np.log(1 - uniform(state)))
    angle = 2 * np.pi * uniform(state)
    return radius * np.cos(angle), radius * np.sin(angle)
