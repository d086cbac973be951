"""What a run found, written into a folder: the report page, figures, tables and a summary."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from agreement import Findings, examples_table
from agreement.record import LearningRecord
from curricula import Comparison, Outcome
from lab.data.examples import Split
from lab.report.comparison_summary import print_comparison, verdicts
from lab.report.draw import draw_measurement
from lab.report.page import comparison_page, measurement_report, write_page
from lab.report.summary import as_text, print_measurement, print_sweep

Pacing = tuple[np.ndarray, dict[str, np.ndarray], int]  # steps, sizes by pacing function, number of examples


def write_measurement(
    folder: Path,
    findings: Findings,
    record: LearningRecord,
    splits: Mapping[str, Split],
    title: str,
    settings: Mapping[str, Any],
    seed: int,
    run: str,
) -> str:
    """Write everything that a measurement leaves into a new folder. Returns the summary.

    title: networks and data set. settings: what the page shows of the run. seed: of the choice of examples.
    run: its id in MLflow.
    """
    empty(folder)
    for split, table in findings.correlations.items():
        table.to_csv(folder / ("correlations.csv" if split == "train" else f"correlations-{split}.csv"))
    (folder / "explained_variance.json").write_text(json.dumps(findings.explained, indent=1))
    for split, table in findings.statistics.items():
        table.to_parquet(folder / f"statistics-{split}.parquet")
    examples = examples_table(record, findings.statistics)
    examples.to_parquet(folder / "scores.parquet")
    examples.to_csv(folder / "scores.csv", index=False)
    write_page(folder / "report.html", measurement_report(findings, record, splits, title, settings))
    draw_measurement(findings, record, splits, title, seed, folder / "figures")
    return finish(folder, settings, as_text(lambda console: print_measurement(console, findings, run)))


def write_comparison(
    folder: Path,
    outcome: Outcome,
    table: pd.DataFrame,
    comparisons: Mapping[str, Comparison],
    answer: str,
    pacing: Pacing,
    metric: str,
    title: str,
    notes: Sequence[str],
    settings: Mapping[str, Any],
    run: str,
) -> str:
    """Write everything that a comparison leaves into a new folder. Returns the summary.

    outcome: what the trainings gave. answer: the question of the comparison, answered in a sentence. metric: what orders
    the examples. notes: what the reader must know of the scores. settings, run: as in `write_measurement`.
    """
    from lab.report import curriculum_figures, figures  # here, because matplotlib takes long to import

    empty(folder)
    table.to_csv(folder / "comparison.csv")
    (folder / "verdict.txt").write_text("\n".join(verdicts(comparisons)) + "\n")
    page = comparison_page(outcome, table, comparisons, answer, pacing, metric, title, settings)
    write_page(folder / "report.html", page)
    drawings = {
        "validation-accuracy": curriculum_figures.curves_figure(
            outcome.steps, outcome.validation, "validation accuracy (%)", title
        ),
        "drawn": curriculum_figures.drawn_figure(outcome.steps, outcome.drawn, title),
        "pacing": curriculum_figures.pacing_figure(*pacing, title),
    }
    for name, figure in drawings.items():
        figures.save(figure, folder / "figures", name)

    def show(console: Any) -> None:
        print_comparison(console, outcome, table, comparisons, answer, metric, notes, run)

    return finish(folder, settings, as_text(show))


def write_sweep(
    folder: Path,
    curves: Mapping[str, Mapping[str, np.ndarray]],
    orders: pd.DataFrame,
    title: str,
    settings: Mapping[str, Any],
    run: str,
) -> str:
    """Write everything that a sweep leaves into a new folder. Returns the summary.

    curves, orders: how each measurement's networks agree over the epochs, and how far the measurements agree on the order.
    """
    from lab.report import figures, overlay_figures

    empty(folder)
    orders.to_csv(folder / "order-agreement.csv")
    figures.save(overlay_figures.sweep_figure(curves, title), folder / "figures", "agreement")
    return finish(folder, settings, as_text(lambda console: print_sweep(console, curves, orders, run)))


def empty(folder: Path) -> None:
    """A new folder, in place of one that was half-written when the program was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def finish(folder: Path, settings: Mapping[str, Any], summary: str) -> str:
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(dict(settings))))
    (folder / "summary.txt").write_text(summary, encoding="utf-8")
    return summary
