import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from curricula import (
    Outcome,
    answer,
    area_under_curve,
    compare,
    detectable_difference,
    detectable_effect,
    effect_size,
    mean_interval,
    steps_until,
    table_of,
    verdict,
)
from curricula.comparison import Comparison, pairs_of
from curricula.sentences import costs_until, price

RNG = np.random.default_rng(0)
ORDER = "curriculum against random"
BASE = RNG.normal(0.7, 0.01, 8)
ARMS = {
    "shuffled": BASE,
    "curriculum": BASE + np.array([8, 9, 7, 10, 8, 6, 9, 7]) / 1000,
    "anti": BASE - np.array([12, 14, 9, 11, 13, 15, 10, 12]) / 1000,
    "random": BASE + np.array([4, -3, 2, -5, 1, -2, 3, -1]) / 1000,
}


def test_mean_interval_by_hand_and_against_scipy():
    # mean 3, s = sqrt(2.5), t(4 degrees, 97.5 %) = 2.776
    mean, low, high = mean_interval(np.array([1, 2, 3, 4, 5]))
    assert (
        mean == 3
        and high - 3 == pytest.approx(2.776 * math.sqrt(2.5 / 5), rel=1e-3)
        and 3 - low == pytest.approx(high - 3)
    )
    for confidence in (0.95, 0.8):
        expected = stats.ttest_1samp(BASE, 0).confidence_interval(confidence)
        assert mean_interval(BASE, confidence)[1:] == pytest.approx((expected.low, expected.high))


def test_effect_size_by_hand():
    # mean 2, s = 1; m = 2: Γ(1) / (1 · Γ(1/2)) = 1/√π
    assert effect_size(np.array([1, 2, 3])) == pytest.approx(2 / math.sqrt(math.pi))
    # the usual approximation 1 - 3/(4m - 1) for m = 19
    differences = RNG.normal(1, 1, 20)
    assert effect_size(differences) == pytest.approx(
        differences.mean() / differences.std(ddof=1) * (1 - 3 / 75), rel=1e-3
    )
    assert math.isnan(effect_size(np.array([1.0, 2.0])))
    assert effect_size(np.zeros(4)) == 0
    assert effect_size(np.full(4, -0.1)) == -math.inf
    assert effect_size(np.array([0.9, 0.8, 0.7, 0.6]) - np.array([0.8, 0.7, 0.6, 0.5])) == math.inf  # but for rounding


def test_effect_size_is_unbiased():
    drawn = np.random.default_rng(3).normal(0.8, 1, (20_000, 6))
    corrected = np.array([effect_size(row) for row in drawn])
    assert abs(corrected.mean() - 0.8) < 4 * corrected.std() / math.sqrt(20_000)
    assert (drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)).mean() > 0.9  # without the correction


def test_detectable_difference_scales_with_the_spread_and_the_number_of_arms():
    differences = ARMS["random"] - BASE
    spread = differences.std(ddof=1)
    assert detectable_difference(differences) == pytest.approx(detectable_effect(8) * spread)
    assert detectable_difference(differences, arms=3) == pytest.approx(detectable_effect(8, 0.05 / 3) * spread)
    assert detectable_difference(differences[:5]) == math.inf


def test_compare_by_hand():
    comparisons = compare(ARMS)
    assert list(comparisons) == ["curriculum", "anti", "random", ORDER]
    curriculum, anti, random, by_order = comparisons.values()
    # all eight differences have one sign: 2/256, times 4
    assert curriculum.p == anti.p == by_order.p == 2 / 256
    assert curriculum.corrected_p == anti.corrected_p == by_order.corrected_p == pytest.approx(8 / 256)
    assert by_order.difference == pytest.approx(curriculum.difference - random.difference)
    assert (by_order.arm, by_order.baseline) == ("curriculum", "random")
    assert curriculum.difference == pytest.approx(0.008) and anti.difference == pytest.approx(-0.012)
    assert curriculum.mean - curriculum.baseline_mean == pytest.approx(0.008)
    assert (curriculum.low, curriculum.high) == pytest.approx(mean_interval(ARMS["curriculum"] - BASE)[1:])
    assert random.corrected_p == random.p > 0.5  # the last in Holm's sequence
    assert [c.shown for c in comparisons.values()] == [True, True, False, True]
    assert all((c.seeds, c.comparisons, c.level) == (8, 4, 0.05) for c in comparisons.values())
    assert {c.baseline for c in (curriculum, anti, random)} == {"shuffled"}


