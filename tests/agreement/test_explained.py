"""Explained variance: against least squares done another way, and where there is something, nothing, or next to nothing to explain."""

import numpy as np
import pytest
from made_up import made_up
from scipy.stats import rankdata

import agreement

MODELS = ["statistics", "classes", "classes_and_statistics"]


def test_it_is_the_corrected_r_squared_of_dummies_and_least_squares():
    statistics, learned, labels = made_up(90)
    table = agreement.explained_variance(statistics, learned, labels)
    known = ~np.isnan(statistics["gaps"])
    x, y = np.array([rankdata(values[known]) for values in statistics.values()]), rankdata(learned[known])
    x = (x - x.mean(axis=1, keepdims=True)) / len(y)
    products = np.array([x[a] * x[b] for a in range(3) for b in range(a, 3)])
    dummies, ones = np.eye(3)[labels[known]], np.ones((len(y), 1))
    designs = np.hstack([ones, x.T, products.T]), dummies, np.hstack([dummies, x.T, products.T])
    assert table.index.tolist() == MODELS and (table["n"] == known.sum()).all()
    for model, design in zip(MODELS, designs, strict=True):
        left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        share = 1 - (left @ left / (len(y) - design.shape[1])) / y.var(ddof=1)
        assert table.loc[model, "share"] == pytest.approx(share, abs=1e-9)
        assert table.loc[model, "low"] <= table.loc[model, "share"] <= table.loc[model, "high"]


def draw(n: int, seed: int, effect: float = 0.28) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Seven statistics, of which one acts in a line and one in a U."""
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(7, n)), rng.integers(0, 4, n)
    order = effect * (x[0] + 0.5 * x[1] ** 2) + 0.3 * labels + rng.normal(size=n)
    return {str(i): values for i, values in enumerate(x)}, order, labels


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0, 0.28])
def test_seven_statistics_of_few_examples_are_neither_more_nor_less_than_of_many(effect):
    """What 35 coefficients predict of examples held out was 0 or less in 85 of 100 such draws, where the statistics explain 8 %."""
    truth = agreement.explained_variance(*draw(100_000, 10**6, effect))["share"]
    tables = [agreement.explained_variance(*draw(380, seed, effect)) for seed in range(60)]
    shares = np.array([table["share"] for table in tables])
    assert effect == 0 or 0.07 < truth["statistics"] < 0.1
    np.testing.assert_allclose(shares.mean(axis=0), truth, atol=4 * shares.std(axis=0).max() / np.sqrt(60))
    covered = np.mean([(table["low"] <= truth.clip(0)) & (truth <= table["high"]) for table in tables], axis=0)
    assert (covered > 0.86).all()


def test_networks_widen_the_interval():
    statistics, order, labels = draw(2000, 0)
    orders = order + 2 * np.random.default_rng(1).normal(size=(4, 1)) * statistics["0"]
    several, one = (agreement.explained_variance(statistics, each, labels) for each in (orders, orders.mean(axis=0)))
    np.testing.assert_allclose(several["share"], one["share"])
    assert several.loc["statistics", "high"] - several.loc["statistics", "low"] > 2 * (
        one.loc["statistics", "high"] - one.loc["statistics", "low"]
    )


def test_explained_variance_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    n = 3000
    a, b, noise = rng.normal(size=(3, n))
    labels = rng.integers(0, 5, n)

    def explained(*arguments):
        return agreement.explained_variance(*arguments)["share"]

    nothing = explained({"noise": noise, "b": b}, a, labels)
    assert (nothing.abs() < 0.01).all()
    bent = explained({"a": a}, np.abs(a), labels)  # a correlation would miss it: rho is about 0
    assert bent["statistics"] > 0.9
    assert explained({"a": a, "b": b}, a * b, labels)["statistics"] > 0.5
    assert explained({"b": b}, labels.astype(float), labels)["classes"] == pytest.approx(1)
    both = explained({"a": a}, a + labels, labels)
    assert both["classes_and_statistics"] > max(both["classes"], both["statistics"]) + 0.2
    assert explained({"a": a, "again": a, "flat": 0 * a}, a, labels)["statistics"] > 0.99


def test_explained_variance_ignores_units_and_order_of_names():
    statistics, learned, labels = made_up(200)
    here = agreement.explained_variance(statistics, learned, labels)
    stretched = {name: np.exp(values) for name, values in statistics.items()}
    assert agreement.explained_variance(stretched, np.exp(learned), labels).equals(here)
    assert agreement.explained_variance(statistics, learned, np.array(["x", "y", "z"])[labels]).equals(here)


def test_explained_variance_of_nothing():
    labels, known = np.zeros(20, int), np.arange(20.0)
    with np.errstate(all="raise"):  # not by dividing by nothing
        flat = agreement.explained_variance({"a": known}, np.full(20, np.inf), labels)
    assert flat.loc["statistics", "n"] == 20 and flat["share"].isna().all()
    few = agreement.explained_variance({"a": np.r_[1, 2, [np.nan] * 18]}, known, labels)
    assert (few["n"] == 2).all() and few["share"].isna().all()
    assert agreement.explained_variance({"a": np.full(20, np.nan)}, known, labels)["share"].isna().all()
    none = agreement.explained_variance({}, known, labels)["share"]
    assert none.tolist() == pytest.approx([0, 0, 0], abs=1e-12)


def test_classes_of_one_leave_nothing_to_estimate_from():
    table = agreement.explained_variance({"a": np.arange(100.0)}, np.arange(100.0), np.arange(100))
    assert table["share"].isna().tolist() == [False, True, True]
