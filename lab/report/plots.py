"""The plots, each a pure function from arrays to a chart of Altair: interactive in the page, and saved as PNG and SVG.

Vega-Lite because it adds 0.9 MB to the page (Bokeh 1.3 MB, Plotly 4.8 MB), draws SVG that prints sharply and that screen
readers find a description in, and takes colours from the page's style sheet, which knows light and dark. Names of
statistics, classes and measurements are values in the data, never fields: Vega-Lite reads dots and brackets in a field.

Colours are Okabe and Ito's, which the colour-blind tell apart; dashes differ too, so that the plots read in grey.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from curricula import Comparison, mean_interval
from curricula.sentences import within_bounds

TEMPLATES = Path(__file__).parent / "templates"
BLUE, VERMILION, ORANGE, GREY, INK, LINE, PAPER = (
    f"var(--{name})" for name in ("blue", "vermilion", "orange", "grey", "ink", "line", "paper")
)
# neighbours differ in lightness; one dash fewer, so that a colour and a dash meet again only after 56 curves
COLOURS = (BLUE, ORANGE, INK, "var(--pink)", VERMILION, "var(--sky)", "var(--green)", GREY)
DASHES = ([1, 0], [7, 4], [2, 3], [8, 2, 2, 2], [12, 3], [4, 2, 1, 2, 1, 2], [4, 4])
STEPS = [f"var(--step-{i})" for i in range(5)]  # from wrong to right
ARMS = {"shuffled": (GREY, [1, 0]), "curriculum": (BLUE, [1, 0]), "anti": (VERMILION, [7, 4]), "random": (ORANGE, [2, 3])}  # fmt: skip
SPLITS = {"train": (BLUE, [1, 0]), "test": (VERMILION, [7, 4])}
FEW = alt.ExprRef("ceil(width / 90)")  # ticks, on a phone
WIDTH = 520  # of a file's panel, in pixels before SCALE
SCALE = 2
FEWEST = 5  # seeds that have a band; fewer are drawn one by one
LABELS = {  # what statistics and annotations are called on axes, with their units
    "entropy": "mean local entropy (bits)",
    "frequency": "important DCT coefficients (%)",
    "segments": "number of segments",
    "edges": "sum of edge strengths",
    "gradient": "mean gradient",
    "brightness": "mean luminance",
    "contrast": "standard deviation of the luminance",
    "colourfulness": "colourfulness",
    "sharpness": "variance of the Laplacian",
    "height": "height (pixels)",
    "width": "width (pixels)",
    "shallow": "difficulty to a shallow model (rank)",
    "shallow:fast": "difficulty to a shallow model (rank, fast)",
    "shallow:loss": "loss of a shallow model (nats)",
    "neighbours": "neighbours of other classes (share)",
    "typicality": "distance to the mean of the class",
    "instances": "number of objects",
    "box_area": "area of the objects' boxes (of the image)",
    "search_difficulty": "search difficulty (s)",
    "label_entropy": "entropy of people's labels (bits)",
    "c_score": "C-score",
    "label_noise": "people who give another label (fraction)",
}
TEXT = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {**TEXT, "domainColor": GREY, "tickColor": GREY, "gridColor": LINE, "titlePadding": 8},
    "legend": {
        **TEXT, "orient": "bottom", "columns": 2, "symbolSize": 250, "symbolStrokeWidth": 2.5, "labelLimit": 260,
        "offset": 8,
    },
    "title": {"color": INK, "fontSize": 14, "fontWeight": "normal", "subtitleColor": INK, "anchor": "middle"},
}  # fmt: skip

Layers = alt.LayerChart | alt.FacetChart  # as `alt.layer` declares
Curves = Mapping[str, np.ndarray]
Styles = Mapping[str, tuple[str, list[int]]]  # colour and dash


def agreement(curves: Curves, split: str) -> Layers:
    """Agreement, the gap to its lower bound, chance agreement and accuracy with its deviation over networks.

    curves: (T,) fractions under the names of `agreement.Findings.curves`. Figures 2, 8 and 9 of the paper.
    """
    shown = {name: curves[name] for name in ("agreement", "lower_bound", "chance_agreement", "accuracy")}
    spread = curves["accuracy_deviation"]
    shown |= {"low": curves["accuracy"] - spread, "high": curves["accuracy"] + spread}
    table = [{"at": t + 1} | {name: number(curve[t]) for name, curve in shown.items()} for t in range(len(spread))]
    last = table[-1]
    x, y = epochs_axis(len(table)), fractions(None)
    base = alt.Chart(alt.InlineData(values=table)).encode(x=x)
    near = alt.selection_point(
        name="near", on="pointermove", nearest=True, fields=["at"], clear="pointerout", empty=False
    )
    fields = {"at": "epoch", "agreement": "agreement", "lower_bound": "lower bound", "chance_agreement": "chance", "accuracy": "accuracy"}  # fmt: skip
    rule = base.mark_rule(color=INK, strokeWidth=1, aria=False).encode(
        opacity=alt.when(near).then(alt.value(0.5)).otherwise(alt.value(0)),
        tooltip=[tooltip(field, title, "d" if field == "at" else ".1%") for field, title in fields.items()],
    )
    styles = {"agreement": (BLUE, [1, 0]), "expected by chance": (GREY, [2, 3]), "accuracy": (VERMILION, [7, 4])}
    sources = {"agreement": "agreement", "expected by chance": "chance_agreement", "accuracy": "accuracy"}
    named = with_numbers({name: curves[source] for name, source in sources.items()})
    layers = alt.layer(
        band(base, "lower_bound", "agreement", y, 0.16).encode(color=alt.value(BLUE)),
        band(base, "low", "high", y, 0.22).encode(color=alt.value(VERMILION)),
        lines(named, x, y, {name: styles[name] for name in named}, pointed=None),
        rule.add_params(near).properties(name="pointed"),
    )
    return layers.properties(
        height=260,
        description=f"Curves over epochs on the {split} set. In the last, epoch {len(table)}, agreement is "
        f"{as_percent(last['agreement'])}, chance agreement {as_percent(last['chance_agreement'])}, accuracy "
        f"{as_percent(last['accuracy'])}.",
    )


def statistic(
    name: str, curves: Curves, values: Mapping[str, np.ndarray], agreed: Curves, reach: float | None = None
) -> Layers:
    """The mean of a statistic over the examples agreed on in each epoch, in standard deviations from the mean of all, ± its standard error.

    curves: split to (T,), in the statistic's unit, as from `shown`. values: split to (N,), of all its examples. agreed: split
    to (T,), the fraction of them agreed on. reach: where the axis ends, for one scale of several statistics, see `reach_of`.
    Figures 4 to 7 and 16 to 18 of the paper, which have the unit; the tip has both.
    """
    drawn = with_numbers(curves)
    length = len(next(iter(curves.values())))
    rows = [
        {"name": split, "at": t + 1, "own": number(curve[t])}
        | dict(zip(("value", "low", "high"), map(number, deviations), strict=True))
        for split, curve in drawn.items()
        for t, deviations in enumerate(in_deviations(curve, values[split], agreed[split]).T)
    ]
    reach = reach or reach_of([(curve, values[split], agreed[split]) for split, curve in drawn.items()])
    label, styles = LABELS.get(name, name), {split: SPLITS[split] for split in drawn or curves}
    y = scaled(alt.Y, "value", "standard deviations from all", [-reach, reach])
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=epochs_axis(length), color=coloured(styles))
    zero = alt.Chart(alt.InlineData(values=[{"value": 0}])).mark_rule(color=GREY, strokeWidth=1).encode(y=y)
    pointed = [tooltip("value", "deviations", "+.3f"), tooltip("own", label, ".4~g")]
    line = base.mark_line(strokeWidth=2.2, point={"size": 12}).encode(
        y=y, strokeDash=dashed(styles), tooltip=[alt.Tooltip(field="name", title="split"), tooltip("at", "epoch", "d"), *pointed]
    )  # fmt: skip
    ends = ", ".join(
        f"{np.nanmean(each):.3g} on the {split} set" if np.isfinite(each).any() else f"unknown on the {split} set"
        for split, each in values.items()
    )
    return alt.layer(zero, band(base, "low", "high", y, 0.2), line).properties(
        height=200,
        description=f"Mean {name} of the examples that all networks get right, over epochs, in standard deviations from the "
        f"mean of all examples. That is {ends}.",
    )


def in_deviations(curve: np.ndarray, values: np.ndarray, agreed: np.ndarray) -> np.ndarray:
    """Mean over those agreed on (T,), and it less and plus its standard error, in deviations of all values (N,): (3, T)."""
    known = values[np.isfinite(values)]
    if not known.size or not known.std():
        return np.full((3, len(curve)), np.nan)
    mean = (curve - known.mean()) / known.std()
    with np.errstate(divide="ignore"):
        error = 1 / np.sqrt(agreed * len(known))
    return np.array([mean, mean - error, mean + error])


def reach_of(drawn: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """Where an axis ends that holds all of these curves, see `in_deviations`: at 0.1 deviations at least."""
    ends = [np.abs(found[np.isfinite(found)]) for each in drawn for found in [in_deviations(*each)]]
    return max([0.1, *(float(1.05 * end.max()) for end in ends if end.size)])


def with_numbers(curves: Curves) -> dict[str, np.ndarray]:
    """The curves to draw: one without any number would stand in the legend alone."""
    return {name: curve for name, curve in curves.items() if np.isfinite(curve).any()}


def shown(curve: np.ndarray, agreed: np.ndarray) -> np.ndarray:
    """A statistic's curve (T,) as the paper shows it: from epoch 5 on, where agreement (T,) exceeds 20 %; else NaN."""
    return np.where((np.arange(1, len(curve) + 1) >= 5) & (agreed > 0.2), curve, np.nan)


