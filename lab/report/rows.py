"""The rows of the tables that a page and a terminal show, as text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from curricula.comparison import DROP

CURVES = (
    "accuracy", "agreement", "lower_bound", "chance_agreement", "chance_within_classes", "excess_within_classes",
)  # fmt: skip
SCORE_HEADS = ("score", "easy", "seconds", "passes", "reli-\nable", "learning\ntime ±", "in\nclass", "pub-\nlished", "wrong\nlabels")  # fmt: skip
CLASS_HEADS = ("arm", "lowest class", "its\nacc.", "trained\non", "balanced\nacc.", "±")
UNEQUAL = (
    1.5  # times as many examples in the largest class as in the smallest, from which the terminal tells of classes
)
Rows = list[list[str]]


def unbroken(heads: Sequence[str]) -> list[str]:
    """Headings in one line, as a page has them."""
    return [head.replace("-\n", "").replace("\n", " ") for head in heads]


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
            cells = [f"− {other.removesuffix(shared).removeprefix(f'{DROP} ')}", "", "", "", "", ""]
        else:
            reach = (row["test_at_best_high"] - row["test_at_best_low"]) / 2
            found = row["test_at_best"], reach, row["test_at_end"]
            cells = [str(arm), *(f"{100 * value:.2f}" for value in found)]
            area, until = row.get("validation_area", np.nan), row.get("steps_until", np.nan)
            cells.append("-" if np.isnan(area) else f"{100 * area:.1f}")
            beyond = "later" if row.get("seeds_until") else "never"
            cells.append("-" if np.isnan(until) else beyond if np.isinf(until) else f"{until:.0f}")
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


def score_rows(scores: pd.DataFrame) -> Rows:
    """What is computed from images does so exactly: it has no reliability to tell."""

    def two(value: float) -> str:
        return "-" if np.isnan(value) else f"{value:+.2f}"

    rows = []
    for name, row in scores.iterrows():
        rho = "-" if np.isnan(row["rho"]) else f"{row['rho']:+.2f}"
        rho += "" if np.isnan(row["low"]) else f" ±{(row['high'] - row['low']) / 2:.2f}"
        cost = "-" if np.isnan(row["seconds"]) else f"{row['seconds']:,.1f}" if row["seconds"] < 10 else f"{row['seconds']:,.0f}"  # fmt: skip
        passes = "-" if np.isnan(row["passes"]) else f"{row['passes']:.0f}"
        reliable = "exact" if row["source"] == "images" else two(row["reliability"]).lstrip("+")
        found = "-" if np.isnan(row["area"]) else f"{row['area']:.3f}"
        rows.append([str(name), row["easy"], cost, passes, reliable, rho, two(row["within_rho"]), two(row["published"]), found])  # fmt: skip
    return rows


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


def small(value: float) -> str:
    return "-" if np.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"
