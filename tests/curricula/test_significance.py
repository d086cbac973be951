import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from curricula import detectable_effect, holm, mean_interval, median_interval, seeds_needed, sign_flip_test, smallest_p
from curricula.significance import difference_test, variance_of

numbers = st.lists(st.integers(-20, 20), min_size=1, max_size=9)


def test_sign_flip_by_hand():
    # sums ±6 ±4 ±2 0 0 of 1, 2, 3 with all signs; |1 + 2 - 3| = 0 is no further from 0 than any, |-1 + 2 + 3| = 4
    assert sign_flip_test(np.array([1, 2, 3])) == 2 / 8
    assert sign_flip_test(np.array([-1, 2, 3])) == 4 / 8
    assert sign_flip_test(np.array([1, 2, -3])) == 1
    assert sign_flip_test(np.array([0, 0, 0.0])) == 1
    assert sign_flip_test(np.array([5.0])) == 1


def test_the_interval_of_a_median_by_hand_and_its_coverage():
    # of 8 the smallest and the largest: 1 − 2/256; the second ones would be 1 − 18/256 = 0.93
    assert median_interval(np.array([8, 1, 7, 2, 6, 3, 5, 4.0])) == (4.5, 1, 8)
    assert median_interval(np.array([8, 1, 7, 2, 6, 3, 5, 4, 0.0]))[1:] == (1, 7)  # of 9 they are: 1 − 20/512
    assert median_interval(np.array([1, np.inf, 2, 3, np.inf, np.inf, np.inf])) == (np.inf, 1, np.inf)
    assert median_interval(np.array([1, 2, 3, np.inf, np.inf, np.inf]))[0] == np.inf
    assert np.isnan(median_interval(np.arange(5.0))[1:]).all()
    draw = np.random.default_rng(0)
    found = np.array([median_interval(draw.exponential(size=12)) for _ in range(2000)])
    assert 0.95 < np.mean((found[:, 1] <= np.log(2)) & (np.log(2) <= found[:, 2])) < 0.975  # 0.961 in theory


@given(differences=numbers)
def test_sign_flip_counts_all_patterns_with_ties(differences):
    # tenths are no exact floats, so that equal sums differ in their last bits
    patterns = itertools.product([1, -1], repeat=len(differences))
    sums = [abs(sum(sign * x for sign, x in zip(pattern, differences, strict=True))) for pattern in patterns]
    expected = np.mean([total >= abs(sum(differences)) for total in sums])
    assert sign_flip_test(np.array(differences) / 10) == expected
    assert sign_flip_test(-np.array(differences) / 1e7) == expected


@pytest.mark.parametrize("n", [2, 5, 8, 12, 16])
def test_sign_flip_agrees_with_scipy(n):
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    reference = stats.permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert sign_flip_test(differences) == pytest.approx(reference.pvalue, abs=1e-12)


def test_drawn_patterns_agree_with_the_t_test_and_are_reproducible():
    differences = np.random.default_rng(1).normal(0.3, 1, 60)
    p = sign_flip_test(differences)
    assert p == sign_flip_test(differences)
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=0.2)
    # never 0: the observed pattern counts
    assert sign_flip_test(np.ones(60), resamples=999) == 1 / 1000


@pytest.mark.parametrize("n", [6, 8])
def test_p_values_are_uniform_under_the_null(n):
    rng = np.random.default_rng(n)
    # symmetric, but far from normal, and of different spread
    drawn = rng.standard_t(2, (4000, n)) * rng.uniform(0.5, 3, (4000, n))
    p_values = np.array([sign_flip_test(differences) for differences in drawn])
    # without ties each of the 2^(n-1) possible values 2k/2^n is equally likely
    observed = np.bincount(np.rint(p_values * 2 ** (n - 1)).astype(int), minlength=2 ** (n - 1) + 1)
    assert observed[0] == 0
    assert stats.chisquare(observed[1:]).pvalue > 0.001
    # and its power is not that of a coin: shifted differences are found
    assert np.mean([sign_flip_test(row + 4) <= 0.05 for row in rng.normal(size=(300, n))]) > 0.99


