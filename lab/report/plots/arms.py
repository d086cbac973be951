"""The arms of a comparison: curves, differences, and what they drew. An arm has one colour in all of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import numpy as np

from curricula import Comparison, mean_interval
from curricula.sentences import within_bounds
from lab.report.plots.style import (
    BLUE,
    COLOURS,
    DASHES,
    FEW,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    Curves,
    Layers,
    as_percent,
    band,
    coloured,
    dashed,
    fractions,
    lines,
    number,
    scaled,
    steps_axis,
    styles_of,
    tooltip,
)

ARMS = {
    "shuffled": (GREY, [1, 0]),
    "shuffled_longer": (INK, [12, 3]),
    "curriculum": (BLUE, [1, 0]),
    "anti": (VERMILION, [7, 4]),
    "random": (ORANGE, [2, 3]),
}
ALIKE = 0.05  # of the draws: what arms of one pacing differ in by chance is less
FEWEST = 5  # seeds that have a band; fewer are drawn one by one


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
    """A colour and a dash for each arm: those of `ARMS` keep theirs, and the others take what these and the baselines leave."""
    arms = list(arms)
    taken = [ARMS[arm][0] for arm in ("shuffled", "shuffled_longer", *arms) if arm in ARMS]
    free = [colour for colour in COLOURS if colour not in taken]
    others = [arm for arm in arms if arm not in ARMS]
    styles = {arm: (free[i % len(free)], DASHES[i % len(DASHES)]) for i, arm in enumerate(others)}
    return {arm: ARMS[arm] if arm in ARMS else styles[arm] for arm in arms}


def effects(
    comparisons: Mapping[str, Comparison],
    arms: Iterable[str],
    what: str = "test accuracy (points)",
    scale: float = 100,
    style: str = ".2f",
) -> Layers:
    """Forest plot: each difference with its 95 % interval, the largest above, in the colour that its arm has among `arms`.

    Full points where a difference is shown; the grey band holds the differences that do not matter, where that was said.
    what: is compared, in units of 1 / scale, percentage points by default; style: of the numbers.
    """
    styles, rows = arm_styles(arms), []
    for c in sorted(comparisons.values(), key=lambda c: -c.difference):
        low, high = within_bounds(c) if scale == 100 else (c.low, c.high)
        numbers = {"value": scale * c.difference, "low": scale * low, "high": scale * high, "p": c.corrected_p}
        about = {"name": f"{c.arm} − {c.baseline}", "colour": styles[c.arm][0], "full": int(c.shown)}
        rows.append(about | {name: number(each) for name, each in numbers.items()})
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y(field="name", type="nominal", title=None, sort=None, axis=alt.Axis(labelLimit=230)),
        color=alt.Color(field="colour", type="nominal", scale=None),
    )
    x = scaled(alt.X, "value", f"difference in {what}", tickCount=FEW)
    zero = alt.Chart(alt.InlineData(values=[{"value": 0}])).mark_rule(color=INK, strokeWidth=1).encode(x=x)
    tips = [
        alt.Tooltip(field="name", title="arms"),
        *(tooltip(key, key, f"+{style}") for key in ("value", "low", "high")),
        tooltip("p", "p, corrected", ".2g"),
    ]
    full = alt.Opacity(field="full", type="quantitative", scale=None)
    layers = [
        zero,
        base.mark_rule(strokeWidth=2.2).encode(x=x.copy().field("low"), x2=alt.X2(field="high")),
        base.mark_point(size=60, filled=False, strokeWidth=2).encode(x=x, tooltip=tips),
        base.mark_point(size=60, filled=True).encode(x=x, tooltip=tips, opacity=full),
    ]
    if matters := scale * max(c.matters for c in comparisons.values()):
        ends = alt.InlineData(values=[{"value": -matters, "to": matters}])
        layers.insert(0, alt.Chart(ends).mark_rect(color=GREY, opacity=0.25).encode(x=x, x2=alt.X2(field="to")))
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


def alike(shares: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Arms that drew alike, each (E, parts) as in `drawn`, in groups: one picture shows what all of a group did."""
    groups: list[list[str]] = []
    for arm, share in shares.items():
        own = next((group for group in groups if np.abs(shares[group[0]] - share).max() < ALIKE), None)
        groups.append([arm]) if own is None else own.append(arm)
    return groups
