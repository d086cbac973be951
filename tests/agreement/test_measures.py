import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import agreement
from agreement.measures import _check_predictions

MEASURES = [
    agreement.true_positive_agreement,
    agreement.lower_bound,
    agreement.chance_agreement,
    agreement.excess_agreement,
    agreement.accuracy,
    agreement.mean_accuracy,
    agreement.accuracy_deviation,
    agreement.hacohen_true_positive_agreement,
]
OVER_NETWORKS = [measure for measure in MEASURES if measure is not agreement.accuracy]
shapes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 12))
corrects = shapes.flatmap(lambda shape: arrays(bool, shape))
predicted = shapes.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3)))


def rows(*networks: str) -> np.ndarray:
    """One epoch: a string per network, a digit per example."""
    return np.array([[[int(digit) for digit in network]] for network in networks])


def right(*networks: str) -> np.ndarray:
    return rows(*networks) == 1


def test_by_hand_three_networks_two_epochs():
    correct = np.concatenate([right("110000", "101000", "100100"), right("111110", "111101", "111111")], axis=1)
    # epoch 1: all right on example 1 only, any right on 4; each accuracy 1/3
    # epoch 2: all right on 4, any right on 6; accuracies 5/6, 5/6, 1
    np.testing.assert_allclose(agreement.true_positive_agreement(correct), [1 / 4, 4 / 6])
    np.testing.assert_allclose(agreement.accuracy(correct), [[1 / 3, 5 / 6], [1 / 3, 5 / 6], [1 / 3, 1]])
    np.testing.assert_allclose(agreement.mean_accuracy(correct), [1 / 3, 8 / 9])
    # errors 1/6, 1/6 and 0 add up to 1/3; in epoch 1 they add up to 2
    np.testing.assert_allclose(agreement.lower_bound(correct), [0, 2 / 3])
    # 1/27 over 1 - 8/27; 25/36 over 1
    np.testing.assert_allclose(agreement.chance_agreement(correct), [1 / 19, 25 / 36])
    np.testing.assert_allclose(
        agreement.excess_agreement(correct), [(1 / 4 - 1 / 19) / (18 / 19), (24 / 36 - 25 / 36) / (11 / 36)]
    )
    # 5/6, 5/6, 1 deviate by -1/18, -1/18, 2/18 from 8/9; the divisor is 3
    np.testing.assert_allclose(agreement.accuracy_deviation(correct), [0, np.sqrt(6 / 3) / 18], atol=1e-15)


def test_the_papers_case_of_two_networks_sharing_nothing():
    correct = right("1100", "0011")
    assert agreement.lower_bound(correct) == agreement.true_positive_agreement(correct) == 0
    assert agreement.chance_agreement(correct) == pytest.approx(1 / 3)
    assert agreement.excess_agreement(correct) == pytest.approx(-1 / 2)


def test_where_no_network_is_right_agreement_is_0():
    nothing = right("000", "000")
    for measure in OVER_NETWORKS:
        assert measure(nothing) == 0


def test_where_all_is_right_there_is_no_excess_to_speak_of():
    everything = right("111", "111")
    assert agreement.true_positive_agreement(everything) == 1
    assert agreement.lower_bound(everything) == 1
    assert agreement.chance_agreement(everything) == 1
    with np.errstate(all="raise"):
        assert np.isnan(agreement.excess_agreement(everything))


def test_false_positive_agreement_by_hand():
    predictions = rows("01122", "01221", "01121")
    labels = np.array([0, 2, 1, 2, 2])
    # wrong anywhere: examples 2 to 5; wrong alike: example 2. Example 4 is right everywhere
    np.testing.assert_allclose(agreement.false_positive_agreement(predictions, labels), [1 / 3])
    assert agreement.false_positive_agreement(rows("012", "012"), np.array([0, 1, 2])) == 0


def test_same_wrong_class_by_hand():
    predictions, labels = (
        np.concatenate([rows("0122", "0112", "0132"), rows("1111", "1111", "1112")], axis=1),
        [0, 2, 2, 1],
    )
    found = agreement.same_wrong_class(predictions, np.array(labels))
    assert found.astype(int).tolist() == [[0, 1, 0, 1], [1, 1, 1, 0]]


