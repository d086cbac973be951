import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up import made_up
from scipy.stats import kstest, rankdata, spearmanr
from scipy.stats import t as student

import agreement
from agreement import _intervals as intervals
from agreement import _ranks as ranks
from agreement import correlation_table, partial_correlations


def within_ranks(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Midranks within classes, centred, over the size of the class."""
    ranks = np.empty(len(values))
    for label in np.unique(labels):
        own = labels == label
        ranks[own] = (rankdata(values[own]) - (own.sum() + 1) / 2) / own.sum()
    return ranks


def naive_within_rho(x: np.ndarray, y: np.ndarray, labels: np.ndarray) -> float:
    """From triples of different examples of a class, each class by its size; see `_ranks.correlate`."""

    def of(a: np.ndarray, b: np.ndarray) -> float:
        total = 0.0
        for label in np.unique(labels):
            u, v = (np.sign(np.subtract.outer(each[labels == label], each[labels == label])) for each in (a, b))
            n = len(u)
            if n >= 4:
                triples = np.einsum("ij,ik->", u, v) - (u * v).sum()
                total += triples / ((n - 1) * (n - 2))
        return total

    x, y = (rankdata(each) for each in (x, y))  # infinities have no difference
    return of(x, y) / np.sqrt(of(x, x) * of(y, y))


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
    table = agreement.correlation_table(statistics, learned, labels)
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


def test_errors_equal_those_of_leaving_out_each_example():
    statistics, learned, labels = made_up(60, seed=1)
    labels[:3] = [7, 7, 8]  # classes too small to count
    x, y = (ranks.ordinal_codes(each) for each in (statistics["counts"], learned))
    for label in (np.zeros(60, int), ranks.ordinal_codes(labels)):
        found = ranks.correlate(ranks.rank_within(x, label), ranks.rank_within(y, label))
        assert found.rho == pytest.approx(naive_within_rho(x, y, label), abs=1e-12)
        counted = np.flatnonzero(np.bincount(label)[label] >= 4)
        z = [np.arctanh(naive_within_rho(*(np.delete(each, i) for each in (x, y, label)))) for i in counted]
        n = len(counted)
        assert found.error == pytest.approx(np.sqrt((n - 1) / n * ((z - np.mean(z)) ** 2).sum()), rel=1e-9)


def test_networks_widen_the_interval_as_leaving_out_each_says():
    statistics, learned, labels = made_up(300)
    rng = np.random.default_rng(3)
    order = np.clip(learned, 1, 13) + rng.integers(0, 6, (4, 300)) + 3 * rng.integers(0, 2, (4, 1)) * labels
    table = correlation_table(statistics, order, labels)
    alone = correlation_table(statistics, order.mean(axis=0), labels)
    few = correlation_table(statistics, order[:2], labels)
    np.testing.assert_array_equal(few, correlation_table(statistics, order[:2].mean(axis=0), labels))
    for name, values in statistics.items():
        known = ~np.isnan(values)
        for prefix in ("", "within_"):
            rho, low, high = (table.loc[name, f"{prefix}{each}"] for each in ("rho", "low", "high"))
            assert rho == alone.loc[name, f"{prefix}rho"]
            left = [np.delete(order, k, axis=0).mean(axis=0)[known] for k in range(4)]
            group = labels[known] if prefix else np.zeros(known.sum(), int)
            each = [np.corrcoef(within_ranks(values[known], group), within_ranks(y, group))[0, 1] for y in left]
            among = np.sqrt(3 / 4 * ((each - np.mean(each)) ** 2).sum()) / (1 - rho**2)
            n = known.sum() - 1
            example = (np.arctanh(alone.loc[name, f"{prefix}high"]) - np.arctanh(rho)) / student.ppf(0.975, n)
            total = example**2 + among**2
            half = student.ppf(0.975, total**2 / (example**4 / n + among**4 / 3)) * np.sqrt(total)
            np.testing.assert_allclose([low, high], np.tanh(np.arctanh(rho) + np.array([-half, half])), atol=1e-9)
            assert high - low > alone.loc[name, f"{prefix}high"] - alone.loc[name, f"{prefix}low"]
            assert table.loc[name, f"{prefix}p"] >= alone.loc[name, f"{prefix}p"]


def test_the_joint_epoch_is_the_latest_of_the_networks():
    statistics, learned, labels = made_up(100)
    order = np.array([learned, np.roll(learned, 1)])
    table = correlation_table(statistics, order, labels, combine=np.max)
    pd.testing.assert_frame_equal(table, correlation_table(statistics, order.max(axis=0), labels))


def test_with_one_class_within_is_overall_but_for_the_bias():
    statistics, learned, _ = made_up(120)
    table = agreement.correlation_table(statistics, learned, np.full(120, "cat"))
    for column, near in (("rho", 0.01), ("low", 0.02), ("high", 0.02), ("p", 1e-12), ("q", 1e-12)):
        np.testing.assert_allclose(table[f"within_{column}"], table[column], atol=near)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "size", "rho"), [(200, 5, 0.28), (200, 5, 0.67), (100, 4, 0), (20, 30, 0.67)])
def test_small_classes_have_no_bias_and_their_intervals_cover(classes, size, rho):
    """Ranks among five lie nearer to 0 than the population's by a seventh: .58 in place of .67."""
    r, labels = 2 * np.sin(np.pi * rho / 6), np.repeat(np.arange(classes), size)
    rows = []
    for seed in range(60):
        x, noise = np.random.default_rng(seed).normal(size=(2, len(labels)))
        rows.append(correlation_table({"x": x + labels}, r * x + np.sqrt(1 - r**2) * noise - labels, labels).loc["x"])
    within = np.array([row.within_rho for row in rows])
    assert within.mean() == pytest.approx(rho, abs=4 * within.std() / np.sqrt(60))
    assert np.mean([row.within_low <= rho <= row.within_high for row in rows]) > 0.88
    assert rho or np.mean([row.within_p < 0.05 for row in rows]) < 0.15


def test_classes_of_two_and_three_are_not_ranked():
    x, y = np.random.default_rng(0).normal(size=(2, 300))
    for size in (2, 3):
        row = correlation_table({"x": x}, y, np.arange(300) // size).loc["x"]
        assert np.isfinite(row.rho) and row[["within_rho", "within_low", "within_p", "within_q"]].isna().all()


def test_within_rho_of_equal_classes_is_the_mean_of_theirs():
    rng = np.random.default_rng(0)
    x, y, labels = rng.normal(size=90), rng.normal(size=90), np.repeat([0, 1, 2], 30)
    table = agreement.correlation_table({"x": x}, y, labels)
    own = [spearmanr(x[labels == c], y[labels == c]).statistic for c in range(3)]
    assert table.within_rho["x"] == pytest.approx(np.mean(own), abs=0.01)  # but for the bias of each


def test_class_difficulty_cannot_explain_the_correlation_within():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 2000)
    x, y = 3 * labels + rng.normal(size=2000), 3 * labels + rng.normal(size=2000)
    table = agreement.correlation_table({"x": x}, y, labels).loc["x"]
    assert table.rho > 0.8
    assert table.p < 1e-100
    assert table.within_low < 0 < table.within_high
    # and the other way round: classes can hide what holds within each of them
    y = -3 * labels + x
    table = agreement.correlation_table({"x": x}, y, labels).loc["x"]
    assert table.within_rho == pytest.approx(1)
    assert table.rho < 0.7
    # moving whole classes about changes nothing within them
    y = rng.normal(size=2000)
    here, moved = (agreement.correlation_table({"x": x}, y + shift * labels, labels).loc["x"] for shift in (0, 50))
    for column in ("within_rho", "within_low", "within_high", "within_p"):
        assert here[column] == moved[column]


def test_within_p_equals_that_of_permuting_within_classes():
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [8, 15, 30])
    x = np.round(rng.normal(size=53), 1)
    y = np.round(0.25 * x + rng.normal(size=53))
    p = agreement.correlation_table({"x": x}, y, labels).within_p["x"]
    u, v = within_ranks(x, labels), within_ranks(y, labels)
    permuted = np.array([u @ v[np.lexsort((rng.random(53), labels))] for _ in range(20_000)])
    share = np.mean(np.abs(permuted) >= abs(u @ v) - 1e-9)
    assert 0.05 < share < 0.5  # a case worth telling
    assert p == pytest.approx(share, abs=0.012)  # three standard errors of the share, at most


