from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import agreement
from agreement.learning_order import COMBINED

shapes = st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 6))
corrects = shapes.flatmap(lambda shape: arrays(bool, shape))


def history(*examples: str) -> np.ndarray:
    """One network: a string per example, a digit per epoch."""
    return np.array([[int(digit) for digit in example] for example in examples], bool).T[None]


def test_learned_epoch_by_hand():
    correct = history("1111", "0111", "1011", "1101", "1110", "0000")
    np.testing.assert_array_equal(agreement.learned_epoch(correct), [1, 2, 3, 4, np.inf, np.inf])


def test_joint_learned_epoch_waits_for_the_last_network():
    correct = np.concatenate([history("0111", "1111", "1111"), history("0011", "0111", "1110")])
    own = agreement.learned_epoch(correct, per_network=True)
    np.testing.assert_array_equal(own, [[2, 1, 1], [3, 2, np.inf]])
    np.testing.assert_array_equal(agreement.learned_epoch(correct), [3, 2, np.inf])


@given(corrects)
def test_learned_epoch_against_a_slow_loop(correct):
    networks, epochs, examples = correct.shape

    def first_for_good(right) -> float:
        return next((t + 1.0 for t in range(epochs) if right[t:].all()), np.inf)

    own = [[first_for_good(correct[k, :, n]) for n in range(examples)] for k in range(networks)]
    joint = [first_for_good(correct[:, :, n].all(axis=0)) for n in range(examples)]
    np.testing.assert_array_equal(agreement.learned_epoch(correct, per_network=True), own)
    np.testing.assert_array_equal(agreement.learned_epoch(correct), joint)
    np.testing.assert_array_equal(joint, np.max(own, axis=0))


@given(corrects)
def test_counts_against_slow_loops(correct):
    networks, epochs, examples = correct.shape
    forgotten = np.zeros((networks, examples), int)
    for k, t, n in np.ndindex(networks, epochs - 1, examples):
        forgotten[k, n] += bool(correct[k, t, n]) and not correct[k, t + 1, n]
    np.testing.assert_array_equal(agreement.forgetting_events(correct), forgotten)
    right = [correct[:, :, n].sum() / (networks * epochs) for n in range(examples)]
    np.testing.assert_allclose(agreement.mean_correctness(correct), right)
    np.testing.assert_array_equal(agreement.agreed(correct), np.prod(correct, axis=0).astype(bool))


def test_forgetting_by_hand():
    correct = history("10101", "01110", "00000", "11111")
    np.testing.assert_array_equal(agreement.forgetting_events(correct), [[2, 1, 0, 0]])
    assert agreement.forgetting_events(correct).dtype == int
    np.testing.assert_allclose(agreement.mean_correctness(correct), [0.6, 0.6, 0, 1])


def test_the_three_orders_by_hand():
    correct = np.concatenate([history("0111", "1011", "0000"), history("0011", "0111", "0001")])
    np.testing.assert_allclose(agreement.learning_time(correct), [3 / 8, 2 / 8, 7 / 8])
    np.testing.assert_allclose(agreement.first_epoch(correct), [2.5, 1.5, 4.5])  # never counts as epoch 5
    orders = agreement.orders_by_network(correct)
    np.testing.assert_array_equal(orders["learning_time"], [[1, 1, 4], [2, 1, 3]])
    np.testing.assert_array_equal(orders["first"], [[2, 1, 5], [3, 2, 4]])
    np.testing.assert_array_equal(orders["last"], [[2, 3, np.inf], [3, 2, 4]])


@given(corrects)
def test_the_orders_are_those_of_the_networks_combined(correct):
    combined = {name: COMBINED[name](order, axis=0) for name, order in agreement.orders_by_network(correct).items()}
    np.testing.assert_allclose(combined["learning_time"] / correct.shape[1], agreement.learning_time(correct))
    np.testing.assert_allclose(combined["learning_time"] / correct.shape[1], 1 - agreement.mean_correctness(correct))
    np.testing.assert_allclose(combined["first"], agreement.first_epoch(correct))
    np.testing.assert_array_equal(combined["last"], agreement.learned_epoch(correct))


def test_two_networks_correlate_as_spearman_says():
    learned = np.random.default_rng(0).integers(1, 5, (4, 30)).astype(float)
    learned[learned == 4] = np.inf
    rho = [agreement.spearman(learned[a], learned[b]) for a, b in combinations(range(4), 2)]
    assert agreement.rank_correlation_of_two(learned) == pytest.approx(np.mean(rho))
    assert agreement.rank_correlation_of_two(np.vstack([learned, np.ones(30)])) == pytest.approx(np.mean(rho))


def test_two_unrelated_networks_correlate_at_nothing():
    """Kendall's W, which was printed before, is about a half for them."""
    learned = np.random.default_rng(0).normal(size=(2, 20_000))
    assert agreement.rank_correlation_of_two(learned) == pytest.approx(0, abs=0.02)
    assert agreement.reliability(learned) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("networks", [2, 3, 5, 8])
def test_reliability_is_the_correlation_with_as_many_other_networks(networks):
    rng = np.random.default_rng(1)
    difficulty = rng.normal(size=4000)
    one, other = difficulty + 1.5 * rng.normal(size=(2, networks, 4000))
    found = np.mean([agreement.reliability(each) for each in (one, other)])
    assert found == pytest.approx(agreement.spearman(one.mean(axis=0), other.mean(axis=0)), abs=0.03)


def test_reliability_undefined():
    with np.errstate(all="raise"):  # not by dividing by nothing
        for order in (np.array([[1.0, 2.0]]), np.full((3, 4), np.inf)):
            assert np.isnan(agreement.reliability(order)) and np.isnan(agreement.rank_correlation_of_two(order))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="int64"):
        agreement.learned_epoch(np.ones((2, 3, 4), int))
    with pytest.raises(ValueError, match="nan"):
        agreement.rank_correlation_of_two(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        agreement.rank_correlation_of_two(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"\(2, 0\)"):
        agreement.rank_correlation_of_two(np.empty((2, 0)))