@given(predicted)
def test_same_wrong_class_is_what_false_positive_agreement_counts(predictions):
    labels = np.arange(predictions.shape[2]) % 4
    shared = agreement.same_wrong_class(predictions, labels).sum(axis=1)
    wrong = (predictions != labels).any(axis=0).sum(axis=1)
    expected = np.divide(shared, wrong, out=np.zeros(len(wrong)), where=wrong > 0)
    np.testing.assert_allclose(agreement.false_positive_agreement(predictions, labels), expected)


def test_hacohen_by_hand():
    predictions = rows("0017", "0127", "1237", "2247")
    each = [[2 / 4, 2 / 4, 1 / 4, 4 / 4]]
    np.testing.assert_allclose(agreement.hacohen_agreement(predictions, per_example=True), each)
    np.testing.assert_allclose(agreement.hacohen_agreement(predictions), [9 / 16])
    correct = predictions == np.array([0, 2, 4, 7])
    each = [[2 / 4, 2 / 4, 1 / 4, 4 / 4]]
    np.testing.assert_allclose(agreement.hacohen_true_positive_agreement(correct, per_example=True), each)
    np.testing.assert_allclose(agreement.hacohen_true_positive_agreement(correct), [9 / 16])


def test_hacohen_counts_more_networks_than_fit_a_byte():
    predictions = np.zeros((300, 1, 2), np.uint8)
    predictions[:10, 0, 1] = 1
    np.testing.assert_allclose(agreement.hacohen_agreement(predictions, per_example=True), [[1, 290 / 300]])


def test_exact_match_wants_every_label():
    target = np.array([[1, 0, 1], [0, 0, 0]], bool)
    predicted = np.array([[[target[0], target[1]], [[1, 1, 1], [0, 0, 0]]], [[[1, 0, 0], [0, 0, 1]], target]], bool)
    expected = [[[True, True], [False, True]], [[False, False], [True, True]]]
    np.testing.assert_array_equal(agreement.exact_match(predicted, target), expected)
    np.testing.assert_array_equal(agreement.exact_match(predicted.astype(np.uint8), target), expected)
    assert agreement.exact_match(predicted, target).dtype == bool
    assert agreement.exact_match(np.ones((1, 1, 1, 1), bool), np.ones((1, 1), bool)).tolist() == [[[True]]]


@given(corrects)
def test_bounds(correct):
    any_share = correct.all(axis=0).mean(axis=1)
    agreed = agreement.true_positive_agreement(correct)
    chance, excess = agreement.chance_agreement(correct), agreement.excess_agreement(correct)
    assert (agreement.lower_bound(correct) >= 0).all()
    assert (agreement.lower_bound(correct) <= any_share).all()
    assert (any_share <= agreed).all() and (agreed <= 1).all()
    assert (chance >= 0).all() and (chance <= 1).all()
    assert np.all((excess <= 1) | np.isnan(excess))
    np.testing.assert_array_equal(np.isnan(excess), chance == 1)


@given(corrects)
def test_against_the_formulas_written_out(correct):
    accuracy = correct.mean(axis=2)
    for t in range(correct.shape[1]):
        sets = [set(np.flatnonzero(network[t])) for network in correct]
        union = set.union(*sets)
        expected = len(set.intersection(*sets)) / len(union) if union else 0
        assert agreement.true_positive_agreement(correct)[t] == expected
        bound = 1 - min(sum(1 - a for a in accuracy[:, t]), 1)
        assert agreement.lower_bound(correct)[t] == pytest.approx(bound, abs=1e-12)
        none_right = np.prod(1 - accuracy[:, t])
        chance = np.prod(accuracy[:, t]) / (1 - none_right) if union else 0
        assert agreement.chance_agreement(correct)[t] == pytest.approx(chance, abs=1e-12)


@given(predicted, st.data())
def test_predictions_against_a_loop_over_examples(predictions, data):
    networks, epochs, examples = predictions.shape
    labels = data.draw(arrays(np.int64, examples, elements=st.integers(0, 3)))
    largest = np.array(
        [[np.bincount(predictions[:, t, n]).max() / networks for n in range(examples)] for t in range(epochs)]
    )
    np.testing.assert_array_equal(agreement.hacohen_agreement(predictions, per_example=True), largest)
    np.testing.assert_allclose(agreement.hacohen_agreement(predictions), largest.mean(axis=1))
    for t in range(epochs):
        votes = [set(predictions[:, t, n]) for n in range(examples)]
        alike = sum(len(vote) == 1 and vote != {label} for vote, label in zip(votes, labels, strict=True))
        wrong = sum(vote != {label} for vote, label in zip(votes, labels, strict=True))
        expected = alike / wrong if wrong else 0
        assert agreement.false_positive_agreement(predictions, labels)[t] == expected