def test_the_fewest_examples_that_have_a_p_value():
    statistics = {"x": np.array([1.0, 2.0, 3.0, 4.0]), "three": np.array([1.0, 2.0, 3.0, np.nan])}
    table = agreement.correlation_table(statistics, np.array([1.0, 3.0, 2.0, 4.0]), np.zeros(4))
    assert table.loc["x", ["rho", "p"]].tolist() == pytest.approx(list(spearmanr([1, 2, 3, 4], [1, 3, 2, 4])))
    assert table.rho["three"] == 0.5 and np.isnan(table.p["three"])


def test_a_perfect_correlation_is_beyond_doubt():
    with np.errstate(all="raise"):
        for y in (np.arange(9.0), -np.arange(9.0)):
            row = agreement.correlation_table({"x": np.arange(9.0)}, y, np.zeros(9)).loc["x"]
            assert abs(row.rho) == 1 and row.p == row.q == 0


def test_q_is_benjamini_and_hochbergs():
    rng = np.random.default_rng(0)
    learned = rng.integers(1, 20, 60).astype(float)
    statistics = {f"{i}": learned * i / 15 + rng.normal(size=60) * 6 for i in range(6)} | {"constant": np.ones(60)}
    table = agreement.correlation_table(statistics, learned, rng.integers(0, 2, 60))
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
        table = agreement.correlation_table(statistics, learned, labels)
    assert table.loc[["constant", "missing"], numbers].isna().all(axis=None)
    assert table.loc[["continuous", "counts", "gaps"], numbers].notna().all(axis=None)
    assert list(table.n[["constant", "missing"]]) == [60, 0]
    table = agreement.correlation_table(statistics, np.full(60, np.inf), labels)
    assert table[numbers].isna().all(axis=None)


