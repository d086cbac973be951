"""Sum of edge strengths: how much boundary there is between regions whose pixels seldom lie side by side."""

import math

import numpy as np
from PIL import Image

from metrics.images import check_image
from metrics.versions import version

LARGEST = 2**20  # pixels: memory grows by a gigabyte a megapixel
_DRAWS = ((56, 6), (80, 4), (160, 2), (math.inf, 1))  # side of a square image up to which, how many


@version(2)
def edges(image: np.ndarray, draws: int | None = None, seed: int = 0) -> float:
    """Sum over the boundary map of an image.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3); a grey image counts as one of three equal channels. One of more than
        ``LARGEST`` pixels is measured as an image of about that many, see ``bounded``.
    draws : over how many independent draws of pixel pairs to average; by default as many as give two results of
        different seeds a correlation of 0.9 over photographs of this size, see ``default_draws``.
    seed : of the draws, a whole number from 0 on. The same image, draws and seed give the same value.

    Returns
    -------
    Strength times pixels of half the image's size, without unit: 0 for a constant image and where an image is so small
    (8 x 8, say) that fewer than two pixels remain at an eighth of its size; about 250 for 32 x 32 and 150,000 for
    500 x 375 pixels. It grows with the size of an image, so that only images of one size compare.

    Raises
    ------
    ValueError
        If the array is not a non-empty uint8 image, draws or seed is out of range, or the eigenvectors cannot be
        computed.

    Notes
    -----
    P. Isola, D. Zoran, D. Krishnan and E. Adelson, *Crisp Boundary Detection Using Pointwise Mutual Information* (ECCV
    2014), with the setting ``speedy`` of the authors' code, which Pliushch et al., *When Deep Classifiers Agree*, used.
    docs/edges.md compares the two, and tells how much one draw differs from the next.

    Examples
    --------
    >>> import numpy as np
    >>> edges(np.full((32, 32), 77, np.uint8))
    0.0
    """
    return float(boundary_map(image, draws, seed).sum())


def boundary_map(image: np.ndarray, draws: int | None = None, seed: int = 0) -> np.ndarray:
    """Strength of the boundary at each pixel of the image at half its size, averaged over draws.

    Parameters and errors as for ``edges``.

    Returns
    -------
    float64 array (ceil(H / 2), ceil(W / 2)) of the image as ``bounded`` gives it, at least 0, without an upper limit.
    """
    from metrics.edges._affinity import affinities, feature_levels  # here, because numba takes long to import
    from metrics.edges._cuts import eigenvectors, kept_pixels
    from metrics.edges._features import edge_features
    from metrics.edges._strength import oriented_strength

    check_image(image)
    image = bounded(image)
    height, width = image.shape[:2]
    draws = default_draws(height, width) if draws is None else draws
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    strength = np.zeros((-(-height // 2), -(-width // 2)))
    if (image == image[0, 0]).all() or kept_pixels(*strength.shape) < 2:
        return strength
    features = edge_features(image)
    levels, values = feature_levels(features)
    for draw in range(draws):
        state = np.random.SeedSequence([seed, draw]).generate_state(1, np.uint64)
        strength += oriented_strength(*eigenvectors(affinities(features, levels, values, state)))
    return strength / draws


def bounded(image: np.ndarray) -> np.ndarray:
    """The image, brought down (bilinear, antialiased) where it has more than ``LARGEST`` pixels: memory grows with them.

    >>> bounded(np.zeros((3000, 4000), np.uint8)).shape
    (886, 1182)
    """
    height, width = image.shape[:2]
    if height * width <= LARGEST:
        return image
    shrink = math.sqrt(LARGEST / (height * width))
    short = max(1, int(min(height, width) * shrink))
    long = min(int(max(height, width) * shrink), LARGEST // short)
    size = (short, long) if width <= height else (long, short)  # width first
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def default_draws(height: int, width: int) -> int:
    """How many draws give a reliability of about 0.9 or more on photographs of this size, see docs/edges.md."""
    return next(draws for side, draws in _DRAWS if height * width <= side * side)