def test_pairing_matters():
    # the seeds differ far more than the arms
    spread = np.random.default_rng(1).normal(0.7, 0.1, 8)
    results = {"shuffled": spread, "curriculum": spread + ARMS["curriculum"] - BASE}
    assert compare(results)["curriculum"].shown
    assert not compare({**results, "curriculum": results["curriculum"][::-1]})["curriculum"].shown


def test_intervals_cover_and_nothing_is_shown_under_the_null():
    rng = np.random.default_rng(5)
    covered, shown = 0, 0
    for _ in range(600):
        base = rng.normal(0.7, 0.02, 8)
        results = {"shuffled": base} | {arm: base + rng.normal(0, 0.01, 8) for arm in ("curriculum", "anti", "random")}
        comparisons = compare(results).values()
        covered += sum(c.low <= 0 <= c.high for c in comparisons)
        shown += any(c.shown for c in comparisons)
    assert abs(covered / 2400 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 1800)
    assert shown / 600 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


def test_a_planted_difference_is_shown_about_as_often_as_stated():
    rng = np.random.default_rng(6)
    size = detectable_effect(8, 0.05 / 4) * 0.01
    shown = 0
    for _ in range(600):
        base = rng.normal(0.7, 0.02, 8)
        results = {"shuffled": base} | {arm: base + rng.normal(0, 0.01, 8) for arm in ("anti", "random")}
        shown += compare(results | {"curriculum": base + rng.normal(size, 0.01, 8)})["curriculum"].shown
    # Holm asks a little less of later arms
    assert 0.8 - 4 * math.sqrt(0.16 / 600) < shown / 600 < 0.9


@pytest.mark.parametrize(
    "results, complaint",
    [
        ({"curriculum": BASE}, "no arm 'shuffled' to compare with; there are curriculum"),
        ({"shuffled": BASE, "anti": BASE[:7]}, "shuffled has 8, anti has 7"),
        ({"shuffled": BASE[:1], "anti": BASE[:1]}, "results of shuffled must be at least 2"),
        ({"shuffled": BASE, "anti": np.append(BASE[:7], np.nan)}, "results of anti must be finite, not nan"),
    ],
)
def test_bad_results(results, complaint):
    with pytest.raises(ValueError, match=complaint):
        compare(results)


def test_verdicts_word_for_word():
    curriculum, anti, random, by_order = (verdict(c) for c in compare(ARMS).values())
    assert by_order.startswith("curriculum was 0.81 points better than random (95 % interval")
    assert curriculum == (
        "curriculum was 0.80 points better than shuffled "
        "(95 % interval 0.69 to 0.91, p = 0.031 after correction for 4 comparisons, 8 seeds)."
    )
    assert anti == (
        "anti was 1.20 points worse than shuffled "
        "(95 % interval 1.03 to 1.37, p = 0.031 after correction for 4 comparisons, 8 seeds)."
    )
    # the differences of random add up to -1; no signs bring an odd total of 21 nearer to 0, so that p is 1
    found = detectable_difference(ARMS["random"] - BASE, 4) * 100
    assert random == (
        "random: no difference from shuffled could be shown: between −0.27 and +0.25 points "
        f"(95 % interval, p = 1 after correction for 4 comparisons); with 8 seeds a difference of {found:.2f} points "
        "would have been found with 80 % probability."
    )


def signed(arm: str, baseline: str, sign: int) -> Comparison:
    """A comparison that shows a difference of two points, or none."""
    about = replace(compare(ARMS)["curriculum"], arm=arm, baseline=baseline, difference=0.02 * sign)
    return replace(about, low=about.difference - 0.01, high=about.difference + 0.01, corrected_p=0.01 if sign else 0.5)


