"""Segments against a plain restatement of Felzenszwalb and Huttenlocher's program, in float32 like the original."""

import math

import numpy as np
import pytest
import skimage.data
from arbitrary_images import arbitrary_images
from hypothesis import given, settings

from metrics import segment_map, segments
from metrics._segments_kernel import _sorted_by_weight


def smoothed_by_hand(channel: np.ndarray) -> np.ndarray:
    """Float32 (H, W): a Gaussian of sigma 0.5, first along rows, then along columns."""
    half = [np.float32(math.exp(-0.5 * (i / 0.5) ** 2)) for i in range(3)]
    whole = np.float32(2) * (half[1] + half[2]) + half[0]
    for axis in (1, 0):
        wide = np.pad(channel.astype(np.float32), [(2, 2) if a == axis else (0, 0) for a in range(2)], mode="edge")
        at = [np.take(wide, np.arange(i, i + channel.shape[axis]), axis) for i in range(5)]
        channel = half[0] / whole * at[2]
        channel = channel + half[1] / whole * (at[1] + at[3])
        channel = channel + half[2] / whole * (at[0] + at[4])
    return channel


def segmented_by_hand(image: np.ndarray) -> np.ndarray:
    """Component of every pixel, by relabelling whole arrays; slow."""
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=2)
    height, width = image.shape[:2]
    channels = [smoothed_by_hand(image[..., c]) for c in range(3)]
    edges = []
    for y in range(height):
        for x in range(width):
            for to_y, to_x in ((y, x + 1), (y + 1, x), (y + 1, x + 1), (y - 1, x + 1)):
                if 0 <= to_y < height and to_x < width:
                    red, green, blue = (np.square(c[y, x] - c[to_y, to_x]) for c in channels)
                    edges.append((np.sqrt(red + green + blue), y * width + x, to_y * width + to_x))
    edges.sort(key=lambda edge: edge[0])
    component = np.arange(height * width)
    limit = dict.fromkeys(range(height * width), np.float32(500))
    for weight, one, other in edges:
        a, b = component[one], component[other]
        if a != b and weight <= limit[a] and weight <= limit[b]:
            component[component == b] = a
            limit[a] = weight + np.float32(500) / np.float32(np.count_nonzero(component == a))
    for _, one, other in edges:
        a, b = component[one], component[other]
        if a != b and min(np.count_nonzero(component == a), np.count_nonzero(component == b)) < 20:
            component[component == b] = a
    return component.reshape(height, width)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = {(int(a), int(b)) for a, b in zip(one.ravel(), other.ravel(), strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_real_images(photographs, digits):
    counts = set()
    for image in [photographs[1], photographs[2], photographs[3], *digits[:10]]:
        expected = segmented_by_hand(image)
        assert same_partition(segment_map(image), expected)
        assert segments(image) == np.unique(expected).size
        counts.add(segments(image))
    assert len(counts) > 2


@settings(max_examples=40)
@given(arbitrary_images(largest=16))
def test_arbitrary_images(image):
    assert same_partition(segment_map(image), segmented_by_hand(image))


def test_edges_are_sorted_to_the_last_bit_and_stably():
    random = np.random.default_rng(0)
    weights = np.concatenate([random.uniform(0, 442, 3000), random.uniform(7, 7.001, 3000), np.zeros(9)])
    weights = random.choice(weights.astype(np.float32), 12_000)  # some equal, many nearly so
    in_order, edges = _sorted_by_weight(weights.copy(), np.arange(12_000, dtype=np.uint32))
    np.testing.assert_array_equal(edges, np.argsort(weights, kind="stable"))
    np.testing.assert_array_equal(in_order, np.sort(weights))


def test_labels_are_numbered_in_reading_order():
    labels = segment_map(skimage.data.astronaut()[::4, ::4])
    assert labels.dtype == np.int32 and labels.shape == (128, 128)
    present, first = np.unique(labels, return_index=True)
    assert present.tolist() == list(range(len(present)))
    assert len(present) > 5 and (np.diff(first) > 0).all()
    assert np.bincount(labels.ravel()).min() >= 20


@pytest.mark.parametrize("shape", [(1, 1), (1, 39), (39, 1), (6, 6)])
def test_under_40_pixels_there_is_one_segment(shape):
    image = np.zeros(shape, np.uint8)
    image[: shape[0] // 2, : shape[1] // 2 + 1] = 255
    assert segments(image) == 1


def test_two_halves_are_two_segments():
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = (255, 255, 0)
    assert segments(image) == 2
    np.testing.assert_array_equal(segment_map(image), np.tile(np.arange(20) >= 10, (10, 1)))