def kinds(name: str, curves: Mapping[Any, np.ndarray], everywhere: np.ndarray, split: str) -> Layers:
    """Fraction of the examples of each kind that all networks get right: curves kind to (T,), everywhere (T,) of all.

    Illumination and rotation in figures 5 and 7 of the paper.
    """
    named = with_numbers({str(kind): curve for kind, curve in curves.items()})
    x, y = epochs_axis(len(everywhere)), fractions("examples that all networks get right")
    styles = {"all examples": (LINE, [1, 0])} | styles_of(named)
    ends = ", ".join(f"{kind} {as_percent(curve[-1])}" for kind, curve in named.items())
    whole = lines({"all examples": everywhere}, x, y, styles, pointed=None, width=5, dots=0)
    return alt.layer(whole, lines(named, x, y, styles, pointed=(name, "agreed on", ".1%"))).properties(
        height=200,
        description=f"Share of the examples of each {name} that all networks get right, over epochs, {split} set. At the "
        f"end: {ends}.",
    )


def histogram(values: np.ndarray, name: str) -> alt.Chart:
    """How a statistic is distributed over the examples, values (N,) in its unit. Figures 12 to 15 of the paper."""
    values = values[np.isfinite(values)]
    counted = values.size and np.ptp(values) < 60 and (values == np.rint(values)).all()
    bins = np.arange(values.min() - 0.5, values.max() + 1) if counted else 50  # whole numbers get a bar each
    counts, edges = np.histogram(values, bins)
    rows = [
        {"low": low, "high": high, "examples": count}
        for low, high, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    ]
    ends, whole = [rows[0]["low"], rows[-1]["high"]], {"tickMinStep": 1} if counted else {}
    chart = alt.Chart(alt.InlineData(values=rows)).mark_bar(color=BLUE, stroke=PAPER, strokeWidth=0.4)
    return chart.encode(
        x=scaled(alt.X, "low", LABELS.get(name, name), ends, **whole),
        x2=alt.X2(field="high"),
        y=scaled(alt.Y, "examples", "examples"),
        y2=alt.datum(0),
        tooltip=[tooltip(field, field, "~g") for field in ("low", "high", "examples")],
    ).properties(height=260, description=f"Histogram of {name}, {values.size} examples.")


