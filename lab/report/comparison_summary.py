"""What a comparison of arms found, in words and a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from curricula.comparison import Comparison, verdict
from lab.report.summary import small
from lab.settings import PROGRAM


def print_comparison(
    console: Any,
    outcome: Any,
    table: pd.DataFrame,
    comparisons: Mapping[str, Comparison],
    answer: str,
    metric: str,
    notes: Sequence[str],
    run: str,
) -> None:
    """The arms' accuracies with intervals, their differences from the baseline, and the verdict in words. answer: the function's sentence."""

    def say(text: str, **style: Any) -> None:
        console.print(text, highlight=False, **style)

    say(f"\n[bold]Does training in order of {escape(metric)} help?[/]  {answer}")
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    shown.add_column("arm", no_wrap=True)
    headings = ("test\nacc.", "±", "at the\nend", "area", "steps to\nmatch")
    for heading in (*headings, "differ-\nence", "95 %\ninterval", "p"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for arm, row in table.iterrows():
        reach = (row["test_at_best_high"] - row["test_at_best_low"]) / 2
        cells = [f"{100 * row['test_at_best']:.2f}", f"{100 * reach:.2f}", f"{100 * row['test_at_end']:.2f}"]
        cells.append(f"{100 * row['validation_area']:.1f}" if "validation_area" in row else "-")
        cells.append("never" if np.isinf(row["steps_until"]) else f"{row['steps_until']:.0f}")
        if not np.isnan(row.get("difference", np.nan)):
            bounds = f"{100 * row['low']:+.2f} {100 * row['high']:+.2f}"
            cells += [f"{100 * row['difference']:+.2f}", bounds, small(row["corrected_p"])]
        shown.add_row(str(arm), *cells)
    console.print(shown)
    seeds, steps = len(outcome.at_best["shuffled"]), outcome.steps[-1]
    say(
        f"Per cent, mean and half of the 95 % interval over {seeds} seeds of {steps} optimiser step{'s' * (steps > 1)}. "
        "test acc.: accuracy at the step of the best validation accuracy; the differences, paired by seed, are of it. at the "
        "end: after the last step. area: mean height of the validation curve. steps to match: when the validation accuracy "
        "reaches what shuffled ends with. p: exact sign-flip test, Holm-corrected over arms.",
        style="dim",
    )
    say("")
    for sentence in verdicts(comparisons):
        say(f"- {sentence}")
    for note in notes:
        say(f"[dim]{escape(note)}.[/]")
    say(f"\nRun {run} holds the report page, figures and the table. To look at it, and at the curves by arm:")
    say(f"  {PROGRAM} --mode ui")


def verdicts(comparisons: Mapping[str, Comparison]) -> list[str]:
    return [verdict(comparison) for comparison in comparisons.values()]
