"""Random labels: a fixed draw, as many as asked for, in train and test."""

import numpy as np
import pytest

from lab.data import Data, Images, Split
from lab.data.labels import with_random_labels
from lab.errors import UserError


def data(multi_label: bool = False) -> Data:
    def split(n: int) -> Split:
        images = np.zeros((n, 2, 2, 1), np.uint8)
        return Split(Images.of(images), np.arange(n) % 10, [str(i) for i in range(n)], images[..., 0])

    return Data(split(20_000), split(10_000), [str(i) for i in range(10)], multi_label=multi_label)


def test_labels_are_drawn_from_all_classes_in_train_and_test():
    clean, noisy = data(), with_random_labels(data(), 0.5, 0)
    for a, b in ((clean.train, noisy.train), (clean.test, noisy.test)):
        assert (a.labels != b.labels).mean() == pytest.approx(0.5 * 0.9, abs=0.015)  # a tenth keeps its label by chance
        changed = b.labels[a.labels != b.labels]
        assert np.bincount(changed, minlength=10).min() > 0.08 * len(changed)
        assert a.ids == b.ids
    assert not np.array_equal(noisy.train.labels[:100], noisy.test.labels[:100])


def test_the_draw_is_fixed_by_the_seed_and_nothing_is_drawn_at_0():
    again = [with_random_labels(data(), 1, seed).train.labels for seed in (0, 0, 1)]
    assert np.array_equal(again[0], again[1]) and not np.array_equal(again[0], again[2])
    assert np.array_equal(with_random_labels(data(), 0, 0).train.labels, data().train.labels)


def test_sets_of_labels_are_refused():
    with pytest.raises(UserError, match="sets of labels"):
        with_random_labels(data(multi_label=True), 0.5, 0)
