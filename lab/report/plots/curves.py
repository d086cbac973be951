"""What changes over the epochs of a measurement, and of several."""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import numpy as np

from lab.report.plots.style import (
    BLUE,
    GREY,
    INK,
    LABELS,
    LINE,
    SPLITS,
    VERMILION,
    WIDTH,
    Curves,
    Layers,
    Styles,
    as_percent,
    band,
    coloured,
    dashed,
    epochs_axis,
    fractions,
    lines,
    number,
    scaled,
    styles_of,
    tooltip,
    with_numbers,
)


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
