"""Is a mean of paired differences more than chance, of seeds and of test examples? And what a number of seeds can show.

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


def difference_test(differences: np.ndarray) -> float:
    """Two-sided p-value of the hypothesis that the mean difference is 0.

    differences (S,), one a seed: `sign_flip_test`. Differences (S, N), of S seeds in N test examples: the larger of that
    test of the means over examples, and of the t-test with the variance and the degrees of freedom of `variance_of`, so
    that neither another draw of seeds nor one of test examples explains what is called a difference.

    >>> round(difference_test(np.eye(10)[[0] * 8]), 2)  # with each of 8 seeds one and the same of 10 examples is better
    0.34
    """
    from scipy import special  # here, because it takes long to import

    differences = check_results("differences", differences)
    if differences.ndim == 1:
        return sign_flip_test(differences)
    variance, freedom = variance_of(differences)
    flipped, mean = sign_flip_test(differences.mean(axis=1)), abs(float(differences.mean()))
    if variance == 0:
        return flipped
    return max(flipped, float(2 * special.stdtr(freedom, -mean / math.sqrt(variance))))


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of numbers, and the two ends of its t-interval, with the variance and the degrees of freedom of `variance_of`.

    values: (n,), n ≥ 2: mean ∓ t_{n−1} · s/√n (Student 1908); or (S, N), of S seeds in N test examples. Used for an arm's
    numbers and for paired differences. For these, inverting the sign-flip test would assume less, but it gives no interval
    at all below six pairs and jumps between few confidence levels above; accuracies are means over many images, so
    that their differences are near normal. Where the two disagree, `Comparison.shown` claims nothing. Raises ValueError for
    fewer than two numbers or one that is not finite.

    >>> mean_interval(np.array([1.0, 3.0]))  # t with one degree of freedom: 12.706
    (2.0, -10.706204736174694, 14.706204736174694)
    """
    from scipy import special  # here, because it takes long to import

    values = check_results("values", values)
    variance, freedom = variance_of(values)
    mean = float(values.mean())
    reach = float(special.stdtrit(freedom, (1 + confidence) / 2) * math.sqrt(variance))
    return mean, mean - reach, mean + reach


def median_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Median of numbers (n,), of which some may be `inf`, and the two ends of its interval, NaN where n is too small for one.

    The k-th smallest and the k-th largest hold the median of what the numbers are drawn from between them with probability
    1 − 2 P(B < k), B binomial (n, 1/2), whatever the distribution (Thompson, "On Confidence Ranges for the Median", 1936); k is
    the largest with at least the confidence asked for. It takes 6 numbers for 95 %. An `inf` is a time that was longer than
    anybody waited: an upper end of `inf` makes the interval one-sided.

    >>> median_interval(np.array([3.0, 1.0, 4.0, 1.5, np.inf, 9.0]))
    (3.5, 1.0, inf)
    """
    from scipy import special  # here, because it takes long to import

    values = np.sort(np.asarray(values, float))
    number = len(values)
    k = next((k for k in range(number // 2, 0, -1) if 1 - 2 * special.bdtr(k - 1, number, 0.5) >= confidence), 0)
    middle = values[(number - 1) // 2 : number // 2 + 1]
    median = float(middle[-1] if np.isinf(middle[-1]) else middle.mean())
    return (median, float(values[k - 1]), float(values[-k])) if k else (median, math.nan, math.nan)


def variance_of(values: np.ndarray) -> tuple[float, float]:
    """Variance of the mean, and its degrees of freedom.

    values (n,): s²/n and n − 1. values (S, N), of S seeds in N test examples: both were drawn from more, and the variance
    of the mean is the sum of what the seeds and what the examples add, with crossed random effects

        x_sn = mean + seed_s + example_n + rest_sn,    variance = σ²_seed/S + σ²_example/N + σ²_rest/(SN).

    From the mean squares of the two-way analysis of variance this is (A + B)/(SN) with A = max(MS_seed, MS_rest) and
    B = max(MS_example − MS_rest, 0): no component is taken for less than 0. The degrees of freedom are Satterthwaite's,
    (A + B)² / (A²/(S − 1) + B²/(N − 1)), with all of A in the hands of the S − 1 (so for readers and cases: Hillis, "A
    comparison of denominator degrees of freedom methods for multiple observer ROC analysis", 2007). Where the examples
    add nothing it is the interval of the seeds alone, or a wider one.
    """
    if values.ndim == 1:
        return float(values.var(ddof=1) / len(values)), len(values) - 1
    seeds, examples = values.shape
    by_seed, by_example, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    squares = np.square(values, dtype=float).sum() - seeds * examples * mean**2
    of_seeds = examples * np.square(by_seed - mean).sum()
    of_examples = seeds * np.square(by_example - mean).sum()
    rest = max(squares - of_seeds - of_examples, 0.0) / ((seeds - 1) * (examples - 1))  # below 0 by rounding
    a = max(of_seeds / (seeds - 1), rest)
    b = max(of_examples / (examples - 1) - rest, 0.0)
    if a + b <= 1e-15:
        return 0.0, seeds - 1
    return float((a + b) / (seeds * examples)), float((a + b) ** 2 / (a**2 / (seeds - 1) + b**2 / (examples - 1)))


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


def check_results(name: str, values: np.ndarray) -> np.ndarray:
    """`values` as they are where they are (S, N), each at least 2; otherwise as by `check_numbers`, at least 2 of them."""
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] == 1:
        return check_numbers(name, values[:, 0] if values.ndim == 2 else values, 2)
    if values.dtype.kind not in "biuf" or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers of at least 2 seeds, not {values.dtype} {values.shape}")
    return values
