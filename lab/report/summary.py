"""What a measurement found, in words and tables for the terminal."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.settings import PROGRAM

COLUMNS = {  # heading -> (split, curve)
    "accuracy": ("train", "accuracy"),
    "agree-\nment": ("train", "agreement"),
    "lower\nbound": ("train", "lower_bound"),
    "chance": ("train", "chance_agreement"),
    "excess": ("train", "excess_agreement"),
    "test\naccuracy": ("test", "accuracy"),
    "test\nagreement": ("test", "agreement"),
}


def as_text(show: Callable[[Any], None]) -> str:
    """What `show` prints on a console, as plain text of 80 columns."""
    text = io.StringIO()
    console = Console(file=text, width=80, color_system=None, force_terminal=False)
    show(console)
    return text.getvalue().strip() + "\n"


def print_measurement(console: Any, findings: Any, run: str) -> None:
    """Accuracy and agreement at a few epochs, correlations with the learned epoch, and where the run lies."""

    def say(text: str, **style: Any) -> None:
        console.print(text, highlight=False, **style)

    say(f"\n[bold]Do the networks learn the same examples?[/]  {headline(findings.curves['train'])}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("epoch", justify="right")
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    for t in chosen_epochs(len(findings.curves["train"]["agreement"])):
        table.add_row(str(t), *(percent(findings.curves[split][name][t - 1]) for split, name in COLUMNS.values()))
    console.print(table)
    say(
        "Per cent; training set unless test is said. agreement: examples that all networks get right, of those that any "
        "gets right. lower bound: what the accuracies alone force all networks to share. chance: agreement expected of "
        "networks that are right independently. excess: (agreement - chance) / (1 - chance).",
        style="dim",
    )

    say("\n[bold]What in the images goes with being learned late?[/]  Spearman's rho with the learned epoch")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("statistic")
    for heading in ("rho [95 % interval]", "within classes", "others\nfixed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in correlations_told(findings.correlations):
        fixed = marked(row["others_fixed_rho"], row["others_fixed_q"])
        table.add_row(escape(name), interval(row, ""), interval(row, "within_"), fixed)
    console.print(table)
    say(
        "Positive: images with more of it are learned later. within classes: ranks taken inside each class, so that "
        "class difficulty cannot explain it. others fixed: so, and with what the other image statistics explain taken away. "
        "*: counts as a discovery at a false-discovery rate of 5 %.",
        style="dim",
    )

    explained = findings.explained
    say(
        f"\nOf the variance of the learned epoch (its rank), on held-out examples, the statistics together explain "
        f"{share(explained['statistics'])}, the class {share(explained['classes'])}, both "
        f"{share(explained['classes_and_statistics'])}. {order_in_words(findings)}"
    )
    say(f"\nRun {run} holds the report page, figures, tables and the learning record. To look at it:")
    say(f"  {PROGRAM} --mode ui")


def correlations_told(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Any]]:
    """Name and row of every statistic of the train examples, then of what only the test examples are annotated with."""
    train, test = tables["train"], tables["test"]
    for table, mark in ((train, ""), (test[~test.index.isin(train.index)], " (test)")):
        for name, row in table.iterrows():
            yield f"{name}{mark}", row


def headline(curves: dict[str, np.ndarray]) -> str:
    """Agreement against chance where it is furthest above it, and at the end."""
    excess = curves["agreement"] - curves["chance_agreement"]
    if np.isnan(excess).all():
        return ""
    t = int(np.nanargmax(excess))
    there = (
        f"all of them get right {curves['agreement'][t]:.0%} of what any of them does; "
        f"networks right independently of each other would {curves['chance_agreement'][t]:.0%}."
    )
    if t == len(excess) - 1:
        return f"After epoch {t + 1}, {there}"
    end = f"After the last it is {curves['agreement'][-1]:.0%} against {curves['chance_agreement'][-1]:.0%}."
    return f"After epoch {t + 1}, where they are furthest above chance, {there} {end}"


def order_in_words(findings: Any) -> str:
    never = f"{findings.never_learned:.1%} of the training examples were never learned by all networks."
    if np.isnan(findings.concordance):
        return never
    return (
        f"The networks' learning orders agree with a concordance (Kendall's W) of {findings.concordance:.2f}; {never}"
    )


def print_sweep(console: Any, curves: Mapping[str, Any], orders: pd.DataFrame, run: str) -> None:
    """Agreement of each measurement at its middle and end, and the rank correlations of their orders."""
    console.print("\n[bold]Agreement of the networks in each measurement[/]  train set, per cent")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("measurement")
    for heading in ("epoch", "accuracy", "agreement", "lower\nbound", "chance"):
        table.add_column(heading, justify="right")
    for name, curve in curves.items():
        for t in sorted({(len(curve["accuracy"]) + 1) // 2, len(curve["accuracy"])}):
            values = (curve[key][t - 1] for key in ("accuracy", "agreement", "lower_bound", "chance_agreement"))
            table.add_row(escape(name), str(t), *(f"{100 * value:.1f}" for value in values))
    console.print(table)
    console.print("[bold]Do the measurements agree on the order?[/]  Spearman's rho of their learned epochs")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in orders:
        table.add_column(escape(name), justify="right")
    for name, row in orders.iterrows():
        table.add_row(escape(str(name)), *("-" if np.isnan(value) else f"{value:.2f}" for value in row))
    console.print(table)
    console.print(f"Run {run} holds the figure and the table. To look at it:\n  {PROGRAM} --mode ui", highlight=False)


def sweep_headline(orders: pd.DataFrame) -> str:
    """How far the measurements agree on the order, two by two."""
    pairs = orders.to_numpy()[np.triu_indices(len(orders), 1)]
    if np.isnan(pairs).all():
        return "The measurements are of different examples."
    return f"The orders of any two measurements correlate with rho {np.nanmin(pairs):.2f} to {np.nanmax(pairs):.2f}."


def chosen_epochs(epochs: int) -> list[int]:
    return sorted({1, *(max(1, round(epochs * part)) for part in (0.1, 0.25, 0.5, 0.75)), epochs})


def percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def share(value: float) -> str:
    return "an unknown part" if np.isnan(value) else f"{max(value, 0):.1%}"


def interval(row: Any, prefix: str) -> str:
    rho, low, high = (row[f"{prefix}{name}"] for name in ("rho", "low", "high"))
    return "does not vary" if np.isnan(rho) else f"{marked(rho, row[f'{prefix}q'])} \\[{low:+.2f}, {high:+.2f}]"


def marked(rho: float, q: float) -> str:
    """A correlation, with a star where it counts as a discovery."""
    return "-" if np.isnan(rho) else f"{rho:+.2f}{'*' if q < 0.05 else ' '}"


def small(value: float) -> str:
    return "-" if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
