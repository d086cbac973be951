"""Figures in the paper's style, each a pure function from arrays to a matplotlib figure.

Colours are Okabe and Ito's, told apart by the colour-blind; line styles differ too, so that the figures read in grey.
"""

from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from lab.report.axis_labels import LABELS

BLUE, VERMILION, ORANGE, GREY = "#0072B2", "#D55E00", "#E69F00", "#666666"


def agreement_figure(
    agreement: np.ndarray,
    lower_bound: np.ndarray,
    chance: np.ndarray,
    accuracy: np.ndarray,
    deviation: np.ndarray,
    title: str,
) -> Figure:
    """Agreement with the gap to its lower bound shaded, chance agreement, accuracy with its deviation over networks.

    All arguments but the title are (T,) fractions; figures 2, 8 and 9 of the paper.
    """
    figure, axes = blank(title)
    draw_agreement(axes, agreement, lower_bound, accuracy, deviation)
    axes.plot(epochs(chance), 100 * chance, color=GREY, linestyle=":", label="expected by chance")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def statistic_figure(
    agreement: np.ndarray,
    lower_bound: np.ndarray,
    accuracy: np.ndarray,
    deviation: np.ndarray,
    curve: np.ndarray,
    everywhere: float,
    name: str,
    title: str,
) -> Figure:
    """Agreement as above, and on a second axis the mean of a statistic over the examples agreed on (figures 4-7, 16-18).

    curve: (T,) in the statistic's unit, shown as the paper does from epoch 5 on and only where agreement exceeds 20 %.
    everywhere: the statistic's mean over all examples, drawn as a thin line. name: of the statistic; LABELS gives its unit.
    """
    figure, axes = blank(title)
    draw_agreement(axes, agreement, lower_bound, accuracy, deviation)
    shown = np.where((epochs(curve) >= 5) & (agreement > 0.2), curve, np.nan)
    second = axes.twinx()
    if not np.isnan(shown).all():
        second.plot(epochs(curve), shown, color=ORANGE, linestyle="-.", linewidth=2, label=f"{name} where agreed on")
    second.axhline(everywhere, color=ORANGE, linewidth=0.8, alpha=0.8, label=f"{name} of all examples")
    second.set_ylabel(LABELS.get(name, name))
    second.spines["top"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)  # gathers both axes
    return figure


def histogram_figure(values: np.ndarray, name: str, title: str) -> Figure:
    """How a statistic is distributed over the examples, values (N,) in its unit (figures 12-15)."""
    figure, axes = blank(title)
    values = values[~np.isnan(values)]
    counted = values.size and np.ptp(values) < 60 and (values == np.rint(values)).all()
    bins = np.arange(values.min() - 0.5, values.max() + 1).tolist() if counted else 50  # whole numbers get a bar each
    axes.hist(values, bins=bins, color=BLUE, edgecolor="white", linewidth=0.3)
    axes.set(xlabel=LABELS.get(name, name), ylabel="examples")
    axes.margins(x=0)
    return figure


def draw_agreement(
    axes, agreement: np.ndarray, lower_bound: np.ndarray, accuracy: np.ndarray, deviation: np.ndarray
) -> None:
    steps = epochs(agreement)
    axes.fill_between(
        steps,
        100 * lower_bound,
        100 * agreement,
        color=BLUE,
        alpha=0.18,
        linewidth=0,
        label="above its lower bound",
    )
    axes.plot(steps, 100 * agreement, color=BLUE, linewidth=2, label="true-positive agreement")
    axes.fill_between(
        steps, 100 * (accuracy - deviation), 100 * (accuracy + deviation), color=VERMILION, alpha=0.25, linewidth=0
    )
    axes.plot(steps, 100 * accuracy, color=VERMILION, linestyle="--", label="accuracy, mean ± deviation")
    axes.set(xlabel="epoch", ylabel="per cent", ylim=(0, 100), xlim=(steps[0], max(steps[-1], steps[0] + 1)))
    axes.xaxis.get_major_locator().set_params(integer=True)


def epochs(curve: np.ndarray) -> np.ndarray:
    return np.arange(1, len(curve) + 1)


def blank(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=11, y=1)  # nothing stands above the axes that matplotlib would have to look for
    return figure, axes


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name`.png for looking at and `name`.svg for print.

    By the canvases themselves, which draw once; `savefig` draws twice, the first time for nothing but the layout.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for text in figure.findobj(Text):  # a name with dollar signs is no formula
        text.set_parse_math(False)
    own_dpi, figure.dpi = figure.dpi, 130
    FigureCanvasAgg(figure).print_png(folder / f"{name}.png")
    figure.dpi = own_dpi
    figure.set_layout_engine("none")  # things stay where they are: laying them out again takes half of the time
    rcParams["svg.hashsalt"] = "figures"  # the same figure gives the same file
    FigureCanvasSVG(figure).print_svg(folder / f"{name}.svg", metadata={"Date": None})
