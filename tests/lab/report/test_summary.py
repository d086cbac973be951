"""The printed tables: at 80 columns every number and every name is there."""

import numpy as np
import pandas as pd
import pytest

from lab.report import summary
from lab.report.summary import as_text


@pytest.mark.parametrize("measurements", [2, 6, 19])
def test_a_sweep_of_long_names(measurements):
    names = [f"batch_size={2**n}, network=densenet121" for n in range(measurements)]
    draw = np.random.default_rng(0)
    orders = pd.DataFrame(-draw.random((measurements, measurements)), names, names)
    curves = {name: dict.fromkeys(summary.CURVES, draw.random(1000)) for name in names}
    text = as_text(lambda console: summary.print_sweep(console, curves, orders, "a" * 32))
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    for value in orders.to_numpy().ravel():
        assert f"{value:.2f}" in text
    for name in names:
        assert text.count(f"{name.split()[0]}") >= 3  # two epochs, and the order


def test_the_largest_numbers_of_a_comparison():
    row = {"test_at_best": 1, "test_at_best_high": 1, "test_at_best_low": 0.75, "test_at_end": 1, "validation_area": 1,
           "steps_until": 1234567, "difference": -1, "low": -1, "high": -1, "corrected_p": 0.0001}  # fmt: skip
    rows = summary.comparison_rows(pd.DataFrame([row, row], ["shuffled", "curriculum"]))
    heads = ("arm", "test\nacc.", "±", "at the\nend", "area", "steps to\nmatch", "differ-\nence", "95 %\ninterval", "p")
    text = as_text(lambda console: console.print(summary.table(heads, rows)))
    assert "…" not in text and text.count("1234567") == 2 and text.count("-100.00, -100.00") == 2 and "<0.001" in text


def test_long_names_of_statistics():
    name = "a_statistic_of_ones_own_with_a_name_that_is_long"
    row = [name, "+0.11* [+0.08, +0.15]", "-0.06* [-0.10, -0.03]", "+0.12*"]
    heads = ("statistic", "rho [95 % interval]", "within classes", "others\nfixed")
    text = as_text(lambda console: console.print(summary.table(heads, [row])))
    assert all(cell in text for cell in row[1:])
    assert "".join(line.split()[0] for line in text.splitlines()[-2:]) == name
