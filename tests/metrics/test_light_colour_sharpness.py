"""Brightness, contrast, colourfulness, sharpness and size: against their formulas written out."""

import numpy as np
import pytest
from arbitrary_images import arbitrary_images
from hypothesis import given, settings
from PIL import Image
from scipy.ndimage import convolve

from metrics import brightness, colourfulness, contrast, height, luminance, sharpness, width


@settings(max_examples=60)
@given(arbitrary_images(largest=12))
def test_against_the_formulas(image):
    grey = luminance(image)
    assert brightness(image) == pytest.approx(grey.sum() / grey.size, abs=1e-9)
    assert contrast(image) == pytest.approx(np.sqrt(((grey - grey.mean()) ** 2).mean()), abs=1e-9)
    laplacian = convolve(grey, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], mode="nearest")
    assert sharpness(image) == pytest.approx(laplacian.var(), rel=1e-9, abs=1e-9)
    assert (height(image), width(image)) == image.shape[:2]
    if image.ndim == 2:
        assert colourfulness(image) == 0
        return
    r, g, b = (image[..., c].astype(float).ravel() for c in range(3))
    rg, yb = r - g, 0.5 * (r + g) - b
    spread = np.sqrt(np.std(rg) ** 2 + np.std(yb) ** 2)
    assert colourfulness(image) == pytest.approx(spread + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2), abs=1e-9)


def test_a_blurred_photograph_is_less_sharp_and_a_grey_one_less_colourful(photographs):
    image = np.ascontiguousarray(photographs[1])
    small = Image.fromarray(image).resize((8, 8)).resize(image.shape[1::-1])
    assert sharpness(np.asarray(small)) < 0.5 * sharpness(image)
    assert colourfulness(np.asarray(Image.fromarray(image).convert("L"))) == 0 < colourfulness(image)


def test_extremes_by_hand():
    board = (np.indices((4, 4)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert brightness(board) == contrast(board) == pytest.approx(127.48725)
    assert colourfulness(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)) == pytest.approx(
        np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    )


@pytest.mark.parametrize("statistic", [brightness, contrast, colourfulness, sharpness, height, width])
def test_what_is_no_image_is_refused(statistic):
    with pytest.raises(ValueError, match="uint8"):
        statistic(np.zeros((3, 3)))
