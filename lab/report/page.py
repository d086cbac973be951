"""The report page: what a run found, as one html file that works offline and inside MLflow's artifact viewer.

That viewer shows it in a sandboxed frame of its own: scripts run, but no forms, storage or network. Everything the page
needs is in it, and its content security policy forbids it to ask for more. The template engine escapes whatever comes from
the run, the names of classes and files above all.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agreement import Findings
from agreement.record import LearningRecord
from lab.report import plots
from lab.report.about import About
from lab.report.answered import Answered
from lab.report.gallery import class_facts, example_facts
from lab.report.plots.files import TEMPLATES
from lab.report.rows import (
    SCORE_HEADS,
    class_words,
    comparison_rows,
    correlation_rows,
    curve_rows,
    score_rows,
    unbroken,
)
from lab.report.words import comparison_words, measurement_words

CLASSES = 20  # rows of the overview


def measurement_page(
    findings: Findings,
    record: LearningRecord,
    examples: pd.DataFrame,
    images: Mapping[str, Any],
    about: About,
    found_wrong: str = "",
) -> str:
    """The html text of a measurement's report, 4 MB for 50,000 images of CIFAR-10 and 15 epochs.

    examples: of `agreement.examples_table`. images: split to uint8 images by index. found_wrong: as in `lab.report.summary`.
    """
    curves, tables = findings.curves, findings.statistics
    last = len(curves["train"]["agreement"])
    known = {split: [name for name in table if table[name].notna().any()] for split, table in tables.items()}
    names = list(dict.fromkeys(name for split in known for name in known[split]))  # those of the train examples first
    drawn = {f"agreement-{split}": plots.agreement(curves[split], split) for split in curves}
    spread: list[tuple[str, str]] = []  # what stands beside each statistic's plot
    means: dict[str, Any] = {}
    for name in names:
        having = [split for split in tables if name in tables[split]]
        shown = {split: plots.shown(curves[split][f"agreed_{name}"], curves[split]["agreement"]) for split in having}
        if any(np.isfinite(curve).any() for curve in shown.values()):
            values = {split: tables[split][name].to_numpy(float) for split in having}
            means[name] = shown, values, {split: curves[split]["agreed"] for split in having}
            spread.append((name, spread_in_words(tables, name)))
    reach = plots.reach_of((a[split], b[split], c[split]) for a, b, c in means.values() for split in a)
    for i, (name, (shown, values, agreed)) in enumerate(means.items()):
        drawn[f"statistic-{i}"] = plots.statistic(name, shown, values, agreed, reach)
    kinds = [(split, name) for split, found in findings.by_kind.items() for name in found]
    for i, (split, name) in enumerate(kinds):
        drawn[f"kinds-{i}"] = plots.kinds(name, findings.by_kind[split][name], curves[split]["agreed"], split)
    return render(
        "measurement.html",
        about,
        found_wrong=found_wrong,
        **measurement_words(findings),
        correlations=correlation_rows(findings.correlations),
        numbers={split: curve_rows(curves[split]) for split in curves},
        statistics=names,
        drawn=spread,
        scatter=bool(known["train"]),
        kinds=kinds,
        networks=record.networks,
        data={
            "plots": {name: plots.for_page(chart) for name, chart in drawn.items()},
            "points": {"order": plots.for_page(plots.order()), "map": plots.for_page(plots.cartography())},
            "examples": example_facts(record, examples, images, names),
            "classes": list(record.classes),
            "overview": overview(class_facts(record)),
            "networks": list(record.networks),
            "epochs": last,
            "statistics": [
                {"name": name, "label": plots.LABELS.get(name, name), "train": name in known["train"]} for name in names
            ],
        },
    )


def comparison_page(found: Answered, about: About) -> str:
    """The html text of a comparison's report, about 1 MB."""
    outcome, comparisons = found.outcome, found.comparisons
    steps, shares = outcome.steps, outcome.drawn
    top = max(float(share.max()) for share in shares.values())
    drawn: dict[str, Any] = {"arms": plots.arms(steps, outcome.validation), "pacing": plots.pacing(*found.pacing)}
    drawn |= {"effects": plots.effects(comparisons, outcome.at_best)} if comparisons else {}
    groups = plots.alike(shares)
    drawn |= {f"drawn-{i}": plots.drawn(steps, shares[arms[0]], top, arms[0]) for i, arms in enumerate(groups)}
    return render(
        "comparison.html",
        about,
        question=found.question,
        answer=found.answer,
        rows=comparison_rows(found.table),
        seeds=len(outcome.at_best["shuffled"]),
        **comparison_words(outcome, found.table, comparisons),
        arms=len(outcome.at_best),
        groups=[", ".join(arms) for arms in groups],
        **class_words(found.table, found.by_class, CLASSES),
        ends=found.ends,
        data={"plots": {name: plots.for_page(chart) for name, chart in drawn.items()}},
    )


def scores_page(scores: pd.DataFrame, headline: str, source: Mapping[str, Any], about: About) -> str:
    """The html text of the report of scores. Arguments: see `lab.report.write_scores`."""
    chart, note = plots.scores(scores)
    return render(
        "scores.html",
        about,
        headline=headline,
        note=note,
        heads=unbroken(SCORE_HEADS),
        rows=score_rows(scores),
        wrong=source["wrong"],
        data={"plots": {"scores": plots.for_page(chart)}},
    )


def render(template: str, about: About, **values: Any) -> str:
    """A page; one without plots goes without the script that draws them."""
    script = plots.plot_script() if values["data"]["plots"] else ""
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("the plots' script would end the page's script element early")
    loader = FileSystemLoader(TEMPLATES)
    engine = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return engine.get_template(template).render(plot_script=Markup(script), about=about, **values)


def overview(classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The classes learned first to last; of many only those at both ends."""
    ordered = sorted(classes, key=lambda each: (each["median"], each["never"]))
    return ordered if len(ordered) <= CLASSES else ordered[: CLASSES // 2] + ordered[-CLASSES // 2 :]


def spread_in_words(tables: Mapping[str, pd.DataFrame], name: str) -> str:
    """How much a statistic varies over all images, by which to judge a curve drawn large."""
    split = next(split for split in tables if name in tables[split] and tables[split][name].notna().any())
    values = tables[split][name]
    return f"All {split} images: {values.mean():.4g} ± {values.std():.2g} (mean and standard deviation over images)."
