"""Frequency against its definition, coefficient by coefficient, with the transform as a matrix of cosines."""

import numpy as np
from arbitrary_images import arbitrary_images
from hypothesis import given, settings

from metrics import dct, frequencies, frequency, important_coefficients, luminance


def cosines(size: int) -> np.ndarray:
    k, n = np.mgrid[:size, :size]
    matrix = np.cos(np.pi * (n + 0.5) * k / size) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix


def transformed_by_hand(image: np.ndarray) -> np.ndarray:
    grey = luminance(image)
    return cosines(grey.shape[0]) @ grey @ cosines(grey.shape[1]).T


def counted_by_hand(image: np.ndarray) -> int:
    ordered = sorted(np.abs(transformed_by_hand(image)).ravel(), reverse=True)
    count = 1
    while np.linalg.norm(ordered[:count]) < 0.9998 * np.linalg.norm(ordered):
        count += 1
    return count


def test_real_images(photographs, digits):
    for image in [photographs[1], photographs[2], *digits[:5]]:
        assert important_coefficients(image) == counted_by_hand(image)
        assert frequency(np.swapaxes(image, 0, 1)) == frequency(image)
        assert frequency(image) == 100 * (counted_by_hand(image) - 1) / (image.shape[0] * image.shape[1])


@settings(max_examples=60)
@given(arbitrary_images(largest=14))
def test_arbitrary_images(image):
    np.testing.assert_allclose(dct(image), transformed_by_hand(image), rtol=0, atol=1e-9)
    assert important_coefficients(image) == counted_by_hand(image)


def test_a_single_bright_pixel_needs_nearly_all():
    image = np.zeros((8, 8), np.uint8)
    image[0, 0] = 255  # energies fall off as products of squared cosines
    assert important_coefficients(image) == counted_by_hand(image)
    assert frequency(image) > 80


def test_a_stack_has_the_values_of_its_images(photographs, digits):
    np.testing.assert_array_equal(frequencies(digits), [frequency(digit) for digit in digits])
    large = np.stack([np.tile(photographs[0], (5, 5, 1)), np.tile(photographs[0][::-1], (5, 5, 1))] * 2)
    assert large[0, ..., 0].size > 2**17 / 2  # so that a slab does not hold them all
    np.testing.assert_array_equal(frequencies(large), [frequency(image) for image in large])
    assert frequencies(digits[:0]).shape == (0,)
