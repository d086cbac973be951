"""Batches against cropping and scaling image by image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.batches import Batches, errors_of, margins_of
from lab.data import Images

CPU = torch.device("cpu")


def images_of(shapes: list[tuple[int, int]], channels: int = 3) -> list[np.ndarray]:
    draw = np.random.default_rng(len(shapes))
    return [draw.integers(256, size=(*shape, channels), dtype=np.uint8) for shape in shapes]


def opened(folder, images, crop: int | None) -> Batches:
    Images.of(images).save(folder / "train")
    return Batches(Images.open(folder / "train"), np.arange(len(images)), CPU, crop)


def scaled(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, C) to float32 (C, H, W) in [0, 1]."""
    return image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def at(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    return image[top : top + side, left : left + side]


def test_whole_images_are_scaled_and_nothing_else(tmp_path, few_digits):
    images, labels = few_digits["train"]
    Images.of(images).save(tmp_path / "train")
    batches = Batches(Images.open(tmp_path / "train"), labels, CPU)
    index = torch.tensor([7, 3, 3, 299])
    found, of = batches.get(index)
    assert len(batches) == 300 and batches.channels == 1
    assert found.dtype == torch.float32 and found.shape == (4, 1, 32, 32)
    np.testing.assert_array_equal(found.numpy(), [scaled(image) for image in images[index]])
    assert of.tolist() == labels[index].tolist()
    assert float(found.min()) == 0 and float(found.max()) <= 1


def test_black_and_white_are_0_and_1(tmp_path):
    images = np.stack([np.zeros((4, 4, 1), np.uint8), np.full((4, 4, 1), 255, np.uint8)])
    found, _ = opened(tmp_path, images, None).get(torch.tensor([0, 1]))
    assert found.unique().tolist() == [0, 1]


shapes = st.lists(st.tuples(st.integers(5, 14), st.integers(5, 14)), min_size=1, max_size=8)


@settings(max_examples=50)
@given(shapes, st.integers(1, 5), st.sampled_from([1, 3]), st.booleans())
def test_the_middle_is_cut_out_without_a_generator(tmp_path_factory, shapes, crop, channels, equal):
    if equal:
        shapes = [shapes[0]] * len(shapes)
    images = images_of(shapes, channels)
    batches = opened(tmp_path_factory.mktemp("batches"), np.stack(images) if equal else images, crop)
    index = torch.randperm(len(images))
    found, _ = batches.get(index)
    for one, i in zip(found.numpy(), index, strict=True):
        height, width = shapes[i]
        np.testing.assert_array_equal(one, scaled(at(images[i], (height - crop) // 2, (width - crop) // 2, crop)))


@settings(max_examples=50)
@given(shapes, st.integers(1, 5), st.sampled_from([1, 3]), st.integers(0, 100))
def test_random_crops_are_pieces_of_their_images(tmp_path_factory, shapes, crop, channels, seed):
    images = images_of(shapes, channels)
    batches = opened(tmp_path_factory.mktemp("batches"), images, crop)
    index = torch.randperm(len(images))
    found, _ = batches.get(index, batches.draws(len(index), torch.Generator().manual_seed(seed)))
    again, _ = batches.get(index, batches.draws(len(index), torch.Generator().manual_seed(seed)))
    assert torch.equal(found, again)
    for one, i in zip(found.numpy(), index, strict=True):
        height, width = shapes[i]
        places = [(top, left) for top in range(height - crop + 1) for left in range(width - crop + 1)]
        assert any(np.array_equal(one, scaled(at(images[i], *place, crop))) for place in places)


def test_every_place_is_equally_likely(tmp_path):
    """5 × 3 places of a crop of 4 from 8×6 pixels; each pixel of the image has its place as its value."""
    image = np.arange(48, dtype=np.uint8).reshape(8, 6, 1)
    batches = opened(tmp_path, [image, np.zeros((9, 9, 1), np.uint8)], 4)
    found, _ = batches.get(
        torch.zeros(15_000, dtype=torch.long), batches.draws(15_000, torch.Generator().manual_seed(0))
    )
    corners = (found[:, 0, 0, 0] * 255).round().int().numpy()
    places, counts = np.unique(corners, return_counts=True)
    assert places.tolist() == [6 * top + left for top in range(5) for left in range(3)]
    assert counts.min() > 850 and counts.max() < 1150  # 1,000 each, five standard deviations


def test_different_draws_give_different_crops(tmp_path):
    batches = opened(tmp_path, np.stack(images_of([(20, 20)] * 3)), 10)
    draw = torch.Generator().manual_seed(0)
    first, second = (batches.get(torch.arange(3), batches.draws(3, draw))[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_crop_as_large_as_the_images_is_no_crop(tmp_path):
    images = np.stack(images_of([(6, 6)] * 4))
    batches = opened(tmp_path, images, 6)
    assert batches.crop is None
    found, _ = batches.get(torch.arange(4), batches.draws(4, torch.Generator().manual_seed(0)))
    np.testing.assert_array_equal(found.numpy(), [scaled(image) for image in images])


def test_images_are_mapped_and_never_changed_on_disk(tmp_path):
    images = np.stack(images_of([(6, 6)] * 4))
    batches = opened(tmp_path, images, None)
    before = (tmp_path / "train-pixels.npy").read_bytes()
    found, _ = batches.get(torch.arange(4))
    found.zero_()
    batches.images.zero_()
    assert (tmp_path / "train-pixels.npy").read_bytes() == before
    np.testing.assert_array_equal(np.load(tmp_path / "train-pixels.npy").reshape(images.shape), images)


def test_images_of_different_sizes_without_a_crop_are_refused(tmp_path):
    with pytest.raises(ValueError, match="different sizes"):
        opened(tmp_path, images_of([(5, 5), (6, 6)]), None)


def test_margins_and_errors_of_sets_of_classes():
    """Positive where the set is right: the least logit towards what is the case."""
    logits, targets = torch.tensor([[2.0, -1, -3], [2, 0.5, -3]]), torch.tensor([[1.0, 0, 0], [1, 0, 0]])
    assert margins_of(logits, targets).tolist() == [1, -0.5]
    expected = (torch.sigmoid(logits) - targets).square().sum(dim=1).sqrt()
    torch.testing.assert_close(errors_of(logits, targets), expected)
