"""How sharp an image is."""

import numpy as np

from metrics.images import luminance
from metrics.versions import version


@version(1)
def sharpness(image: np.ndarray) -> float:
    """Variance over all pixels of the Laplacian of the luminance: little where an image is out of focus.

    The Laplacian is the sum of the four neighbours less four times the pixel; border pixels are repeated outwards.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3). ValueError if it is not one, or empty.

    Notes
    -----
    J. L. Pech-Pacheco et al., *Diatom autofocusing in brightfield microscopy: a comparative study* (ICPR 2000).

    Examples
    --------
    >>> import numpy as np
    >>> sharpness(np.full((4, 4), 9, np.uint8))
    0.0
    """
    grey = np.pad(luminance(image), 1, mode="edge")
    middle = grey[1:-1, 1:-1]
    # differences first, so that a constant image gives exactly 0
    laplacian = (grey[:-2, 1:-1] - middle) + (grey[2:, 1:-1] - middle)
    laplacian += (grey[1:-1, :-2] - middle) + (grey[1:-1, 2:] - middle)
    return float(laplacian.var())
