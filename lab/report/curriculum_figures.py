"""Figures of a comparison of arms, each a pure function from arrays to a matplotlib figure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.report.figures import BLUE, GREY, ORANGE, VERMILION, blank

# (colour, line style) of the arms, told apart in grey too
STYLES = {"shuffled": (GREY, "-"), "curriculum": (BLUE, "-"), "anti": (VERMILION, "--"), "random": (ORANGE, ":")}


def curves_figure(steps: np.ndarray, curves: Mapping[str, np.ndarray], label: str, title: str) -> Figure:
    """A curve per arm over optimiser steps: mean and 95 % t-interval over seeds.

    steps: (E,). curves: arm to (S, E) fractions, shown in per cent.
    """
    from curricula.comparison import mean_interval

    figure, axes = blank(title)
    for arm, values in curves.items():
        colour, line = STYLES[arm]
        mean, low, high = 100 * np.array([mean_interval(column) for column in values.T]).T
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(steps, mean, color=colour, linestyle=line, linewidth=2, label=arm)
    axes.set(xlabel="optimiser step", ylabel=label, xlim=(0, steps[-1]))
    figure.legend(loc="outside lower center", ncols=len(curves), frameon=False)
    return figure


def pacing_figure(steps: np.ndarray, sizes: Mapping[str, np.ndarray], examples: int, title: str) -> Figure:
    """How many of the examples may be drawn from at each step, per pacing function: sizes name to (len(steps),)."""
    figure, axes = blank(title)
    colours = [BLUE, VERMILION, ORANGE, GREY, "#009E73", "#CC79A7", "#56B4E9", "black", "#B8860B"]
    styles = ["-", "--", ":", "-."]
    for i, (name, count) in enumerate(sizes.items()):
        line: dict[str, Any] = {"color": colours[i % len(colours)], "linestyle": styles[i % len(styles)]}
        axes.plot(steps, 100 * np.asarray(count) / examples, linewidth=1.8, label=name, **line)
    axes.set(xlabel="optimiser step", ylabel="first part of the order that is drawn from (%)", ylim=(0, 102))
    axes.set_xlim(0, steps[-1])
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def drawn_figure(steps: np.ndarray, drawn: Mapping[str, np.ndarray], title: str) -> Figure:
    """Which part of its order each arm drew its batches from: drawn, arm to (E, parts) shares of the draws."""
    figure = Figure(figsize=(6.4, 1.2 + 1.5 * len(drawn)), layout="constrained")
    figure.suptitle(title, fontsize=11)
    top = max(share.max() for share in drawn.values())
    rows = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (arm, share) in zip(rows, drawn.items(), strict=True):
        image = axes.imshow(
            share.T, aspect="auto", origin="lower", cmap="cividis", vmin=0, vmax=top, extent=(0, steps[-1], 0, 100)
        )
        axes.set_ylabel(f"{arm}\n% of the order")
    rows[-1].set_xlabel("optimiser step")
    figure.colorbar(image, ax=rows, label="share of the draws")
    return figure
