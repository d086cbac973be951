"""A sweep: the same measurement for several values of a setting, in one picture (the paper's ablations, section 3)."""

from pathlib import Path
from typing import Any

from rich.markup import escape

import agreement
from agreement.record import LearningRecord
from lab import tracking
from lab.measure import measure
from lab.report import write_sweep
from lab.report.summary import print_sweep, sweep_headline
from lab.settings import plain, with_effect
from lab.views import describe
from lab.work import attempt_of, discard, is_being_worked_on, work_folder


def run_sweep(configs: dict[str, Any], console: Any) -> str:
    """Measure every configuration, by what it is called, as children of one run in MLflow. Returns the parent's id.

    Interrupted, the same sweep goes on: what was measured in it is not measured again.
    """
    client = tracking.open_store()
    first, records = next(iter(configs.values())), {}
    settings = {name: with_effect(config) for name, config in configs.items()}
    with work_folder("sweep", first.data, settings) as work:
        parent = parent_of(client, configs, first, work)
        with tracking.ending(client, [parent]):
            for name, config in configs.items():
                console.print(f"\n[bold]{escape(name)}[/]", highlight=False)
                run = measured(client, parent, name) or measure(config, console, parent, {"sweep_value": name})
                with tracking.store_errors():
                    records[name] = LearningRecord(Path(client.download_artifacts(run, "record")))
            curves, orders = agreement.compare_orders(records)
            title, findings = f"{first.data}, train set", work / "findings"
            summary = write_sweep(findings, curves, orders, title, plain(first), parent)
            with tracking.store_errors():
                client.log_artifacts(parent, str(findings))
            describe(client, parent, sweep_headline(orders), summary)
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