@given(corrects, st.randoms(use_true_random=False))
def test_order_of_networks_and_examples_does_not_matter(correct, random):
    networks, examples = list(range(correct.shape[0])), list(range(correct.shape[2]))
    random.shuffle(networks)
    random.shuffle(examples)
    shuffled = correct[networks][:, :, examples]
    for measure in OVER_NETWORKS:
        np.testing.assert_allclose(measure(shuffled), measure(correct), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(agreement.accuracy(shuffled), agreement.accuracy(correct)[networks])


@given(predicted, st.randoms(use_true_random=False))
def test_hacohen_agreement_ignores_order_and_the_names_of_labels(predictions, random):
    names, networks = list(range(4)), list(range(len(predictions)))
    random.shuffle(names)
    random.shuffle(networks)
    renamed = np.array(names, np.uint8)[predictions[networks]]
    np.testing.assert_array_equal(agreement.hacohen_agreement(renamed), agreement.hacohen_agreement(predictions))


def test_independent_networks_agree_by_chance():
    accuracies = np.array([0.3, 0.5, 0.8])
    correct = np.random.default_rng(0).random((3, 1, 200_000)) < accuracies[:, None, None]
    # expected: 0.12 / 0.93, with a standard error of about 0.0008
    assert agreement.true_positive_agreement(correct)[0] == pytest.approx(0.12 / 0.93, abs=0.003)
    assert agreement.excess_agreement(correct)[0] == pytest.approx(0, abs=0.004)


def test_memory_mapped_bytes_give_the_same_numbers(tmp_path):
    rng = np.random.default_rng(0)
    predictions, labels = rng.integers(0, 10, (3, 4, 50), dtype=np.uint8), rng.integers(0, 10, 50)
    np.save(tmp_path / "predictions.npy", predictions)
    mapped = np.load(tmp_path / "predictions.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    for measure in (agreement.hacohen_agreement, lambda p: agreement.false_positive_agreement(p, labels)):
        np.testing.assert_array_equal(measure(mapped), measure(predictions))
        np.testing.assert_array_equal(measure(list(mapped)), measure(predictions))
    np.testing.assert_array_equal(
        agreement.true_positive_agreement(mapped == labels), agreement.true_positive_agreement(predictions == labels)
    )


def test_a_list_of_networks_stays_where_it_is():
    listed = [np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.int64)]
    checked = _check_predictions(listed)
    assert all(one is other for one, other in zip(checked, listed, strict=True))
    assert _check_predictions(listed[:1])[0] is listed[0]
    with pytest.raises(ValueError):  # their shapes differ
        _check_predictions([np.zeros((3, 4), int), np.zeros((3, 5), int)])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (np.ones((2, 3, 4)), "^correct must be a non-empty .*float64"),
        (np.ones((3, 4), bool), r"\(3, 4\)"),
        (np.ones((0, 3, 4), bool), r"\(0, 3, 4\)"),
        (np.ones((2, 0, 4), bool), r"\(2, 0, 4\)"),
    ],
)
def test_what_is_not_a_boolean_record_is_named(measure, bad, named):
    with pytest.raises(ValueError, match=named):
        measure(bad)


