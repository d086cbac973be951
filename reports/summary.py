"""What a measurement found, in words and tables for the terminal."""

from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from reports import tracking


def print_measurement(console: Any, findings: Any, config: Any, run: str) -> None:
    train, test = findings.curves["train"], findings.curves["test"]
    epochs = len(train["agreement"])
    chosen = sorted({1, *(max(1, round(epochs * part)) for part in (0.1, 0.25, 0.5, 0.75)), epochs})

    table = Table(title="Do the networks learn the same examples? (per cent)", title_justify="left", caption_justify="left",
                  caption="agreement: examples that all networks get right, of those that any gets right; lower bound: the least the accuracies\n"
                          "allow; chance: expected of networks that are right independently of each other; excess: (agreement - chance) / (1 - chance)")  # fmt: skip
    table.add_column("epoch", justify="right")
    for name in ("accuracy", "agreement", "lower bound", "chance", "excess", "test accuracy", "test agreement"):
        table.add_column(name, justify="right")
    for t in chosen:
        cells = [
            train[key][t - 1]
            for key in ("accuracy", "agreement", "lower_bound", "chance_agreement", "excess_agreement")
        ]
        table.add_row(str(t), *(percent(cell) for cell in [*cells, test["accuracy"][t - 1], test["agreement"][t - 1]]))
    console.print(table)

    table = Table(title="\nWhat in the images goes with being learned late? (Spearman's rho with the learned epoch)", title_justify="left", caption_justify="left",
                  caption="positive: examples with more of it are learned later. [95 % bootstrap interval]; q: false-discovery rate;\n"
                          "within classes: with ranks taken inside each class, so that class difficulty cannot explain it")  # fmt: skip
    for name in ("statistic", "rho", "q", "within classes", "q within"):
        table.add_column(name, justify="left" if name == "statistic" else "right")
    for name, row in findings.correlations.iterrows():
        table.add_row(
            escape(str(name)), interval(row, ""), small(row["q"]), interval(row, "within_"), small(row["within_q"])
        )
    console.print(table)

    explained = findings.explained
    console.print(
        f"\nOn held-out examples the statistics together explain {share(explained['statistics'])} of the variance of the learned epoch (its rank), "
        f"the class alone {share(explained['classes'])}, both {share(explained['classes_and_statistics'])}.\n"
        f"The networks' learning orders have a concordance (Kendall's W) of {findings.concordance:.2f}; "
        f"{findings.never_learned:.1%} of the training examples were never learned by all of them.",
        highlight=False,
    )
    console.print(
        f"\nRun {run} is in MLflow, with its figures, tables and the learning record. To look at it:", highlight=False
    )
    console.print(f"  uv run mlflow ui --backend-store-uri {tracking.tracking_uri()}", highlight=False, soft_wrap=True)


def percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def share(value: float) -> str:
    return "an unknown part" if np.isnan(value) else f"{max(value, 0):.1%}"


def interval(row: Any, prefix: str) -> str:
    rho, low, high = (row[f"{prefix}{name}"] for name in ("rho", "low", "high"))
    return "does not vary" if np.isnan(rho) else f"{rho:+.2f} \\[{low:+.2f}, {high:+.2f}]"


def small(value: float) -> str:
    return "-" if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
