"""What the plots share: colours and dashes, axes, lines, tips.

Colours are Okabe and Ito's, which the colour-blind tell apart; dashes differ too, so that the plots read in grey.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import numpy as np

BLUE, VERMILION, ORANGE, GREY, INK, LINE, PAPER = (
    f"var(--{name})" for name in ("blue", "vermilion", "orange", "grey", "ink", "line", "paper")
)
# neighbours differ in lightness; one dash fewer, so that a colour and a dash meet again only after 56 curves
COLOURS = (BLUE, ORANGE, INK, "var(--pink)", VERMILION, "var(--sky)", "var(--green)", GREY)
DASHES = ([1, 0], [7, 4], [2, 3], [8, 2, 2, 2], [12, 3], [4, 2, 1, 2, 1, 2], [4, 4])
STEPS = [f"var(--step-{i})" for i in range(5)]  # from wrong to right
SPLITS = {"train": (BLUE, [1, 0]), "test": (VERMILION, [7, 4])}
FEW = alt.ExprRef("ceil(width / 90)")  # ticks, on a phone
WIDTH = 520  # of a file's panel, in pixels
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
Layers = alt.LayerChart | alt.FacetChart  # as `alt.layer` declares
Curves = Mapping[str, np.ndarray]
Styles = Mapping[str, tuple[str, list[int]]]  # colour and dash


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


def under(*charts: Any) -> alt.VConcatChart:
    """Charts below each other, each with its own colours."""
    made = alt.vconcat(*(chart.properties(width=WIDTH) for chart in charts))
    return made.resolve_scale(color="independent", strokeDash="independent")


def with_numbers(curves: Curves) -> dict[str, np.ndarray]:
    """The curves to draw: one without any number would stand in the legend alone."""
    return {name: curve for name, curve in curves.items() if np.isfinite(curve).any()}


def number(value: float) -> float | None:
    """Five significant digits; JSON has no NaN."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def as_percent(value: float | None) -> str:
    return "unknown" if value is None or not np.isfinite(value) else f"{value:.0%}"
