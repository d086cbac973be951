"""Responses to random patches of the images themselves: what a network of one random layer sees."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from metrics.table import cores

_THRESHOLD = 0.25  # a response below it counts as none
_SAMPLED = 50_000  # patches that whitening is learnt from
_TOGETHER = 32  # images that a thread takes at a time


def patches(
    squares: np.ndarray, seed: int, side: int = 8, filters: int = 256, components: int = 64, parts: int = 3
) -> Callable[[np.ndarray], np.ndarray]:
    """Filters drawn from the images; returns what turns images (n, S, S, 3) into features, float16 (n, 2 · parts² · filters).

    Every patch of `side` pixels is normalised, (p − mean) / sqrt(variance + 10), and whitened on its first `components`
    principal components, of eigenvalues + 0.1. A filter is such a patch of a random image, scaled to length 1. A
    feature is a response above 0.25, of either sign, averaged over one of parts × parts regions, and over the image and
    its mirror image.

    squares: uint8 (N, S, S, 3). Source: A. Coates and A. Ng, *The Importance of Encoding Versus Training with Sparse
    Coding and Vector Quantization* (ICML 2011); the mirror image, whose filters are the mirrored ones, is ours.
    """
    from metrics.shallow._patch_kernel import normalised_patches, pool  # here, because numba takes long to import

    draw = np.random.default_rng([seed, side])
    size = squares.shape[1]
    grid = size - side + 1
    length = 3 * side * side

    chosen = draw.integers(len(squares), size=_SAMPLED)
    places = draw.integers(grid * grid, size=_SAMPLED)
    sample = np.empty((_SAMPLED, length), np.float32)
    for row, (i, place) in enumerate(zip(chosen, places, strict=True)):
        y, x = divmod(place, grid)
        normalised_patches(np.ascontiguousarray(squares[i, y : y + side, x : x + side]), side, sample[row : row + 1])
    vectors, variances, is_even = _mirror_components(sample, side, components)
    whitening = (vectors / np.sqrt(variances + 0.1)).astype(np.float32)  # (length, components)
    bank = sample[draw.choice(_SAMPLED, filters, replace=False)] @ whitening
    lengths = np.linalg.norm(bank, axis=1, keepdims=True)
    bank = (bank / np.where(lengths > 0, lengths, 1)).astype(np.float32)  # 0: a patch of one colour
    even, odd = (np.ascontiguousarray(bank[:, chosen].T) for chosen in (is_even, ~is_even))
    whiten_even, whiten_odd = (np.ascontiguousarray(whitening[:, chosen]) for chosen in (is_even, ~is_even))
    ends = np.round(np.arange(1, parts + 1) * grid / parts).astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    areas = (2 * np.outer(sizes, sizes)[..., None, None]).astype(np.float32)  # 2: the image and its mirror image

    def features(images: np.ndarray) -> np.ndarray:
        found = np.empty((len(images), parts, parts, 2, filters), np.float32)
        images = np.ascontiguousarray(images)

        def some(start: int) -> None:
            here = np.empty((grid * grid, length), np.float32)  # written again and again: new memory would cost more
            by_even, by_odd = (np.empty((grid * grid, filters), np.float32) for _ in range(2))
            for i in range(start, min(start + _TOGETHER, len(images))):
                normalised_patches(images[i], side, here)
                np.matmul(here @ whiten_even, even, out=by_even)
                np.matmul(here @ whiten_odd, odd, out=by_odd)
                pool(by_even, by_odd, ends, np.float32(_THRESHOLD), found[i])

        # matrices this small are multiplied best by one thread each
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as threads:
            list(threads.map(some, range(0, len(images), _TOGETHER)))
        return (found / areas).reshape(len(images), -1).astype(np.float16)

    return features


def _mirror_components(sample: np.ndarray, side: int, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of patches and their mirror images: vectors (length, components), variances, and which are even.

    As every patch counts with its mirror image, a component is its own mirror image (even) or minus it (odd).
    """
    length = sample.shape[1]
    mirrored = np.arange(length).reshape(side, side, 3)[:, ::-1].ravel()
    covariance = (sample.T @ sample).astype(np.float64) / len(sample)
    covariance = (covariance + covariance[mirrored][:, mirrored]) / 2
    half = mirrored > np.arange(length)
    same = np.flatnonzero(mirrored == np.arange(length))  # the middle column of an odd side
    pairs = np.flatnonzero(half)
    identity = np.eye(length)
    bases = {
        True: np.hstack([(identity[:, pairs] + identity[:, mirrored[pairs]]) / np.sqrt(2), identity[:, same]]),
        False: (identity[:, pairs] - identity[:, mirrored[pairs]]) / np.sqrt(2),
    }
    found = []
    for even, basis in bases.items():
        variances, within = np.linalg.eigh(basis.T @ covariance @ basis)
        found.append((basis @ within, variances, np.full(len(variances), even)))
    vectors, variances, is_even = (np.concatenate(each, axis=-1) for each in zip(*found, strict=True))
    largest = np.argsort(-variances, kind="stable")[:components]
    return vectors[:, largest], variances[largest], is_even[largest]