def mistakes(curves: Mapping[str, Curves]) -> alt.HConcatChart:
    """Do networks make the same mistakes? False-positive agreement beside accuracy, a curve per split.

    curves: split to its `false_positive_agreement` and `accuracy`, each (T,) fractions. The paper leaves this agreement,
    of all networks on one wrong class, for later (section 2).
    """
    highest = max(float(curve["false_positive_agreement"].max()) for curve in curves.values())
    # networks seldom share a mistake: most of 0 to 100 % would stay empty
    own = fractions("false-positive agreement", max(1.1 * highest, 0.01))
    parts = {"false_positive_agreement": own, "accuracy": fractions("accuracy, mean over networks")}
    return beside(
        {name: {split: curve[name] for split, curve in curves.items()} for name in parts}, parts, SPLITS,
        "False-positive agreement and accuracy over epochs, training and test set.",
    )  # fmt: skip


def sweep(curves: Mapping[str, Curves]) -> alt.HConcatChart:
    """Agreement and accuracy of several measurements, beside each other (figures 2, 8 and 9 of the paper in one).

    curves: name of a measurement to its `agreement`, `lower_bound` and `accuracy`, each (T,) fractions; T may differ.
    Under each agreement its lower bound is a thin line.
    """
    names = {"agreement": "true-positive agreement (thin: lower bound)", "accuracy": "accuracy, mean over networks"}
    parts = {name: fractions(title) for name, title in names.items()}
    panels = {name: {each: curve[name] for each, curve in curves.items()} for name in (*parts, "lower_bound")}
    return beside(panels, parts, styles_of(curves), f"Agreement and accuracy over epochs: {', '.join(curves)}.")