def test_holm_by_hand():
    # 0.01 · 4, 0.02 · 3, 0.03 · 2 = 0.06, 0.9
    np.testing.assert_allclose(holm(np.array([0.02, 0.9, 0.01, 0.03])), [0.06, 0.9, 0.04, 0.06])
    np.testing.assert_allclose(holm(np.array([0.5, 0.6])), [1, 1])
    # 0.03 · 1 would fall below 0.02 · 2
    np.testing.assert_allclose(holm(np.array([0.02, 0.03])), [0.04, 0.04])
    assert holm(np.array([0.2])) == 0.2 and len(holm(np.array([]))) == 0


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=6), level=st.floats(0.001, 0.2))
def test_holm_rejects_what_the_sequential_procedure_rejects(p_values, level):
    corrected = holm(np.array(p_values))
    rejected = set()
    for left, i in zip(range(len(p_values), 0, -1), np.argsort(p_values, kind="stable"), strict=True):
        if p_values[i] * left > level:
            break
        rejected.add(int(i))
    assert set(np.flatnonzero(corrected <= level)) == rejected


def test_holm_keeps_the_familywise_error():
    rng = np.random.default_rng(0)
    baseline, arms = rng.normal(size=(1500, 1, 8)), rng.normal(size=(1500, 3, 8))
    # three arms against one baseline: dependent tests
    p_values = [[sign_flip_test(row) for row in rows] for rows in arms - baseline]
    wrong = np.mean([holm(np.array(row)).min() <= 0.05 for row in p_values])
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1500)


def test_what_seeds_can_show():
    assert smallest_p(5) == 0.0625 and smallest_p(6) == 0.03125
    assert [seeds_needed(arms) for arms in (1, 2, 3, 4)] == [6, 7, 7, 8]
    assert seeds_needed(1, 0.001) == 11
    for seeds in range(1, 9):
        assert sign_flip_test(np.arange(1, seeds + 1)) == smallest_p(seeds)
    for arms in range(1, 6):
        # all arms as clear as can be
        least = seeds_needed(arms)
        assert holm(np.full(arms, smallest_p(least))).max() <= 0.05 < holm(np.full(arms, smallest_p(least - 1))).min()


@pytest.mark.parametrize("seeds, level", [(6, 0.05), (8, 0.05 / 3), (10, 0.05), (13, 0.05 / 3), (16, 0.05)])
def test_the_detectable_effect_is_found_with_the_stated_probability(seeds, level):
    effect = detectable_effect(seeds, level)
    runs = 2000 if seeds <= 10 else 500
    drawn = np.random.default_rng(99).normal(effect, 1, (runs, seeds))
    found = np.mean([sign_flip_test(differences) <= level + 1e-9 for differences in drawn])
    assert abs(found - 0.8) < 3.5 * np.sqrt(0.8 * 0.2 / runs) + 0.01


def test_the_formula_beyond_twelve_seeds_is_the_power_of_the_t_test():
    for seeds, level, power in ((13, 0.05, 0.8), (30, 0.05 / 3, 0.9), (200, 0.01, 0.5)):
        noncentrality = detectable_effect(seeds, level, power) * np.sqrt(seeds)
        critical = stats.t.isf(level / 2, seeds - 1)
        assert stats.nct.sf(critical, seeds - 1, noncentrality) == pytest.approx(power, abs=1e-6)
    # two textbook numbers: 33.4 pairs for d = 0.5, 198.2 for 0.2 at power 0.8 (G*Power 3: 34 and 199)
    assert detectable_effect(34) < 0.5 < detectable_effect(33)
    assert detectable_effect(199) < 0.2 < detectable_effect(198)


def test_too_few_seeds_detect_nothing_and_more_detect_more():
    assert detectable_effect(5) == detectable_effect(6, 0.05 / 3) == np.inf
    effects = [detectable_effect(seeds) for seeds in range(6, 21)]
    assert all(more < fewer for fewer, more in itertools.pairwise(effects))


@pytest.mark.parametrize("differences", [[], [[1.0, 2.0]], [1.0, np.nan], [np.inf, 1.0]])
def test_bad_differences(differences):
    with pytest.raises(ValueError, match="differences must be"):
        sign_flip_test(np.array(differences))