def test_a_class_of_one_and_a_class_where_nothing_varies_tell_nothing():
    rng = np.random.default_rng(0)
    x, y, labels = rng.normal(size=42), rng.normal(size=42), np.repeat([0, 1, 2], [30, 1, 11])
    y[31:] = np.inf
    both = agreement.correlation_table({"x": x}, y, labels).loc["x"]
    alone = agreement.correlation_table({"x": x[:30]}, y[:30], labels[:30]).loc["x"]
    assert both.within_p == pytest.approx(alone.within_p)
    # the silent examples still dilute the correlation: their statistic varies, the order does not
    assert abs(both.within_rho) < abs(alone.within_rho)


def test_nothing_to_correlate():
    table = agreement.correlation_table({}, np.arange(5.0), np.zeros(5))
    assert table.empty
    assert len(table.columns) == 11
    with np.errstate(all="raise"):  # two examples correlate perfectly, which says nothing
        two = agreement.correlation_table({"x": np.arange(2.0)}, np.arange(2.0), np.zeros(2))
    assert two.rho["x"] == pytest.approx(1)
    assert np.isnan(two.p["x"])
    one = agreement.correlation_table({"x": np.array([3.0])}, np.array([1.0]), np.array([0]))
    assert one.n["x"] == 1
    assert np.isnan(one.rho["x"])


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_order_of_examples_and_names_of_classes_do_not_matter(random):
    statistics, learned, labels = made_up(40)
    order = list(range(40))
    random.shuffle(order)
    table = agreement.correlation_table(statistics, learned, labels)
    shuffled = agreement.correlation_table(
        {name: values[order] for name, values in statistics.items()},
        learned[order],
        np.array(["b", "c", "a"])[labels[order]],
    )
    for column in ("n", "rho", "p", "q", "within_rho", "within_p", "within_q"):
        np.testing.assert_allclose(shuffled[column], table[column], rtol=1e-9)


# ---- do the numbers mean what they say? ----


def uniform(p: np.ndarray) -> bool:
    """Neither far from uniform nor wrong about the rare cases: 5 % within 4 standard errors."""
    rejected, error = np.mean(p < 0.05), np.sqrt(0.05 * 0.95 / len(p))
    return kstest(p, "uniform").pvalue > 0.001 and abs(rejected - 0.05) < 4 * error


