"""Pacing functions: how many of the first examples in an order may be drawn from at a training step.

Each is a pure function `(t, T, N, a, b)`. `t` is a step, 0 or more, or an array of steps; `T` the number of steps of
the training; `N` the number of examples; `a` the fraction of the training after which all examples are in (above 1:
never within it); `b` the fraction of the examples to begin with. It returns an int, or an int64 array of the shape of
`t`: never falling, at least 1, at most N, and N from step aT on. Fractions of an example are rounded to the nearest.
(That a batch can be filled is the sampler's care: it draws from no fewer examples than a batch holds.) Raises
ValueError for a ≤ 0, b outside (0, 1], T ≤ 0, N < 1 or t < 0.

Adding one is one function and one line in PACING; `check_counts` refuses what returns another unit.

Sources: Wu, Dyer & Neyshabur, "When Do Curricula Work?" (ICLR 2021), called Wu et al.; Hacohen & Weinshall, "On The
Power of Curriculum Learning in Training Deep Networks" (ICML 2019), called H&W.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Steps = float | np.ndarray  # a step or an array of steps
Counts = int | np.ndarray  # numbers of examples, like the steps


def linear(t: Steps, T: float, N: int, a: float = 0.8, b: float = 0.2) -> Counts:
    """B + (N − B) s, where B = bN and s = t/(aT) (Wu et al.)."""
    return _grow(lambda s: s, t, T, N, a, b)


def quadratic(t: Steps, T: float, N: int, a: float = 0.8, b: float = 0.2) -> Counts:
    """B + (N − B) s²: slow at first (Wu et al.)."""
    return _grow(np.square, t, T, N, a, b)


def root(t: Steps, T: float, N: int, a: float = 0.8, b: float = 0.2) -> Counts:
    """B + (N − B) √s: fast at first (Wu et al.)."""
    return _grow(np.sqrt, t, T, N, a, b)


def exp(t: Steps, T: float, N: int, a: float = 0.8, b: float = 0.2) -> Counts:
    """B + (N − B) (e^{10 s} − 1) / (e^{10} − 1): nearly all examples come in at the end (Wu et al.)."""
    return _grow(lambda s: np.expm1(10 * s) / np.expm1(10), t, T, N, a, b)


def log(t: Steps, T: float, N: int, a: float = 0.8, b: float = 0.2) -> Counts:
    """B + (N − B) (1 + ln(s + e^{−10}) / 10): most examples come in at the beginning (Wu et al.)."""
    return _grow(lambda s: 1 + np.log(s + math.exp(-10)) / 10, t, T, N, a, b)


def step(t: Steps, T: float, N: int, a: float = 0.8, b: float = 0.2) -> Counts:
    """B until step aT, then N (Wu et al.)."""
    return _grow(np.zeros_like, t, T, N, a, b)


def fixed_exponential(
    t: Steps, T: float, N: int, a: float | None = None, b: float | None = None, start: float = 0.04, factor: float = 1.9,
    step_length: float = 100,
) -> Counts:  # fmt: skip
    """N · min(start · factor^⌊t/step_length⌋, 1) (H&W).

    Without `a` and `b` the parameters are H&W's: a step length in optimiser steps, whatever T, so that all examples are
    in after ⌈ln(1/start)/ln(factor)⌉ · step_length steps (600 as it stands), or never if the training is shorter.
    `b` replaces `start`, and `a` replaces the step length by the one that has all examples in at step aT.
    """
    levels = _levels(start if b is None else b, factor)
    return _staircase(levels, [step_length] * (len(levels) - 1), t, T, N, a)


def varied_exponential(
    t: Steps, T: float, N: int, a: float | None = None, b: float | None = None, start: float = 0.04, factor: float = 1.9,
    step_lengths: Sequence[float] | None = None,
) -> Counts:  # fmt: skip
    """N · min(start · factor^{number of steps completed at t}, 1), where each step has a length of its own (H&W).

    `step_lengths` are in optimiser steps; the last holds for all further ones, as in the authors' code. H&W tune each
    and have no default. Ours: 100, and every further one `factor` times longer than the one before, as its prefix is,
    so that all prefixes are gone through about equally often. (With equal lengths this is `fixed_exponential`: a step
    is completed at t ≥ its end, where the authors' code has t > end here and ≥ there.) `b` replaces `start`; `a` scales
    the lengths so that all examples are in at step aT.
    """
    levels = _levels(start if b is None else b, factor)
    rises = len(levels) - 1
    lengths = list(100 * factor ** np.arange(rises) if step_lengths is None else step_lengths)
    if not lengths and rises:
        raise ValueError("step_lengths must name at least one length, not none")
    return _staircase(levels, (lengths + lengths[-1:] * rises)[:rises], t, T, N, a)


def single_step(
    t: Steps, T: float, N: int, a: float | None = None, b: float | None = None, start: float = 0.04,
    step_length: float = 100,
) -> Counts:  # fmt: skip
    """N · start until step `step_length`, then N (H&W); `b` replaces `start`, and aT the step length."""
    start = start if b is None else b
    _check_fraction("start", start)
    return _staircase([start, 1.0], [step_length], t, T, N, a)


PACING: dict[str, Callable[..., Counts]] = {
    "log": log,
    "exp": exp,
    "step": step,
    "linear": linear,
    "quadratic": quadratic,
    "root": root,
    "fixed_exponential": fixed_exponential,
    "varied_exponential": varied_exponential,
    "single_step": single_step,
}


def check_counts(name: str, counts: Counts, N: int) -> np.ndarray:
    """What a pacing function of one's own returned, int64: numbers of examples. Raises ValueError where it is something else.

    Fractions of the examples, or of the training, are the usual mistake. More than N examples are N, and none are one.
    """
    counts = np.asarray(counts)
    if counts.dtype.kind not in "iuf" or not np.isfinite(counts).all() or (counts < 0).any():
        shown = counts.flat[np.flatnonzero(~_numbers(counts))[0]] if counts.size else "nothing"
        raise ValueError(f"pacing function {name!r} returns {shown!r}, not numbers of examples from 1 to {N}")
    if N > 1 and counts.size and counts.max() <= 1:
        least, most = counts.min(), counts.max()
        raise ValueError(
            f"pacing function {name!r} returns {least:g} to {most:g}, which look like fractions: it must return numbers of "
            f"examples, from 1 to N = {N}"
        )
    return np.clip(np.rint(counts), 1, N).astype(np.int64)


def _numbers(counts: np.ndarray) -> np.ndarray:
    """Which of them are numbers from 0 on, in a flat array."""
    if counts.dtype.kind not in "iuf":
        return np.zeros(counts.size, bool)
    return (np.isfinite(counts) & (counts >= 0)).ravel()


def _grow(
    share: Callable[[np.ndarray], np.ndarray], t: Steps, T: float, N: int, a: float, b: float
) -> Counts:  # fmt: skip
    """B + (N − B) · share(s) for s = t/(aT) < 1, else N; `share` maps [0, 1] to [0, 1]."""
    t = _check(t, T, N)
    _check_end(a)
    _check_fraction("b", b)
    s = np.minimum(t / (a * T), 1)
    s = np.where(s > 1 - 1e-12, 1, s)  # a · T may come out a little above the step meant
    return _whole(np.where(s < 1, b * N + (N - b * N) * share(s), N), N)


def _staircase(
    levels: Sequence[float] | np.ndarray, lengths: Sequence[float], t: Steps, T: float, N: int, a: float | None
) -> Counts:
    """N · levels[k] after k of the steps with these lengths; with `a` they are scaled to end at aT together."""
    t = _check(t, T, N)
    for length in lengths:
        if not (0 < length < math.inf):
            raise ValueError(f"a step length must be a number of steps above 0, not {length}")
    ends = np.cumsum(lengths, dtype=float)
    if a is not None:
        _check_end(a)
        if len(ends):
            ends *= a * T / ends[-1]
            ends[-1] = a * T  # exactly
    return _whole(N * np.asarray(levels)[np.searchsorted(ends * (1 - 1e-12), t, side="right")], N)


def _levels(start: float, factor: float) -> np.ndarray:
    """start, start · factor, ... below 1, and 1."""
    _check_fraction("start", start)
    if not (1 < factor < math.inf):
        raise ValueError(f"the factor of a pacing function must be above 1, not {factor}")
    # three rises by 5 from 1/125: the quotient of the logarithms comes out a little above 3
    rises = math.ceil(math.log(1 / start) / math.log(factor) - 1e-9)
    return np.append(start * factor ** np.arange(rises), 1.0)


def _whole(count: np.ndarray, N: int) -> Counts:
    count = np.clip(np.rint(count), 1, N).astype(np.int64)
    return count if count.ndim else count.item()


def _check(t: Steps, T: float, N: int) -> np.ndarray:
    """`t` as a float array."""
    if not (0 < T < math.inf):
        raise ValueError(f"a training must have at least one step, not T = {T}")
    if not (1 <= N < math.inf) or int(N) != N:
        raise ValueError(f"N must be a whole number of examples, at least 1, not {N}")
    t = np.asarray(t, float)
    if not (t >= 0).all():
        raise ValueError(f"a step must be 0 or more, not {t[~(t >= 0)].flat[0]}")
    return t


def _check_end(a: float) -> None:
    if not (0 < a < math.inf):
        raise ValueError(f"a, the fraction of the training until all examples are in, must be above 0, not {a}")


def _check_fraction(name: str, fraction: float) -> None:
    if not (0 < fraction <= 1):
        raise ValueError(
            f"{name}, the fraction of the examples to begin with, must be above 0 and at most 1, not {fraction}"
        )
