"""How colourful an image is."""

import numpy as np

from metrics.images import check_image
from metrics.versions import version


@version(1)
def colourfulness(image: np.ndarray) -> float:
    """Colourfulness after Hasler and Süsstrunk: 0 of a grey image, about 15 slightly, 45 averagely, 109 extremely colourful.

    ``sqrt(var(rg) + var(yb)) + 0.3 sqrt(mean(rg)² + mean(yb)²)`` of the opponent colours ``rg = R - G`` and
    ``yb = (R + G) / 2 - B`` of 8-bit values.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3). ValueError if it is not one, or empty.

    Notes
    -----
    D. Hasler and S. Süsstrunk, *Measuring colourfulness in natural images* (Human Vision and Electronic Imaging, 2003).

    Examples
    --------
    >>> import numpy as np
    >>> colourfulness(np.array([[[10, 0, 5]]], np.uint8))
    3.0
    """
    check_image(image)
    if image.ndim == 2:
        return 0.0
    red, green, blue = np.moveaxis(image.astype(float), 2, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.sqrt(rg.var() + yb.var()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
