"""Plots as the page draws them, and as PNG and SVG."""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from lab.report.plots.arms import arm_styles
from lab.report.plots.style import GREY, INK, LINE, WIDTH

TEMPLATES = Path(__file__).parents[1] / "templates"
SCALE = 2  # pixels of a PNG file for one of the plot
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


@cache
def plot_script() -> str:
    """The JavaScript that draws the plots of a page; defines `vegaEmbed`. Takes a second or two."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


@cache
def palette() -> dict[str, str]:
    """The page's colours on white, by name."""
    light = (TEMPLATES / "page.css").read_text("utf-8").split("}")[0]
    return dict(re.findall(r"--([\w-]+): (#\w+)", light))


def arm_colours(arms: Iterable[str]) -> dict[str, str]:
    """The colours of `arm_styles` on white, such as #0072b2."""
    return {arm: palette()[colour.removeprefix("var(--").rstrip(")")] for arm, (colour, _) in arm_styles(arms).items()}


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
    name = name.replace(":", "-")  # of shallow:fast; Windows takes no colon
    svg = vl_convert.vegalite_to_svg(text)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=SCALE))
