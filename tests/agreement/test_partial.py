"""Partial correlations: against plain least squares on ranks, and where class or another statistic explains it all."""

import numpy as np
import pytest
from scipy import stats

from agreement import correlation_table, explained_variance, partial_correlations

DRAW = np.random.default_rng(0)
N = 2000
LABELS = DRAW.integers(4, size=N)
CAUSE = DRAW.normal(size=N)
LEARNED = np.rint(10 + 3 * CAUSE + DRAW.normal(size=N))


def test_with_one_class_it_is_the_textbooks_partial_rank_correlation():
    other = CAUSE + DRAW.normal(size=N)
    table = partial_correlations({"cause": CAUSE, "other": other}, LEARNED, np.zeros(N, int))
    r = stats.spearmanr(np.column_stack([CAUSE, other, LEARNED])).statistic
    expected = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    assert table.loc["cause", "rho"] == pytest.approx(expected, abs=1e-12)
    t = expected * np.sqrt((N - 3) / (1 - expected**2))
    assert table.loc["cause", "p"] == pytest.approx(2 * stats.t.sf(abs(t), N - 3), rel=1e-6)


def test_alone_it_is_the_correlation_within_classes():
    table = partial_correlations({"cause": CAUSE}, LEARNED, LABELS)
    within = correlation_table({"cause": CAUSE}, LEARNED, LABELS, resamples=1)
    assert table.loc["cause", "rho"] == pytest.approx(within.loc["cause", "within_rho"], abs=1e-12)


def test_what_only_follows_the_cause_or_the_class_is_nothing_once_these_are_fixed():
    shadow, of_class = CAUSE + DRAW.normal(size=N), LABELS + 0.1 * DRAW.normal(size=N)
    table = partial_correlations({"cause": CAUSE, "shadow": shadow, "class": of_class}, LEARNED + 5 * LABELS, LABELS)
    assert table.loc["cause", "rho"] > 0.8 and table.loc["cause", "q"] < 1e-10
    assert abs(table.loc["shadow", "rho"]) < 0.08
    assert abs(table.loc["class", "rho"]) < 0.08


def test_p_is_uniform_where_there_is_nothing():
    p = [
        partial_correlations(
            {"a": (a := DRAW.normal(size=60)), "b": a + DRAW.normal(size=60)}, DRAW.normal(size=60), np.arange(60) % 2
        )["p"].to_numpy()
        for _ in range(300)
    ]
    assert stats.kstest(np.ravel([row[:1] for row in p]), "uniform").pvalue > 0.001


def test_a_statistic_that_follows_from_the_others_or_never_varies_is_nan():
    table = partial_correlations({"a": CAUSE, "b": 2 * CAUSE, "c": np.ones(N)}, LEARNED, LABELS)
    assert np.isnan(table["rho"]).all() and np.isnan(table["q"]).all()


def test_examples_that_lack_a_statistic_are_left_out():
    some = np.where(np.arange(N) < 1500, CAUSE, np.nan)
    other = DRAW.normal(size=N)
    table = partial_correlations({"some": some, "other": other}, LEARNED, LABELS)
    rows = slice(1500)
    alone = partial_correlations({"some": some[rows], "other": other[rows]}, LEARNED[rows], LABELS[rows])
    np.testing.assert_allclose(table.to_numpy(), alone.to_numpy())
    assert table["n"].tolist() == [1500, 1500]


def test_only_what_is_to_be_fixed_is():
    noisy = CAUSE + np.random.default_rng(7).normal(size=N)
    every = {"cause": CAUSE, "noisy": noisy}
    table = partial_correlations(every, LEARNED, LABELS, fixed=["cause"])
    assert table["rho"]["cause"] == partial_correlations({"cause": CAUSE}, LEARNED, LABELS)["rho"]["cause"]
    assert table["rho"]["noisy"] == partial_correlations(every, LEARNED, LABELS)["rho"]["noisy"]


@pytest.mark.parametrize("n", [4, 5, 9])
def test_each_statistic_held_fixed_costs_a_degree_of_freedom(n):
    """n - 1 ranks vary freely, one more goes to the correlation and one to the other statistic; with none left, NaN."""
    random = np.random.default_rng(0)
    table = partial_correlations(
        {"a": random.normal(size=n), "b": random.normal(size=n)}, random.normal(size=n), np.zeros(n)
    )
    t = table["rho"] * np.sqrt((n - 3) / (1 - table["rho"] ** 2))
    assert np.isfinite(table["rho"]).all() and (table["rho"].abs() < 1).all()
    np.testing.assert_allclose(table["p"], 2 * stats.t.sf(t.abs(), n - 3))
    assert table.index.name == "statistic" and table["n"].dtype.kind == "i"
    rare = np.where(np.arange(n) < 3, [1, 3, 2, *range(n - 3)], np.nan)
    few = partial_correlations({"rare": rare, "a": [2, 1, 3, *CAUSE[3:n]]}, np.arange(n), np.zeros(n), ["a"])
    assert np.isnan(few.loc["rare", "rho"]) and few.loc["rare", "n"] == 3
    assert few.loc["a", "n"] == n and np.isfinite(few.loc["a", "rho"])


def test_classes_of_one_are_no_evidence():
    labels = np.append(np.zeros(10, int), np.arange(1, 91))
    x, y = DRAW.normal(size=(2, 100))
    alone = partial_correlations({"x": x}, y, labels).loc["x"]
    within = correlation_table({"x": x}, y, labels, resamples=1).loc["x"]
    assert alone["p"] == pytest.approx(within["within_p"], rel=1e-9)


def test_an_annotation_that_few_examples_have_costs_the_statistics_nothing():
    rare = np.where(np.arange(N) < 20, CAUSE, np.nan)
    table = partial_correlations({"cause": CAUSE, "rare": rare}, LEARNED, LABELS, fixed=["cause"])
    alone = partial_correlations({"cause": CAUSE}, LEARNED, LABELS)
    assert table.loc["cause", ["n", "rho", "p"]].tolist() == alone.loc["cause", ["n", "rho", "p"]].tolist()
    assert table.loc["rare", "n"] == 20


def test_what_is_constant_within_classes_explains_nothing_beyond_them():
    labels = np.minimum(DRAW.geometric(0.03, 2000), 400)
    of_class, learned = DRAW.normal(size=401)[labels], DRAW.integers(1, 9, 2000)
    found = explained_variance({"of class": of_class}, learned, labels)
    assert found["classes_and_statistics"] == pytest.approx(found["classes"], abs=1e-9)
