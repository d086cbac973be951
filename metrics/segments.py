"""Number of segments: into how many regions of similar colour an image falls."""

import numpy as np

from metrics.images import check_image
from metrics.versions import version


@version(1)
def segments(image: np.ndarray) -> float:
    """Number of segments of the graph-based segmentation of Felzenszwalb and Huttenlocher.

    Parameters
    ----------
    image : uint8 array, (H, W) or (H, W, 3); a grey image counts as one of three equal channels.

    Returns
    -------
    A whole number of segments, at least 1, as a float. Under 40 pixels it is 1, since no segment but the only one has
    fewer than 20.

    Raises
    ------
    ValueError
        If the array is not a non-empty uint8 image.

    Notes
    -----
    P. Felzenszwalb and D. Huttenlocher, *Efficient Graph-Based Image Segmentation*, IJCV 59 (2004), with
    sigma = 0.5, k = 500 and min = 20. The count is that of the authors' C++ program on every image tried; of 200
    CIFAR-10 images scikit-image counts otherwise on 1, OpenCV on 143 (see ``benchmarks/image_statistics.py``).

    Examples
    --------
    >>> import numpy as np
    >>> segments(np.zeros((32, 32), np.uint8))
    1.0
    """
    return float(segment_map(image).max() + 1)


def segment_map(image: np.ndarray) -> np.ndarray:
    """Segment of every pixel: int32 array (H, W), numbered 0, 1, 2, ... in reading order.

    Parameters and errors as for ``segments``.
    """
    from metrics._segments_kernel import felzenszwalb  # here, because numba takes long to import

    check_image(image)
    height, width = image.shape[:2]
    return felzenszwalb(image.reshape(height, width, -1).astype(np.float32, order="C"))