@pytest.mark.parametrize(
    "gain, order, anti, sentence",
    [
        (1, 1, None, "Yes: 2.00 points better than shuffled training, and 2.00 points better than a random order under the same pacing."),
        (1, 0, None, "Not the order: 2.00 points better than shuffled training, but no difference from a random order under the same pacing is shown."),
        (1, -1, None, "Not the order: 2.00 points better than shuffled training, but 2.00 points worse than a random order under the same pacing."),
        (1, None, None, "It was 2.00 points better than shuffled training; whether the order or the pacing did it, the arm random would show."),
        (0, 1, None, "The order helps: 2.00 points better than a random order under the same pacing. But no gain over shuffled training is shown."),
        (0, 0, None, "No difference is shown, neither from shuffled training nor from a random order under the same pacing."),
        (0, -1, None, "No: 2.00 points worse than a random order under the same pacing."),
        (0, None, None, "These seeds show no difference from shuffled training."),
        (-1, 1, None, "No: 2.00 points worse than shuffled training. The pacing costs more than the order gains: 2.00 points better than a random order under it."),
        (-1, 0, None, "No: 2.00 points worse than shuffled training; no difference from a random order under the same pacing is shown."),
        (-1, -1, None, "No: 2.00 points worse than shuffled training, and 2.00 points worse than a random order under the same pacing."),
        (-1, None, 1, "No: 2.00 points worse than shuffled training. Hard first was 2.00 points better than shuffled training."),
        (1, None, -1, "It was 2.00 points better than shuffled training; whether the order or the pacing did it, the arm random would show."),
    ],
)  # fmt: skip
def test_every_pattern_has_its_sentence(gain, order, anti, sentence):
    found = {"curriculum": signed("curriculum", "shuffled", gain)}
    if order is not None:
        found[ORDER] = signed("curriculum", "random", order)
    if anti is not None:
        found["anti"] = signed("anti", "shuffled", anti)
    table = pd.DataFrame({"test_at_best_low": [0.6]}, index=["shuffled"])
    assert answer(found, table, guess=0.1) == sentence


def test_arms_that_decide_are_told_at_equal_cost_with_what_it_took_to_be_as_good():
    """Of a better one, a worse one, and one that differs by nothing but chance; the first comes first in the table."""
    gains = {"infobatch": 0.02, "rho": -0.03, "drop hard": 0.0, "drop random": 0.0005}
    noise = np.random.default_rng(3).normal(0, 0.002, (len(gains), 8))
    at_best = {"shuffled": BASE} | {
        arm: BASE + gain + each for (arm, gain), each in zip(gains.items(), noise, strict=True)
    }
    rising = np.linspace(0.2, 1, 5) * np.ones((8, 1))
    curves = {"shuffled": rising} | {arm: rising * 0.9 for arm in gains}
    curves["infobatch"] = np.minimum(rising * np.array([[1.7]] * 7 + [[0.9]]), 1)  # the last seed never gets there
    outcome = Outcome(np.arange(10, 60, 10), curves, {}, at_best, at_best, {"rho": 12})
    found = compare(at_best)
    assert {"drop hard against drop random"} == set(found) - set(gains)
    table = table_of(outcome, found)
    alone = [arm for arm in table.index if "against" not in arm]
    assert alone[:2] == ["shuffled", "infobatch"] and alone[-1] == "rho"
    said = answer(found, table, 0.1)
    assert said.startswith("At equal cost better than shuffled training: infobatch (+1.91)")
    assert "no difference shown: drop" in said and said.endswith(f"worse: rho ({100 * found['rho'].difference:.2f}).")
    (words,) = costs_until(table)
    assert "shuffled 100 % (100 to 100 %); infobatch 60 % (60 % or more);" in words and words.endswith(", rho.")
    both = {arm: at_best[arm] for arm in ("shuffled", "infobatch")}
    both |= {"curriculum": BASE + 0.02, "self_paced": BASE, "random": BASE}
    assert "self_paced against random" in compare(both)
    said = answer(compare(both), table, 0.1)
    assert said.startswith("Yes: 2.00 points better than shuffled training, and") and " At equal cost better" in said


def test_two_seeds_cannot_tell_and_their_interval_stays_within_what_accuracies_can_differ_by():
    found = compare({"shuffled": np.array([0.9, 0.8]), "curriculum": np.array([0.7, 0.75])})
    assert found["curriculum"].low < -1
    assert "between −100 and +83 points" in verdict(found["curriculum"])
    table = pd.DataFrame({"test_at_best_low": [0.6]}, index=["shuffled"])
    said = answer(found, table, guess=0.1)
    assert said == "Too few seeds (2) to tell; curriculum came out 12.5 points lower than shuffled training."


