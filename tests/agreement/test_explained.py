"""Explained variance: against least squares done another way, and where there is something, nothing, or next to nothing to explain."""

import numpy as np
import pytest
from made_up import made_up
from scipy.stats import rankdata

import agreement
from agreement import explained


def test_explained_variance_against_dummies_and_least_squares():
    statistics, learned, labels = made_up(90)
    result = agreement.explained_variance(statistics, learned, labels, folds=4, seed=2)
    known = ~np.isnan(statistics["gaps"])
    x, y = np.array(list(statistics.values())).T[known], rankdata(learned[known])
    labels = labels[known]
    fold = explained._stratified_folds(labels, 4, 2)
    dummies = np.eye(3)[labels]
    errors = {"statistics": 0.0, "classes": 0.0, "classes_and_statistics": 0.0}
    for held_out in range(4):
        train = fold != held_out
        u = np.array([[np.sign(value - x[train, j]).mean() for j, value in enumerate(row)] for row in x])
        products = np.column_stack([u[:, a] * u[:, b] for a in range(3) for b in range(a, 3)])
        features = np.hstack((u, products))
        for model, design in {
            "statistics": np.hstack((np.ones((len(y), 1)), features)),
            "classes": dummies,
            "classes_and_statistics": np.hstack((dummies, features)),
        }.items():
            fit = np.linalg.lstsq(design[train], y[train], rcond=None)[0]
            errors[model] += ((y - design @ fit)[~train] ** 2).sum()
    assert result["n"] == known.sum()
    for model, error in errors.items():
        assert result[model] == pytest.approx(1 - error / ((y - y.mean()) ** 2).sum(), abs=1e-9)


def test_folds_spread_every_class():
    classes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 23, 4]))
    fold = explained._stratified_folds(classes, 5, 0)
    for label, fewest, most in ((0, 10, 10), (1, 4, 5), (2, 0, 1)):
        counts = np.bincount(fold[classes == label], minlength=5)
        assert counts.min() >= fewest and counts.max() <= most
    assert (fold != explained._stratified_folds(classes, 5, 1)).any()


def test_explained_variance_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    n = 3000
    a, b, noise = rng.normal(size=(3, n))
    labels = rng.integers(0, 5, n)
    explained = agreement.explained_variance

    nothing = explained({"noise": noise, "b": b}, a, labels)
    assert all(-0.02 < nothing[model] < 0.01 for model in ("statistics", "classes", "classes_and_statistics"))
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
    assert agreement.explained_variance(stretched, np.exp(learned), labels) == here
    renamed = agreement.explained_variance(statistics, learned, np.array(["x", "y", "z"])[labels])
    assert renamed == here
    assert agreement.explained_variance(statistics, learned, labels, seed=1) != here


def test_classes_of_one_do_not_predict_themselves():
    rng = np.random.default_rng(0)
    result = agreement.explained_variance({"a": rng.normal(size=100)}, rng.normal(size=100), np.arange(100))
    assert -0.1 < result["classes"] < 0.0


def test_explained_variance_of_the_least_that_can_be_split():
    """Two examples: each is predicted from the other, residuals are -1/2 and 1/2, R² is 1 - (1 + 1) / (1/4 + 1/4)."""
    result = agreement.explained_variance({}, np.array([1.0, 2.0]), np.zeros(2, int), folds=2)
    assert result == {"n": 2, "statistics": -3, "classes": -3, "classes_and_statistics": -3}


def test_explained_variance_has_five_folds():
    statistics, learned, labels = made_up(100)
    assert agreement.explained_variance(statistics, learned, labels) == agreement.explained_variance(
        statistics, learned, labels, folds=5
    )


def test_residuals_among_the_training_examples():
    """Share of them below less share above: of three, and of what is in none of them."""
    found = explained._residuals_among(np.array([0, 1, 2, 2, 3]), np.array([0, 1, 3]))
    np.testing.assert_allclose(found, [-2 / 3, 0, 2 / 3, 2 / 3, 1])


@pytest.mark.parametrize("level", [0.1, 0.3, 0.7])
def test_what_is_constant_within_groups_explains_nothing_of_a_new_one(level):
    group = np.repeat([0, 1], 7)
    target = np.random.default_rng(0).normal(size=14)
    columns = np.column_stack([target, np.where(group, level, -level)])
    predicted = explained._least_squares(columns, group, np.array([[1.0]]), np.array([2]), 3)
    assert predicted == pytest.approx([target.mean()])


def test_explained_variance_of_nothing():
    labels = np.zeros(20, int)
    with np.errstate(all="raise"):  # not by dividing by nothing
        flat = agreement.explained_variance({"a": np.arange(20.0)}, np.full(20, np.inf), labels)
    assert flat["n"] == 20 and np.isnan(flat["statistics"])
    few = agreement.explained_variance({"a": np.r_[1, 2, [np.nan] * 18]}, np.arange(20.0), labels)
    assert few["n"] == 2 and all(np.isnan(few[name]) for name in ("statistics", "classes", "classes_and_statistics"))
    none = agreement.explained_variance({}, np.arange(20.0), labels)
    assert none["statistics"] == pytest.approx(none["classes"])
    assert none["statistics"] < 0
