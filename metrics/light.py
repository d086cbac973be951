"""How bright an image is, and how much its brightness varies."""

import numpy as np

from metrics.images import luminance
from metrics.versions import version


@version(1)
def brightness(image: np.ndarray) -> float:
    """Mean luminance over all pixels, from 0 to 255.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3). ValueError if it is not one, or empty.

    Notes
    -----
    ``frequency`` falls with it: the mean is one of the coefficients whose norm it shares out.

    Examples
    --------
    >>> import numpy as np
    >>> round(brightness(np.array([[0, 100]], np.uint8)), 3)
    49.995
    """
    return float(luminance(image).mean())


@version(1)
def contrast(image: np.ndarray) -> float:
    """Standard deviation of the luminance over all pixels, from 0 to 127.5 (root-mean-square contrast).

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3). ValueError if it is not one, or empty.

    Notes
    -----
    E. Peli, *Contrast in complex images* (Journal of the Optical Society of America A 7, 1990), not divided by the mean.

    Examples
    --------
    >>> import numpy as np
    >>> round(contrast(np.array([[0, 100]], np.uint8)), 3)
    49.995
    """
    grey = luminance(image)
    return float((grey - grey[0, 0]).std())  # of differences, so that a constant image gives exactly 0