def scores(table: pd.DataFrame) -> tuple[Layers, str]:
    """A point per score of `curricula.choice.choice_table`, and what it shows: the first there is of these in words.

    The correlation with the learning time and its interval, the mean with published difficulties, the area for wrong labels.
    """
    words = {
        "rho": "Spearman's rho with the learning time, and its 95 % interval",
        "published": "mean of Spearman's rho with published difficulties",
        "area": "area under the curve of wrong labels found",
    }
    shown = next((name for name in words if table[name].notna().any()), "rho")
    known = table[table[shown].notna()].sort_values(shown, ascending=False)
    bounds = ("low", "high") if shown == "rho" else (shown, shown)
    rows = [
        {"name": str(name), "value": number(row[shown]), "low": number(row[bounds[0]]), "high": number(row[bounds[1]])}
        for name, row in known.iterrows()
    ]
    y = alt.Y(field="name", type="nominal", title=None, sort=None)
    base = alt.Chart(alt.Data(values=rows))
    tips = [alt.Tooltip(field="name", type="nominal", title="score"), tooltip("value", words[shown], ".3f")]
    x = scaled(alt.X, "value", words[shown])
    points = base.mark_point(filled=True, size=60, color=BLUE).encode(x=x, y=y, tooltip=tips)
    bars = base.mark_rule(color=BLUE).encode(x=x.copy().field("low"), x2=alt.X2(field="high"), y=y)
    order = ", ".join(f"{row['name']} {row['value']}" for row in rows)
    return alt.layer(bars, points, description=f"{words[shown]}: {order}."), f"{words[shown]}."


def beside(
    panels: Mapping[str, Curves], parts: Mapping[str, alt.Y], styles: Styles, description: str
) -> alt.HConcatChart:
    """A panel for each of the parts; `lower_bound`, where there is one, is a thin line in the one of agreement."""
    x = epochs_axis(max(map(len, next(iter(panels.values())).values())))
    drawn: list[Any] = []
    for part, y in parts.items():
        layers = [lines(panels[part], x, y, styles)]
        if part == "agreement":
            layers.append(lines(panels["lower_bound"], x, y, styles, pointed=None, width=0.8, dots=0))
        drawn.append(alt.layer(*layers).properties(width=WIDTH * 0.75, height=300))
    return alt.hconcat(*drawn, description=description).resolve_scale(color="shared", strokeDash="shared")


def under(*charts: Any) -> alt.VConcatChart:
    """Charts below each other, each with its own colours."""
    made = alt.vconcat(*(chart.properties(width=WIDTH) for chart in charts))
    return made.resolve_scale(color="independent", strokeDash="independent")