def test_bad_predictions_are_named():
    with pytest.raises(ValueError, match=r"^predictions must be a non-empty integer array .*float64"):
        agreement.hacohen_agreement(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"^labels must have shape \(4,\), .*\(3,\)$"):
        agreement.false_positive_agreement(np.ones((2, 3, 4), int), np.ones(3, int))
    with pytest.raises(ValueError, match=r"^labels must have shape \(4,\)"):  # of one network
        agreement.false_positive_agreement(np.ones((1, 3, 4), int), np.ones(3, int))
    with pytest.raises(ValueError, match=r"^labels must be integers, .*float64$"):
        agreement.false_positive_agreement(np.ones((2, 3, 4), int), np.ones(4))
    with pytest.raises(ValueError, match=r"^predicted must be boolean.*float64"):
        agreement.exact_match(np.full((1, 1, 2, 3), 0.7), np.ones((2, 3), bool))
    with pytest.raises(ValueError, match=r"^target must be boolean.*float64"):
        agreement.exact_match(np.ones((1, 1, 2, 3), bool), np.full((2, 3), 0.7))
    for shape in ((0, 1, 2, 3), (1, 1, 2, 3, 1)):  # each fits its target
        with pytest.raises(ValueError, match=r"^predicted must be non-empty"):
            agreement.exact_match(np.ones(shape, bool), np.ones(shape[2:], bool))
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        agreement.exact_match(np.ones((1, 1, 2, 3), bool), np.ones((2, 4), bool))


def test_each_kind_is_counted_against_all_of_its_examples():
    # two networks, two epochs, six examples; each string one network's epoch
    correct = np.array([[list("110111"), list("111111")], [list("100110"), list("111110")]]) == "1"
    found = agreement.agreement_by_kind(correct, np.array(["side", "side", "side", "top", "top", "ambient"]))
    assert list(found) == ["ambient", "side", "top"]
    np.testing.assert_array_equal(found["ambient"], [0, 0])
    np.testing.assert_allclose(found["side"], [1 / 3, 1])
    np.testing.assert_array_equal(found["top"], [1, 1])


@pytest.mark.parametrize("seed", range(5))
def test_weighted_by_their_sizes_the_kinds_give_the_whole(seed):
    random = np.random.default_rng(seed)
    correct, names = random.random((3, 7, 50)) < 0.8, random.integers(2, 6, 50)
    found = agreement.agreement_by_kind(correct, names)
    assert sorted(found) == sorted(set(names.tolist()))
    whole = sum(curve * (names == kind).mean() for kind, curve in found.items())
    np.testing.assert_allclose(whole, agreement.agreed(correct).mean(axis=1))


@pytest.mark.parametrize(
    "names", [np.array(["a", None, "b", None], object), np.array([1, np.nan, 2, np.nan]), pd.Series(["a", None, "b", None])]
)  # fmt: skip
def test_examples_without_a_kind_are_left_out(names):
    correct = np.array([[[True, True, False, False]]])
    first, second = agreement.agreement_by_kind(correct, names).values()
    assert first == [1] and second == [0]


def test_no_kinds_at_all():
    assert agreement.agreement_by_kind(np.ones((2, 3, 4), bool), np.full(4, np.nan)) == {}


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"shape \(4,\).*not \(3,\)"):
        agreement.agreement_by_kind(np.ones((2, 3, 4), bool), np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="boolean"):
        agreement.agreement_by_kind(np.ones((2, 3, 4)), np.array(list("abcd")))


def test_nan_among_names_is_no_name():
    assert list(agreement.agreement_by_kind(np.ones((1, 1, 2), bool), ["top", float("nan")])) == ["top"]


def test_chance_within_classes():
    """Networks that name the commonest class alone agree fully, as chance within classes does; over all classes it does not."""
    labels = np.array([0] * 9 + [1])
    correct = np.repeat((labels == 0)[None, None], 2, axis=0)
    assert agreement.chance_agreement(correct) == pytest.approx(0.81 / 0.99)
    assert agreement.chance_agreement(correct, labels) == pytest.approx(1)
    half = np.array([[[True, False, True, True]], [[False, True, True, True]]])  # 1/4 of 2, and all of 2
    expected = (2 * 1 / 4 + 2) / (2 * 3 / 4 + 2)
    assert agreement.chance_agreement(half, np.array([7, 7, 3, 3])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("better", "worse", "beats"),
    [(0, 0, False), (9, 9, False), (10, 0, True), (5, 0, False), (6, 0, True), (20, 8, True)],
)
def test_beating_the_commonest_class(better, worse, beats):
    """Two networks: twice the chance that one of them does by accident. 1/2^6 = 0.016, and twice that is under 5 %."""
    labels = np.array([0] * 60 + [1] * 40)
    correct = np.repeat((labels == 0)[None, None], 2, axis=0)
    correct[1, 0, :worse], correct[1, 0, 60 : 60 + better] = False, True
    assert agreement.beats_commonest(correct, labels) is beats