def test_bad_numbers():
    for call in (
        lambda: holm(np.array([0.5, 1.5])),
        lambda: holm(np.array([np.nan])),
        lambda: smallest_p(0),
        lambda: seeds_needed(0),
        lambda: seeds_needed(3, 0),
        lambda: detectable_effect(8, 2),
        lambda: detectable_effect(8, 0.05, 1),
    ):
        with pytest.raises(ValueError, match=r"(must be)"):
            call()


def test_even_little_power_needs_an_effect():
    few, more = (detectable_effect(seeds, 0.05, power=0.04) for seeds in (8, 13))
    assert few > 0.02 and more > 0.02


def planted(seeds: int, examples: int, of_seeds: float, of_examples: float, rng: np.random.Generator) -> np.ndarray:
    """Differences between two arms that are equally good over all seeds and examples, in {-1, 0, 1}."""
    which = rng.normal(1.5, 1.5, examples)
    chances = [
        1 / (1 + np.exp(-(which + rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_examples, examples))))
        for _ in range(2)
    ]
    first, second = (rng.random((seeds, examples)) < chance for chance in chances)
    return first.astype(np.int8) - second.astype(np.int8)


def test_variance_by_hand():
    # two seeds, three examples; means of seeds 0, 1, of examples 0, .5, 1; the rest adds up without error
    values = np.array([[-0.5, 0, 0.5], [0.5, 1, 1.5]])
    # MS_seed = 3 · (.25 + .25) = 1.5, MS_example = 2 · (.25 + .25)/2 = .5, MS_rest = 0
    assert variance_of(values) == (pytest.approx((1.5 + 0.5) / 6), pytest.approx(2**2 / (1.5**2 / 1 + 0.5**2 / 2)))
    assert variance_of(values[:, 0]) == (pytest.approx(0.25), 1)
    # of one example there is nothing to say: the seeds alone
    assert mean_interval(values[:, :1]) == mean_interval(values[:, 0])


@given(seeds=st.integers(2, 6), examples=st.integers(2, 9), seed=st.integers(0, 99))
def test_variance_never_falls_below_that_of_the_seeds_alone(seeds, examples, seed):
    values = np.random.default_rng(seed).integers(-1, 2, (seeds, examples))
    variance, freedom = variance_of(values)
    assert variance >= values.mean(axis=1).var(ddof=1) / seeds - 1e-12 and freedom >= min(seeds, examples) - 1 - 1e-9
    turned = values[::-1, np.random.default_rng(1).permutation(examples)]
    assert variance_of(turned) == pytest.approx((variance, freedom))
    assert variance_of(-values) == pytest.approx((variance, freedom))
    assert difference_test(values) >= sign_flip_test(values.mean(axis=1))


def test_one_example_that_is_better_with_all_seeds_shows_nothing():
    better = np.zeros((8, 10), np.int8)
    better[:, 3] = 1
    assert sign_flip_test(better.mean(axis=1)) == 2 / 256
    assert difference_test(better) == pytest.approx(2 * stats.t.sf(1, 9))  # as of the ten means 0, ..., 1, ..., 0
    low, high = mean_interval(better)[1:]
    assert low < 0 < high


@pytest.mark.parametrize("of_seeds, of_examples", [(0, 0), (0.3, 0), (0, 0.8), (0.3, 0.8)])
def test_intervals_cover_what_other_seeds_and_other_examples_would_give(of_seeds, of_examples):
    rng = np.random.default_rng(3)
    drawn = [planted(8, 100, of_seeds, of_examples, rng) for _ in range(400)]
    covered = np.mean([low <= 0 <= high for _, low, high in map(mean_interval, drawn)])
    assert covered > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)
    assert np.mean([difference_test(each) <= 0.05 for each in drawn]) < 0.05 + 3 * np.sqrt(0.95 * 0.05 / 400)


def test_seeds_alone_do_not_cover_other_examples():
    rng = np.random.default_rng(4)
    drawn = [planted(8, 30, 0.3, 1.5, rng).mean(axis=1) for _ in range(400)]
    assert np.mean([low <= 0 <= high for _, low, high in map(mean_interval, drawn)]) < 0.9
