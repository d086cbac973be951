"""Is a mean of paired differences more than chance? The exact sign-flip test and what a number of seeds can show.

A difference is between two trainings with the same seed: same initial weights, same data, only the order differs. Where
the order does nothing, either sign of a difference is as likely, and all 2^n patterns of signs are.
"""

import math
from functools import lru_cache

import numpy as np

EXACT = 20  # differences up to which all sign patterns are counted; 2^19 sums take 0.03 s


def sign_flip_test(differences: np.ndarray, resamples: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value of the hypothesis that the differences (n,) are symmetric about 0.

    The fraction of sign patterns whose mean is at least as far from 0 as the observed one (Fisher, "The Design of
    Experiments", 1935, section 21). Up to 20 differences all 2^n patterns are counted; beyond, `resamples` are drawn
    from `seed`, and the observed one counts as one more, (count + 1)/(resamples + 1), so that p is never 0 (Phipson &
    Smyth, "Permutation P-values Should Never Be Zero", 2010). Raises ValueError unless the differences are finite
    numbers (n,), n ≥ 1.

    >>> sign_flip_test(np.array([1.0, 2.0, 3.0]))  # all positive: 2 of 8
    0.25
    """
    differences = check_numbers("differences", differences, 1)
    observed = abs(differences.sum())
    # equal sums may differ in their last bits by the order of adding
    observed -= 1e-10 * np.abs(differences).sum()
    if len(differences) <= EXACT:
        # |sum| is the same with all signs flipped: the first sign may stay
        sums = differences[:1]
        for difference in differences[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((np.abs(sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    count, left = 0, resamples
    while left:
        drawn = min(left, 10_000)
        signs = 1.0 - 2.0 * rng.integers(0, 2, (drawn, len(differences)), dtype=np.int8)
        count += int(np.count_nonzero(np.abs(signs @ differences) >= observed))
        left -= drawn
    return float((count + 1) / (resamples + 1))


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values (m,) corrected for their number (Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979).

    The smallest times m, the next times m − 1, ..., none below an earlier one, none above 1. Rejecting those that are
    at most alpha keeps the probability of any false rejection at most alpha, however the tests depend on each other.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    p_values = np.asarray(p_values, float)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p-values must be in 0 to 1, not {p_values.tolist()}")
    ascending = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[ascending] = np.minimum(np.maximum.accumulate(p_values[ascending] * factors), 1)
    return corrected


def smallest_p(seeds: int) -> float:
    """The smallest p-value that a two-sided sign-flip test of this many pairs can give: 2/2^n. 0.0625 for five."""
    if seeds < 1:
        raise ValueError(f"there must be at least 1 seed, not {seeds}")
    return 2.0 ** (1 - seeds)


def seeds_needed(arms: int, level: float = 0.05) -> int:
    """The fewest seeds with which any p-value, after Holm's correction over `arms` comparisons, can be at most `level`.

    One comparison needs 6, three need 7. With these few the differences of a rejected arm must all have the same sign.
    """
    if arms < 1:
        raise ValueError(f"there must be at least 1 comparison, not {arms}")
    if not 0 < level < 1:
        raise ValueError(f"the level must be between 0 and 1, not {level}")
    seeds = 1
    while arms * smallest_p(seeds) > level:
        seeds += 1
    return seeds


def detectable_effect(seeds: int, level: float = 0.05, power: float = 0.8) -> float:
    """The mean difference, in standard deviations of the differences, that the sign-flip test finds with this `power`.

    The minimum detectable effect (Bloom, "Minimum Detectable Effects", 1995) of the two-sided test at `level`, for
    normal differences; `inf` where the seeds are too few to reach the level at all. Up to 12 seeds from a simulation of
    the test itself with a fixed seed (good to about 2 %): its p-values come in steps, and the textbook formula promises
    too much, by a quarter for six seeds at level 0.05 and by 7 % for eight at 0.05/3. Beyond 12 the two are within
    about 1 %, and it is the formula, that of the paired t-test (noncentral t; Cohen, "Statistical Power Analysis for
    the Behavioral Sciences", 1988, chapter 2). Finding the wrong sign does not count as finding.
    """
    if not (0 < level < 1 and 0 < power < 1):
        raise ValueError(f"level and power must be between 0 and 1, not {level} and {power}")
    return _simulated_effect(seeds, level, power) if seeds <= 12 else _formula_effect(seeds, level, power)


@lru_cache
def _simulated_effect(seeds: int, level: float, power: float) -> float:
    from scipy import optimize  # here, because it takes long to import

    half = 2 ** (seeds - 1)  # sign patterns with the first sign fixed
    most = math.floor(level * half + 1e-9)  # how many may be as far from 0 as the observed one in a rejection
    if most < 1:
        return math.inf
    signs = np.ones((1, 1))
    for _ in range(seeds - 1):
        signs = np.hstack([np.tile(signs, (2, 1)), np.repeat([[1.0], [-1.0]], len(signs), axis=0)])
    noise = np.random.default_rng(0).normal(size=(min(8000, 2**22 // half), seeds))
    sums, drift = noise @ signs.T, signs.sum(axis=1)  # the first pattern is the observed one

    def shortfall(effect: float) -> float:
        shifted = sums + effect * drift
        as_far = np.abs(shifted) >= np.abs(shifted[:, :1]) - 1e-9
        rejected = (np.count_nonzero(as_far, axis=1) <= most) & (shifted[:, 0] > 0)
        return power - rejected.mean()

    return float(optimize.bisect(shortfall, 0, 16, xtol=1e-3)) if shortfall(0) > 0 else 0.0


def _formula_effect(seeds: int, level: float, power: float) -> float:
    from scipy import optimize, special  # here, because they take long to import

    freedom = seeds - 1
    critical = special.stdtrit(freedom, 1 - level / 2)

    def shortfall(noncentrality: float) -> float:
        return power - 1 + special.nctdtr(freedom, noncentrality, critical)

    return float(optimize.brentq(shortfall, 0, critical + 8)) / math.sqrt(seeds) if shortfall(0) > 0 else 0.0


def check_numbers(name: str, values: np.ndarray, least: int) -> np.ndarray:
    """`values` as float64; ValueError unless they are finite and (n,) with n at least `least`."""
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < least:
        raise ValueError(f"{name} must be at least {least} numbers in a row, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, not {values[~np.isfinite(values)][0]}")
    return values
