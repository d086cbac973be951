"""What a run found, written into a folder: the report page, figures, tables and a summary."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from agreement import Findings, examples_table, same_wrong_class
from agreement.analysis import classes_table
from agreement.record import LearningRecord
from curricula import PACING, verdict
from lab.data import Split
from lab.report import pictures, plots, summary
from lab.report.about import About
from lab.report.answered import Answered
from lab.report.page import comparison_page, measurement_page, scores_page
from lab.report.words import found_wrong, learned_little

SHOWN = 5  # examples of each group in the picture of typical ones


Show = Callable[[Any], None]  # prints a summary on a console


def write_record(
    folder: Path,
    findings: Findings,
    record: LearningRecord,
    images: Mapping[str, Any],
    about: About,
    wrong: np.ndarray | None = None,
) -> Show:
    """Write what can be said of any record into a new folder: all of a measurement but `draw_examples`. Returns what prints the summary.

    images: split to uint8 images by index. wrong: which train labels are wrong, bool (N,), where that is known.
    """
    empty(folder)
    for name, table in findings.correlations.items():
        table.to_csv(folder / ("correlations.csv" if name == "train" else f"correlations-{name}.csv"))
    (folder / "explained_variance.json").write_text(
        json.dumps(findings.explained.astype(object).where(findings.explained.notna(), None).to_dict("index"), indent=1)
    )
    for name, table in findings.statistics.items():
        table.to_parquet(folder / f"statistics-{name}.parquet")
    curves = {f"{split} {name}": each for split, own in findings.curves.items() for name, each in own.items()}
    pd.DataFrame(curves, index=pd.RangeIndex(1, record.epochs + 1, name="epoch")).to_csv(folder / "curves.csv")
    examples = examples_table(record, findings.statistics)
    examples.to_parquet(folder / "scores.parquet")
    examples.to_csv(folder / "scores.csv", index=False)
    if not record.multi_label:
        classes_table(record).to_csv(folder / "classes.csv", index=False)
    ranks = examples.loc[examples["split"] == "train", "suspect"].to_numpy()
    said = "" if wrong is None else found_wrong(ranks, wrong)
    if not record.multi_label:
        little = learned_little(findings.curves["train"]["accuracy"][-1], record.labels("train"))
        said = " ".join(filter(None, (said, little)))
    write_page(folder, measurement_page(findings, record, examples, images, about, said))
    plots.save(plots.mistakes(findings.curves), folder / "figures", "false-positive-agreement", about.title)
    for name in findings.curves:
        draw_curves(findings, name, f"{about.title}, {name} set", folder / "figures")
    return finish(folder, about, partial(summary.print_measurement, findings=findings, about=about, found_wrong=said))


def draw_curves(findings: Findings, split: str, title: str, folder: Path) -> None:
    """Agreement over epochs, alone and with each statistic, and the statistics' histograms."""
    curves, own = findings.curves[split], plots.agreement(findings.curves[split], split)
    shaded = "shaded: agreement above its lower bound, accuracy ± its deviation over networks"
    plots.save(own, folder, f"{split}-agreement", title, shaded)
    for name, values in findings.statistics[split].items():
        if values.notna().any():
            shown = plots.shown(curves[f"agreed_{name}"], curves["agreement"])
            below = plots.statistic(name, {split: shown}, {split: values.to_numpy(float)}, {split: curves["agreed"]})
            note = f"below: {plots.LABELS.get(name, name)} of the examples agreed on, ± standard error"
            plots.save(plots.under(own, below), folder, f"{split}-agreement-{name}", title, note)
            plots.save(plots.histogram(values.to_numpy(), name), folder, f"{split}-histogram-{name}", title)
    for name, agreed in findings.by_kind[split].items():
        plots.save(plots.kinds(name, agreed, curves["agreed"], split), folder, f"{split}-agreement-{name}", title, name)


def draw_examples(record: LearningRecord, name: str, split: Split, seed: int, title: str, folder: Path) -> None:
    """Images learned early, late and never, and the statistics of an easy and a hard one."""
    correct = record.correct(name)
    groups = pictures.typical_examples(correct, SHOWN, seed)
    chosen = np.concatenate(list(groups.values()))
    ends = np.cumsum([*map(len, groups.values())])
    places = dict(zip(groups, np.split(np.arange(len(chosen)), ends[:-1]), strict=True))
    same_wrong = same_wrong_class([network[:, chosen] for network in record.predictions(name)], split.labels[chosen])
    images, captions = [split.original(i) for i in chosen], [record.label_name(each) for each in split.labels[chosen]]
    chart = pictures.examples(places, images, correct[:, :, chosen], same_wrong, captions)
    plots.save(chart, folder, f"{name}-examples", title)
    early, never = places["learned early"], places["never agreed on"]
    if len(early) and len(never):
        ends_of_order = {"learned early": images[early[0]], "never agreed on": images[never[0]]}
        plots.save(pictures.maps(ends_of_order), folder, f"{name}-statistics", title)


