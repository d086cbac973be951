"""How large an image is."""

import numpy as np

from metrics.images import check_image
from metrics.versions import version


@version(1)
def height(image: np.ndarray) -> float:
    """Pixels from top to bottom of a uint8 image (H, W) or (H, W, 3); ValueError if it is not one, or empty."""
    check_image(image)
    return float(image.shape[0])


@version(1)
def width(image: np.ndarray) -> float:
    """Pixels from left to right of a uint8 image (H, W) or (H, W, 3); ValueError if it is not one, or empty."""
    check_image(image)
    return float(image.shape[1])
