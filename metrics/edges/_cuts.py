"""Eigenvectors of normalised cuts, found on a small image and brought back to the large one.

The idea of Arbelaez, Pont-Tuset, Barron, Marques and Malik, *Multiscale Combinatorial Grouping* (CVPR 2014): affinities
are carried over to every second pixel of every second row, twice, by way of the pixels in between.
"""

import numpy as np
from numba import njit

from metrics.edges._affinity import PLACE_OF, RADIUS, all_pairs

_VECTORS = 100
_DECIMATIONS = 2
_RIDGE = 1e-10
_TOLERANCE = 1e-9  # relative, of eigenvalues
_DENSE = 400  # pixels up to which all eigenvectors at once are quicker than some of them
_REACH = 6  # kept pixels within the radius of a pixel, high and wide, at most


def kept_pixels(height: int, width: int) -> int:
    """How many pixels of an image are left when every second row and column has been left out twice."""
    return (height >> _DECIMATIONS) * (width >> _DECIMATIONS)


def eigenvectors(affinity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors of the normalised cut of an image, but the first, which is constant.

    Parameters
    ----------
    affinity : float64 array (41, H, W), a symmetric matrix as in ``_affinity.py``; positive beside 0 at ``o = 0``, and H and W such
        that at least two pixels are kept.

    Returns
    -------
    vectors : float64 array (K, H, W), whitened together and then each from 0 to 1; K is 99, or one less than
        pixels are kept.
    eigenvalues : float64 array (K,), ascending.

    Raises
    ------
    ValueError
        If the solver does not converge.
    """
    _, height, width = affinity.shape
    ways_back = []
    for _ in range(_DECIMATIONS):
        affinity, way_back = _decimated(affinity, PLACE_OF, RADIUS)
        ways_back.append(way_back)
    eigenvalues, vectors = _smallest(affinity)
    vectors = vectors.reshape(*affinity.shape[1:], -1)[..., 1:]
    for way_back in reversed(ways_back):
        vectors = _brought_back(way_back, vectors, RADIUS)
    return _whitened(vectors.reshape(height * width, -1)).reshape(-1, height, width), eigenvalues[1:]


@njit(nogil=True, cache=True)
def _decimated(affinity: np.ndarray, place_of: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Affinity of the pixels whose row and column are odd, and the way back.

    The way back, (H, W, 6, 6), holds of each pixel how much of it belongs to each kept pixel around it, beginning
    with the kept pixel ((y - 5) // 2, (x - 5) // 2); in all 1, or 0 where no kept pixel is near.
    """
    _, height, width = affinity.shape
    kept = np.zeros((affinity.shape[0], height // 2, width // 2))
    way_back = np.zeros((height, width, _REACH, _REACH))
    near = np.empty((_REACH * _REACH, 2), np.int64)
    shares = np.empty(_REACH * _REACH)
    for y in range(height):
        top = (y - radius) // 2
        for x in range(width):
            left = (x - radius) // 2
            found, total = 0, np.finfo(np.float64).eps
            for i in range(max(top, 0), min(top + _REACH, height // 2)):
                for j in range(max(left, 0), min(left + _REACH, width // 2)):
                    down, right = 2 * i + 1 - y, 2 * j + 1 - x
                    if down * down + right * right <= radius * radius:
                        if down > 0 or (down == 0 and right >= 0):
                            share = affinity[place_of[down, right + radius], y, x]
                        else:
                            share = affinity[place_of[-down, radius - right], 2 * i + 1, 2 * j + 1]
                        near[found, 0], near[found, 1], shares[found] = i, j, share
                        total += share
                        found += 1
            for one in range(found):
                i, j = near[one]
                way_back[y, x, i - top, j - left] = shares[one] / total
                for other in range(one, found):  # in reading order
                    place = place_of[near[other, 0] - i, near[other, 1] - j + radius]
                    kept[place, i, j] += shares[one] * shares[other] / total
    return kept, way_back


@njit(nogil=True, cache=True)
def _brought_back(way_back: np.ndarray, vectors: np.ndarray, radius: int) -> np.ndarray:
    """Vectors (H // 2, W // 2, K) of the kept pixels to all pixels (H, W, K)."""
    height, width = way_back.shape[:2]
    everywhere = np.zeros((height, width, vectors.shape[2]))
    for y in range(height):
        top = (y - radius) // 2
        for x in range(width):
            left = (x - radius) // 2
            for i in range(max(top, 0), min(top + _REACH, height // 2)):
                for j in range(max(left, 0), min(left + _REACH, width // 2)):
                    share = way_back[y, x, i - top, j - left]
                    if share != 0:
                        for k in range(vectors.shape[2]):
                            everywhere[y, x, k] += share * vectors[i, j, k]
    return everywhere


def _smallest(affinity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues, ascending, and eigenvectors, in columns, of (D - A + ridge) v = lambda D v."""
    from scipy.linalg import LinAlgError, eigh  # here, because scipy takes long to import
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import ArpackError, eigsh

    _, height, width = affinity.shape
    size = height * width
    places, first, second = all_pairs(height, width)
    beside, own = affinity.reshape(-1)[places], affinity[0].reshape(-1)
    degree = own + np.bincount(first, beside, size) + np.bincount(second, beside, size)
    root = np.sqrt(degree)
    # D^-1/2 (A - ridge) D^-1/2, whose largest eigenvalues are 1 - lambda
    beside = beside / (root[first] * root[second])
    own = (own - _RIDGE) / degree
    try:
        if size <= _DENSE:
            dense = np.diag(own)
            dense[second, first] = beside
            eigenvalues, vectors = eigh(dense, lower=True, subset_by_index=(max(size - _VECTORS, 0), size - 1))
        else:
            every = np.arange(size)
            rows, columns = np.concatenate([every, first, second]), np.concatenate([every, second, first])
            matrix = coo_array((np.concatenate([own, beside, beside]), (rows, columns))).tocsr()
            eigenvalues, vectors = eigsh(matrix, _VECTORS, which="LA", v0=root, ncv=2 * _VECTORS, tol=_TOLERANCE)
    except (LinAlgError, ArpackError) as error:
        raise ValueError(f"the eigenvectors of the image's boundaries cannot be computed: {error}") from error
    order = np.argsort(-eigenvalues, kind="stable")
    return 1 - eigenvalues[order], vectors[:, order] / root[:, np.newaxis]


def _whitened(vectors: np.ndarray) -> np.ndarray:
    """Centre and whiten columns (pixels, K) by the inverse root of their covariance, and scale to [0, 1]: rows."""
    centred = vectors - vectors.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    kept = variances > 1e-14 * variances[-1]  # fewer where vectors depend on each other
    axes = axes[:, kept]
    white = (axes / np.sqrt(variances[kept])) @ axes.T @ centred.T
    white -= white.min(axis=1, keepdims=True)
    highest = white.max(axis=1, keepdims=True)
    return white / np.where(highest > 0, highest, 1)
