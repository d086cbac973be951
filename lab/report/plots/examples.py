"""A point or a bar for examples, and for scores of them."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lab.report.plots.style import BLUE, FEW, INK, LABELS, PAPER, STEPS, VERMILION, Layers, number, scaled, tooltip


def histogram(values: np.ndarray, name: str) -> alt.Chart:
    """How a statistic is distributed over the examples, values (N,) in its unit. Figures 12 to 15 of the paper."""
    values = values[np.isfinite(values)]
    counted = values.size and np.ptp(values) < 60 and (values == np.rint(values)).all()
    bins = np.arange(values.min() - 0.5, values.max() + 1) if counted else 50  # whole numbers get a bar each
    if values.size and not counted and np.ptp(values) <= 1e-9 * np.abs(values).max():  # but for rounding one value
        values = np.full_like(values, values[0])
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
