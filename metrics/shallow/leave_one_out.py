"""Ridge regression to the labels, and what it says of each example when it has seen all others but not this one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cholesky
from scipy.linalg.blas import strmm
from scipy.linalg.lapack import dtrtri

KEPT = 2**30  # bytes of features that are kept between passes; more are computed again
_BLOCK = 2048  # images


class Blocks:
    """Features of images, block by block: kept in memory where all fit into a gigabyte, else computed in every pass."""

    def __init__(
        self,
        features: Callable[[np.ndarray], np.ndarray],
        squares: np.ndarray,
        tick: Callable[[int], object] | None = None,
    ):
        self.features, self.squares, self.tick = features, squares, tick
        self.kept: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.squares)

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Slices of 0..N-1, each with the features of its images, float32 (n, D), of the precision of float16."""
        for number, start in enumerate(range(0, len(self), _BLOCK)):
            part = slice(start, min(start + _BLOCK, len(self)))
            if number < len(self.kept):
                yield part, self.kept[number].astype(np.float32)
                continue
            block = self.features(self.squares[part]).astype(np.float16)
            if len(self) * block.shape[1] * block.itemsize <= KEPT:
                self.kept.append(block)
            if self.tick is not None:
                self.tick(len(block))
            yield part, block.astype(np.float32)


@dataclass(frozen=True)
class Moments:
    """Of the features (N, D) of all examples: mean and deviation (D,), and what a regression on them needs; float64.

    With more examples than features that is their correlations (D, D) and sums by class (D, C); with fewer the
    standardised features themselves, rows (N, D). A feature that never changes has deviation 1, and correlates with nothing.
    """

    mean: np.ndarray
    deviation: np.ndarray
    correlations: np.ndarray | None = None
    by_class: np.ndarray | None = None
    rows: np.ndarray | None = None


def moments(blocks: Blocks, labels: np.ndarray) -> Moments:
    """One pass over the features. labels: bool (N, C), which classes an example has."""
    number = len(blocks)
    if number <= next(iter(blocks))[1].shape[1]:
        rows = np.concatenate([block for _, block in blocks])
        mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
        deviation[deviation <= 1e-3 * np.abs(mean)] = 1
        rows -= mean.astype(np.float32)
        rows /= deviation.astype(np.float32)
        return Moments(mean, deviation, rows=rows)
    total: Any = 0
    products: Any = 0
    by_class: Any = 0
    for part, block in blocks:
        total = total + block.sum(axis=0, dtype=np.float64)
        products = products + block.T @ block  # float32 within a block, float64 over blocks
        by_class = by_class + block.T @ labels[part].astype(np.float32)
    mean = total / number
    products /= number
    products -= np.outer(mean, mean)  # the covariance
    variance = np.diag(products).copy()
    constant = variance <= 1e-6 * (variance + mean**2)  # of float32 products no digit is left
    deviation = np.where(constant, 1, np.sqrt(np.where(constant, 1, variance)))
    products[constant], products[:, constant] = 0, 0
    products /= deviation
    products /= deviation[:, None]
    return Moments(mean, deviation, products, by_class)


def leave_one_out(
    blocks: Blocks, found: Moments, labels: np.ndarray, ridge: float
) -> Iterator[tuple[slice, np.ndarray]]:
    """Outputs for each example of a ridge regression on all the others, block by block: slice and float64 (n, C).

    found: the moments of these features. labels: bool (N, C), which classes an example has; the targets are 1 and -1.
    Features are standardised over all examples; the intercept is free; `ridge` times the squared weights is added to
    the squared errors.

    No regression is made again: that on the others gives example i the output ``target - residual / (1 - leverage)``,
    both from the regression on all (R. Cook and S. Weisberg, *Residuals and Influence in Regression*, 1982, 2.2.1).
    """
    number = len(blocks)
    rates = labels.mean(axis=0)
    if found.rows is not None:
        inwards = inverse_root(found.rows @ found.rows.T, ridge)
        target = 2.0 * labels - 1
        residual = ridge * (inwards.T @ (inwards @ (2 * (labels - rates))))
        leverage = 1 / number + 1 - ridge * (inwards**2).sum(axis=0)
        yield slice(number), target - residual / (1 - leverage)[:, None]
        return
    assert found.correlations is not None and found.by_class is not None
    # standardised features times its transpose have leverages as squared lengths
    inwards = inverse_root(number * found.correlations, ridge) / found.deviation
    centre = (inwards @ found.mean).astype(np.float32)
    weights = 2 * inwards @ (found.by_class - number * np.outer(found.mean, rates))
    triangle = np.asfortranarray(inwards, np.float32)
    for part, block in blocks:
        turned = strmm(1, triangle, block.T, lower=1).T - centre
        target = 2.0 * labels[part] - 1
        residual = target - (2 * rates - 1 + turned @ weights)
        leverage = 1 / number + np.einsum("ij,ij->i", turned, turned)
        yield part, target - residual / (1 - leverage)[:, None]


def leave_one_out_margins(blocks: Blocks, found: Moments, labels: np.ndarray, ridge: float) -> np.ndarray:
    """The margin of every example, float64 (N,). Parameters as for `leave_one_out`."""
    parts = leave_one_out(blocks, found, labels, ridge)
    return np.concatenate([margins(outputs, labels[part]) for part, outputs in parts])


def inverse_root(products: np.ndarray, ridge: float) -> np.ndarray:
    """A lower triangle R with RᵀR the inverse of products + ridge, float64."""
    system = products.astype(np.float64)
    system[np.diag_indices_from(system)] += ridge
    root, failed = dtrtri(cholesky(system, lower=True, overwrite_a=True), lower=1)
    assert not failed  # the system is positive definite, so is its root
    return root


def margins(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Output of an example's class less the largest of the other classes, (n,); of several classes of its own the least.

    outputs: (n, C); labels: bool (n, C). With all classes or none of its own, the margin is 0 less the largest output
    of the others, or the least of its own less 0: what the targets 1 and -1 have between them.
    """
    own = np.where(labels, outputs, np.inf).min(axis=1)
    other = np.where(labels, -np.inf, outputs).max(axis=1)
    return np.where(np.isinf(own), 0, own) - np.where(np.isinf(other), 0, other)
