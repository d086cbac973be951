import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from curricula import ARMS, combine, missing, order

arms = pytest.mark.parametrize("arm", ARMS)
values = st.floats(allow_nan=True, allow_infinity=True)
# without those whose scores are all missing, which `order` refuses
tables = (
    st.integers(1, 60)
    .flatmap(lambda n: st.tuples(arrays(float, n, elements=values), arrays(int, n, elements=st.integers(0, 4))))
    .filter(lambda table: not np.isnan(table[0]).all())
)


@arms
@given(table=tables, balance=st.booleans(), seed=st.integers(0, 99), descending=st.booleans())
def test_a_permutation(arm, table, balance, seed, descending):
    scores, labels = table
    ordered = order(scores, arm, labels, balance, seed, descending)
    assert ordered.dtype == np.int64
    assert sorted(ordered) == list(range(len(scores)))
    assert (ordered == order(scores, arm, labels, balance, seed, descending)).all()


@given(table=tables, seed=st.integers(0, 99))
def test_sorted_with_missing_scores_at_the_end(table, seed):
    scores, _ = table
    known = len(scores) - len(missing(scores))
    for arm, flip, sign in (("curriculum", 0, 1), ("anti", 0, -1), ("curriculum", 1, -1), ("anti", 1, 1)):
        ordered = sign * scores[order(scores, arm, seed=seed, descending=bool(flip))]
        assert (ordered[:-1] <= ordered[1:])[: max(known - 1, 0)].all()
        assert np.isnan(ordered[known:]).all() and not np.isnan(ordered[:known]).any()


def deviations(ordered, labels):
    """|count in the prefix - m share| of every prefix and class, and the shares."""
    member = labels[ordered][:, None] == np.unique(labels)
    shares = member.mean(axis=0)
    lengths = np.arange(1, len(labels) + 1)[:, None]
    return np.abs(member.cumsum(axis=0) - lengths * shares), shares


@arms
@given(table=tables, seed=st.integers(0, 9))
def test_prefixes_keep_class_proportions_within_the_stated_bound(arm, table, seed):
    scores, labels = table
    off, shares = deviations(order(scores, arm, labels, seed=seed), labels)
    assert (off.max(axis=0) <= (1 + shares * (len(shares) - 2)) / 2 + 1e-9).all()


@arms
def test_equal_classes_are_off_by_less_than_one_and_without_balance_they_are_not(arm):
    labels = np.repeat(np.arange(10), 100)
    scores = labels + np.random.default_rng(0).random(1000)  # one class is easier than the next
    balanced, _ = deviations(order(scores, arm, labels), labels)
    assert balanced.max() <= 1 - 1 / 10 + 1e-9
    unbalanced, _ = deviations(order(scores, arm, labels, balance=False), labels)
    assert unbalanced.max() > (80 if arm in ("curriculum", "anti") else 3)


@given(table=tables, seed=st.integers(0, 99))
def test_within_a_class_balance_changes_nothing(table, seed):
    scores, labels = table
    for arm in ARMS:
        plain, balanced = order(scores, arm, seed=seed), order(scores, arm, labels, seed=seed)
        for label in np.unique(labels):
            assert plain[labels[plain] == label].tolist() == balanced[labels[balanced] == label].tolist()


def test_by_hand_balanced():
    #                  0    1    2    3    4    5
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.8])
    labels = np.array([7, 7, 7, 7, 2, 2])
    # places of class 7: 1/8, 3/8, 5/8, 7/8; of class 2: 1/4 (example 5), 3/4 (example 4)
    assert order(scores, "curriculum", labels).tolist() == [0, 5, 1, 2, 4, 3]
    # 7: example 3, 2, 1, 0; 2: 4, 5
    assert order(scores, "anti", labels).tolist() == [3, 4, 2, 1, 5, 0]
    # equal places are decided by the score, as in both papers: easier class first in each group
    assert order(np.array([5, 6, 1, 9]), "curriculum", np.array([0, 0, 1, 1])).tolist() == [2, 0, 1, 3]


def test_by_hand_within_clusters():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    clusters = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert order(scores, "curriculum", clusters=clusters).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert order(scores, "anti", clusters=clusters).tolist() == [7, 3, 6, 2, 5, 1, 4, 0]
    # a cluster that two classes share counts as two: of class 0 the even, of class 1 the odd
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    assert order(scores, "curriculum", labels, clusters=clusters).tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    assert order(scores, "curriculum", labels, balance=False, clusters=clusters).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


@given(table=tables, seed=st.integers(0, 99))
def test_every_prefix_is_as_varied_as_the_whole(table, seed):
    scores, labels = table
    clusters = np.random.default_rng(seed).integers(3, size=len(scores))
    for arm in ARMS:
        ordered = order(scores, arm, labels, seed=seed, clusters=clusters)
        assert sorted(ordered) == list(range(len(scores)))
        groups = 3 * np.unique(labels, return_inverse=True)[1] + clusters
        share = np.bincount(groups) / len(groups)
        taken = np.cumsum(groups[ordered][:, None] == np.arange(len(share)), axis=0)
        off = np.abs(taken - np.arange(1, len(groups) + 1)[:, None] * share)
        kinds = (share > 0).sum()
        assert np.all(off <= (1 + share * (kinds - 2)) / 2 + 1e-9)


