"""Arms of anyone's runs: what is paired, what is said of the rest, and that the numbers are those of `compare`."""

import numpy as np
import pandas as pd
import pytest

from curricula import compare, compare_runs
from curricula.significance import smallest_p

DRAW = np.random.default_rng(0)
RESULTS = {arm: base + DRAW.normal(0, 0.01, 8) for arm, base in (("sgd", 0.8), ("adam", 0.83), ("lion", 0.82))}


def rows(results=RESULTS) -> pd.DataFrame:
    listed = [(arm, seed, value) for arm, values in results.items() for seed, value in enumerate(values)]
    return pd.DataFrame(listed, columns=["optimizer", "seed", "accuracy"])


def test_whole_runs_give_the_numbers_of_compare():
    found, table, notes = compare_runs(rows().sample(frac=1, random_state=1), "optimizer", "seed", "accuracy", "sgd")
    assert found.keys() == {"adam", "lion"} and notes == []
    for name, c in compare(RESULTS, "sgd").items():
        assert (found[name].difference, found[name].low, found[name].high) == pytest.approx(
            (c.difference, c.low, c.high)
        )
        assert (found[name].p, found[name].corrected_p) == (c.p, c.corrected_p)
        assert found[name].detectable == pytest.approx(c.detectable)
        assert table.loc[name, "corrected_p"] == c.corrected_p and table.loc[name, "smallest_p"] == smallest_p(8)
    assert table.loc["sgd", "mean"] == pytest.approx(RESULTS["sgd"].mean()) and np.isnan(table.loc["sgd", "p"])


def test_pairs_are_of_the_same_seed_and_the_rest_is_named():
    runs = pd.concat(
        [rows(), pd.DataFrame({"optimizer": ["adam", "sgd", None], "seed": [0, 9, 1], "accuracy": [0.5, 0.9, 1]})]
    )
    runs = pd.concat([runs, pd.DataFrame([["lion", 11, "diverged"]], columns=runs.columns)])
    runs = runs[(runs.optimizer != "lion") | (runs.seed.isin([2, 5, 7]))]
    found, table, notes = compare_runs(runs, "optimizer", "seed", "accuracy", "sgd")
    assert found["lion"].seeds == 3 and found["lion"].difference == pytest.approx(
        (RESULTS["lion"] - RESULTS["sgd"])[[2, 5, 7]].mean()
    )
    last = np.array([0.5, *RESULTS["adam"][1:]])  # of two runs with a seed the later counts
    assert found["adam"].seeds == 8 and found["adam"].difference == pytest.approx((last - RESULTS["sgd"]).mean())
    assert table.loc["adam", "runs"] == 8 and table.loc["sgd", "runs"] == 9
    text = "; ".join(notes)
    for words in ("1 rows lack", "1 runs have arm and seed of a later one", "adam and sgd: seeds 9 of one arm only",
                  "lion and sgd: seeds 0, 1, 3, 4, 6 ... of one arm only"):  # fmt: skip
        assert words in text


def test_the_baseline_is_the_first_arm_where_none_is_named_and_shuffled_brings_the_order_in():
    _, table, notes = compare_runs(rows(), "optimizer", "seed", "accuracy")
    assert table.loc["adam", "baseline"] == "sgd" and "compared with sgd" in notes[0]
    named = dict(zip(("shuffled", "curriculum", "random"), RESULTS.values(), strict=True))
    found, _, _ = compare_runs(rows(named), "optimizer", "seed", "accuracy", "shuffled")
    assert found.keys() == compare(named).keys() == {"curriculum", "random", "curriculum against random"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arm": "opt"}, "there is no column opt; there are optimizer, seed, accuracy"),
        ({"baseline": "none"}, "there is no arm 'none' to compare with; there are sgd, adam, lion"),
        ({"runs": rows({"a": [1.0, 2.0], "b": [3.0]})}, "no two arms can be compared; .*share 1 of the two seeds"),
        ({"runs": rows({"a": [1.0, 2.0]})}, "no two arms can be compared"),
    ],
)
def test_what_cannot_be_compared_is_one_line(change, words):
    with pytest.raises(ValueError, match=words):
        compare_runs(
            **{"runs": rows(), "arm": "optimizer", "seed": "seed", "metric": "accuracy", "baseline": None} | change
        )


def test_columns_that_may_lack_numbers():
    table = rows().convert_dtypes()
    table.loc[0, "accuracy"] = pd.NA
    comparisons, _, notes = compare_runs(table, "optimizer", "seed", "accuracy", "sgd")
    assert comparisons and any(note.startswith("1 rows lack") for note in notes)
