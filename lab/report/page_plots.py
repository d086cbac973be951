"""The plots of the report page as Vega-Lite specifications, each a pure function from arrays to a dictionary.

Vega-Lite because it adds 0.9 MB to the page (Bokeh 1.3 MB, Plotly 4.8 MB), draws SVG that prints sharply and that screen
readers find a description in, and takes colours from the page's style sheet, which knows light and dark. The script comes
with the package vl-convert-python.
"""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from curricula.comparison import mean_interval
from lab.report.axis_labels import LABELS

# the names of lab/report/figures.py's colours in page.css, lighter there on a dark page
BLUE, VERMILION, ORANGE, GREY = "var(--blue)", "var(--vermilion)", "var(--orange)", "var(--grey)"
INK, LINE, PAPER = "var(--ink)", "var(--line)", "var(--paper)"
STEPS = [f"var(--step-{i})" for i in range(5)]  # from wrong to right
ARMS = {"shuffled": (GREY, [1, 0]), "curriculum": (BLUE, [1, 0]), "anti": (VERMILION, [7, 4]), "random": (ORANGE, [2, 3])}  # fmt: skip
TICKS = {"expr": "ceil(width / 90)"}  # few on a phone

CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "domainColor": GREY, "tickColor": GREY, "gridColor": LINE,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8,
    },
    "legend": {
        "labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
        "orient": "bottom", "columns": 2, "symbolSize": 250, "symbolStrokeWidth": 2.5, "labelLimit": 260, "offset": 8,
    },
}  # fmt: skip


@cache
def plot_script() -> str:
    """The JavaScript that draws the specifications; defines `vegaEmbed`. Takes a second or two.

    In a process of its own, because it holds Python's lock all the time: Ctrl-C would wait for it.
    """
    bundle = "import vl_convert; print(vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;'), end='')"
    made = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", bundle],
        check=True,
        capture_output=True,
        encoding="utf-8",
        start_new_session=True,  # which Ctrl-C does not reach: it would print where it was
    )
    return made.stdout


def plot(description: str, height: int, **parts: Any) -> dict[str, Any]:
    """A specification as wide as its place on the page; `description` is read to those who do not see it."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",  # a name: nothing is fetched
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        **parts,
    }


def agreement_plot(curves: Mapping[str, np.ndarray], split: str) -> dict[str, Any]:
    """Agreement, the gap to its lower bound, chance agreement and accuracy with its deviation over networks.

    curves: (T,) fractions under the names of `lab.measure.Findings.curves`.
    """
    names = {"agreement": BLUE, "expected by chance": GREY, "accuracy": VERMILION}
    sources = ("agreement", "chance_agreement", "accuracy")
    deviation = curves["accuracy_deviation"]
    rows = [
        {"epoch": t, "curve": name, "value": value(curve)}
        for name, source in zip(names, sources, strict=True)
        for t, curve in zip(epochs(curves[source]).tolist(), curves[source], strict=True)
    ]
    table = [
        {
            "epoch": t + 1, "agreement": value(curves["agreement"][t]), "bound": value(curves["lower_bound"][t]),
            "chance": value(curves["chance_agreement"][t]), "accuracy": value(curves["accuracy"][t]),
            "low": value(curves["accuracy"][t] - deviation[t]), "high": value(curves["accuracy"][t] + deviation[t]),
        }
        for t in range(len(deviation))
    ]  # fmt: skip
    last = table[-1]
    description = (
        f"Curves over epochs on the {split} set. In the last, epoch {last['epoch']}, agreement is "
        f"{said(last['agreement'])}, chance agreement {said(last['chance'])}, accuracy {said(last['accuracy'])}."
    )
    x = epoch_axis(len(table))
    colours = {
        "color": {"field": "curve", "scale": {"domain": list(names), "range": list(names.values())}, "title": None},
        "strokeDash": {"field": "curve", "scale": {"domain": list(names), "range": [[1, 0], [2, 3], [7, 4]]}, "title": None},
    }  # fmt: skip
    bands = [
        area("bound", "agreement", BLUE, x, 0.16),
        area("low", "high", VERMILION, x, 0.22),
    ]
    pointed = [
        {"field": "epoch", "title": "epoch"},
        *({"field": name, "title": name if name != "bound" else "lower bound", "format": ".1%"} for name in ("agreement", "bound", "chance", "accuracy")),
    ]  # fmt: skip
    lines = {
        "data": {"values": rows},
        "mark": {"type": "line", "strokeWidth": 2.2, "point": {"size": 14} if len(table) == 1 else False},
        "encoding": {"x": x, "y": {"field": "value", "type": "quantitative"}, **colours},
    }
    return plot(
        description, 260, data={"values": table}, layer=[*bands, lines, pointer(x, pointed)],
        encoding={"y": {"type": "quantitative", "axis": {"format": "%", "title": None}, "scale": {"domain": [0, 1]}}},
    )  # fmt: skip


def statistic_plot(name: str, curves: Mapping[str, np.ndarray], everywhere: Mapping[str, float]) -> dict[str, Any]:
    """The mean of a statistic over the examples agreed on in each epoch, per split, and over all examples (thin lines).

    curves: split to (T,), in the statistic's unit, as from `shown`. everywhere: split to the mean over all its examples.
    """
    colours = {"train": BLUE, "test": VERMILION}
    rows = [
        {"epoch": t, "split": split, "value": value(point)}
        for split, curve in curves.items()
        for t, point in zip(epochs(curve).tolist(), curve, strict=True)
    ]
    means = [{"split": split, "value": value(mean)} for split, mean in everywhere.items()]
    ends = ", ".join(f"{said(value(mean), '.3g')} on the {split} set" for split, mean in everywhere.items())
    scale = {"domain": list(curves), "range": [colours[split] for split in curves]}
    shared = {
        "y": {"field": "value", "type": "quantitative", "title": LABELS.get(name, name), "scale": {"zero": False}},
        "color": {"field": "split", "scale": scale, "title": None, "legend": {"symbolType": "stroke"}},
        "strokeDash": {"field": "split", "scale": {"domain": list(curves), "range": [[1, 0], [7, 4]][: len(curves)]}, "title": None},
    }  # fmt: skip
    x = epoch_axis(len(next(iter(curves.values()))))
    pointed = [{"field": "epoch"}, {"field": "split"}, {"field": "value", "title": name, "format": ".4~g"}]
    return plot(
        f"Mean {name} of the examples that all networks get right, over epochs. The mean of all examples is {ends}.",
        200,
        layer=[
            {"data": {"values": means}, "mark": {"type": "rule", "opacity": 0.6}, "encoding": shared},
            {
                "data": {"values": rows},
                "mark": {"type": "line", "strokeWidth": 2.2, "point": {"size": 12}},
                "encoding": {"x": x, **shared, "tooltip": pointed},
            },
        ],
    )


def shown(curve: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """A statistic's curve (T,) as the paper shows it, from epoch 5 on and only where agreement (T,) exceeds 20 %; else NaN."""
    return np.where((epochs(curve) >= 5) & (agreement > 0.2), curve, np.nan)


