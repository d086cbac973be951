"""Mean intensity entropy: how varied the brightness is within small windows of an image."""

import numpy as np

from metrics.images import luminance
from metrics.versions import version

WINDOW = 10  # pixels, high and wide


@version(1)
def entropy(image: np.ndarray) -> float:
    """Mean over all windows of 10 x 10 pixels of the Shannon entropy of their luminance.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3).

    Returns
    -------
    Bits, from 0 (every window of one luminance; exactly 0 for a constant image) to log2(100) = 6.64 (no luminance
    occurs twice in a window). CIFAR-10's mean is about 6.5. The windows lie at stride 1 without padding. On an image
    under 10 pixels high or wide the window is clipped to the image's size.

    Raises
    ------
    ValueError
        If the array is not a non-empty uint8 image.

    Notes
    -----
    Pliushch et al., *When Deep Classifiers Agree*, appendix "Mean image intensity entropy", after Frieden (1972) and
    Skilling and Bryan (1984).

    Examples
    --------
    >>> import numpy as np
    >>> entropy(np.array([[0, 0], [0, 0]], np.uint8)), entropy(np.array([[0, 0], [9, 9]], np.uint8))
    (0.0, 1.0)
    """
    return float(entropy_map(image).mean())


def entropy_map(image: np.ndarray) -> np.ndarray:
    """Entropy of every window: float64 array (H - 9, W - 9) of bits, at least one high and wide.

    Parameters and errors as for ``entropy``. Entry ``[y, x]`` belongs to the window whose upper left pixel it is.
    """
    from metrics._entropy_kernel import window_entropies  # here, because numba takes long to import

    return window_entropies(luminance(image), WINDOW)
