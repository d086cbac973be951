"""How runs and experiments look in MLflow's UI: descriptions with headline and figure, tables with the columns that matter,
and the curves of a comparison grouped by arm.

MLflow keeps a view of an experiment that somebody shares as JSON in one of its tags, and finds it by the key in the
address. The views here are of that form (MLflow 3.17).
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from lab.store import store_errors

TABLE = "curricula"  # the key of the table's view in every experiment
FIGURES = {
    "measure": "train-agreement",
    "sweep": "agreement",
    "curriculum": "comparison",
    "scores": "scores",
}
COLUMNS = {  # and their widths in pixels
    "measure": {
        "metrics.`train/agreement`": 130,
        "metrics.`train/chance_agreement`": 190,
        "metrics.`test/accuracy`": 120,
        "metrics.`order/reliability`": 150,
        "params.`epochs`": 80,
        "tags.`headline`": 700,
    },
    "curriculum": {
        "tags.`headline`": 360,
        "metrics.`comparison/difference_curriculum`": 250,
        "metrics.`comparison/corrected_p_curriculum`": 260,
        "metrics.`comparison/test_at_best_shuffled`": 240,
        "params.`pacing`": 80,
        "params.`epochs`": 80,
    },
}
COLUMNS["scores"] = {"tags.`headline`": 700}
COLUMNS["sweep"] = COLUMNS["measure"]  # they share an experiment
ALWAYS = {"attributes.`Run Name`": 260, "runDateAndNestInfo": 150}


def describe(client: Any, run: str, headline: str, summary: str, arms: Sequence[str] = ()) -> None:
    """Give a finished run of a phase its headline, description and summary.txt; and its experiment the newest headline and views.

    arms: of a comparison.
    """
    with store_errors():
        found = client.get_run(run)
        experiment, phase = found.info.experiment_id, found.data.tags["phase"]
        client.log_text(run, summary, "summary.txt")
        client.set_tag(run, "headline", headline[:500])
        client.set_tag(run, "mlflow.note.content", description(experiment, run, phase, headline, summary))
        views = {shared(TABLE): table_view(phase)}
        if arms:
            views[shared(run)] = arms_view(run, arms)
        for key, view in views.items():
            client.set_experiment_tag(experiment, key, json.dumps(view))
        client.set_experiment_tag(experiment, "mlflow.note.content", f"{found.info.run_name}: {headline}"[:5000])


def description(experiment: str, run: str, phase: str, headline: str, summary: str) -> str:
    """Markdown: headline, figure, where to look further, and the summary as it was printed; at most 8,000 characters."""
    figure = f"get-artifact?path=figures/{FIGURES[phase]}.png&run_uuid={run}"
    links = [f"[Figures and tables](#/experiments/{experiment}/runs/{run}/artifacts)"]
    if phase != "sweep":
        links.insert(0, f"[Report page](#/experiments/{experiment}/runs/{run}/artifacts/report.html)")
    if phase == "curriculum":
        links.append(f"[Curves by arm]({arms_address(experiment, run)})")
    text = f"**{headline}**\n\n![{FIGURES[phase].replace('-', ' ')}]({figure})\n\n{' · '.join(links)}\n\n"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", summary)), default=0))  # no name in the summary can end it
    return f"{text}{fence}\n{summary[: 7900 - len(text)]}\n{fence}"


def table_view(phase: str) -> dict[str, Any]:
    """The columns that matter of the runs of a phase."""
    widths = ALWAYS | COLUMNS[phase]
    return {"selectedColumns": list(COLUMNS[phase]), "columnOrder": list(widths), "columnWidths": widths}


def arms_view(run: str, arms: Iterable[str]) -> dict[str, Any]:
    """The trainings of a comparison, children of `run`, as curves of the mean over seeds of each arm."""
    return {
        "searchFilter": f"tags.mlflow.parentRunId = '{run}'",
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "arm"}]},
        "groupsExpanded": {f"tag.arm.{arm}": False for arm in arms},
        "chartsSearchFilter": "validation/",
    }


def shared(key: str) -> str:
    return f"mlflow.sharedViewState.{key}"


def table_address(experiment: str) -> str:
    """Where MLflow's UI shows an experiment's table of runs, below its root."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={TABLE}"


def arms_address(experiment: str, run: str) -> str:
    """Where MLflow's UI draws the curves of a comparison by arm, below its root."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={run}&compareRunsMode=CHART"
