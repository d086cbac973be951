"""The printed tables: at 80 columns every number and every name is there."""

import numpy as np
import pandas as pd
import pytest

from agreement import Findings, analyse
from agreement.record import LearningRecord
from agreement.recorder import RecordWriter, begin_record
from lab.report import rows as rows_of_tables
from lab.report import summary
from lab.report.about import About
from lab.report.summary import as_text, broken
from lab.report.words import found_wrong, headline, learned_little, reversed_signs

SPLITS = ("train", "test")
ABOUT = About("title", {}, "a" * 32, "2026-11-29 12:24", ["3 files left out"])


@pytest.mark.parametrize("measurements", [2, 6, 19])
def test_a_sweep_of_long_names(measurements):
    names = [f"batch_size={2**n}, network=densenet121" for n in range(measurements)]
    draw = np.random.default_rng(0)
    orders = pd.DataFrame(-draw.random((measurements, measurements)), names, names)
    curves = {name: dict.fromkeys(rows_of_tables.CURVES, draw.random(1000)) for name in names}
    text = as_text(lambda console: summary.print_sweep(console, curves, orders, ABOUT))
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    for value in orders.to_numpy().ravel():
        assert f"{value:.2f}" in text
    for name in names:
        assert text.count(f"{name.split()[0]}") >= 3  # two epochs, and the order


def test_the_largest_numbers_of_a_comparison():
    row = {"test_at_best": 1, "test_at_best_high": 1, "test_at_best_low": 0.75, "test_at_end": 1, "validation_area": 1,
           "steps_until": 1234567, "difference": -1, "low": -1, "high": -1, "corrected_p": 0.0001}  # fmt: skip
    rows = rows_of_tables.comparison_rows(pd.DataFrame([row, row], ["shuffled", "curriculum"]))
    heads = ("arm", "test\nacc.", "±", "at the\nend", "area", "steps to\nmatch", "differ-\nence", "95 %\ninterval", "p")
    text = as_text(lambda console: console.print(summary.table(heads, rows)))
    assert "…" not in text and text.count("1234567") == 2 and text.count("-100.0, -100.0") == 2 and "<0.001" in text


def test_names_break_behind_underscores():
    assert broken("second_split_forgetting_published") == "second_split_\nforgetting_\npublished"
    assert broken("learning_time", 12) == "learning_\ntime"
    assert broken("entropy") == "entropy" and broken("anamewithoutanyunderscore") == "anamewithoutanyunderscore"


def test_long_names_of_statistics():
    name = "a_statistic_of_ones_own_with_a_name_that_is_long"
    row = [name, "+0.11* [+0.08, +0.15]", "-0.06* [-0.10, -0.03]", "+0.12*"]
    heads = ("statistic", "rho [95 % interval]", "within classes", "others\nfixed")
    text = as_text(lambda console: console.print(summary.table(heads, [row])))
    assert all(cell in text for cell in row[1:])
    assert "".join(line.split()[0] for line in text.splitlines()[-2:]) == name


def findings_of(folder, predicted: np.ndarray, labels: np.ndarray) -> Findings:
    """Of networks that predict so on train and test, (K, T, N)."""
    ids = [str(i) for i in range(len(labels))]
    begin_record(folder, ["x"] * len(predicted), ["a", "b"], {s: labels for s in SPLITS}, {s: ids for s in SPLITS})
    for k, network in enumerate(predicted):
        writer = RecordWriter(folder / f"network-{k + 1}", dict.fromkeys(SPLITS, len(labels)), 2)
        for line in network:
            for split in SPLITS:
                writer.update(split, np.arange(len(labels)), line, np.full(len(labels), 0.5))
            writer.end_epoch(**{f"{split}/loss": 1.0 for split in SPLITS})
    values = np.random.default_rng(0).normal(size=len(labels))
    tables = {split: pd.DataFrame({"entropy": values, "edges": values**2}) for split in SPLITS}
    return analyse(LearningRecord(folder), tables, {split: {} for split in SPLITS}, ["entropy", "edges"])


LABELS = np.arange(200) % 2
RIGHT = np.tile(LABELS, (1, 2, 1))
OPPOSED = np.array(
    [np.where(np.arange(200) < 150, LABELS, 1 - LABELS), np.where(np.arange(200) >= 50, LABELS, 1 - LABELS)]
)
CASES = {
    "One network has no other to agree with; after the last epoch it gets 100% of": RIGHT,
    "In the end each network gives all test images one and the same class": np.zeros((3, 2, 200), int),
    "No network is shown to beat always naming the commonest class (50.0%": np.random.default_rng(0).integers(0, 2, (3, 2, 200)),
    "No more than by chance: in no epoch do all networks get right more": np.repeat(OPPOSED[:, None], 2, axis=1),
    "within each class, it would be 60%, which is more. The gap is widest after epoch 1 (100% against 60%).": np.stack(
        [np.concatenate([np.where(np.arange(200) < 150, LABELS, 1 - LABELS)[None], OPPOSED[k][None]]) for k in range(2)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", list(CASES))
def test_the_headline_says_what_is_the_case(tmp_path, words):
    findings = findings_of(tmp_path / "record", CASES[words], LABELS)
    found = headline(findings)
    assert words in found
    text = " ".join(as_text(lambda console: summary.print_measurement(console, findings, ABOUT, "All.")).split())
    shares = findings.explained["share"]
    assert ("Both come out below the class alone" in text) == (shares["classes_and_statistics"] < shares["classes"])
    assert "All." in text and "3 files left out." in text and "a" * 32 in text
    networks = len(CASES[words])
    assert ("are over examples only" in text) == (networks < 3) and ("cover other examples" in text) == (networks > 2)
    assert "edges is measured with noise" in text and ("Spearman-Brown" in text) == np.isfinite(findings.reliability)


def test_how_many_suspects_are_wrong():
    ranks, wrong = np.arange(1000, 0, -1), np.arange(1000) >= 970
    labels = np.repeat(range(10), 100)
    assert learned_little(
        0.35, labels
    ) == "" and "train accuracy 22.0%, the commonest class has 10.0%" in learned_little(0.22, labels)
    assert found_wrong(ranks, wrong) == "Of the first 100 labels to look at 30 are wrong; of all 1,000 it is 30."


def test_a_sign_that_depends_on_the_definition_is_said():
    row = {
        f"{order}{kind}{name}": value
        for order, sign in (("", -1), ("first_", -1), ("last_", 1))
        for kind, size in (("", 0.01), ("within_", 0.5), ("others_fixed_", np.nan))
        for name, value in (("rho", sign * size), ("low", sign * size - 0.1), ("high", sign * size + 0.1))
    }
    (sentence,) = reversed_signs(pd.DataFrame([row], ["segments"]))
    assert sentence == "segments within classes: -.50 by learning time, -.50 by first, +.50 by last"
