import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up import made_up
from scipy import stats
from scipy.stats import kstest, rankdata, spearmanr
from scipy.stats import t as student

import agreement
from agreement import _bootstrap as bootstrap
from agreement import _ranks as ranks
from agreement import correlation_table, explained_variance, partial_correlations

INTERVALS = [("low", "high"), ("within_low", "within_high")]


def within_ranks(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Midranks within classes, centred, over the size of the class."""
    ranks = np.empty(len(values))
    for label in np.unique(labels):
        own = labels == label
        ranks[own] = (rankdata(values[own]) - (own.sum() + 1) / 2) / own.sum()
    return ranks


def naive_within_rho(x: np.ndarray, y: np.ndarray, labels: np.ndarray) -> float:
    return np.corrcoef(within_ranks(x, labels), within_ranks(y, labels))[0, 1]


# ---- the paper's curve ----


def test_curve_by_hand():
    correct = np.array([[[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], [[1, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]], bool)
    # agreed on: example 1; examples 1, 2, 3; none
    curve = agreement.statistic_curve(correct, np.array([2.0, 4.0, 9.0, 100.0]))
    np.testing.assert_allclose(curve, [2, 5, np.nan])
    curve = agreement.statistic_curve(correct, np.array([np.nan, 4.0, 9.0, 100.0]))
    np.testing.assert_allclose(curve, [np.nan, 6.5, np.nan])


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)).flatmap(
        lambda shape: st.tuples(
            arrays(bool, shape), arrays(float, shape[2], elements=st.floats(-5, 5) | st.just(np.nan))
        )
    )
)
def test_curve_against_a_slow_loop(case):
    correct, values = case
    for t, mean in enumerate(agreement.statistic_curve(correct, values)):
        agreed = [v for n, v in enumerate(values) if correct[:, t, n].all() and v == v]
        assert mean == pytest.approx(sum(agreed) / len(agreed) if agreed else np.nan, nan_ok=True, abs=1e-12)


# ---- Spearman ----


def test_spearman_by_hand():
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15)
    assert agreement.spearman([1, 2, 3, 4], [1, 3, 2, np.inf]) == pytest.approx(0.8)
    # ranks 1, 2.5, 2.5 against 1, 2, 3: covariance 1.5, variances 1.5 and 2
    assert agreement.spearman([1, np.inf, np.inf], [1, 2, 3]) == pytest.approx(1.5 / np.sqrt(3))


@given(st.integers(2, 30).flatmap(lambda n: arrays(float, (2, n), elements=st.integers(0, 6).map(float))))
def test_spearman_against_scipy(pair):
    x, y = pair
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(agreement.spearman(x, y))
    else:
        assert agreement.spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert agreement.spearman(y, x) == pytest.approx(agreement.spearman(x, y), nan_ok=True)


def test_spearman_leaves_out_pairs_with_nan():
    x, y = np.array([1, np.nan, 3, 2, 8.0]), np.array([5, 1, 7, 9, np.nan])
    assert agreement.spearman(x, y) == pytest.approx(spearmanr([1, 3, 2], [5, 7, 9]).statistic)


# ---- the table ----


def test_table_against_scipy_and_a_loop_over_classes():
    statistics, learned, labels = made_up(200)
    table = agreement.correlation_table(statistics, learned, labels, resamples=50)
    assert list(table.index) == list(statistics)
    for name, values in statistics.items():
        known = ~np.isnan(values)
        expected = spearmanr(values[known], learned[known])
        assert table.n[name] == known.sum()
        assert table.rho[name] == pytest.approx(expected.statistic, abs=1e-12)
        assert table.p[name] == pytest.approx(expected.pvalue, rel=1e-8, abs=0)  # they are tiny
        within = naive_within_rho(values[known], learned[known], labels[known])
        assert table.within_rho[name] == pytest.approx(within, abs=1e-12)
    assert table.n["gaps"] < table.n["counts"] == 200


@pytest.mark.parametrize("resamples", [7, bootstrap.BLOCK, 2 * bootstrap.BLOCK + 1])
def test_intervals_equal_those_of_a_naive_bootstrap(resamples):
    statistics, learned, labels = made_up(150, seed=1)
    table = agreement.correlation_table(statistics, learned, labels, resamples=resamples, seed=5)
    drawn = []
    for block in range(-(-resamples // bootstrap.BLOCK)):
        rng = np.random.default_rng([5, block])
        drawn += [rng.integers(150, size=150) for _ in range(bootstrap.BLOCK)]
    for name, values in statistics.items():
        rho, within_rho = [], []
        for indices in drawn[:resamples]:
            indices = indices[~np.isnan(values[indices])]
            rho.append(spearmanr(values[indices], learned[indices]).statistic)
            within_rho.append(naive_within_rho(values[indices], learned[indices], labels[indices]))
        for (low, high), values_drawn in zip(INTERVALS, (rho, within_rho), strict=True):
            expected = np.quantile(values_drawn, [0.025, 0.975])
            np.testing.assert_allclose(table.loc[name, [low, high]].astype(float), expected, rtol=0, atol=1e-12)


def test_every_resample_equals_spearmanr():
    statistics, learned, labels = made_up(80, seed=2)
    weights = bootstrap._resampled_weights(80, seed=3, block=4)
    assert (weights.sum(axis=0) == 80).all()
    x, y = (ranks.ordinal_codes(values) for values in (statistics["counts"], learned))
    for label in (np.zeros(80, int), labels):
        pairs = bootstrap._sort(ranks.rank_pairs(np.ones(80, bool), x, y, label))
        expected = []
        for weight in weights.T:
            indices = np.repeat(np.arange(80), weight)
            expected.append(naive_within_rho(x[indices], y[indices], label[indices]))
        np.testing.assert_allclose(bootstrap._weighted_correlations(weights, *pairs), expected, rtol=0, atol=1e-12)


def test_with_one_class_within_is_overall():
    statistics, learned, _ = made_up(120)
    table = agreement.correlation_table(statistics, learned, np.full(120, "cat"), resamples=40)
    for column in ("rho", "low", "high", "p", "q"):
        np.testing.assert_allclose(table[f"within_{column}"], table[column], rtol=1e-12)


def test_within_rho_of_equal_classes_is_the_mean_of_theirs():
    rng = np.random.default_rng(0)
    x, y, labels = rng.normal(size=90), rng.normal(size=90), np.repeat([0, 1, 2], 30)
    table = agreement.correlation_table({"x": x}, y, labels, resamples=1)
    own = [spearmanr(x[labels == c], y[labels == c]).statistic for c in range(3)]
    assert table.within_rho["x"] == pytest.approx(np.mean(own), abs=1e-12)


def test_class_difficulty_cannot_explain_the_correlation_within():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 2000)
    x, y = 3 * labels + rng.normal(size=2000), 3 * labels + rng.normal(size=2000)
    table = agreement.correlation_table({"x": x}, y, labels, resamples=200).loc["x"]
    assert table.rho > 0.8
    assert table.p < 1e-100
    assert table.within_low < 0 < table.within_high
    # and the other way round: classes can hide what holds within each of them
    y = -3 * labels + x
    table = agreement.correlation_table({"x": x}, y, labels, resamples=1).loc["x"]
    assert table.within_rho == pytest.approx(1)
    assert table.rho < 0.7
    # moving whole classes about changes nothing within them
    y = rng.normal(size=2000)
    here, moved = (agreement.correlation_table({"x": x}, y + shift * labels, labels, 40).loc["x"] for shift in (0, 50))
    for column in ("within_rho", "within_low", "within_high", "within_p"):
        assert here[column] == moved[column]


def test_within_p_equals_that_of_permuting_within_classes():
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [8, 15, 30])
    x = np.round(rng.normal(size=53), 1)
    y = np.round(0.25 * x + rng.normal(size=53))
    p = agreement.correlation_table({"x": x}, y, labels, resamples=1).within_p["x"]
    u, v = within_ranks(x, labels), within_ranks(y, labels)
    permuted = np.array([u @ v[np.lexsort((rng.random(53), labels))] for _ in range(20_000)])
    share = np.mean(np.abs(permuted) >= abs(u @ v) - 1e-9)
    assert 0.05 < share < 0.5  # a case worth telling
    assert p == pytest.approx(share, abs=0.012)  # three standard errors of the share, at most


def test_within_p_of_classes_of_two():
    """In classes of two, whose squares are small, each is one yes or no of 40, and 39 are left when their mean is known."""
    labels, x = np.repeat(np.arange(40), 2), np.tile([0.0, 1.0], 40)
    y = np.where(labels < 8, 1 - x, x)
    row = agreement.correlation_table({"x": x}, y, labels, resamples=1).loc["x"]
    assert row.within_rho == pytest.approx(0.6)
    assert row.within_p == pytest.approx(2 * student.sf(0.6 * np.sqrt(39 / (1 - 0.6**2)), 39))


def test_the_fewest_examples_that_have_a_p_value():
    statistics = {"x": np.array([1.0, 2.0, 3.0]), "two": np.array([1.0, 2.0, np.nan])}
    table = agreement.correlation_table(statistics, np.array([1.0, 3.0, 2.0]), np.zeros(3), resamples=1)
    assert table.loc["x", ["rho", "p"]].tolist() == pytest.approx(list(spearmanr([1, 2, 3], [1, 3, 2])))
    assert table.rho["two"] == 1 and np.isnan(table.p["two"])


def test_a_perfect_correlation_is_beyond_doubt():
    with np.errstate(all="raise"):
        for y in (np.arange(9.0), -np.arange(9.0)):
            row = agreement.correlation_table({"x": np.arange(9.0)}, y, np.zeros(9), resamples=1).loc["x"]
            assert abs(row.rho) == 1 and row.p == row.q == 0


def test_resamples_and_seed_have_defaults():
    table, given = (agreement.correlation_table(*made_up(30), *more) for more in ((), (1000, 0)))
    pd.testing.assert_frame_equal(table, given)
    assert table.index.name == "statistic"


def test_q_is_benjamini_and_hochbergs():
    rng = np.random.default_rng(0)
    learned = rng.integers(1, 20, 60).astype(float)
    statistics = {f"{i}": learned * i / 15 + rng.normal(size=60) * 6 for i in range(6)} | {"constant": np.ones(60)}
    table = agreement.correlation_table(statistics, learned, rng.integers(0, 2, 60), resamples=1)
    for p, q in ((table.p, table.q), (table.within_p, table.within_q)):
        known = p.dropna().sort_values()
        assert len(known) == 6
        by_hand = [min(known.iloc[j] * 6 / (j + 1) for j in range(i, 6)) for i in range(6)]
        np.testing.assert_allclose(q[known.index], by_hand)
        assert np.isnan(q["constant"])


def test_what_does_not_vary_gives_nan_and_no_warning():
    statistics, learned, labels = made_up(60)
    statistics |= {"constant": np.zeros(60), "missing": np.full(60, np.nan)}
    numbers = [f"{w}{c}" for w in ("", "within_") for c in ("rho", "low", "high", "p", "q")]
    with np.errstate(all="raise"):
        table = agreement.correlation_table(statistics, learned, labels, resamples=30)
    assert table.loc[["constant", "missing"], numbers].isna().all(axis=None)
    assert table.loc[["continuous", "counts", "gaps"], numbers].notna().all(axis=None)
    assert list(table.n[["constant", "missing"]]) == [60, 0]
    table = agreement.correlation_table(statistics, np.full(60, np.inf), labels, resamples=30)
    assert table[numbers].isna().all(axis=None)


def test_a_class_of_one_and_a_class_where_nothing_varies_tell_nothing():
    rng = np.random.default_rng(0)
    x, y, labels = rng.normal(size=42), rng.normal(size=42), np.repeat([0, 1, 2], [30, 1, 11])
    y[31:] = np.inf
    both = agreement.correlation_table({"x": x}, y, labels, resamples=20).loc["x"]
    alone = agreement.correlation_table({"x": x[:30]}, y[:30], labels[:30], resamples=20).loc["x"]
    assert both.within_p == pytest.approx(alone.within_p)
    # the silent examples still dilute the correlation: their statistic varies, their learned epoch does not
    assert abs(both.within_rho) < abs(alone.within_rho)


def test_nothing_to_correlate():
    table = agreement.correlation_table({}, np.arange(5.0), np.zeros(5))
    assert table.empty
    assert len(table.columns) == 11
    with np.errstate(all="raise"):  # two examples correlate perfectly, which says nothing
        two = agreement.correlation_table({"x": np.arange(2.0)}, np.arange(2.0), np.zeros(2), resamples=3)
    assert two.rho["x"] == pytest.approx(1)
    assert np.isnan(two.p["x"])
    one = agreement.correlation_table({"x": np.array([3.0])}, np.array([1.0]), np.array([0]), resamples=3)
    assert one.n["x"] == 1
    assert np.isnan(one.rho["x"])


def test_the_seed_alone_decides(monkeypatch):
    arguments = made_up(100)
    table = agreement.correlation_table(*arguments, resamples=100, seed=1)
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    pd.testing.assert_frame_equal(table, agreement.correlation_table(*arguments, resamples=100, seed=1))
    other = agreement.correlation_table(*arguments, resamples=100, seed=2)
    assert (other.low != table.low).all()
    np.testing.assert_array_equal(other.rho, table.rho)


@given(st.randoms(use_true_random=False))
def test_order_of_examples_and_names_of_classes_do_not_matter(random):
    statistics, learned, labels = made_up(40)
    order = list(range(40))
    random.shuffle(order)
    table = agreement.correlation_table(statistics, learned, labels, resamples=1)
    shuffled = agreement.correlation_table(
        {name: values[order] for name, values in statistics.items()},
        learned[order],
        np.array(["b", "c", "a"])[labels[order]],
        resamples=1,
    )
    for column in ("n", "rho", "p", "q", "within_rho", "within_p", "within_q"):
        np.testing.assert_allclose(shuffled[column], table[column], rtol=1e-9)


# ---- do the numbers mean what they say? ----


def uniform(p: np.ndarray) -> bool:
    """Neither far from uniform nor wrong about the rare cases: 5 % within 4 standard errors."""
    rejected, error = np.mean(p < 0.05), np.sqrt(0.05 * 0.95 / len(p))
    return kstest(p, "uniform").pvalue > 0.001 and abs(rejected - 0.05) < 4 * error


def test_p_values_are_uniform_where_nothing_relates():
    rng = np.random.default_rng(0)
    sizes = [10, 20, 60, 110]
    labels = np.repeat(range(4), sizes)
    learned = np.clip(np.round(5 + 3 * labels + 2 * rng.normal(size=200)), 1, 15)
    learned[learned > 12] = np.inf
    free = {f"{i}": np.round(rng.normal(size=200), i % 2) for i in range(2000)}
    by_class = {name: values + 0.5 * labels for name, values in free.items()}
    table = agreement.correlation_table(free, learned, labels, resamples=1)
    assert uniform(table.p)
    assert uniform(table.within_p)
    # class effects in both: the plain p-value sees them, the one within classes must not
    shifted = agreement.correlation_table(by_class, learned, labels, resamples=1)
    assert np.mean(shifted.p < 0.05) > 0.5
    np.testing.assert_array_equal(shifted.within_p, table.within_p)


def test_intervals_cover_the_truth():
    shift = np.array([0.0, 1.0, 3.0])

    def draw(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, n)
        x, noise = rng.normal(size=(2, n))
        return {"x": x + shift[labels]}, 0.5 * x + np.sqrt(0.75) * noise - shift[labels], labels

    truth = agreement.correlation_table(*draw(500_000, seed=1_000_000), resamples=1).loc["x"]
    within = 6 / np.pi * np.arcsin(0.25)  # of two normal variables that correlate at 0.5
    assert truth.within_rho == pytest.approx(within, abs=0.005)
    tables = [agreement.correlation_table(*draw(300, seed), resamples=250).loc["x"] for seed in range(400)]
    covered = np.mean([t.low <= truth.rho <= t.high for t in tables])
    covered_within = np.mean([t.within_low <= within <= t.within_high for t in tables])
    # 250 resamples and 400 trials: 95 % with a standard error of 1.1 %
    assert 0.91 < covered < 0.985
    assert 0.91 < covered_within < 0.985


# ---- bad input ----


@pytest.mark.parametrize("function", [agreement.correlation_table, agreement.explained_variance])
def test_bad_tables_are_named(function):
    good = np.arange(5.0)
    with pytest.raises(ValueError, match=r"entropy .* \(4,\)"):
        function({"entropy": good[:4]}, good, good)
    with pytest.raises(ValueError, match=r"labels .* \(4,\)"):
        function({"entropy": good}, good, good[:4])
    with pytest.raises(ValueError, match="nan"):
        function({"entropy": good}, np.where(good == 2, np.nan, good), good)
    for shape in ((0,), (2, 2)):
        with pytest.raises(ValueError, match="learned must be one number per example"):
            function({}, np.ones(shape), np.ones(shape))


def test_other_bad_input_is_named():
    good = np.arange(5.0)
    with pytest.raises(ValueError, match="not 0"):
        agreement.correlation_table({"x": good}, good, good, resamples=0)
    with pytest.raises(ValueError, match="not 1"):
        agreement.explained_variance({"x": good}, good, good, folds=1)
    with pytest.raises(ValueError, match=r"\(5,\) and \(4,\)"):
        agreement.spearman(good, good[:4])
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        agreement.statistic_curve(np.ones((1, 1, 2), bool), np.ones(3))


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
