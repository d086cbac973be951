"""Mean gradient of the brightness: a quick look at how much in an image changes from pixel to pixel."""

import numpy as np

from metrics.images import luminance
from metrics.versions import version


@version(1)
def gradient(image: np.ndarray) -> float:
    """Mean over all pixels of Sobel's gradient magnitude of the luminance.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3).

    Returns
    -------
    Luminance, at least 0, and 0 but for rounding for a constant image: at each pixel the root mean square of two differences, between
    its lower and upper and between its right and left neighbour, smoothed across. Border pixels are repeated outwards.

    Raises
    ------
    ValueError
        If the array is not a non-empty uint8 image.

    Notes
    -----
    I. Sobel and G. Feldman, *A 3x3 isotropic gradient operator for image processing* (1968), as in
    ``skimage.filters.sobel``. It is no measure of boundaries, but takes a thousandth of the time of ``edges``;
    docs/edges.md tells how far the one stands in for the other.

    Examples
    --------
    >>> import numpy as np
    >>> gradient(np.full((8, 8), 77, np.uint8))
    0.0
    """
    from skimage.filters import sobel  # here, because it takes long to import

    return float(sobel(luminance(image)).mean())