def kinds_plot(name: str, curves: Mapping[Any, np.ndarray], split: str) -> dict[str, Any]:
    """Fraction of the examples of each kind that all networks get right in each epoch: curves kind to (T,)."""
    rows = [
        {"epoch": t, "kind": str(kind), "value": value(point)}
        for kind, curve in curves.items()
        for t, point in zip(epochs(curve).tolist(), curve, strict=True)
    ]
    domain = [str(kind) for kind in curves]
    colours = [(BLUE, VERMILION, ORANGE, GREY)[i % 4] for i in range(len(domain))]
    dashes = [([1, 0], [7, 4], [2, 3])[i // 4 % 3] for i in range(len(domain))]
    ends = ", ".join(f"{kind} {said(value(curve[-1]))}" for kind, curve in curves.items())
    pointed = [{"field": "kind", "title": name}, {"field": "epoch"}, {"field": "value", "title": "agreed on", "format": ".1%"}]  # fmt: skip
    return plot(
        f"Share of the examples of each {name} that all networks get right, over epochs, {split} set. At the end: {ends}.",
        200,
        data={"values": rows},
        mark={"type": "line", "strokeWidth": 2.2, "point": {"size": 12}},
        encoding={
            "x": epoch_axis(len(next(iter(curves.values())))),
            "y": {
                "field": "value", "type": "quantitative", "title": None, "axis": {"format": "%"},
                "scale": {"domain": [0, 1]},
            },
            "color": {
                "field": "kind", "scale": {"domain": domain, "range": colours}, "title": None,
                "legend": {"symbolType": "stroke"},
            },
            "strokeDash": {"field": "kind", "scale": {"domain": domain, "range": dashes}, "title": None},
            "tooltip": pointed,
        },
    )  # fmt: skip


def order_plot(last: int) -> dict[str, Any]:
    """A point per example of the data "examples": x a statistic, y its learned epoch, above `last` for never.

    The page fills in the data and the title of the x-axis, which the reader chooses.
    """
    never = never_level(last)
    ticks = np.unique(np.linspace(1, last, min(last, 7)).round()).astype(int).tolist()
    return plot(
        "A point per image: a statistic against the learned epoch.",
        340,
        data={"name": "examples"},
        mark={"type": "circle", "size": 26, "opacity": 0.45, "aria": False},
        encoding={
            "x": {"field": "x", "type": "quantitative", "scale": {"zero": False}, "axis": {"tickCount": TICKS}, "title": ""},
            "y": {
                "field": "y", "type": "quantitative", "title": "learned epoch",
                "scale": {"domain": [0, never + never - last], "nice": False},
                "axis": {"values": [*ticks, never], "labelExpr": f"datum.value > {last} ? 'never' : datum.label"},
            },
            "color": {
                "field": "never", "type": "nominal", "scale": {"domain": [False, True], "range": [BLUE, VERMILION]},
                "legend": None,
            },
            "tooltip": {"field": "i"},
        },
    )  # fmt: skip


def never_level(last: int) -> float:
    """Where "never" lies on an axis of epochs that ends with `last`."""
    return last + max(1, last / 10)


def map_plot() -> dict[str, Any]:
    """The map of Swayamdipta et al. 2020: a point per example of the data "examples", x variability, y confidence."""
    regions = [("easy to learn", 8, 0.96, "left"), ("ambiguous", {"expr": "width - 8"}, 0.5, "right"), ("hard to learn", 8, 0.04, "left")]  # fmt: skip
    bins = {"domain": [0.2, 0.4, 0.6, 0.8], "range": STEPS, "type": "threshold"}
    points = {
        "data": {"name": "examples"},
        "mark": {"type": "circle", "size": 26, "opacity": 0.6, "aria": False},
        "encoding": {
            "x": {
                "field": "x", "type": "quantitative", "axis": {"tickCount": TICKS},
                "title": "variability (standard deviation over epochs)",
            },
            "y": {
                "field": "y", "type": "quantitative", "scale": {"domain": [0, 1]},
                "title": "confidence (mean probability of the label)",
            },
            "color": {
                "field": "shade", "type": "quantitative", "scale": bins,
                "legend": {"title": "share of networks and epochs that are right", "format": ".0%", "gradientLength": 240, "titleLimit": 320},
            },
            "tooltip": {"field": "i"},
        },
    }  # fmt: skip
    names = [
        {
            "data": {"values": [{"y": y}]},
            "mark": {
                "type": "text", "text": name, "align": align, "fontSize": 13, "fontWeight": "bold", "x": x,
                "color": INK, **halo,
            },
            "encoding": {"y": {"field": "y", "type": "quantitative"}},
        }
        for name, x, y, align in regions
        for halo in ({"stroke": PAPER, "strokeWidth": 4, "strokeOpacity": 0.85}, {})
    ]  # fmt: skip
    return plot("A point per image: how confident the networks are of its label, and how much that varies over epochs.", 380, layer=[points, *names])  # fmt: skip


def arms_plot(steps: np.ndarray, validation: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A curve per arm over optimiser steps (E,): mean and 95 % t-interval over seeds of `validation` (S, E), fractions."""
    rows = []
    for arm, values in validation.items():
        for step, column in zip(steps.tolist(), values.T, strict=True):
            mean, low, high = map(value, mean_interval(column))
            rows.append({"arm": arm, "step": step, "accuracy": mean, "low": low, "high": high})
    ends = ", ".join(f"{row['arm']} {row['accuracy']:.1%}" for row in rows if row["step"] == steps[-1])
    names = list(validation)
    colour = {
        "field": "arm", "scale": {"domain": names, "range": [ARMS[arm][0] for arm in names]}, "title": None,
        "legend": {"symbolType": "stroke", "symbolOpacity": 1},
    }  # fmt: skip
    dash = {"field": "arm", "scale": {"domain": names, "range": [ARMS[arm][1] for arm in names]}, "title": None}
    x = step_axis("step", steps)
    y = {"type": "quantitative", "scale": {"zero": False}, "axis": {"format": "%"}, "title": "validation accuracy"}
    pointed = [
        {"field": "arm"}, {"field": "step"},
        *({"field": name, "format": ".2%"} for name in ("accuracy", "low", "high")),
    ]  # fmt: skip
    return plot(
        f"Validation accuracy over optimiser steps, mean over seeds. At the last evaluation: {ends}.",
        320,
        data={"values": rows},
        encoding={"x": x, "color": colour},
        layer=[
            {
                "mark": {"type": "area", "opacity": 0.18, "tooltip": None},
                "encoding": {"y": {"field": "low", **y}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "strokeWidth": 2.2, "point": {"size": 14}},
                "encoding": {"y": {"field": "accuracy", **y}, "strokeDash": dash, "tooltip": pointed},
            },
        ],
    )


def pacing_plot(steps: np.ndarray, sizes: Mapping[str, np.ndarray], examples: int) -> dict[str, Any]:
    """How many of the examples may be drawn from at each step, per pacing function: sizes name to (len(steps),)."""
    rows = [
        {"step": step, "pacing": name, "part": size / examples}
        for name, counts in sizes.items()
        for step, size in zip(steps.tolist(), np.asarray(counts).tolist(), strict=True)
    ]
    ends = "; ".join(
        f"{name}: from {counts[0] / examples:.0%} to {counts[-1] / examples:.0%}" for name, counts in sizes.items()
    )
    return plot(
        f"Share of the order that batches are drawn from, over optimiser steps. {ends}.",
        220,
        data={"values": rows},
        mark={"type": "line", "strokeWidth": 2.2, "color": BLUE},
        encoding={
            "x": step_axis("step", steps),
            "y": {
                "field": "part", "type": "quantitative", "title": "part of the order drawn from",
                "axis": {"format": "%"}, "scale": {"domain": [0, 1]},
            },
            "detail": {"field": "pacing"},
        },
    )  # fmt: skip


def drawn_plot(steps: np.ndarray, share: np.ndarray, top: float, arm: str) -> dict[str, Any]:
    """Which part of its order an arm drew its batches from: share (E, parts) of the draws up to each step of `steps`.

    top: the largest share of all arms, which the colours end with.
    """
    parts = share.shape[1]
    begins = [0, *steps[:-1].tolist()]
    rows = [
        {"from": begin, "to": end, "low": part / parts, "high": (part + 1) / parts, "share": value(drawn)}
        for begin, end, line in zip(begins, steps.tolist(), share, strict=True)
        for part, drawn in enumerate(line)
    ]
    early, late = (int(np.argmax(line)) / parts for line in (share[0], share[-1]))
    return plot(
        f"{arm}: share of the draws by part of the order, over optimiser steps. Most draws come from the part that begins "
        f"at {early:.0%} of the order at first, and from the one at {late:.0%} at the end.",
        160,
        data={"values": rows},
        mark={"type": "rect", "aria": False, "tooltip": True},
        encoding={
            "x": step_axis("from", steps),
            "x2": {"field": "to"},
            "y": {"field": "low", "type": "quantitative", "title": "part of the order", "axis": {"format": "%", "grid": False}},
            "y2": {"field": "high"},
            "color": {
                "field": "share", "type": "quantitative", "scale": {"scheme": "cividis", "domain": [0, top]},
                "legend": {"title": "share of the draws", "format": ".0%", "tickCount": 4},
            },
        },
    )  # fmt: skip


def area(low: str, high: str, colour: str, x: dict[str, Any], opacity: float) -> dict[str, Any]:
    return {
        "mark": {"type": "area", "color": colour, "opacity": opacity, "tooltip": None},
        "encoding": {"x": x, "y": {"field": low, "type": "quantitative"}, "y2": {"field": high}},
    }


def pointer(x: dict[str, Any], pointed: list[dict[str, Any]]) -> dict[str, Any]:
    """An upright line at the epoch nearest to the pointer, which tells the numbers there."""
    near = {"type": "point", "on": "pointermove", "nearest": True, "fields": ["epoch"], "clear": "pointerout"}
    return {
        "params": [{"name": "near", "select": near}],
        "mark": {"type": "rule", "color": INK, "strokeWidth": 1, "aria": False},
        "encoding": {
            "x": x,
            "opacity": {"condition": {"param": "near", "empty": False, "value": 0.5}, "value": 0},
            "tooltip": pointed,
        },
    }


def epoch_axis(last: int) -> dict[str, Any]:
    domain = [1, max(last, 2)]
    return {"field": "epoch", "type": "quantitative", "title": "epoch", "scale": {"domain": domain, "nice": False}, "axis": {"tickMinStep": 1, "format": "d"}}  # fmt: skip


def step_axis(field: str, steps: np.ndarray) -> dict[str, Any]:
    scale = {"domain": [0, int(steps[-1])], "nice": False}
    return {
        "field": field,
        "type": "quantitative",
        "title": "optimiser step",
        "scale": scale,
        "axis": {"tickCount": TICKS},
    }


def epochs(curve: np.ndarray) -> np.ndarray:
    return np.arange(1, len(curve) + 1)


def value(number: float) -> float | None:
    """Five significant digits; JSON has no NaN."""
    return float(f"{number:.5g}") if np.isfinite(number) else None


def said(number: float | None, style: str = ".0%") -> str:
    return "unknown" if number is None else format(number, style)
