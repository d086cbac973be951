"""What a run found, in words and tables: printed on the terminal, kept as summary.txt, and the rows of the page's tables.

The words stand in templates/*.txt: a paragraph a line, and a line with the name of a table where it comes.
"""

import io
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
from curricula import Comparison, Outcome, verdict
from curricula.comparison import orders_of
from lab.errors import printable
from lab.report.plots import TEMPLATES
from lab.settings import PROGRAM

ACROSS = 8  # measurements side by side in a table
CURVES = (
    "accuracy", "agreement", "lower_bound", "chance_agreement", "chance_within_classes", "excess_within_classes",
)  # fmt: skip
Rows = list[list[str]]


def as_text(show: Callable[[Any], None]) -> str:
    """What `show` prints on a console, as plain text of 80 columns."""
    text = io.StringIO()
    show(Console(file=text, width=80, color_system=None, force_terminal=False, force_jupyter=False))
    return text.getvalue().strip() + "\n"


def print_measurement(console: Any, findings: Findings, run: str) -> None:
    """Accuracy and agreement at a few epochs, correlations with the learning time, and where the run lies."""
    train = curve_rows(findings.curves["train"])
    test = curve_rows(findings.curves["test"]) if "test" in findings.curves else [["-"] * len(row) for row in train]
    heads = (
        "epoch",
        "accuracy",
        "agree-\nment",
        "lower\nbound",
        "chance",
        "in\nclasses",
        "excess",
        "test\naccuracy",
        "test\nagreement",
    )
    curves = table(heads, [[*row, *other[1:3]] for row, other in zip(train, test, strict=True)], left=0)
    found = ("statistic", "rho [95 % interval]", "within classes", "others\nfixed", "first", "last")
    rows = correlation_rows(findings.correlations)
    correlations = table(found, [row[:2] + row[3:4] + row[5:] for row in rows])
    tables = {"CURVES": curves, "CORRELATIONS": correlations}
    show(console, "measurement.txt", tables, run=run, measured=bool(rows), **measurement_words(findings))


def print_comparison(
    console: Any,
    outcome: Outcome,
    arms: pd.DataFrame,
    comparisons: Mapping[str, Comparison],
    answer: str,
    metric: str,
    notes: Sequence[str],
    run: str,
    by_class: pd.DataFrame | None = None,
) -> None:
    """The arms' accuracies with intervals, their differences from the baseline, and the verdict in words."""
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
    values: dict[str, Any] = {"answer": answer, "metric": metric, "notes": notes, "run": run}
    tables = {
        "ARMS": table(heads, comparison_rows(arms)),
        "CLASSES": table(CLASS_HEADS, lowest_rows(arms, by_class), 2),
    }
    values["unequal"] = by_class is not None and unequal(by_class)
    words = comparison_words(outcome, comparisons)
    if len(orders_of(outcome.at_best)) > 1:  # so many sentences that nobody would read them
        clear = [verdict(c) for c in comparisons.values() if c.shown or c.practically_none]
        left = len(comparisons) - len(clear)
        rest = f"No difference could be shown in the other {left} of {len(comparisons)} comparisons (see verdict.txt)."
        words["verdicts"] = [*clear, *([rest] if left else [])]
    show(console, "comparison.txt", tables, **values, **words)


