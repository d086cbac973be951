"""Share of frequency coefficients that hold nearly all of an image: how many are needed to draw it well."""

import numpy as np

from metrics.images import check_image, luminance
from metrics.versions import version

KEPT = 0.9998  # of the norm of all coefficients
_SLAB = 2**17  # pixels transformed at once: they stay in the processor's cache


@version(1)
def frequency(image: np.ndarray) -> float:
    """Percentage of frequency coefficients needed to reach 99.98 % of the norm of all.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3).

    Returns
    -------
    ``100 (c - 1) / (H W)`` per cent, with c from ``important_coefficients``: from 0 (constant images, black ones too) to just
    under 100. The paper's code subtracts the one.

    Raises
    ------
    ValueError
        If the array is not a non-empty uint8 image.

    Notes
    -----
    Pliushch et al., *When Deep Classifiers Agree*, appendix "Percentage of important DCT coefficients".

    Examples
    --------
    >>> import numpy as np
    >>> frequency(np.array([[0, 200], [200, 200]], np.uint8))
    75.0
    """
    return 100 * (important_coefficients(image) - 1) / (image.shape[0] * image.shape[1])


def important_coefficients(image: np.ndarray) -> int:
    """The smallest number c >= 1 of coefficients, largest magnitudes first, whose norm is 99.98 % of that of all.

    Parameters and errors as for ``frequency``.
    """
    return int(_counts(dct(image)[np.newaxis])[0])


def dct(image: np.ndarray) -> np.ndarray:
    """Orthonormal two-dimensional DCT-II of the luminance: float64 array (H, W), lowest frequency at ``[0, 0]``.

    Parameters and errors as for ``frequency``. Ahmed, Natarajan and Rao, *Discrete Cosine Transform* (1974).
    """
    return _transformed(luminance(image))


def frequencies(images: np.ndarray) -> np.ndarray:
    """``frequency`` of every image of a stack, quicker than one by one.

    Parameters
    ----------
    images : uint8 array, (N, H, W) or (N, H, W, 3).

    Returns
    -------
    float64 array (N,), per cent.

    Raises
    ------
    ValueError
        If an entry of the array is not a non-empty uint8 image.
    """
    percentages = np.empty(len(images))
    if len(images) == 0:
        return percentages
    check_image(images[0])
    number, height, width = images.shape[:3]
    step = max(1, _SLAB // (height * width))
    for start in range(0, number, step):
        slab = images[start : start + step]
        one_tall_image = slab.reshape(-1, *slab.shape[2:])
        counts = _counts(_transformed(luminance(one_tall_image).reshape(-1, height, width)))
        percentages[start : start + step] = 100 * (counts - 1) / (height * width)
    return percentages


def _transformed(values: np.ndarray) -> np.ndarray:
    from scipy.fft import dctn  # here, because scipy takes long to import

    return dctn(values, axes=(-2, -1), norm="ortho", overwrite_x=True)


def _counts(transformed: np.ndarray) -> np.ndarray:
    """Count c of each of a stack of transformed images: float64 (N, H, W) to int64 (N,)."""
    from metrics._frequency_kernel import coefficient_counts  # here, because numba takes long to import

    return coefficient_counts(transformed.reshape(len(transformed), -1), KEPT)
