"""The report page: what a run found, as one html file that works offline and inside MLflow's artifact viewer.

That viewer shows it in a sandboxed frame of its own: scripts run, but no forms, storage or network. Everything the page
needs is in it, and its content security policy forbids it to ask for more. The template engine escapes whatever comes from
the run, the names of classes and files above all.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agreement.record import LearningRecord
from curricula.comparison import Comparison
from lab.report import page_plots
from lab.report.axis_labels import LABELS
from lab.report.comparison_summary import verdicts
from lab.report.page_examples import Examples, class_facts, example_facts, names_of
from lab.report.summary import chosen_epochs, correlations_told, headline, order_in_words, percent, share, small

CLASSES = 20  # rows of the overview


def measurement_page(
    findings: Any,
    train: Examples,
    test: Examples,
    classes: Sequence[str],
    multi_label: bool,
    networks: Sequence[str],
    title: str,
    settings: Mapping[str, Any],
) -> str:
    """The html text of a measurement's report, 4 MB for 50,000 images of CIFAR-10 and 15 epochs.

    findings: see `lab.measure.Findings`. classes: their names. multi_label: whether labels are sets of them. networks:
    the architecture of each. settings: of the run, shown at the end.
    """
    curves, tables = findings.curves, findings.statistics
    last = len(curves["train"]["agreement"])
    names, in_train = names_of(train, test), names_of(train)
    plots = {f"agreement-{split}": page_plots.agreement_plot(curves[split], split) for split in curves}
    drawn: list[tuple[str, str]] = []  # what of each statistic's plot is told beside it
    for name in names:
        having = [split for split in tables if name in tables[split]]
        shown = {s: page_plots.shown(curves[s][f"agreed_{name}"], curves[s]["agreement"]) for s in having}
        if any(np.isfinite(curve).any() for curve in shown.values()):
            everywhere = {split: float(tables[split][name].mean()) for split in having}
            plots[f"statistic-{len(drawn)}"] = page_plots.statistic_plot(name, shown, everywhere)
            drawn.append((name, spread_in_words(tables, name)))
    kinds = [(split, name) for split, found in findings.by_kind.items() for name in found]
    for number, (split, name) in enumerate(kinds):
        plots[f"kinds-{number}"] = page_plots.kinds_plot(name, findings.by_kind[split][name], split)
    explained = [share(findings.explained[part]) for part in ("statistics", "classes", "classes_and_statistics")]
    return render(
        "measurement.html",
        title=title,
        headline=headline(curves["train"]),
        order=order_in_words(findings),
        explained=explained,
        correlations=correlation_rows(findings.correlations),
        numbers={split: curve_rows(curves[split]) for split in curves},
        statistics=names,
        drawn=drawn,
        scatter=bool(in_train),
        kinds=kinds,
        networks=networks,
        settings=settings,
        data={
            "plots": plots,
            "points": {"order": page_plots.order_plot(last), "map": page_plots.map_plot()},
            "never": page_plots.never_level(last),
            "examples": example_facts(train, test, classes, multi_label),
            "classes": list(classes),
            "overview": overview(class_facts(train, classes, multi_label)),
            "networks": list(networks),
            "epochs": last,
            "statistics": [
                {"name": name, "label": LABELS.get(name, name), "train": name in in_train} for name in names
            ],
        },
    )


def measurement_report(
    findings: Any, record: LearningRecord, splits: Mapping[str, Any], title: str, settings: Mapping[str, Any]
) -> str:
    """`measurement_page` from a learning record on disk and the train and test `lab.data.examples.Split` it is of."""
    train, test = (
        Examples(
            splits[split].images,
            splits[split].ids,
            record.labels(split),
            record.predictions(split),
            record.probability(split),
            findings.statistics[split],
        )
        for split in ("train", "test")
    )
    return measurement_page(findings, train, test, record.classes, record.multi_label, record.networks, title, settings)


def comparison_page(
    outcome: Any,
    table: pd.DataFrame,
    comparisons: Mapping[str, Comparison],
    told: str,
    pacing: tuple[np.ndarray, Mapping[str, np.ndarray], int],
    metric: str,
    title: str,
    settings: Mapping[str, Any],
) -> str:
    """The html text of a comparison's report, about 1 MB.

    outcome: see `lab.outcome.Outcome`; table: see `table_of` there. told: the answer in a sentence. pacing: steps, sizes per pacing function, and
    number of examples, as `lab.report.curriculum_figures.pacing_figure` takes them.
    """
    steps, validation, drawn = outcome.steps, outcome.validation, outcome.drawn
    top = max(float(share.max()) for share in drawn.values())
    plots = {"arms": page_plots.arms_plot(steps, validation), "pacing": page_plots.pacing_plot(*pacing)}
    plots |= {
        f"drawn-{number}": page_plots.drawn_plot(steps, share, top, arm)
        for number, (arm, share) in enumerate(drawn.items())
    }
    return render(
        "comparison.html",
        title=title,
        metric=metric,
        answer=told,
        verdicts=verdicts(comparisons),
        rows=comparison_rows(table),
        seeds=len(next(iter(validation.values()))),
        steps=int(steps[-1]),
        arms=list(drawn),
        settings=settings,
        data={"plots": plots},
    )


def write_page(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@cache
def templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    script = page_plots.plot_script()
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("the plots' script would end the page's script element early")
    return templates().get_template(template).render(plot_script=Markup(script), **values)


def correlation_rows(tables: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """Statistic, rho with its interval and q, the same within classes, and rho with the others fixed, in words.

    Of the train examples, and below them what only the test examples have.
    """
    rows = []
    for name, row in correlations_told(tables):
        fixed = "–" if np.isnan(row["others_fixed_rho"]) else f"{row['others_fixed_rho']:+.2f}"
        both = [cell for kind in ("", "within_") for cell in (interval(row, kind), small(row[f"{kind}q"]))]
        rows.append([name, *both, fixed])
    return rows


def interval(row: Any, prefix: str) -> str:
    rho, low, high = (row[f"{prefix}{name}"] for name in ("rho", "low", "high"))
    return "does not vary" if np.isnan(rho) else f"{rho:+.2f} [{low:+.2f}, {high:+.2f}]"


def curve_rows(curves: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Epoch and per cent of accuracy, agreement, lower bound, chance and excess agreement, at a few epochs."""
    names = ("accuracy", "agreement", "lower_bound", "chance_agreement", "excess_agreement")
    chosen = chosen_epochs(len(curves["agreement"]))
    return [[str(t), *(percent(curves[name][t - 1]) for name in names)] for t in chosen]