def order() -> alt.Chart:
    """A point per example of the data "examples": x a statistic, y its learning time, in colour what some network has wrong
    in the end.

    The page fills in the data and the title of the x-axis, which the reader chooses.
    """
    colours = alt.Scale(domain=[False, True], range=[BLUE, VERMILION])
    return (
        points(0.45)
        .encode(
            x=scaled(alt.X, "x", "", tickCount=FEW),
            y=scaled(alt.Y, "y", "learning time", [0, 1], format="%"),
            color=alt.Color(field="never", type="nominal", legend=None, scale=colours),
        )
        .properties(height=340, description="A point per image: a statistic against the learning time.")
    )


def cartography() -> Layers:
    """The map of Swayamdipta et al. 2020: a point per example of the data "examples", x variability, y confidence."""
    shades = alt.Scale(type="threshold", domain=[0.2, 0.4, 0.6, 0.8], range=STEPS)
    title = "share of networks and epochs that are right"
    legend = alt.Legend(title=title, format=".0%", gradientLength=240, titleLimit=320)
    drawn = points(0.6).encode(
        x=scaled(alt.X, "x", "variability (standard deviation over epochs)", tickCount=FEW),
        y=scaled(alt.Y, "y", "confidence (mean probability of the label)", [0, 1]),
        color=alt.Color(field="shade", type="quantitative", scale=shades, legend=legend),
    )
    right = alt.ExprRef("width - 8")
    regions: list[Any] = [("easy to learn", 8, 0.96, "left"), ("ambiguous", right, 0.5, "right"), ("hard to learn", 8, 0.04, "left")]  # fmt: skip
    halos: tuple[dict[str, Any], ...] = ({"stroke": PAPER, "strokeWidth": 4, "strokeOpacity": 0.85}, {})
    names = [
        alt.Chart(alt.InlineData(values=[{"y": y}]))
        .mark_text(text=name, align=align, fontSize=13, fontWeight="bold", x=x, color=INK, **halo)
        .encode(y=alt.Y(field="y", type="quantitative"))
        for name, x, y, align in regions
        for halo in halos
    ]
    return alt.layer(drawn, *names).properties(
        height=380,
        description="A point per image: how confident the networks are of its label, and how much that varies over epochs.",
    )


def points(opacity: float) -> alt.Chart:
    """Circles that the page fills in and gives a tip of their own: the image."""
    chart = alt.Chart(alt.NamedData(name="examples")).mark_circle(size=26, opacity=opacity, aria=False)
    return chart.encode(tooltip=alt.Tooltip(field="i"))


def arms(
    steps: np.ndarray,
    validation: Curves,
    what: str = "validation accuracy",
    style: str = "%",
    step: str = "optimiser step",
) -> Layers:
    """A curve per arm over steps (E,): mean and 95 % t-interval over seeds of `validation` (S, E); of few seeds, each as a point.

    what, style: the numbers are, and how they are written, fractions as per cent by default. step: what a step is.
    """
    found = {arm: np.array([mean_interval(column) for column in values.T]) for arm, values in validation.items()}
    if style == "%":  # the intervals of few seeds go beyond
        found = {arm: np.clip(table, 0, 1) for arm, table in found.items()}
    rows = [
        {"name": arm, "at": step} | dict(zip(("value", "low", "high"), map(number, line), strict=True))
        for arm, table in found.items()
        for step, line in zip(steps.tolist(), table, strict=True)
    ]
    y, pointed_style = scaled(alt.Y, "value", what, format=style), ".2%" if style == "%" else style
    ends = ", ".join(
        f"{arm} {as_percent(table[-1, 0]) if style == '%' else format(table[-1, 0], '.4g')}"
        for arm, table in found.items()
    )
    styles = arm_styles(validation)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=steps_axis(steps, title=step), color=coloured(styles))
    pointed = [
        tooltip(field, title, pointed_style)
        for field, title in (("value", what.removeprefix("validation ")), ("low", "low"), ("high", "high"))
    ]
    mean = base.mark_line(strokeWidth=2.2, point={"size": 14}).encode(
        y=y, strokeDash=dashed(styles), tooltip=[alt.Tooltip(field="name", title="arm"), tooltip("at", "step", "d"), *pointed]
    )  # fmt: skip
    if any(len(values) < FEWEST for values in validation.values()):
        each = [
            {"name": arm, "at": step, "value": number(value)}
            for arm, values in validation.items()
            for one in values
            for step, value in zip(steps.tolist(), one, strict=True)
        ]
        seeds = alt.Chart(alt.InlineData(values=each)).mark_point(size=16, strokeWidth=1, opacity=0.6, aria=False)
        x, y = steps_axis(steps, title=step), scaled(alt.Y, "value", what, format=style)
        around: Any = seeds.encode(x=x, y=y, color=coloured(styles))
    else:
        around = band(base, "low", "high", y, 0.18)
    return alt.layer(around, mean).properties(
        height=320,
        description=f"{what[0].upper()}{what[1:]} over steps, mean over seeds. At the last evaluation: {ends}.",
    )