def write_comparison(folder: Path, found: Answered, about: About) -> Show:
    """Write everything that a comparison leaves into a new folder. Returns what prints the summary."""
    empty(folder)
    found.table.to_csv(folder / "comparison.csv")
    if found.by_class is not None:
        found.by_class.to_csv(folder / "classes.csv", index=False)
    write_verdicts(folder, [verdict(comparison) for comparison in found.comparisons.values()])
    write_page(folder, comparison_page(found, about))
    outcome, comparisons = found.outcome, found.comparisons
    top = max(float(share.max()) for share in outcome.drawn.values())
    shares = {arm: plots.drawn(outcome.steps, share, top, arm) for arm, share in outcome.drawn.items()}
    curves = plots.arms(outcome.steps, outcome.validation)
    charts: dict[str, alt.TopLevelMixin] = {
        "validation-accuracy": curves,
        "comparison": plots.under(curves, plots.effects(comparisons, outcome.at_best)) if comparisons else curves,
        "drawn": plots.under(
            *(shares[arms[0]].properties(title=", ".join(arms)) for arms in plots.alike(outcome.drawn))
        ),
        "pacing": plots.pacing(*found.pacing),
    }
    for name, chart in charts.items():
        plots.save(chart, folder / "figures", name, about.title)
    return finish(folder, about, partial(summary.print_comparison, found=found, about=about))


def write_sweep(
    folder: Path, curves: Mapping[str, Mapping[str, np.ndarray]], orders: pd.DataFrame, about: About
) -> Show:
    """Write everything that a sweep leaves into a new folder. Returns what prints the summary.

    curves, orders: of `agreement.compare_orders`.
    """
    empty(folder)
    orders.to_csv(folder / "order-agreement.csv")
    plots.save(plots.sweep(curves), folder / "figures", "agreement", about.title)
    return finish(folder, about, partial(summary.print_sweep, curves=curves, orders=orders, about=about))


def write_scores(folder: Path, scores: pd.DataFrame, headline: str, source: Mapping[str, Any], about: About) -> Show:
    """Write everything that a comparison of scores leaves into a new folder. Returns what prints the summary.

    scores: of `curricula.choice.choice_table`. headline: what it comes to. source: `measurement`, the beginning of its id, `networks`,
    how many it has, and `wrong`, how wrong labels are known.
    """
    empty(folder)
    scores.to_csv(folder / "score-table.csv")
    write_page(folder, scores_page(scores, headline, source, about))
    chart, note = plots.scores(scores)
    plots.save(chart, folder / "figures", "scores", about.title, note)
    show = partial(summary.print_scores, scores=scores, headline=headline, source=source, about=about)
    return finish(folder, about, show)


def show_pacing(console: Any, a: float | None, b: float | None) -> None:
    """Draw all pacing functions into pacing.png and pacing.svg here, and print them at a few steps."""
    steps, examples, parts = 1000, 10000, (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
    given = {key: value for key, value in (("a", a), ("b", b)) if value is not None}
    t = np.arange(steps + 1)
    sizes = {name: np.asarray(function(t, steps, examples, **given)) for name, function in PACING.items()}
    rows = [[name, *(f"{100 * size[round(part * steps)] / examples:.0f}" for part in parts)] for name, size in sizes.items()]  # fmt: skip
    console.print("per cent of the order drawn from, by part of the training")
    console.print(summary.table(("pacing", *(f"{part:.0%}" for part in parts)), rows))
    plots.save(plots.pacing(t, sizes, examples), Path(), "pacing", "pacing functions, 1,000 steps")
    console.print("drawn in pacing.png")


def empty(folder: Path) -> None:
    """A new folder, in place of one that was half-written when the program was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def write_page(folder: Path, text: str) -> None:
    (folder / "report.html").write_text(text, encoding="utf-8")


def write_verdicts(folder: Path, sentences: Sequence[str]) -> None:
    (folder / "verdict.txt").write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")


def finish(folder: Path, about: About, show: Show) -> Show:
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(dict(about.settings))), encoding="utf-8")
    (folder / "summary.txt").write_text(summary.as_text(show), encoding="utf-8")
    return show