def test_verdict_of_too_few_seeds():
    results = {arm: values[:5] for arm, values in ARMS.items()}
    text = verdict(compare(results)["curriculum"])
    assert "no difference from shuffled could be shown" in text and "better" not in text
    assert "with 5 seeds none could have been, for p cannot go below 0.25 after correction for 4 comparisons" in text
    assert text.endswith("it takes at least 8 seeds.")


def test_verdict_where_fewer_is_better():
    steps = {"shuffled": np.arange(8) * 10 + 1000.0}
    steps["curriculum"] = steps["shuffled"] - np.array([90, 110, 100, 95, 105, 100, 98, 102])
    text = verdict(compare(steps)["curriculum"], unit="steps", scale=1, higher_is_better=False)
    assert text == "curriculum was 100.0 steps better than shuffled (95 % interval 94.9 to 105.1, p = 0.0078, 8 seeds)."


def test_nothing_is_claimed_where_interval_and_test_disagree():
    clear = compare(ARMS)["curriculum"]
    for doubtful in (replace(clear, corrected_p=0.051), replace(clear, low=-0.0001), replace(clear, low=0.0)):
        assert not doubtful.shown
        assert "no difference from shuffled could be shown" in verdict(doubtful) and "better" not in verdict(doubtful)


def test_a_claimed_interval_never_reads_as_if_it_held_0():
    close = replace(compare(ARMS)["curriculum"], low=0.00002, difference=0.008, high=0.016)
    assert "interval 0.002 to 1.600" in verdict(close)


def test_verdict_of_equal_numbers():
    text = verdict(compare({"shuffled": BASE, "curriculum": BASE})["curriculum"])
    assert (
        text
        == "curriculum: no difference from shuffled could be shown: with each of 8 seeds both gave the same number."
    )
    constant = verdict(compare({"shuffled": np.zeros(8), "curriculum": np.full(8, 0.25)})["curriculum"])
    assert "25.00 points better than shuffled (95 % interval 25.00 to 25.00" in constant


STEPS = np.array([0, 10, 40])


def test_area_by_hand():
    # 10 steps at a mean of 0.25, 30 at 0.75: (2.5 + 22.5) / 40
    assert area_under_curve(STEPS, np.array([0, 0.5, 1.0])) == pytest.approx(0.625)
    curves = np.array([[[0, 0.5, 1.0], [0.3, 0.3, 0.3]]])
    np.testing.assert_allclose(area_under_curve(STEPS, curves), [[0.625, 0.3]])


def test_area_is_the_mean_height_wherever_the_curve_begins_and_however_often_a_line_is_measured():
    line = np.linspace(0.2, 0.8, 7)
    assert area_under_curve(np.arange(100, 107), line) == pytest.approx(0.5)
    uneven = np.array([100, 103, 104, 106])
    assert area_under_curve(uneven, 0.2 + (uneven - 100) * 0.1) == pytest.approx(0.5)


def test_steps_until_by_hand():
    curves = np.array([[0.1, 0.6, 0.5], [0.1, 0.2, 0.3], [0.5, 0.4, 0.9]])
    assert steps_until(STEPS, curves, 0.5).tolist() == [10, np.inf, 0]
    # a threshold for each curve, reached exactly
    assert steps_until(STEPS, curves, np.array([0.7, 0.3, 0.9])).tolist() == [np.inf, 40, 40]
    assert steps_until(STEPS, curves[0], 0.55) == 10


def test_bad_curves():
    with pytest.raises(ValueError, match=r"not shape \(2,\) for steps \(3,\)"):
        area_under_curve(STEPS, np.zeros(2))
    with pytest.raises(ValueError, match="ascend"):
        steps_until(np.array([0, 10, 10]), np.zeros(3), 1)
    with pytest.raises(ValueError, match="at least two"):
        area_under_curve(np.array([1]), np.array([0.5]))


def rights(arms: dict[str, float], seeds: int = 10, examples: int = 1000) -> dict[str, np.ndarray]:
    """Which examples each seed gets right; some examples are hard for all arms."""
    rng = np.random.default_rng(8)
    hard = rng.random(examples)
    return {arm: rng.random((seeds, examples)) < accuracy - 0.3 * hard for arm, accuracy in arms.items()}