def arm_styles(arms: Iterable[str]) -> dict[str, tuple[str, list[int]]]:
    """A colour and a dash for each arm, always the same for those of `ARMS`."""
    arms = list(arms)
    colours = [colour for colour in COLOURS if colour not in (GREY, ORANGE)]
    others = [arm for arm in arms if arm not in ARMS]
    styles = {arm: (colours[i % len(colours)], DASHES[i % len(DASHES)]) for i, arm in enumerate(others)}
    return {arm: ARMS[arm] if arm in ARMS else styles[arm] for arm in arms}


def effects(
    comparisons: Mapping[str, Comparison], what: str = "test accuracy (points)", scale: float = 100, style: str = ".2f"
) -> Layers:
    """Forest plot: each difference with its 95 % interval, the largest above.

    Full points where a difference is shown; the grey band holds the differences that do not matter, where that was said.
    what: is compared, in units of 1 / scale, percentage points by default; style: of the numbers.
    """
    rows = [
        {"name": f"{c.arm} − {c.baseline}", "with": c.baseline, "full": int(c.shown),
         "p": number(c.corrected_p)}
        | {key: number(scale * value)
           for key, value in zip(("value", "low", "high"), (c.difference, *(within_bounds(c) if scale == 100 else (c.low, c.high))), strict=True)}
        for c in sorted(comparisons.values(), key=lambda c: -c.difference)
    ]  # fmt: skip
    known = {"shuffled": BLUE, "random": ORANGE}
    baselines = list(dict.fromkeys(str(row["with"]) for row in rows))
    rest = iter([VERMILION, INK, "var(--green)", "var(--pink)", "var(--sky)", GREY] * len(baselines))
    colours = alt.Scale(domain=baselines, range=[known[each] if each in known else next(rest) for each in baselines])
    colour = alt.Color(field="with", type="nominal", scale=colours, legend=alt.Legend(title="difference from"))
    base = alt.Chart(alt.InlineData(values=rows))
    names: list[Any] = [row["name"] for row in rows]
    y = alt.Y(field="name", type="nominal", title=None, sort=names, axis=alt.Axis(labelLimit=230))
    x = scaled(alt.X, "value", f"difference in {what}", tickCount=FEW)
    tips = [
        alt.Tooltip(field="name", title="arms"),
        *(tooltip(key, key, f"+{style}") for key in ("value", "low", "high")),
    ]
    layers: list[Any] = [
        alt.Chart(alt.InlineData(values=[{"value": 0}])).mark_rule(color=INK, strokeWidth=1).encode(x=x)
    ]
    matters = scale * max(c.matters for c in comparisons.values())
    if matters:
        ends = alt.InlineData(values=[{"value": -matters, "to": matters}])
        layers.insert(0, alt.Chart(ends).mark_rect(color=GREY, opacity=0.25).encode(x=x, x2=alt.X2(field="to")))
    layers += [
        base.mark_rule(strokeWidth=2.2).encode(x=x.copy().field("low"), x2=alt.X2(field="high"), y=y, color=colour),
        base.mark_point(size=60, filled=False, strokeWidth=2).encode(x=x, y=y, color=colour, tooltip=tips),
        base.mark_point(size=60, filled=True).encode(
            x=x, y=y, color=colour, tooltip=[*tips, tooltip("p", "p, corrected", ".2g")],
            opacity=alt.Opacity(field="full", type="quantitative", scale=None),
        ),
    ]  # fmt: skip
    said = "; ".join(
        f"{row['name']} {row['value']:+{style}} ({row['low']:+{style}} to {row['high']:+{style}})" for row in rows
    )
    return alt.layer(*layers).properties(
        height=24 * len(rows), description=f"Differences in {what} with 95 % intervals: {said}."
    )


