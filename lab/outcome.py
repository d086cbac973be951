"""What the trainings of a comparison gave: read from their folders, tabulated, logged; and pacing functions drawn."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from curricula import PACING, Comparison, Outcome
from lab import tracking
from lab.report.comparison_summary import verdicts
from lab.report.page import comparison_page, write_page
from lab.settings import settings_of


def log_outcome(
    client: Any,
    run: str,
    outcome: Outcome,
    table: pd.DataFrame,
    comparisons: dict[str, Comparison],
    told: str,
    config: Any,
    examples: int,
    folder: Path,
) -> None:
    """The comparison's numbers as metrics of the parent run; figures, table and configuration as artifacts.

    told: the answer in a sentence. examples: to train on.
    """
    from lab.report import curriculum_figures, figures  # here, because matplotlib takes long to import

    log = tracking.MetricLog(client)
    for arm, row in table.iterrows():
        wanted = ("test_at_best", "difference", "corrected_p")
        # step 0: single numbers, which MLflow's charts draw as bars
        log.log(run, 0, {f"comparison/{name}_{arm}": row[name] for name in wanted if name in row})
    log.flush()
    shutil.rmtree(folder, ignore_errors=True)  # half-written by an attempt that was cut off
    folder.mkdir()
    table.to_csv(folder / "comparison.csv")
    (folder / "verdict.txt").write_text("\n".join(verdicts(comparisons)) + "\n")
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))
    title = f"{config.network} on {config.data}, ordered by {config.metric}, {config.seeds} seeds"
    pacing = pacing_curve(config, [config.pacing], config.steps, examples)
    write_page(
        folder / "report.html",
        comparison_page(
            outcome, table, comparisons, told, pacing, config.metric, title, settings_of(config, "curriculum")
        ),
    )
    drawings = {
        "validation-accuracy": curriculum_figures.curves_figure(
            outcome.steps, outcome.validation, "validation accuracy (%)", title
        ),
        "drawn": curriculum_figures.drawn_figure(outcome.steps, outcome.drawn, title),
        "pacing": curriculum_figures.pacing_figure(*pacing, title),
    }
    for name, figure in drawings.items():
        figures.save(figure, folder / "figures", name)
    with tracking.store_errors():
        client.log_artifacts(run, str(folder))


def pacing_curve(config: Any, names: list[str], steps: int, examples: int) -> tuple[np.ndarray, dict, int]:
    """Steps, the prefix sizes of the named pacing functions at them, and the number of examples."""
    t = np.unique(np.linspace(0, steps, 400).astype(int))
    given = {key: config[key] for key in ("a", "b") if config[key] is not None}
    return t, {name: PACING[name](t, steps, examples, **given) for name in names}, examples


def show_pacing(config: Any, console: Any) -> None:
    """Draw all pacing functions with the configured a and b into pacing.png, and print them at a few steps."""
    from rich import box
    from rich.table import Table

    from lab.report import curriculum_figures

    steps, examples = 1000, 10000
    t, sizes, _ = pacing_curve(config, list(PACING), steps, examples)
    table = Table(
        box=box.SIMPLE_HEAD, title="per cent of the order drawn from, by part of the training", title_justify="left"
    )
    table.add_column("pacing")
    parts = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
    for part in parts:
        table.add_column(f"{part:.0%}", justify="right")
    for name, count in sizes.items():
        table.add_row(name, *(f"{100 * count[np.searchsorted(t, part * steps)] / examples:.0f}" for part in parts))
    console.print(table)
    figure = curriculum_figures.pacing_figure(t, sizes, examples, "pacing functions, 1,000 steps")
    figure.savefig("pacing.png", dpi=130)
    console.print("drawn in pacing.png")
