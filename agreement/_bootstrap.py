"""Bootstrap intervals of rank correlations within classes, each resample ranked anew, compiled."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import numba
import numpy as np

from agreement._ranks import Pairs, class_of_each

BLOCK = 16  # resamples ranked side by side, so that the compiled loops fill the vector registers


def bootstrap_intervals(pairs: list[Pairs], by_class: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """2.5 and 97.5 percentiles of each correlation over resamples of the examples, (len(pairs), 2).

    A resample has fewer distinct examples, and ranks within small classes correlate less the fewer there are: with strong
    correlations in classes of some dozens, the interval lies lower than it should. Near 0, and in large classes, it does not.

    by_class: (n,) what each example of the pairs is numbered among those that are drawn from.
    """
    sorted_pairs = [_sort(pair) for pair in pairs]

    def correlations(block: int) -> np.ndarray:
        weights = _resampled_weights(len(by_class), seed, block)[by_class]
        return np.array([_weighted_correlations(weights, *pair) for pair in sorted_pairs]).reshape(-1, BLOCK)

    with ThreadPoolExecutor(joblib.cpu_count()) as threads:  # as many as a container allows
        rho = np.hstack(list(threads.map(correlations, range(-(-resamples // BLOCK)))))[:, :resamples]
    bounds = np.full((len(pairs), 2), np.nan)
    for bound, row in zip(bounds, rho, strict=True):
        if not np.isnan(row).all():
            bound[:] = np.nanquantile(row, (0.025, 0.975))
    return bounds


def _resampled_weights(n: int, seed: int, block: int) -> np.ndarray:
    """How often each of n examples is drawn in each resample of a block, (n, BLOCK)."""
    rng = np.random.default_rng([seed, block])  # per block: the numbers do not depend on which thread comes first
    weights = np.zeros((n, BLOCK), np.uint8)  # drawing one example 256 times has a chance under 1e-500
    for resample in range(BLOCK):
        _count(rng.integers(n, size=n), weights, resample)
    return weights


def _sort(pairs: Pairs) -> tuple[np.ndarray, ...]:
    """The arrays that `_weighted_correlations` reads: examples sorted by class and x, and sorted by class alone."""
    order = np.argsort(pairs.x.cell, kind="stable")
    lying = np.argsort(class_of_each(pairs.x), kind="stable")
    ends_tie = np.zeros(len(order), bool)
    ends_tie[pairs.x.size.cumsum() - 1] = True
    class_start = np.append(0, pairs.x.size.cumsum())[pairs.x.start]
    return (
        pairs.member[order].astype(np.int32),
        ends_tie,
        class_start,
        pairs.y.cell[order].astype(np.int32),
        pairs.y.start,
        pairs.member[lying].astype(np.int32),
        pairs.y.cell[lying].astype(np.int32),
    )


@numba.njit(nogil=True, cache=True)
def _count(indices: np.ndarray, weights: np.ndarray, column: int) -> None:
    for index in indices:
        weights[index, column] += 1


@numba.njit(nogil=True, cache=True)
def _weighted_correlations(
    weights: np.ndarray, member: np.ndarray, ends_tie: np.ndarray, class_start: np.ndarray, y_cell: np.ndarray,
    y_start: np.ndarray, unsorted: np.ndarray, unsorted_y_cell: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Correlation of the residuals in each resample of a block, (BLOCK,), ranks taken anew; NaN where nothing varies.

    Sorted once, examples stay sorted in every resample: ranks are running sums of weights. All sums within a class are
    of whole numbers, exact in float64 as long as a class has under about 200,000 examples. Examples are numbered by
    class, so that the weights of a class lie in the cache together; sums that need no order of x are taken as they lie.
    """
    block = weights.shape[1]  # as a constant it would make the compiler unroll the inner loops, not vectorise them
    xx, yy, xy = np.zeros(block), np.zeros(block), np.zeros(block)
    score = np.zeros((y_start[-1], block))  # of each y cell; before that, its weight
    total, below, cubes = np.empty(block), np.empty(block), np.empty(block)
    tie, tie_score, products = np.empty(block), np.empty(block), np.empty(block)
    for c in range(len(class_start) - 1):
        for i in range(class_start[c], class_start[c + 1]):
            drawn, held = weights[unsorted[i]], score[unsorted_y_cell[i]]
            for b in range(block):
                held[b] += drawn[b]

        # A tie of weight t with B below it scores 2 B + t - total; the squared scores of a class sum to
        # (total^3 - sum of t^3) / 3. Divided by total^2, every class counts by its size.
        total[:] = 0.0
        for j in range(y_start[c], y_start[c + 1]):
            for b in range(block):
                total[b] += score[j, b]
        below[:] = 0.0
        cubes[:] = 0.0
        for j in range(y_start[c], y_start[c + 1]):
            held = score[j]
            for b in range(block):
                t = held[b]
                cubes[b] += t * t * t
                held[b] = 2.0 * below[b] + t - total[b]
                below[b] += t
        for b in range(block):
            if total[b] > 0.0:
                yy[b] += (total[b] * total[b] * total[b] - cubes[b]) / total[b] ** 2  # exactly 0 if all tie

        below[:] = 0.0
        cubes[:] = 0.0
        tie[:] = 0.0
        tie_score[:] = 0.0
        products[:] = 0.0
        for i in range(class_start[c], class_start[c + 1]):
            drawn, held = weights[member[i]], score[y_cell[i]]
            for b in range(block):
                tie[b] += drawn[b]
                tie_score[b] += drawn[b] * held[b]
            if ends_tie[i]:
                for b in range(block):
                    t = tie[b]
                    cubes[b] += t * t * t
                    products[b] += (2.0 * below[b] + t - total[b]) * tie_score[b]
                    below[b] += t
                    tie[b] = 0.0
                    tie_score[b] = 0.0
        for b in range(block):
            if total[b] > 0.0:
                xx[b] += (total[b] * total[b] * total[b] - cubes[b]) / total[b] ** 2
                xy[b] += 3.0 * products[b] / total[b] ** 2
    rho = np.full(block, np.nan)
    for b in range(block):
        if xx[b] > 0.0 and yy[b] > 0.0:
            rho[b] = xy[b] / np.sqrt(xx[b] * yy[b])
    return rho
