"""Intervals and p-values that cover both chances: which examples there are, and which networks were trained.

A number has two standard errors: one over examples, the networks as they are, and one over networks, the examples as they
are. The latter is the jackknife's (Tukey 1958): every network is left out once. Variances add up, and Student's t with
Welch and Satterthwaite's degrees of freedom (1946) says how far the sum can be trusted: with few networks, not far.
"""

import numpy as np

FEWEST_NETWORKS = 3  # with two, a jackknife has one degree of freedom and an interval no end


def network_error(without: np.ndarray) -> np.ndarray:
    """Jackknife standard error over networks, from the numbers (K, ...) without each; 0 for one or two networks."""
    networks = len(without)
    if networks < FEWEST_NETWORKS:
        return np.zeros(np.shape(without)[1:])
    return np.sqrt((networks - 1) * np.var(without, axis=0))


def both(example_error: float, freedom: float, error: float, networks: int) -> tuple[float, float]:
    """Standard error over examples and networks, and the degrees of freedom of its Student's t."""
    if not error > 0 or not np.isfinite(example_error):
        return example_error, freedom
    total = example_error**2 + error**2
    return float(np.sqrt(total)), float(total**2 / (example_error**4 / freedom + error**4 / (networks - 1)))


def reach(error: float, freedom: float) -> float:
    """Half of a 95 % interval."""
    from scipy.special import stdtrit  # here: see `agreement`

    return float(stdtrit(freedom, 0.975) * error)


def p_value(t: float, freedom: float) -> float:
    """Two-sided p-value of Student's t."""
    from scipy.special import stdtr  # here: see `agreement`

    return float(2 * stdtr(freedom, -abs(t)))


def correlation_interval(rho: float, error: float, freedom: float) -> tuple[float, float]:
    """95 % interval of a correlation, from the standard error of its arctanh (Fisher 1921)."""
    if not np.isfinite(error) or np.isnan(rho):
        return np.nan, np.nan
    if abs(rho) == 1:
        return rho, rho
    z, half = np.arctanh(rho), reach(error, freedom)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def false_discovery_rate(p: np.ndarray) -> np.ndarray:
    """The smallest false discovery rate at which each is a discovery (Benjamini and Hochberg 1995), (S,); NaN stays out."""
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    falling = known[np.argsort(-p[known])]
    scaled = p[falling] * len(known) / np.arange(len(known), 0, -1)
    q[falling] = np.minimum.accumulate(scaled)
    return q
