"""Partial correlations: against the textbook where few examples allow lines only, and where confounders act in curves."""

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
    few = slice(50)  # fewer than ten examples for each coefficient of a spline
    table = partial_correlations({"cause": CAUSE[few], "other": other[few]}, LEARNED[few], np.zeros(50, int))
    r = stats.spearmanr(np.column_stack([CAUSE, other, LEARNED])[few]).statistic
    expected = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    assert table.loc["cause", "rho"] == pytest.approx(expected, abs=1e-12)
    assert table.loc["cause", "low"] < expected < table.loc["cause", "high"]


def test_alone_it_is_the_correlation_within_classes():
    table = partial_correlations({"cause": CAUSE}, LEARNED, LABELS)
    within = correlation_table({"cause": CAUSE}, LEARNED, LABELS)
    assert table.loc["cause", "rho"] == pytest.approx(within.loc["cause", "within_rho"], abs=0.005)


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
        for _ in range(150)
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
    assert table["rho"]["cause"] == pytest.approx(
        partial_correlations({"cause": CAUSE}, LEARNED, LABELS)["rho"]["cause"]
    )
    assert table["rho"]["noisy"] == pytest.approx(partial_correlations(every, LEARNED, LABELS)["rho"]["noisy"])


def random_again(n: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=n) for _ in range(3)]


@pytest.mark.parametrize("n", [4, 5, 9])
def test_each_statistic_held_fixed_costs_a_degree_of_freedom(n):
    """n - 1 ranks vary freely, one more goes to the correlation and one to the other statistic; with none left, NaN."""
    random = np.random.default_rng(0)
    table = partial_correlations(
        {"a": random.normal(size=n), "b": random.normal(size=n)}, random.normal(size=n), np.zeros(n)
    )
    assert np.isfinite(table["rho"]).all() and (table["rho"].abs() < 1).all()
    ranks = np.array([stats.rankdata(each) for each in random_again(n)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    a, b, y = ranks
    u, v = (each - b * (b @ each) / (b @ b) for each in (a, y))
    t = u @ v / np.sqrt((u * u * v * v).sum() * n / (n - 3))  # White's
    assert table.loc["a", "p"] == pytest.approx(2 * stats.t.sf(abs(t), n - 3))
    assert table.index.name == "statistic" and table["n"].dtype.kind == "i"
    rare = np.where(np.arange(n) < 3, [1, 3, 2, *range(n - 3)], np.nan)
    few = partial_correlations({"rare": rare, "a": [2, 1, 3, *CAUSE[3:n]]}, np.arange(n), np.zeros(n), ["a"])
    assert np.isnan(few.loc["rare", "rho"]) and few.loc["rare", "n"] == 3
    assert few.loc["a", "n"] == n and np.isfinite(few.loc["a", "rho"])


def test_small_classes_are_not_printed():
    x, y = DRAW.normal(size=(2, 400))
    for size, printed in ((10, False), (40, True)):
        row = partial_correlations({"x": x}, y, np.arange(400) // size).loc["x"]
        assert row["n"] == 400 and np.isfinite(row["rho"]) == printed == np.isfinite(row["p"])


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 10])
def test_a_confounder_in_a_u_is_held_fixed(classes):
    """Straight lines see nothing of it: with them all 300 of 300 draws had a star."""
    stars = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cause, x, y = rng.normal(size=(3, 1500))
        values = {"x": x + cause**2, "cause": cause}
        stars.append(partial_correlations(values, y + cause**2, np.arange(1500) % classes).loc["x", "p"] < 0.05)
    assert np.mean(stars) < 0.17  # 5 %, within 4 standard errors


@pytest.mark.slow
def test_intervals_cover_with_a_curved_confounder():
    def draw(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels, cause, x, y = rng.integers(0, 3, n), *rng.normal(size=(3, n))
        x = x + cause + np.abs(cause)
        return {"x": x, "cause": cause}, cause - np.abs(cause) + 0.4 * x + y + labels, labels

    truth = partial_correlations(*draw(100_000, 10**6), fixed=["cause"]).loc["x", "rho"]
    rows = [partial_correlations(*draw(300, seed), fixed=["cause"]).loc["x"] for seed in range(100)]
    assert np.mean([row.low <= truth <= row.high for row in rows]) > 0.86
    assert np.mean([row.rho for row in rows]) == pytest.approx(truth, abs=0.03)


def test_networks_widen_the_interval():
    order = LEARNED + 3 * np.random.default_rng(1).normal(size=(4, 1)) * CAUSE
    values = {"cause": CAUSE, "other": CAUSE + np.random.default_rng(2).normal(size=N)}
    several, one = (partial_correlations(values, each, LABELS) for each in (order, order.mean(axis=0)))
    np.testing.assert_allclose(several["rho"], one["rho"])
    assert ((several["high"] - several["low"]) > (one["high"] - one["low"])).all()
    assert (several["p"] >= one["p"]).all()
    targets = [np.delete(order, k, axis=0).mean(axis=0) for k in range(4)]
    each = [partial_correlations(values, target, LABELS).loc["cause", "rho"] for target in targets]
    rho, low, high = one.loc["cause", ["rho", "low", "high"]]
    among = np.sqrt(3 / 4 * ((each - np.mean(each)) ** 2).sum()) / (1 - rho**2)
    example = (np.arctanh(high) - np.arctanh(low)) / 2 / 1.961
    reach = np.arctanh(several.loc["cause", "high"]) - np.arctanh(rho)
    assert 1.9 * np.hypot(among, example) < reach < 3.3 * np.hypot(among, example)


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
    share = found["share"]
    assert share["classes_and_statistics"] == pytest.approx(share["classes"], abs=1e-9)
