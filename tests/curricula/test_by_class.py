"""Accuracy class by class, and balanced, with intervals."""

import numpy as np
import pytest

from curricula import class_table
from curricula.by_class import balanced_interval
from curricula.significance import mean_interval


def test_equal_classes_give_the_accuracy_and_unequal_ones_their_mean():
    draw = np.random.default_rng(0)
    right, labels = draw.random((6, 300)) < 0.7, np.arange(300) % 3
    assert balanced_interval(right, labels)[0] == pytest.approx(right.mean())
    unequal = np.repeat([0, 1, 2], [10, 40, 250])
    expected = np.mean([right[:, unequal == c].mean() for c in range(3)])
    assert balanced_interval(right, unequal)[0] == pytest.approx(expected)


def test_of_one_class_the_interval_is_that_of_the_accuracy():
    right = np.random.default_rng(1).random((5, 80)) < 0.6
    assert balanced_interval(right, np.zeros(80, int)) == pytest.approx(mean_interval(right))


def test_intervals_hold_the_balanced_accuracy_of_the_population_as_often_as_they_say():
    """Two classes, 30 and 300 test examples, seeds and examples drawn anew: 95 % of the intervals, and not those of seeds alone."""
    draw, labels, held, of_seeds = np.random.default_rng(2), np.repeat([0, 1], [30, 300]), 0, 0
    for _ in range(400):
        hard = np.where(labels == 0, 0.5, 0.9) + draw.choice([-0.1, 0.1], 330)  # each example its own probability
        right = draw.random((8, 330)) < hard
        _, low, high = balanced_interval(right, labels)
        held += low <= 0.7 <= high
        means = np.stack([right[:, labels == c].mean(axis=1) for c in (0, 1)]).mean(axis=0)
        _, low, high = mean_interval(means)
        of_seeds += low <= 0.7 <= high
    assert held / 400 > 0.92 and of_seeds < held


def test_the_table_of_classes():
    right = {"shuffled": np.array([[True, False, True], [True, True, True]]), "random": np.zeros((2, 3), bool)}
    table = class_table(right, np.array([0, 0, 2]), np.array([0, 1, 1]), ["a", "b", "c"])
    assert table[["arm", "class", "trained", "examples", "accuracy"]].to_numpy().tolist() == [
        ["shuffled", "a", 1, 2, 0.75], ["shuffled", "c", 0, 1, 1.0], ["random", "a", 1, 2, 0.0], ["random", "c", 0, 1, 0.0],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="a column for each of 2 labels"):
        balanced_interval(right["random"], np.array([0, 1]))
