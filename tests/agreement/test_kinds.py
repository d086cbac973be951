import doctest

import numpy as np
import pandas as pd
import pytest

import agreement
from agreement import kinds


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


def test_the_example_in_the_docstring_is_true():
    result = doctest.testmod(kinds)
    assert result.attempted > 0 and result.failed == 0


def test_nan_among_names_is_no_name():
    assert list(agreement.agreement_by_kind(np.ones((1, 1, 2), bool), ["top", float("nan")])) == ["top"]