@pytest.mark.slow
def test_p_values_are_uniform_where_nothing_relates():
    rng = np.random.default_rng(0)
    sizes = [10, 20, 60, 110]
    labels = np.repeat(range(4), sizes)
    learned = np.clip(np.round(5 + 3 * labels + 2 * rng.normal(size=200)), 1, 15)
    learned[learned > 12] = np.inf
    free = {f"{i}": np.round(rng.normal(size=200), i % 2) for i in range(600)}
    by_class = {name: values + 0.5 * labels for name, values in free.items()}
    table = agreement.correlation_table(free, learned, labels)
    assert uniform(table.p)
    assert uniform(table.within_p)
    # class effects in both: the plain p-value sees them, the one within classes must not
    shifted = agreement.correlation_table(by_class, learned, labels)
    assert np.mean(shifted.p < 0.05) > 0.5
    np.testing.assert_array_equal(shifted.within_p, table.within_p)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    shift = np.array([0.0, 1.0, 3.0])

    def draw(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, n)
        x, noise = rng.normal(size=(2, n))
        return {"x": x + shift[labels]}, 0.5 * x + np.sqrt(0.75) * noise - shift[labels], labels

    truth = agreement.correlation_table(*draw(300_000, seed=1_000_000)).loc["x"]
    within = 6 / np.pi * np.arcsin(0.25)  # of two normal variables that correlate at 0.5
    assert truth.within_rho == pytest.approx(within, abs=0.005)
    tables = [agreement.correlation_table(*draw(300, seed)).loc["x"] for seed in range(200)]
    covered = np.mean([t.low <= truth.rho <= t.high for t in tables])
    covered_within = np.mean([t.within_low <= within <= t.within_high for t in tables])
    # 200 trials: 95 % with a standard error of 1.5 %
    assert 0.90 < covered <= 0.99
    assert 0.90 < covered_within <= 0.99


@pytest.mark.slow
def test_intervals_cover_other_networks_and_examples():
    """Networks that differ in what they make of the statistic: five of them, and their examples, say what others would do."""
    covered, narrow, stars = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x, difficulty = rng.normal(size=(2, 400))
        own = 0.15 * rng.normal(size=(5, 1))  # what a network makes of the statistic, 0 on average
        order = np.rint(3 * (difficulty + own * x + 0.5 * rng.normal(size=(5, 400)))) + 20
        labels = np.arange(400) % 4
        row, alone = (correlation_table({"x": x}, each, labels).loc["x"] for each in (order, order.mean(axis=0)))
        covered.append(row.low <= 0 <= row.high)
        narrow.append(alone.low <= 0 <= alone.high)
        stars.append(row.within_p < 0.05)
    assert np.mean(narrow) < 0.88 < 0.92 < np.mean(covered)
    assert np.mean(stars) < 0.08


def test_the_sum_of_two_chances_has_satterthwaites_degrees_of_freedom():
    error, freedom = intervals.both(3.0, 1e9, 4.0, 5)
    assert error == 5 and freedom == pytest.approx(625 / (256 / 4))
    assert intervals.both(3.0, 7.0, 0.0, 5) == (3.0, 7.0)
    assert intervals.network_error(np.ones(2)) == 0
    assert intervals.network_error(np.array([1.0, 2, 3])) == pytest.approx(np.sqrt(2 / 3 * 2))


# ---- bad input ----


@pytest.mark.parametrize("function", [agreement.correlation_table, agreement.explained_variance])
def test_bad_tables_are_named(function):
    good = np.arange(5.0)
    with pytest.raises(ValueError, match=r"entropy .* \(4,\)"):
        function({"entropy": good[:4]}, good, good)
    with pytest.raises(ValueError, match=r"labels .*\(4,\)"):
        function({"entropy": good}, good, good[:4])
    with pytest.raises(ValueError, match="nan"):
        function({"entropy": good}, np.where(good == 2, np.nan, good), good)
    for shape in ((0,), (2, 2, 2)):
        with pytest.raises(ValueError, match="order must be one number per example"):
            function({}, np.ones(shape), np.ones(shape))


def test_other_bad_input_is_named():
    good = np.arange(5.0)
    with pytest.raises(ValueError, match=r"\(5,\) and \(4,\)"):
        agreement.spearman(good, good[:4])
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        agreement.statistic_curve(np.ones((1, 1, 2), bool), np.ones(3))


@pytest.mark.parametrize("differ", [1, 3, 9, 10])
def test_where_few_examples_differ_there_is_no_interval(differ):
    """With one example of a thousand unlike the others, nine of ten intervals of a random statistic would leave out 0."""
    draw = np.random.default_rng(differ)
    order, statistic = np.zeros(1000), draw.normal(size=1000)
    order[draw.permutation(1000)[:differ]] = 1
    labels = np.zeros(1000, int)
    row = correlation_table({"random": statistic}, order, labels).iloc[0]
    turned = correlation_table({"rare": order}, statistic, labels).iloc[0]
    partial = partial_correlations({"rare": order, "other": draw.normal(size=1000)}, statistic, labels).iloc[0]
    for found in (row, turned, partial):
        assert np.isnan([found["low"], found["high"]]).all() == (differ < 10)
        assert np.isfinite([found["rho"], found["p"]]).all()
