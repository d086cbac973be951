"""What a run found, printed on the terminal and kept as summary.txt.

The words stand in templates/*.txt: a paragraph a line, and a line with the name of a table where it comes.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from agreement import Findings
from lab.errors import printable
from lab.report.about import About
from lab.report.answered import Answered
from lab.report.plots.files import TEMPLATES
from lab.report.rows import (
    CLASS_HEADS,
    CURVES,
    SCORE_HEADS,
    Rows,
    comparison_rows,
    correlation_rows,
    curve_rows,
    lowest_rows,
    percent,
    score_rows,
    unequal,
)
from lab.report.words import comparison_words, measurement_words
from lab.settings import PROGRAM

ACROSS = 8  # measurements side by side in a table


def as_text(show: Callable[[Any], None]) -> str:
    """What `show` prints on a console, as plain text of 80 columns."""
    text = io.StringIO()
    show(Console(file=text, width=80, color_system=None, force_terminal=False, force_jupyter=False))
    return text.getvalue().strip() + "\n"


def print_measurement(console: Any, findings: Findings, about: About, found_wrong: str = "") -> None:
    """Accuracy and agreement at a few epochs, correlations with the learning time, and where the run lies.

    found_wrong: a sentence on how many suspects have a wrong label, where that is known.
    """
    train = curve_rows(findings.curves["train"])
    test = curve_rows(findings.curves["test"]) if "test" in findings.curves else [["-"] * len(row) for row in train]
    heads = ("epoch", "accuracy", "agree-\nment", "lower\nbound", "chance", "in\nclasses", "excess", "test\naccuracy", "test\nagreement")  # fmt: skip
    curves = table(heads, [[*row, *other[1:3]] for row, other in zip(train, test, strict=True)], left=0)
    found = ("statistic", "rho [95 % interval]", "within classes", "others\nfixed", "first", "last")
    rows = correlation_rows(findings.correlations)
    correlations = table(found, [[broken(row[0]), row[1], row[3], *row[5:]] for row in rows])
    words = {**measurement_words(findings), "found_wrong": found_wrong, "measured": bool(rows)}
    show(console, "measurement.txt", about, {"CURVES": curves, "CORRELATIONS": correlations}, **words)


def broken(name: str, letters: int = 15) -> str:
    """A name in lines of at most so many letters, where it can be broken behind underscores and spaces."""
    lines = [""]
    for part in re.split(r"(?<=[_ ])", name):
        if lines[-1] and len(lines[-1] + part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def print_comparison(console: Any, found: Answered, about: About) -> None:
    """The arms' accuracies with intervals, their differences from the baseline, and the verdict in words."""
    outcome, comparisons, by_class = found.outcome, found.comparisons, found.by_class
    heads = (
        "arm",
        "test\nacc.",
        "±",
        "at the\nend",
        "area",
        "steps\nto\nmatch",
        "differ-\nence",
        "95 %\ninterval",
        "p",
    )
    tables = {
        "ARMS": table(heads, comparison_rows(found.table)),
        "CLASSES": table(CLASS_HEADS, lowest_rows(found.table, by_class), 2),
    }
    words = comparison_words(outcome, found.table, comparisons)
    if words["many"]:
        said = f"Each of these {len(comparisons)} comparisons in a sentence: on the report page, and in verdict.txt."
        words["verdicts"] = [said]
    unequal_classes = by_class is not None and unequal(by_class)
    words |= {"answer": found.answer, "question": found.question, "unequal": unequal_classes}
    show(console, "comparison.txt", about, tables, **words)


def print_sweep(
    console: Any, curves: Mapping[str, Mapping[str, np.ndarray]], orders: pd.DataFrame, about: About
) -> None:
    """Agreement of each measurement at its middle and end, and the rank correlations of their orders."""
    rows = []
    for name, curve in curves.items():
        last = len(curve["accuracy"])
        for t in sorted({(last + 1) // 2, last}):
            rows.append([name, str(t), *(percent(curve[key][t - 1]) for key in CURVES[:4])])
    agreements = table(("measurement", "epoch", "accuracy", "agreement", "lower\nbound", "chance"), rows)
    show(console, "sweep.txt", about, {"AGREEMENT": agreements, "ORDERS": Group(*order_tables(orders))})


def print_scores(console: Any, scores: pd.DataFrame, headline: str, source: Mapping[str, Any], about: About) -> None:
    """A row per score of `curricula.choice.choice_table`. source: see `lab.report.write_scores`."""
    rows = [[broken(name, 12), *cells] for name, *cells in score_rows(scores)]  # what is left of 80 columns
    tables = {"SCORES": table(SCORE_HEADS, rows)}
    show(console, "scores.txt", about, tables, headline=headline, **source)


def order_tables(orders: pd.DataFrame) -> Iterator[Table]:
    """The rank correlations, with numbers for names at the head, and as many columns a table as fit into 80 characters."""
    for begin in range(0, len(orders), ACROSS):
        numbers = range(begin, min(begin + ACROSS, len(orders)))
        cells = [
            [f"{row + 1}  {name}", *("-" if np.isnan(value) else f"{value:.2f}" for value in values[list(numbers)])]
            for row, (name, values) in enumerate(zip(orders.index, orders.to_numpy(), strict=True))
        ]
        yield table(("", *(str(number + 1) for number in numbers)), cells)


def show(console: Any, template: str, about: About, tables: Mapping[str, Table | Group], **values: Any) -> None:
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: escape(printable(str(value))),
    )  # fmt: skip
    for line in engine.get_template(template).render(program=PROGRAM, about=about, **values).splitlines():
        console.print(tables.get(line, line), highlight=False)


def table(heads: Sequence[str], rows: Rows, left: int = 1) -> Table:
    """left: how many of the columns are words, which begin on the left."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        made.add_column(escape(head), justify="left" if i < left else "right", no_wrap=i >= left, overflow="fold")
    for row in rows:
        made.add_row(*map(escape, row))
    return made
