"""Entropy against its definition, window by window."""

import numpy as np
import pytest
import skimage.data
from arbitrary_images import arbitrary_images
from hypothesis import given, settings

from metrics import entropy, entropy_map, luminance


def windows_by_hand(image: np.ndarray) -> np.ndarray:
    grey = luminance(image)
    high, wide = (min(10, side) for side in grey.shape)
    entropies = np.empty((grey.shape[0] - high + 1, grey.shape[1] - wide + 1))
    for y, x in np.ndindex(entropies.shape):
        _, counts = np.unique(grey[y : y + high, x : x + wide], return_counts=True)
        shares = counts / counts.sum()
        entropies[y, x] = -np.sum(shares * np.log2(shares))
    return entropies


def test_real_images(photographs, digits):
    for image in [*photographs, *digits[:5]]:
        expected = windows_by_hand(image)
        np.testing.assert_allclose(entropy_map(image), expected, rtol=0, atol=1e-12)
        assert entropy(image) == pytest.approx(expected.mean(), abs=1e-12)


@settings(max_examples=60)
@given(arbitrary_images())
def test_arbitrary_images(image):
    expected = windows_by_hand(image)
    measured = entropy_map(image)
    assert measured.shape == expected.shape
    np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-12)
    assert entropy(image) == pytest.approx(entropy(np.rot90(image)), abs=1e-12)


def test_a_hundred_different_values_have_log2_of_100_bits():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert entropy(image) == pytest.approx(np.log2(100), abs=1e-15)


def test_nothing_drifts_over_many_windows():
    image = skimage.data.astronaut()
    measured = entropy_map(image)
    assert measured.shape == (503, 503)
    np.testing.assert_allclose(measured[-2:, -2:], windows_by_hand(image[-11:, -11:]), rtol=0, atol=1e-13)
    np.testing.assert_allclose(measured[-2:, :2], windows_by_hand(image[-11:, :11]), rtol=0, atol=1e-13)


def test_colours_of_equal_luminance_are_equal():
    weights = np.array([2989, 5870, 1140])
    colours = np.stack(np.meshgrid(*[np.arange(0, 256, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    order = np.argsort(colours @ weights, kind="stable")
    for first, second in zip(colours[order[:-1]], colours[order[1:]], strict=True):
        pair = np.array([[first, second]], np.uint8)
        values = luminance(pair)
        if values[0, 0] == values[0, 1]:
            assert entropy(pair) == 0
            break
    else:
        pytest.fail("no two colours of equal luminance found")
    assert entropy(np.array([[[0, 57, 0], [0, 58, 0]]], np.uint8)) == 1
