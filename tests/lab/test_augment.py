"""Augmentation of batches: against the images it is made of, one by one, and the same however a batch is shared out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lab.augment import augmented, draws
from lab.batches import Batches
from lab.data import Images

KINDS = ["flip_crop", "trivial"]


def pictures(number: int, channels: int = 3, side: int = 16) -> torch.Tensor:
    return torch.randint(256, (number, side, side, channels), generator=torch.Generator().manual_seed(number)).byte()


def of(images: torch.Tensor, kind: str, seed: int = 0, part: slice = slice(None), shift: bool = True) -> torch.Tensor:
    pad = images.shape[1] // 8 if shift else 0
    drawn = draws(kind, pad, len(images), torch.Generator().manual_seed(seed))
    return augmented(images[part], kind, pad, {name: each[part] for name, each in drawn.items()})


@given(st.integers(1, 6), st.sampled_from([1, 3]), st.integers(0, 1000), st.booleans())
def test_a_flipped_crop_is_a_window_of_the_padded_image_or_of_its_mirror(number, channels, seed, shift):
    images = pictures(number, channels)
    pad = 2 if shift else 0
    for image, found in zip(images.numpy(), of(images, "flip_crop", seed, shift=shift).numpy(), strict=True):
        framed = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        places = [(top, left) for top in range(2 * pad + 1) for left in range(2 * pad + 1)]
        windows = [framed[top : top + 16, left : left + 16] for top, left in places]
        assert any(np.array_equal(found, window) or np.array_equal(found, window[:, ::-1]) for window in windows)


def test_half_are_mirrored_and_every_place_is_as_likely():
    """2,000 times one image of 8×8, whose place shows in where its one white pixel comes to lie."""
    image = torch.zeros(8, 8, 1, dtype=torch.uint8)
    image[3, 2] = 255
    found = of(image.expand(2000, 8, 8, 1), "flip_crop")[..., 0].numpy()
    places, counts = np.unique(np.argwhere(found == 255)[:, 1:], axis=0, return_counts=True)
    assert {tuple(place) for place in places.tolist()} == {
        (top, left) for top in (2, 3, 4) for left in (1, 2, 3, 4, 5, 6)
    }
    assert counts.min() > 70 and counts.max() < 155  # 111 each, four standard deviations


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_processes_that_share_a_batch_see_the_images_of_one(kind, channels):
    images = pictures(21, channels)
    whole = of(images, kind, 5)
    assert whole.dtype == torch.uint8 and whole.shape == images.shape and not torch.equal(whole, images)
    parts = [of(images, kind, 5, part) for part in (slice(0, 7), slice(7, 14), slice(14, 21))]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(of(images, kind, 5), whole) and not torch.equal(of(images, kind, 6), whole)


def test_trivial_augment_leaves_the_generator_that_dropout_draws_from_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    of(pictures(16), "trivial")
    assert torch.equal(torch.get_rng_state(), before)


def test_trivial_augment_draws_many_operations_for_a_batch():
    """A grey square in the middle: of 40 groups some come out brighter, some turned, some as they were."""
    images = torch.zeros(320, 16, 16, 3, dtype=torch.uint8)
    images[:, 4:12, 4:12] = 100
    found = of(images, "trivial", shift=False)
    assert len({each.numpy().tobytes() for each in found}) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_augmented_in_training_alone(tmp_path, kind):
    images = pictures(12)
    Images.of(list(images.numpy())).save(tmp_path / "train")
    labels, cpu = np.arange(12), torch.device("cpu")
    plain, changed = (Batches(Images.open(tmp_path / "train"), labels, cpu, augment=each) for each in ("none", kind))
    index, generator = torch.arange(12), torch.Generator().manual_seed(0)
    drawn = changed.draws(12, generator)
    assert torch.equal(plain.get(index)[0], changed.get(index)[0])
    assert torch.equal(plain.get(index)[0], plain.get(index, plain.draws(12, generator))[0])
    found = changed.get(index, drawn)[0]
    assert found.dtype == torch.float32 and found.min() >= 0 and found.max() <= 1
    assert not torch.equal(found, plain.get(index)[0])
