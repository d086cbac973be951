"""What `--mode compare-runs` leaves: the page, tables, figures and the summary of arms of anyone's runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curricula import Comparison
from lab.report import Show, empty, finish, plots, summary, write_page, write_verdicts
from lab.report.about import About
from lab.report.page import render
from lab.report.rows import small, unbroken

HEADS = ("arm", "mean", "±", "pairs", "differ-\nence", "95 %\ninterval", "p", "least\np")


def write_runs(
    folder: Path,
    table: pd.DataFrame,
    comparisons: Mapping[str, Comparison],
    curves: Mapping[str, np.ndarray],
    steps: np.ndarray,
    verdicts: Sequence[str],
    metric: str,
    about: About,
) -> Show:
    """Write all of it into a new folder. Returns what prints the summary.

    table, comparisons: of `curricula.compare_runs`. curves: arm to (runs, E) values of the metric at `steps` (E,),
    none where runs have no two steps in common.
    """
    empty(folder)
    table.to_csv(folder / "runs.csv")
    write_verdicts(folder, verdicts)
    charts: dict[str, Any] = {"effects": plots.effects(comparisons, table.index, metric, 1, ".3g")}
    if curves:
        curves = {arm: curves[arm] for arm in table.index if arm in curves}  # colours go by this order
        charts = {"arms": plots.arms(steps, curves, metric, ".3g", "step"), **charts}
    for name, chart in charts.items():
        plots.save(chart, folder / "figures", name, about.title)
    words, rows = {"verdicts": verdicts, "metric": metric}, rows_of(table)
    data = {"plots": {name: plots.for_page(chart) for name, chart in charts.items()}}
    write_page(
        folder, render("runs.html", about, heads=unbroken(HEADS), rows=rows, charts=list(charts), data=data, **words)
    )
    tables = {"ARMS": summary.table(HEADS, rows)}
    return finish(folder, about, lambda console: summary.show(console, "runs.txt", about, tables, **words))


def rows_of(table: pd.DataFrame) -> list[list[str]]:
    """The cells of the table; the numbers have as many decimals as show two digits of the narrowest interval."""
    reaches = pd.concat([(table[f"{name}high"] - table[f"{name}low"]) / 2 for name in ("mean_", "")])
    narrowest = reaches[reaches > 1e-9 * table["mean"].abs().max()].min()  # less is rounding
    decimals = 3 if np.isnan(narrowest) else int(max(0, 1 - np.floor(np.log10(narrowest))))

    def cell(value: float, sign: str = "") -> str:
        return "" if np.isnan(value) else f"{value:{sign}.{decimals}f}"

    rows = []
    for arm, row in table.iterrows():
        reach = (row["mean_high"] - row["mean_low"]) / 2
        cells = [str(arm), cell(row["mean"]), cell(reach)]
        if np.isnan(row.get("difference", np.nan)):
            cells += ["", "", "", "", ""]
        else:
            bounds = f"{cell(row['low'], '+')}, {cell(row['high'], '+')}"
            p = small(row["corrected_p"])
            cells += [f"{row['seeds']:.0f}", cell(row["difference"], "+"), bounds, p, small(row["smallest_p"])]
        rows.append(cells)
    return rows