def print_sweep(console: Any, curves: Mapping[str, Mapping[str, np.ndarray]], orders: pd.DataFrame, run: str) -> None:
    """Agreement of each measurement at its middle and end, and the rank correlations of their orders."""
    rows = []
    for name, curve in curves.items():
        last = len(curve["accuracy"])
        for t in sorted({(last + 1) // 2, last}):
            rows.append([name, str(t), *(percent(curve[key][t - 1]) for key in CURVES[:4])])
    agreements = table(("measurement", "epoch", "accuracy", "agreement", "lower\nbound", "chance"), rows)
    tables: dict[str, Table | Group] = {"AGREEMENT": agreements, "ORDERS": Group(*order_tables(orders))}
    show(console, "sweep.txt", tables, run=run)


SCORE_HEADS = ("score", "easy", "seconds", "passes", "reli-\nable", "learning\ntime ±", "in\nclass", "pub-\nlished", "wrong\nlabels")  # fmt: skip


def print_scores(console: Any, scores: pd.DataFrame, headline: str, about: Mapping[str, Any], run: str) -> None:
    """A row per score of `curricula.choice.choice_table`. about: the measurement, its networks, and how wrong labels are known."""
    show(console, "scores.txt", {"SCORES": table(SCORE_HEADS, score_rows(scores))}, headline=headline, id=run, **about)


def score_rows(scores: pd.DataFrame) -> Rows:
    """What is computed from images does so exactly: it has no reliability to tell."""

    def two(value: float) -> str:
        return "-" if np.isnan(value) else f"{value:+.2f}"

    rows = []
    for name, row in scores.iterrows():
        rho = "-" if np.isnan(row["rho"]) else f"{row['rho']:+.2f} ±{(row['high'] - row['low']) / 2:.2f}"
        cost = "-" if np.isnan(row["seconds"]) else f"{row['seconds']:,.1f}" if row["seconds"] < 10 else f"{row['seconds']:,.0f}"  # fmt: skip
        passes = "-" if np.isnan(row["passes"]) else f"{row['passes']:.0f}"
        reliable = "exact" if row["source"] == "images" else two(row["reliability"]).lstrip("+")
        found = "-" if np.isnan(row["area"]) else f"{row['area']:.3f}"
        rows.append([str(name), row["easy"], cost, passes, reliable, rho, two(row["within_rho"]), two(row["published"]), found])  # fmt: skip
    return rows


def order_tables(orders: pd.DataFrame) -> Iterator[Table]:
    """The rank correlations, with numbers for names at the head, and as many columns a table as fit into 80 characters."""
    for begin in range(0, len(orders), ACROSS):
        numbers = range(begin, min(begin + ACROSS, len(orders)))
        cells = [
            [f"{row + 1}  {name}", *("-" if np.isnan(value) else f"{value:.2f}" for value in values[list(numbers)])]
            for row, (name, values) in enumerate(zip(orders.index, orders.to_numpy(), strict=True))
        ]
        yield table(("", *(str(number + 1) for number in numbers)), cells)


def show(console: Any, template: str, tables: Mapping[str, Table | Group], **values: Any) -> None:
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: escape(printable(str(value))),
    )  # fmt: skip
    for line in engine.get_template(template).render(program=PROGRAM, **values).splitlines():
        console.print(tables.get(line, line), highlight=False)


def table(heads: Sequence[str], rows: Rows, left: int = 1) -> Table:
    """left: how many of the columns are words, which begin on the left."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        made.add_column(escape(head), justify="left" if i < left else "right", no_wrap=i >= left, overflow="fold")
    for row in rows:
        made.add_row(*map(escape, row))
    return made


def measurement_words(findings: Findings) -> dict[str, Any]:
    """The headline, the shares of variance explained, how far the networks' orders agree, and what to beware of, as text."""
    rows = {name: row for name, row in findings.explained.iterrows()}
    models = ("statistics", "classes", "classes_and_statistics")
    table = findings.correlations["train"]
    return {
        "headline": headline(findings),
        "explained": [share(rows[name]) for name in models],
        "before": [(name, share(row)) for name, row in rows.items() if name not in models],
        "trained": findings.networks,
        "reliability": None if np.isnan(findings.reliability) else f"{findings.reliability:.2f}",
        "two_networks": None if np.isnan(findings.two_networks) else f"{findings.two_networks:.2f}",
        "never": f"{findings.still_wrong:.1%}",
        "reversed": list(reversed_signs(table)),
        "noisy": "edges" in table.index,
        "balanced": balanced_words(findings),
        "few": bool((table["low"].isna() & table["rho"].notna()).any()),
        "small": bool((table["within_rho"].isna() & table["rho"].notna()).any()),
    }


def balanced_words(findings: Findings) -> str:
    """A sentence on the balanced accuracy in the end, where it is not the accuracy: classes are unequal, and not learned alike."""
    split = "test" if "test" in findings.curves else "train"
    curves = findings.curves[split]
    if "balanced_accuracy" not in curves or abs(curves["accuracy"][-1] - curves["balanced_accuracy"][-1]) < 0.01:
        return ""
    found = f"{curves['balanced_accuracy'][-1]:.1%}, against {curves['accuracy'][-1]:.1%} over examples"
    return f"Classes are unequal: in the end the {split} accuracy, as the mean over classes, is {found}; classes.csv has each class."


def reversed_signs(table: pd.DataFrame) -> Iterator[str]:
    """A sentence for each correlation whose sign depends on the definition of the order.

    It does where both intervals leave out 0, on different sides.
    """
    words = {"": "learning time", "first_": "first", "last_": "last"}
    kinds = {"": "overall", "within_": "within classes", "others_fixed_": "with the others fixed"}
    for name, row in table.iterrows():
        for kind, where in kinds.items():
            shown = {
                order: row[f"{order}{kind}rho"]
                for order in words
                if row[f"{order}{kind}low"] > 0 or row[f"{order}{kind}high"] < 0
            }
            if len({value > 0 for value in shown.values()}) == 2:
                each = ", ".join(f"{correlation(value)} by {words[order]}" for order, value in shown.items())
                yield f"{name} {where}: {each}"


def headline(findings: Findings) -> str:
    """Agreement against chance within classes where it is furthest above it, and at the end; and what stands against it."""
    curves = findings.curves["train"]
    agreement, chance = curves["agreement"], curves["chance_within_classes"]
    excess = agreement - chance
    warning = ""
    if findings.one_class:
        warning = (
            "In the end each network gives all test images one and the same class: there is no order to speak of. "
        )
    elif not findings.beaten:
        guess = f"always naming the commonest class ({findings.commonest:.1%} of the test set)"
        warning = f"No network is shown to beat {guess}, so agreement says little here. "
    if findings.networks == 1:
        right = f"it gets {curves['accuracy'][-1]:.0%} of the training examples right"
        return f"{warning}One network has no other to agree with; after the last epoch {right}."
    if np.isnan(excess).all():
        return warning.strip()
    t = int(np.nanargmax(excess))
    end = f"{agreement[-1]:.0%} against {chance[-1]:.0%}"
    of_any = "of the examples that any of them gets right"
    if not excess[t] > 1e-9:
        most = f"No more than by chance: in no epoch do all networks get right more {of_any} than networks independent within"
        return f"{warning}{most} each class would. After the last epoch it is {end}."
    independent = f"networks independent within each class would agree on {chance[t]:.0%}."
    there = f"all networks get right {agreement[t]:.0%} {of_any}; {independent}"
    if t == len(excess) - 1:
        return f"{warning}After epoch {t + 1}, {there}"
    below = ", below chance" if excess[-1] < -1e-9 else ""
    furthest = f"After epoch {t + 1}, where they are furthest above chance, {there}"
    return f"{warning}{furthest} After the last epoch it is {end}{below}."


def sweep_headline(orders: pd.DataFrame) -> str:
    """How far the measurements agree on the order, two by two."""
    pairs = orders.to_numpy()[np.triu_indices(len(orders), 1)]
    if np.isnan(pairs).all():
        return "The measurements are of different examples."
    return f"The orders of any two measurements correlate with rho {np.nanmin(pairs):.2f} to {np.nanmax(pairs):.2f}."


def curve_rows(curves: Mapping[str, np.ndarray]) -> Rows:
    """Epoch and per cent of accuracy, agreement, lower bound, chance, chance and excess within classes, at a few epochs."""
    last = len(curves["agreement"])
    chosen = sorted({1, *(max(1, round(last * part)) for part in (0.1, 0.25, 0.5, 0.75)), last})
    return [[str(t), *(percent(curves[name][t - 1]) for name in CURVES)] for t in chosen]


def correlation_rows(tables: Mapping[str, pd.DataFrame]) -> Rows:
    """Statistic, rho with its interval and q, the same within classes, rho with the others fixed, and within classes by
    the first epoch right and by the last.

    Of the train examples, and below them what only the test examples are annotated with.
    """
    return [
        [name, *(cell for kind in ("", "within_") for cell in (interval(row, kind), small(row[f"{kind}q"]))),
         *(marked(row[f"{kind}rho"], row[f"{kind}q"]) for kind in ("others_fixed_", "first_within_", "last_within_"))]
        for name, row in correlations_of(tables["train"], tables.get("test", tables["train"]))
    ]  # fmt: skip


def correlations_of(train: pd.DataFrame, test: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    for found, mark in ((train, ""), (test[~test.index.isin(train.index)], " (test)")):
        yield from ((f"{name}{mark}", row) for name, row in found.iterrows())


def comparison_rows(arms: pd.DataFrame) -> Rows:
    """Arm; test accuracy, half of its interval, accuracy at the end, area; steps to match; difference, interval, p.

    Of a comparison with another arm than the baseline, which stands below its arm, the last three alone.
    """
    rows = []
    for arm, row in arms.iterrows():
        if np.isnan(row["test_at_best"]):
            of, _, other = str(arm).rpartition(" against ")
            shared = " clusters" if of.endswith(" clusters") else ""  # the reader sees it above
            cells = [f"− {other.removesuffix(shared)}", "", "", "", "", ""]
        else:
            reach = (row["test_at_best_high"] - row["test_at_best_low"]) / 2
            found = row["test_at_best"], reach, row["test_at_end"]
            cells = [str(arm), *(f"{100 * value:.2f}" for value in found)]
            area, until = row.get("validation_area", np.nan), row.get("steps_until", np.nan)
            cells.append("-" if np.isnan(area) else f"{100 * area:.1f}")
            cells.append("-" if np.isnan(until) else "never" if np.isinf(until) else f"{until:.0f}")
        if np.isnan(row.get("difference", np.nan)):
            cells += ["", "", ""]
        else:
            # of accuracies: Student's interval of two seeds goes beyond
            low, high = max(100 * row["low"], -100), min(100 * row["high"], 100)
            digits = 1 if max(-low, high) >= 10 else 2  # of few seeds: they have no second one, and the line no room
            bounds = f"{low:+.{digits}f}, {high:+.{digits}f}"
            cells += [f"{100 * row['difference']:+.2f}", bounds, small(row["corrected_p"])]
        rows.append(cells)
    return rows


CLASS_HEADS = ("arm", "lowest class", "its\nacc.", "trained\non", "balanced\nacc.", "±")
UNEQUAL = (
    1.5  # times as many examples in the largest class as in the smallest, from which the terminal tells of classes
)


def unequal(by_class: pd.DataFrame) -> bool:
    """Whether classes have unequal numbers of examples, to train on or to test on; by_class: of `curricula.class_table`."""
    return any(by_class[of].max() >= UNEQUAL * by_class[of].min() for of in ("trained", "examples"))


def lowest_rows(arms: pd.DataFrame, by_class: pd.DataFrame | None) -> Rows:
    """Arm; its class of the lowest accuracy, that accuracy, and how many there are to train on; balanced accuracy, half of its interval."""
    rows: Rows = []
    if by_class is None:
        return rows
    for arm, row in arms.iterrows():
        own = by_class[by_class["arm"] == arm]
        if len(own):
            low = own.loc[own["accuracy"].idxmin()]
            reach = (row["balanced_at_best_high"] - row["balanced_at_best_low"]) / 2
            found = f"{100 * low['accuracy']:.2f}", f"{low['trained']:,}", f"{100 * row['balanced_at_best']:.2f}"
            rows.append([str(arm), str(low["class"]), *found, f"{100 * reach:.2f}"])
    return rows


def class_words(arms: pd.DataFrame, by_class: pd.DataFrame | None, most: int) -> dict[str, Any]:
    """The page's table of classes: a row for each, how many there are to train on, and the accuracy of every arm; the balanced one first.

    Of more than `most` classes those on which the shuffled baseline is worst.
    """
    if by_class is None:
        return {"class_heads": [], "class_rows": [], "classes_left": 0}
    names = [arm for arm in arms.index if arm in set(by_class["arm"])]
    wide = {arm: by_class[by_class["arm"] == arm].reset_index(drop=True) for arm in names}
    first = wide["shuffled"]
    shown = first["accuracy"].sort_values(kind="stable").index[:most]
    balanced = [f"{100 * arms.loc[arm, 'balanced_at_best']:.2f}" for arm in names]
    rows = [["balanced", f"{first['trained'].sum():,}", f"{first['examples'].sum():,}", *balanced]]
    for i in shown:
        each = [f"{100 * wide[arm].loc[i, 'accuracy']:.2f}" for arm in names]
        rows.append([first.loc[i, "class"], f"{first.loc[i, 'trained']:,}", f"{first.loc[i, 'examples']:,}", *each])
    heads = ["class", "trained on", "tested on", *map(str, names)]
    return {"class_heads": heads, "class_rows": rows, "classes_left": len(first) - len(shown)}


def comparison_words(outcome: Outcome, comparisons: Mapping[str, Comparison]) -> dict[str, Any]:
    """The verdicts, and what the table's intervals and tests are over, as text."""
    results = outcome.at_best["shuffled"]
    chance, test = f"{len(results)} seeds", "exact sign-flip test over seeds"
    if results.ndim == 2:
        chance += f" and {results.shape[1]:,} test examples"
        test += ", or t-test over seeds and test examples where that is larger"
    verdicts = [verdict(comparison) for comparison in comparisons.values()]
    steps, matters = int(outcome.steps[-1]), any(c.matters for c in comparisons.values())
    return {"verdicts": verdicts, "chance": chance, "test": test, "steps": steps, "matters": matters}


def interval(row: Any, prefix: str) -> str:
    rho, low, high, q = (row[f"{prefix}{name}"] for name in ("rho", "low", "high", "q"))
    if np.isnan(rho):
        return "does not vary" if np.isnan(row["rho"]) else "-"
    return (
        f"{marked(rho, q)} few differ"
        if np.isnan(low)
        else f"{marked(rho, q)} [{correlation(low)}, {correlation(high)}]"
    )


def marked(rho: float, q: float) -> str:
    """A correlation, with a star where it counts as a discovery."""
    return "-" if np.isnan(rho) else f"{correlation(rho)}{'*' if q < 0.05 else ' '}"


def correlation(value: float) -> str:
    """Without the 0 before the point, as it is never more than 1."""
    return f"{value:+.2f}".replace("0.", ".", 1) if np.isfinite(value) else "?"


def percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def share(row: Any) -> str:
    """A share of the variance, its interval, and what it is of the reproducible."""
    if np.isnan(row["share"]):
        return "an unknown part"
    words = f"{max(row['share'], 0):.1%} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    part = row["of_reproducible"]
    return words if np.isnan(part) else f"{words} ({min(max(part, 0), 1):.0%} of the reproducible)"


def small(value: float) -> str:
    return "-" if np.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"
