"""The gradient against Sobel's operator written out."""

import numpy as np
import pytest
from arbitrary_images import arbitrary_images
from hypothesis import given, settings

from metrics import gradient, luminance


def gradient_by_hand(image: np.ndarray) -> float:
    grey = np.pad(luminance(image), 1, mode="edge")
    height, width = image.shape[:2]
    down, right = np.zeros((height, width)), np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        around = grey[y : y + 3, x : x + 3]
        down[y, x] = (around[2] - around[0]) @ [0.25, 0.5, 0.25]
        right[y, x] = [0.25, 0.5, 0.25] @ (around[:, 2] - around[:, 0])
    return float(np.sqrt((down**2 + right**2) / 2).mean())


def test_real_images(photographs, digits):
    for image in [*photographs, *digits[:3]]:
        assert gradient(image) == pytest.approx(gradient_by_hand(image), rel=1e-12)


@settings(max_examples=40)
@given(arbitrary_images(largest=12))
def test_arbitrary_images(image):
    assert gradient(image) == pytest.approx(gradient_by_hand(image), rel=1e-9, abs=1e-9)
    assert gradient(image[::-1]) == pytest.approx(gradient(image), abs=1e-9)