def pacing(steps: np.ndarray, sizes: Curves, examples: int) -> alt.Chart:
    """How many of the examples may be drawn from at each step, per pacing function: sizes name to (len(steps),)."""
    parts = {name: np.asarray(counts) / examples for name, counts in sizes.items()}
    ends = "; ".join(f"{name}: from {as_percent(part[0])} to {as_percent(part[-1])}" for name, part in parts.items())
    y = fractions("part of the order drawn from")
    chart = lines(parts, steps_axis(steps), y, styles_of(parts), at=steps, pointed=("pacing", "part", ".0%"), dots=0)  # fmt: skip
    return chart.properties(
        height=220, description=f"Share of the order that batches are drawn from, over optimiser steps. {ends}."
    )


def drawn(steps: np.ndarray, share: np.ndarray, top: float, arm: str) -> alt.Chart:
    """Which part of its order an arm drew its batches from: share (E, parts) of the draws up to each step of `steps`.

    top: the largest share of all arms, which the colours end with.
    """
    parts = share.shape[1]
    begins = [0, *steps[:-1].tolist()]
    rows = [
        {"from": begin, "to": end, "low": part / parts, "high": (part + 1) / parts, "share": number(size)}
        for begin, end, line in zip(begins, steps.tolist(), share, strict=True)
        for part, size in enumerate(line)
    ]
    early, late = (int(np.argmax(line)) / parts for line in (share[0], share[-1]))
    colours = alt.Scale(scheme="cividis", domain=[0, top])
    legend = alt.Legend(title="share of the draws", format=".0%", tickCount=4)
    chart = alt.Chart(alt.InlineData(values=rows)).mark_rect(aria=False)
    pointed = [
        tooltip("from", "after step", "d"), tooltip("to", "to step", "d"), tooltip("low", "from, of the order", ".0%"),
        tooltip("high", "to, of the order", ".0%"), tooltip("share", "share of the draws", ".1%"),
    ]  # fmt: skip
    return chart.encode(
        tooltip=pointed,
        x=steps_axis(steps, "from"),
        x2=alt.X2(field="to"),
        y=scaled(alt.Y, "low", "part of the order", [0, 1], format="%", grid=False),
        y2=alt.Y2(field="high"),
        color=alt.Color(field="share", type="quantitative", scale=colours, legend=legend),
    ).properties(
        height=160,
        description=f"{arm}: share of the draws by part of the order, over optimiser steps. Most draws come from the part "
        f"that begins at {early:.0%} of the order at first, and from the one at {late:.0%} at the end.",
    )


def lines(
    curves: Curves,
    x: alt.X,
    y: alt.Y,
    styles: Styles,
    at: np.ndarray | None = None,
    pointed: tuple[str, str, str] | None = ("", "value", ".1%"),
    width: float = 2.2,
    dots: int = 12,
) -> alt.Chart:
    """A line per curve (T,), over epochs or the steps `at`. styles: also of curves that other layers draw.

    pointed: what the tooltip calls a curve and its value, and the value's format.
    """
    rows = [
        {"name": name, "at": step, "value": number(point)}
        for name, curve in curves.items()
        for step, point in zip(range(1, len(curve) + 1) if at is None else at.tolist(), curve, strict=True)
    ]
    chart = alt.Chart(alt.InlineData(values=rows)).mark_line(strokeWidth=width, point={"size": dots} if dots else False)
    chart = chart.encode(x=x, y=y, color=coloured(styles), strokeDash=dashed(styles))
    if pointed is None:
        return chart
    where = tooltip("at", "epoch" if at is None else "step", "d")
    return chart.encode(tooltip=[alt.Tooltip(field="name", title=pointed[0]), where, tooltip("value", *pointed[1:])])


def coloured(styles: Styles) -> alt.Color:
    scale = alt.Scale(domain=list(styles), range=[colour for colour, _ in styles.values()])
    legend = alt.Legend(symbolType="stroke", symbolOpacity=1)
    return alt.Color(field="name", type="nominal", title=None, scale=scale, legend=legend)


