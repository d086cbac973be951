"""Figures that lay several curves over each other, each a pure function from arrays to a matplotlib figure."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.report.figures import BLUE, GREY, ORANGE, VERMILION, blank, epochs

# Okabe and Ito's but the yellow, which is faint on white; neighbours differ in lightness
COLOURS = (BLUE, ORANGE, "black", "#CC79A7", VERMILION, "#56B4E9", "#009E73", GREY)
# one fewer than the colours, so that a colour and a dash meet again only after 56 curves
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (9, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)))


def sweep_figure(curves: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Figure:
    """Agreement and accuracy of several measurements, side by side (figures 2, 8 and 9 of the paper in one).

    curves: name of a measurement to its `agreement`, `lower_bound` and `accuracy`, each (T,) fractions; other curves are
    passed over, and T may differ. Under each agreement its lower bound is a thin line.
    """
    figure, (left, right) = two_panels(title)
    for (name, curve), line in zip(curves.items(), styles(len(curves)), strict=True):
        left.plot(epochs(curve["agreement"]), 100 * curve["agreement"], label=name, **line)
        left.plot(epochs(curve["lower_bound"]), 100 * curve["lower_bound"], **line | {"linewidth": 0.8, "alpha": 0.7})
        right.plot(epochs(curve["accuracy"]), 100 * curve["accuracy"], **line)
    left.set_title("true-positive agreement (thin: lower bound)", fontsize=10)
    over_epochs([left, right], max(len(curve["accuracy"]) for curve in curves.values()))
    figure.legend(
        loc="outside lower center", ncols=columns(list(curves), 9.6), handlelength=3, frameon=False, fontsize=9
    )
    return figure


def kinds_figure(agreed: Mapping[Any, np.ndarray], everywhere: np.ndarray, name: str, title: str) -> Figure:
    """What part of each kind of example is agreed on (illumination and rotation in figures 5 and 7 of the paper).

    agreed: kind to (T,) fractions, as from `agreement.agreement_by_kind`. everywhere: (T,), the part of all examples.
    name: of the annotation.
    """
    figure, axes = blank(title)
    axes.plot(epochs(everywhere), 100 * everywhere, color=GREY, linewidth=4, alpha=0.35, label="all examples")
    for (kind, curve), line in zip(agreed.items(), styles(len(agreed)), strict=True):
        axes.plot(epochs(curve), 100 * curve, label=str(kind), **line)
    axes.set_ylabel("examples that all networks get right (%)")
    over_epochs([axes], len(everywhere))
    ncols = columns(["all examples", *map(str, agreed)], 6.4)
    figure.legend(title=name, loc="outside lower center", ncols=ncols, handlelength=3, frameon=False, fontsize=9)
    return figure


def mistakes_figure(curves: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Figure:
    """Do networks make the same mistakes? False-positive agreement beside accuracy, a curve per split.

    curves: split (`train`, `test`) to its `false_positive_agreement` and `accuracy`, each (T,) fractions. The paper
    leaves this agreement, of all networks on one wrong class, for later (section 2).
    """
    figure, (left, right) = two_panels(title, sharey=False)
    for (split, curve), line in zip(curves.items(), styles(len(curves)), strict=True):
        left.plot(epochs(curve["accuracy"]), 100 * curve["false_positive_agreement"], label=f"{split} set", **line)
        right.plot(epochs(curve["accuracy"]), 100 * curve["accuracy"], **line)
    left.set_title("false-positive agreement", fontsize=10)
    over_epochs([left, right], max(len(curve["accuracy"]) for curve in curves.values()))
    highest = max(curve["false_positive_agreement"].max() for curve in curves.values())
    left.set_ylim(0, max(110 * highest, 1))  # networks seldom share a mistake: most of 0 to 100 would stay empty
    figure.legend(loc="outside lower center", ncols=2, handlelength=3, frameon=False, fontsize=9)
    return figure


def styles(number: int) -> list[dict[str, Any]]:
    """Colour and dash of as many curves, told apart by either."""
    return [
        {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)], "linewidth": 1.8}
        for i in range(number)
    ]


def two_panels(title: str, sharey: bool = True) -> tuple[Figure, np.ndarray]:
    """A figure with two panels beside each other, per cent on the left one, accuracy in the right one."""
    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(1, 2, sharey=sharey)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("per cent")
    panels[1].set_title("accuracy, mean over networks", fontsize=10)
    return figure, panels


def over_epochs(panels: Any, last: int) -> None:
    for axes in panels:
        axes.set(xlabel="epoch", ylim=(0, 100), xlim=(1, max(last, 2)))
        axes.xaxis.get_major_locator().set_params(integer=True)


def columns(names: list[str], width: float) -> int:
    """Into how many columns to put legend entries under a figure of that width in inches, so that rows are even."""
    fit = max(1, int(14 * width) // (10 + max(map(len, names))))
    rows = math.ceil(len(names) / fit)
    return math.ceil(len(names) / rows)