def test_which_examples_are_right_widens_intervals_and_is_told():
    right = rights({"shuffled": 0.9, "curriculum": 0.95})
    crossed = compare(right)["curriculum"]
    alone = compare({arm: each.mean(axis=1) for arm, each in right.items()})["curriculum"]
    assert crossed.difference == pytest.approx(alone.difference) and crossed.p >= alone.p
    assert crossed.high - crossed.low > alone.high - alone.low and crossed.detectable > alone.detectable
    assert (crossed.examples, alone.examples) == (1000, 0)
    assert verdict(crossed).endswith("10 seeds and 1,000 test examples).")
    with pytest.raises(ValueError, match="over different seeds or examples: shuffled has 10 × 1000, anti has 10 × 999"):
        compare({"shuffled": right["shuffled"], "anti": right["shuffled"][:, 1:]})


def test_pairs_of_several_orders_with_and_without_clusters():
    assert pairs_of(["shuffled", "entropy", "entropy clusters", "random", "random clusters", "anti entropy"]) == {
        "entropy": ("entropy", "shuffled"),
        "entropy clusters": ("entropy clusters", "shuffled"),
        "random": ("random", "shuffled"),
        "random clusters": ("random clusters", "shuffled"),
        "anti entropy": ("anti entropy", "shuffled"),
        "entropy against random": ("entropy", "random"),
        "entropy clusters against random clusters": ("entropy clusters", "random clusters"),
        "entropy clusters against entropy": ("entropy clusters", "entropy"),
    }
    assert pairs_of(["shuffled", "curriculum", "shuffled_longer"], paid=["curriculum"]) == {
        "curriculum": ("curriculum", "shuffled"),
        "shuffled_longer": ("shuffled_longer", "shuffled"),
        "curriculum against shuffled_longer": ("curriculum", "shuffled_longer"),
    }


def test_several_orders_are_one_table_sorted_by_effect_and_one_headline():
    right = rights({"shuffled": 0.9, "entropy": 0.85, "shallow": 0.95, "segments": 0.9, "random": 0.9})
    comparisons = compare(right)
    assert {c.comparisons for c in comparisons.values()} == {7}
    curves = {arm: each.mean(axis=1)[:, None] for arm, each in right.items()}
    table = table_of(Outcome(np.array([9]), curves, {}, right, right), comparisons)
    arms = [name for name in table.index if " against " not in name]
    assert arms[0] == "shuffled" and table.loc[arms[1:], "difference"].is_monotonic_decreasing
    assert list(table.index)[1:3] == ["shallow", "shallow against random"]
    assert table.loc["shallow against random", "difference"] == comparisons["shallow against random"].difference
    said = answer(comparisons, table, 0.1)
    gain, order = (100 * comparisons[f"shallow{other}"].difference for other in ("", " against random"))
    assert said.startswith(
        "Yes. Better than shuffled training and than a random order under the same pacing: "
        f"shallow ({gain:+.2f} and {order:+.2f}). No difference is shown: segments. Worse than shuffled training or"
    )


def test_what_does_not_matter_is_negligible_or_practically_none():
    small = compare(ARMS, matters=0.009)
    assert small["curriculum"].negligible and not small["anti"].negligible and small["random"].practically_none
    assert verdict(small["curriculum"]).endswith("8 seeds): negligible, less than 0.9 points.")
    assert verdict(small["random"]) == (
        "random: practically no difference from shuffled: between −0.27 and +0.25 points "
        "(95 % interval, 8 seeds); the interval lies within ±0.9 points."
    )
    assert not compare(ARMS, matters=0.002)["random"].practically_none  # a difference of .25 points remains possible
    table = pd.DataFrame({"test_at_best_low": [0.6]}, index=["shuffled"])
    said = answer({name: small[name] for name in ("curriculum", ORDER)}, table, 0.1)
    assert said == (
        "No: negligible: 0.80 points better than shuffled training; "
        "negligible: 0.81 points better than a random order under the same pacing."
    )


def test_the_price_of_an_order():
    longer = compare(ARMS | {"shuffled_longer": ARMS["anti"]}, pairs={"x": ("curriculum", "shuffled_longer")})["x"]
    assert price(300, 60, 60, [longer]) == (
        "The order cost 300 passes over the data; a training has 60. "
        "Beside shuffled training that is longer by 60 of them, it was 2.00 points better."
    )
    assert price(16, 9, 0, []) == "The order cost 16 passes over the data; a training has 9."