def dashed(styles: Styles) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(styles), range=[dash for _, dash in styles.values()])
    return alt.StrokeDash(field="name", type="nominal", title=None, scale=scale)


def styles_of(names: Iterable[str]) -> dict[str, tuple[str, list[int]]]:
    """A colour and a dash for each name, told apart by either."""
    return {name: (COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i, name in enumerate(names)}


def band(base: alt.Chart, low: str, high: str, y: alt.Y, opacity: float) -> alt.Chart:
    """The area between two fields, on the axis of `y`."""
    area = base.mark_area(opacity=opacity, tooltip=None)
    return area.encode(y=y.copy().field(low), y2=alt.Y2(field=high))


def tooltip(field: str, title: str, style: str) -> alt.Tooltip:
    return alt.Tooltip(field=field, type="quantitative", title=title, format=style)


def scaled(channel: Any, field: str, title: str | None, domain: list[float] | None = None, **axis: Any) -> Any:
    """Numbers on the x- or y-axis: from end to end of the domain, without one wherever they lie."""
    scale = alt.Scale(domain=domain, nice=False) if domain else alt.Scale(zero=False)
    return channel(field=field, type="quantitative", title=title, scale=scale, axis=alt.Axis(**axis))


def fractions(title: str | None, top: float = 1) -> alt.Y:
    return scaled(alt.Y, "value", title, [0, top], format="~%")


def epochs_axis(last: int) -> alt.X:
    # given one by one: Vega would also put some between two epochs and round their labels
    step = next(size * 10**power for power in range(9) for size in (1, 2, 5) if last <= 10 * size * 10**power)
    values = [1, *range(max(step, 2), max(last, 2) + 1, step)]
    return scaled(alt.X, "at", "epoch", [1, max(last, 2)], values=values, format="d")


def steps_axis(steps: np.ndarray, field: str = "at", title: str = "optimiser step") -> alt.X:
    return scaled(alt.X, field, title, [0, int(steps[-1])], tickCount=FEW)


def number(value: float) -> float | None:
    """Five significant digits; JSON has no NaN."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def as_percent(value: float | None) -> str:
    return "unknown" if value is None or not np.isfinite(value) else f"{value:.0%}"


@cache
def plot_script() -> str:
    """The JavaScript that draws the plots of a page; defines `vegaEmbed`. Takes a second or two."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


@cache
def palette() -> dict[str, str]:
    """The page's colours on white, by name."""
    light = (TEMPLATES / "page.css").read_text("utf-8").split("}")[0]
    return dict(re.findall(r"--([\w-]+): (#\w+)", light))


def for_page(chart: Any) -> dict[str, Any]:
    """The specification of a plot as wide as its place on the page, in the colours of the style sheet."""
    fit: dict[str, Any] = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}, "config": CONFIG}
    return {**chart.to_dict(validate=False), **fit}


def drawable(part: Any) -> Any:
    """A specification without control characters, which may stand in the names of classes and end vl-convert's process."""
    if isinstance(part, dict):
        return {key: drawable(value) for key, value in part.items()}
    if isinstance(part, list):
        return [drawable(value) for value in part]
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "\ufffd", part) if isinstance(part, str) else part


def save(chart: Any, folder: Path, name: str, title: str, note: str = "") -> None:
    """Write `name`.png for looking at and `name`.svg for print; the same plot gives the same files."""
    spec = chart.to_dict(validate=False)
    if not {"hconcat", "vconcat"} & {*spec}:
        spec.setdefault("width", WIDTH)
    subtitle = {"subtitle": note} if note else {}
    config = CONFIG | {"font": "sans-serif", "legend": {**CONFIG["legend"], "columns": 4}}  # two on a phone
    spec |= {"config": config, "background": "white", "title": {"text": title, **subtitle}}
    text = re.sub(r"var\(--([\w-]+)\)", lambda match: palette()[match[1]], json.dumps(drawable(spec)))
    folder.mkdir(parents=True, exist_ok=True)
    svg = vl_convert.vegalite_to_svg(text)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=SCALE))
