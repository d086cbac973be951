from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import friedmanchisquare, spearmanr

import agreement

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


def test_concordance_by_hand():
    # ranks 1 2 3, 1 2 3, 2 3 1 add up to 4, 7, 7 around a mean of 6: squared deviations 4 + 1 + 1
    # three equal rankings would add up to 3, 6, 9: squared deviations 9 + 0 + 9
    learned = np.array([[1, 2, 3], [10, 20, 30], [4, 9, 1]], float)
    assert agreement.rank_concordance(learned) == pytest.approx(6 / 18)


def test_concordance_counts_ties_and_never_as_last():
    order = np.array([1, 2, 2, 5, np.inf, np.inf])
    assert agreement.rank_concordance(np.array([order, order, order])) == pytest.approx(1)
    assert agreement.rank_concordance(np.array([order, np.where(order == np.inf, 99, order)])) == pytest.approx(1)
    reverse = np.array([[1, 2, np.inf], [np.inf, 2, 1]])
    assert agreement.rank_concordance(reverse) == pytest.approx(0)


def test_concordance_equals_friedmans_statistic_rescaled():
    learned = np.random.default_rng(0).integers(1, 5, (4, 9)).astype(float)
    friedman = friedmanchisquare(*learned.T).statistic  # chi-square = K (N - 1) W, both corrected for ties
    assert agreement.rank_concordance(learned) == pytest.approx(friedman / (4 * 8))


@given(
    st.tuples(st.integers(2, 5), st.integers(2, 7)).flatmap(
        lambda shape: arrays(np.int64, shape, elements=st.integers(1, 4))
    )
)
def test_concordance_equals_one_written_out(learned):
    """Kendall's W from the definition, ranks by counting who comes before and who is level; epoch 4 stands for never."""
    networks, examples = learned.shape
    ranks = [[sum(b < a for b in row) + (sum(b == a for b in row) + 1) / 2 for a in row] for row in learned]
    sums = [sum(column) for column in zip(*ranks, strict=True)]
    spread = sum((one - sum(sums) / examples) ** 2 for one in sums)
    level = sum(int(n) ** 3 - int(n) for row in learned for n in np.unique(row, return_counts=True)[1])
    most = networks**2 * (examples**3 - examples) / 12 - networks * level / 12
    measured = agreement.rank_concordance(np.where(learned == 4, np.inf, learned))
    assert np.isnan(measured) if most == 0 else measured == pytest.approx(spread / most)


def test_concordance_and_spearman_without_ties():
    rng = np.random.default_rng(0)
    learned = np.array([rng.permutation(30) for _ in range(4)], float)
    mean_rho = np.mean([spearmanr(learned[a], learned[b]).statistic for a, b in combinations(range(4), 2)])
    assert (4 * agreement.rank_concordance(learned) - 1) / 3 == pytest.approx(mean_rho)


def test_concordance_of_unrelated_orders_is_one_over_networks():
    rng = np.random.default_rng(0)
    learned = np.array([rng.permutation(20_000) for _ in range(5)], float)
    assert agreement.rank_concordance(learned) == pytest.approx(1 / 5, abs=0.01)


def test_concordance_undefined():
    assert np.isnan(agreement.rank_concordance(np.array([[1.0, 2.0]])))
    with np.errstate(all="raise"):  # not by dividing by nothing
        assert np.isnan(agreement.rank_concordance(np.full((3, 4), np.inf)))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="int64"):
        agreement.learned_epoch(np.ones((2, 3, 4), int))
    with pytest.raises(ValueError, match="nan"):
        agreement.rank_concordance(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        agreement.rank_concordance(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"\(2, 0\)"):
        agreement.rank_concordance(np.empty((2, 0)))
