"""Labelled images of a data set as the example statistics see them: small squares, and which classes each has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile

import numpy as np
from PIL import Image

from metrics.images import check_image

SIDE = 32  # pixels; photographs of KTH-TIPS2-b told no more at 48
_IN_MEMORY = 2**29  # bytes of squares; more are kept in a temporary file


@dataclass(frozen=True)
class Examples:
    """squares: uint8 (N, 32, 32, 3). labels: bool (N, C), the classes of each. tick: called with numbers of images done."""

    squares: np.ndarray
    labels: np.ndarray
    seed: int = 0
    tick: Callable[[int], object] = field(default=lambda images: None)


def squares_of(images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """uint8 images of any sizes, (H, W) or (H, W, 3), as squares: uint8 (N, 32, 32, 3).

    Bilinear and antialiased, whatever their proportions. All of them this small, because what networks learn first is
    seen at this size, and because a larger side costs its square. Raises ValueError where an image is no uint8 image.
    """
    shape = (len(images), SIDE, SIDE, 3)
    if isinstance(images, np.ndarray) and images.shape == shape and images.dtype == np.uint8:
        return images
    squares: np.ndarray
    if np.prod(shape) > _IN_MEMORY:
        squares = np.memmap(TemporaryFile(), np.uint8, "w+", shape=shape)  # noqa: SIM115 - goes with the array
    else:
        squares = np.empty(shape, np.uint8)
    for i, image in enumerate(images):
        check_image(image)
        if image.shape[:2] != (SIDE, SIDE):
            flat = image[..., 0] if image.shape[2:] == (1,) else image
            image = np.asarray(Image.fromarray(flat).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        squares[i] = image if image.ndim == 3 else image[..., None]
    return squares


def classes_of(labels: np.ndarray, number: int) -> np.ndarray:
    """Labels as bool (N, C). labels: (N,) of any kind, one class each; or bool (N, C), a set of classes each.

    Raises ValueError for other shapes.
    """
    labels = np.asarray(labels)
    if labels.dtype == bool and labels.shape[:1] == (number,) and labels.ndim == 2:
        return labels
    if labels.shape != (number,):
        raise ValueError(f"labels must be ({number},), or bool ({number}, classes), not {labels.dtype} {labels.shape}")
    classes, of_class = np.unique(labels, return_inverse=True)
    return of_class[:, None] == np.arange(len(classes))
