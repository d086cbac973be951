"""A sweep: the same measurement for several values of a setting, in one picture (the paper's ablations, section 3)."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from rich import box
from rich.markup import escape
from rich.table import Table

import agreement
from agreement.record import LearningRecord
from lab import tracking
from lab.measure import measure
from lab.report import figures
from lab.report.overlay_figures import sweep_figure
from lab.report.summary import as_text
from lab.settings import PROGRAM
from lab.views import describe
from lab.work import attempt_of, discard, is_being_worked_on, settings_with_effect, work_folder


def run_sweep(configs: dict[str, Any], console: Any) -> str:
    """Measure every configuration, by what it is called, as children of one run in MLflow. Returns the parent's id.

    Interrupted, the same sweep goes on: what was measured in it is not measured again.
    """
    client = tracking.open_store()
    first, records = next(iter(configs.values())), {}
    settings = {name: settings_with_effect(config, "measure") for name, config in configs.items()}
    with work_folder("sweep", first.data, settings) as work:
        parent = parent_of(client, configs, first, work)
        with tracking.ending(client, [parent]):
            for name, config in configs.items():
                console.print(f"\n[bold]{escape(name)}[/]", highlight=False)
                run = measured(client, parent, name) or measure(config, console, parent, {"sweep_value": name})
                with tracking.store_errors():
                    records[name] = LearningRecord(Path(client.download_artifacts(run, "record")))
            curves, orders = agreement.compare_orders(records)
            log_sweep(client, parent, curves, orders, first)
            summary = as_text(lambda console: print_sweep(console, curves, orders, parent))
            describe(client, parent, headline(orders), summary)
        print_sweep(console, curves, orders, parent)
        discard(work)
    return parent


def parent_of(client: Any, configs: dict[str, Any], first: Any, work: Path) -> str:
    """The run of an earlier attempt at this sweep that was cut off, or a new one."""
    experiment, attempt = tracking.experiment_id(client, f"measure-{first.data}"), attempt_of(work)
    begun = tracking.begun_runs(client, experiment, attempt).get("all")
    tags = {"phase": "sweep", "data": first.data, "attempt": attempt, "part": "all"}
    name = first.name or " / ".join(configs)
    return tracking.begin_run(client, experiment, name, {"values": list(configs)}, tags, begun=begun)


def measured(client: Any, parent: str, name: str) -> str | None:
    """The run of a measurement that the sweep has finished, with nothing left to do."""
    with tracking.store_errors():
        experiments = [each.experiment_id for each in client.search_experiments()]  # other data have another one
        words = f"tags.mlflow.parentRunId = '{parent}' and tags.phase = 'measure' and attributes.status = 'FINISHED'"
        runs = client.search_runs(experiments, words, max_results=1000)
    tags = {run.info.run_id: run.data.tags for run in runs if run.data.tags.get("sweep_value") == name}
    return next((run for run in tags if not is_being_worked_on(tags[run].get("attempt", ""))), None)


def headline(orders: pd.DataFrame) -> str:
    """How far the measurements agree on the order, two by two."""
    pairs = orders.to_numpy()[np.triu_indices(len(orders), 1)]
    if np.isnan(pairs).all():
        return "The measurements are of different examples."
    return f"The orders of any two measurements correlate with rho {np.nanmin(pairs):.2f} to {np.nanmax(pairs):.2f}."


def log_sweep(client: Any, run: str, curves: dict[str, Any], orders: pd.DataFrame, config: Any) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        orders.to_csv(folder / "order-agreement.csv")
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))
        figures.save(sweep_figure(curves, f"{config.data}, train set"), folder / "figures", "agreement")
        with tracking.store_errors():
            client.log_artifacts(run, str(folder))
    finally:
        shutil.rmtree(folder)


def print_sweep(console: Any, curves: dict[str, Any], orders: pd.DataFrame, run: str) -> None:
    """Agreement of each measurement at its middle and end, and the rank correlations of their orders."""
    console.print("\n[bold]Agreement of the networks in each measurement[/]  train set, per cent")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("measurement")
    for heading in ("epoch", "accuracy", "agreement", "lower\nbound", "chance"):
        table.add_column(heading, justify="right")
    for name, curve in curves.items():
        for t in sorted({(len(curve["accuracy"]) + 1) // 2, len(curve["accuracy"])}):
            values = (curve[key][t - 1] for key in ("accuracy", "agreement", "lower_bound", "chance_agreement"))
            table.add_row(escape(name), str(t), *(f"{100 * value:.1f}" for value in values))
    console.print(table)
    console.print("[bold]Do the measurements agree on the order?[/]  Spearman's rho of their learned epochs")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in orders:
        table.add_column(escape(name), justify="right")
    for name, row in orders.iterrows():
        table.add_row(escape(str(name)), *("-" if np.isnan(value) else f"{value:.2f}" for value in row))
    console.print(table)
    console.print(f"Run {run} holds the figure and the table. To look at it:\n  {PROGRAM} --mode ui", highlight=False)