def test_never_learned_is_hardest_and_missing_is_last():
    scores = np.array([np.inf, 3.0, np.nan, -np.inf, 1.0])
    assert order(scores, "curriculum").tolist() == [3, 4, 1, 0, 2]
    assert order(scores, "anti").tolist() == [0, 1, 4, 3, 2]
    assert missing(scores).tolist() == [2]


def test_missing_scores_are_last_in_their_class_under_balance():
    scores = np.array([np.nan, np.nan, 1.0, 2.0, np.nan, 3.0])
    labels = np.array([0, 0, 1, 1, 1, 1])
    for arm, first in (("curriculum", 2), ("anti", 5)):
        ordered = order(scores, arm, labels)
        assert ordered[labels[ordered] == 1][[0, -1]].tolist() == [first, 4]


@pytest.mark.parametrize("arm", ["curriculum", "anti"])
@pytest.mark.parametrize("balance", [False, True])
def test_ties_carry_no_trace_of_the_index(arm, balance):
    scores, labels = np.repeat([0.0, 1.0], 50), np.arange(100) % 2
    places = [np.argsort(order(scores, arm, labels, balance, seed)) for seed in range(400)]
    first = np.mean(places, axis=0)[:50] if arm == "curriculum" else np.mean(places, axis=0)[50:]
    # a place among 50 has deviation 14.4, its mean over 400 seeds 0.72: five deviations
    assert np.abs(first - 24.5).max() < 5 * 0.75
    assert order(scores, arm, seed=1).tolist() != order(scores, arm, seed=2).tolist()


def test_random_does_not_look_at_the_scores():
    rng = np.random.default_rng(0)
    scores = rng.random(500)
    assert (order(scores, "random", seed=3) == order(-scores, "random", seed=3)).all()
    rho = [np.corrcoef(np.arange(500), scores[order(scores, "random", seed=seed)])[0, 1] for seed in range(100)]
    assert abs(np.mean(rho)) < 5 * 0.0045  # 1/sqrt(500) over 100 seeds


@pytest.mark.parametrize(
    "arm, suggestion", [("anti-curr", "anti"), ("Curriculum", "curriculum"), ("shufled", "shuffled")]
)
def test_a_misspelt_arm_is_rejected_with_the_nearest(arm, suggestion):
    with pytest.raises(ValueError, match=f"unknown arm '{arm}': did you mean {suggestion}") as error:
        order(np.arange(3.0), arm)
    assert "\n" not in str(error.value)


def test_an_arm_like_no_other_gets_the_list():
    with pytest.raises(ValueError, match="unknown arm 'xyz'; there are shuffled, curriculum, anti, random"):
        order(np.arange(3.0), "xyz")


def test_bad_scores_and_labels():
    for scores in (np.zeros((2, 2)), np.array([]), np.array(["a"])):
        with pytest.raises(ValueError, match="scores must be one number per example"):
            order(scores, "curriculum")
    with pytest.raises(ValueError, match=r"labels must be one per example, \(3,\), not of shape \(2,\)"):
        order(np.arange(3.0), "curriculum", np.array([0, 1]))
    with pytest.raises(ValueError, match=r"clusters must be one per example, \(3,\), not of shape \(4,\)"):
        order(np.arange(3.0), "curriculum", clusters=np.zeros(4))


def test_combine_is_the_mean_of_ranks():
    a, b = np.array([10.0, 20.0, 20.0, 5.0]), np.array([1.0, np.inf, -2.0, np.inf])
    # ranks 2, 3.5, 3.5, 1 and 2, 3.5, 1, 3.5
    assert combine([a, b]).tolist() == [2.0, 3.5, 2.25, 2.25]
    np.testing.assert_array_equal(combine([a]), rankdata(a))


def test_combine_ranks_only_examples_that_have_all_scores():
    a, b = np.array([np.nan, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, np.nan])
    np.testing.assert_array_equal(combine([a, b]), [np.nan, 1, 2, np.nan])
    np.testing.assert_array_equal(combine([a, np.full(4, np.nan)]), np.full(4, np.nan))


def test_combine_refuses():
    with pytest.raises(ValueError, match="no scores"):
        combine([])
    with pytest.raises(ValueError, match="scores of 2, 3 examples"):
        combine([np.zeros(2), np.zeros(3)])


@pytest.mark.parametrize("arm", ["curriculum", "anti"])
def test_no_score_at_all_gives_no_order(arm):
    with pytest.raises(ValueError, match="all scores are NaN, which gives no order"):
        order(np.full(4, np.nan), arm)
    assert sorted(order(np.full(4, np.nan), "random")) == [0, 1, 2, 3]
