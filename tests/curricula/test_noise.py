import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula import corrupt_labels, order


@given(
    n=st.integers(0, 200),
    fraction=st.floats(0, 1),
    classes=st.integers(2, 12),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([np.uint8, np.int64]),
)
def test_exactly_the_fraction_is_wrong_and_marked(n, fraction, classes, seed, dtype):
    labels = np.random.default_rng(1).integers(0, classes, n).astype(dtype)
    before = labels.copy()
    noisy, mask = corrupt_labels(labels, fraction, classes, seed)
    assert mask.sum() == round(fraction * n) and mask.dtype == bool
    assert ((noisy != labels) == mask).all()
    assert noisy.dtype == dtype and (noisy < classes).all() and (noisy >= 0).all()
    assert (labels == before).all()


def test_wrong_labels_are_spread_equally_over_the_other_classes_and_all_examples():
    labels = np.repeat(np.arange(10), 10_000)
    noisy, mask = corrupt_labels(labels, 0.4, 10, seed=5)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels[mask], noisy[mask]), 1)
    off_diagonal = counts[~np.eye(10, dtype=bool)]
    expected = 40_000 / 90
    assert np.diag(counts).sum() == 0
    assert np.abs(off_diagonal - expected).max() < 5 * np.sqrt(expected)
    assert np.abs(mask.reshape(10, -1).sum(axis=1) - 4000).max() < 5 * np.sqrt(10_000 * 0.4 * 0.6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arm", ["random", "curriculum", "shuffled"])
def test_wrong_labels_are_anywhere_in_an_order_of_the_same_seed(arm, seed):
    labels = np.arange(4000) % 10
    _, mask = corrupt_labels(labels, 0.4, 10, seed)
    parts = mask[order(np.zeros(4000), arm, labels, seed=seed)].reshape(4, -1).mean(axis=1)
    assert np.abs(parts - 0.4).max() < 5 * np.sqrt(0.4 * 0.6 / 1000)


def test_a_fixed_draw():
    labels = np.arange(1000) % 10
    first, again, other = (corrupt_labels(labels, 0.4, 10, seed) for seed in (1, 1, 2))
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize(
    "labels, fraction, classes, complaint",
    [
        ([0, 1], 1.5, 2, "not 1.5"),
        ([0, 1], -0.1, 2, "not -0.1"),
        ([0, 1], float("nan"), 2, "not nan"),
        ([0, 3], 0.5, 3, "0 to 2, not 0 to 3"),
        ([-1, 0], 0.5, 3, "not -1 to 0"),
        ([0, 0], 0.5, 1, "with 1 class"),
        ([0.0, 1.0], 0.5, 2, "not float64"),
    ],
)
def test_bad_arguments(labels, fraction, classes, complaint):
    with pytest.raises(ValueError, match=complaint):
        corrupt_labels(np.array(labels), fraction, classes)


def test_labels_that_cannot_hold_all_classes():
    with pytest.raises(ValueError, match="int8 cannot be any of 200 classes: give int64"):
        corrupt_labels(np.arange(100, dtype=np.int8), 1.0, 200)
