"""What a score is worth, against numbers by hand and made-up networks of known reliability."""

import numpy as np
import pytest

from curricula.choice import Candidate, area, choice_table, reliability, reliability_interval

NUMBER = 4000


def test_the_area_is_the_chance_that_a_wrong_label_is_suspected_more():
    assert area(np.array([3.0, 1, 2, 2, np.nan]), np.array([True, False, True, False, True])) == 0.875
    assert np.isnan(area(np.arange(3.0), np.zeros(3, bool))) and np.isnan(area(np.arange(3.0), np.ones(3, bool)))


@pytest.mark.parametrize("networks", [2, 3, 4, 5])
def test_reliability_is_the_correlation_with_as_many_other_networks(networks):
    draw = np.random.default_rng(1)
    truth, noise = draw.normal(size=NUMBER), draw.normal(size=(2 * networks, NUMBER))
    each = truth + 0.8 * noise

    def read(some):
        return each[list(some)].mean(axis=0)

    expected = np.corrcoef(read(range(networks)), read(range(networks, 2 * networks)))[0, 1]
    assert reliability(read, networks) == pytest.approx(expected, abs=0.03)


def test_the_interval_of_reliability_covers_it_though_networks_differ():
    """Of made-up networks some are noisier than others; the truth is the mean over many draws of networks."""
    draw = np.random.default_rng(3)

    def network_scores(number):
        noise = draw.uniform(0.6, 1.4, (5, 1)) * draw.normal(size=(5, number))
        return draw.normal(size=number) + noise

    def read_of(each):
        return lambda some: each[list(some)].mean(axis=0)

    truth = np.mean([reliability(read_of(network_scores(NUMBER)), 5) for _ in range(20)])
    found = [reliability_interval(read_of(network_scores(400)), 5) for _ in range(40)]
    assert all(low <= whole <= high for whole, low, high in found)
    assert 0.85 <= np.mean([low <= truth <= high for _, low, high in found]) <= 0.99
    assert np.isnan(reliability_interval(read_of(network_scores(50)), 3)[1:]).all()


def test_one_network_has_no_halves():
    assert np.isnan(reliability(lambda some: np.arange(3.0), 1))


def test_hard_is_positive_whichever_way_a_score_counts():
    draw = np.random.default_rng(0)
    time = draw.random(NUMBER)
    noisy = time + 0.2 * draw.normal(size=NUMBER)
    wrong = time > 0.8
    candidates = [
        Candidate("low", "examples", noisy, False, 1.0, 0),
        Candidate("high", "published", -noisy, True),
        Candidate("own", "measured", -time, True, 5.0, 10, 0.9, half=draw.random(NUMBER)),
    ]
    table = choice_table(candidates, np.zeros(NUMBER, int), time, time, wrong)
    assert table["easy"].tolist() == ["low", "high", "high"]
    assert table.loc["low", "rho"] == pytest.approx(table.loc["high", "rho"]) and table.loc["low", "rho"] > 0.7
    assert abs(table.loc["own", "rho"]) < 0.05  # of the half, whose values are drawn at random
    assert table.loc["own", "area"] == 1 and table.loc["low", "area"] > 0.8
    assert table.loc["low", "published"] == pytest.approx(1) and np.isnan(table.loc["high", "published"])
    alone = choice_table(candidates[:1], np.zeros(NUMBER, int))
    assert alone[["rho", "area", "published"]].isna().all(axis=None)