def comparison_rows(table: pd.DataFrame) -> list[list[str]]:
    """Arm; test accuracy, half of its interval, accuracy at the end, area; steps to match; difference, interval, p."""
    rows = []
    for arm, row in table.iterrows():
        reach = (row["test_at_best_high"] - row["test_at_best_low"]) / 2
        cells = [str(arm), f"{100 * row['test_at_best']:.2f}", f"{100 * reach:.2f}", f"{100 * row['test_at_end']:.2f}"]
        cells.append(f"{100 * row['validation_area']:.1f}" if "validation_area" in row else "–")
        cells.append("never" if np.isinf(row["steps_until"]) else f"{row['steps_until']:.0f}")
        if np.isnan(row.get("difference", np.nan)):
            cells += ["", "", ""]
        else:
            bounds = f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"
            cells += [f"{100 * row['difference']:+.2f}", bounds, small(row["corrected_p"])]
        rows.append(cells)
    return rows


def overview(classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The classes learned first to last; of many only those at both ends."""
    ordered = sorted(classes, key=lambda each: (np.inf if each["median"] is None else each["median"], each["never"]))
    return ordered if len(ordered) <= CLASSES else ordered[: CLASSES // 2] + ordered[-CLASSES // 2 :]


def spread_in_words(tables: Mapping[str, pd.DataFrame], name: str) -> str:
    """How much a statistic varies over all images, by which to judge a curve drawn large."""
    split = next(split for split in tables if name in tables[split] and tables[split][name].notna().any())
    values = tables[split][name]
    return f"All {split} images: {values.mean():.4g} ± {values.std():.2g} (mean and standard deviation over images)."
