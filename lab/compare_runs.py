"""`--mode compare-runs`: the paired comparison on any MLflow experiment, or on a table in a file."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.parquet import read_schema

import curricula
from curricula import verdict
from curricula.scores import open_parquet
from lab import tracking
from lab.errors import UserError
from lab.report.about import About
from lab.report.runs import write_runs
from lab.settings import nearest
from lab.store import open_store, store_errors

PHASE = "compare-runs"
PAGE = 1000  # runs of one request
History = tuple[str, dict[int, float]]  # of a run: its arm, and the values of the metric by step
YES = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Asked:
    """What the words ask for. arm, seed: a parameter or tag, `params.lr`, `tags.arm`, or its bare name; of a file, a column.

    at: which of a run's values of the metric counts: last, best, or step:N. filter: which runs, in MLflow's language.
    """

    arm: str
    metric: str
    seed: str = "seed"
    experiment: str = ""
    file: str = ""
    baseline: str | None = None
    at: str = "last"
    higher: bool = True
    filter: str = ""
    log: bool = True


def compare_runs(given: Mapping[str, str], console: Any, as_json: bool) -> None:
    """Compare the arms of runs that somebody made, print the table, and log it into the same experiment."""
    asked = asked_of(given)
    client = None if asked.file else open_store(make=False)
    histories: list[History] = []
    notes: list[str] = []
    if asked.file:
        runs = read_file(Path(asked.file).expanduser())
    else:
        runs, histories, notes = read_runs(client, asked)
    try:
        comparisons, table, more = curricula.compare_runs(runs, asked.arm, asked.seed, asked.metric, asked.baseline)
    except ValueError as error:
        raise UserError(f"--mode compare-runs: {'; '.join([str(error), *notes])}") from error
    notes += more
    sentences = [verdict(each, f"({asked.metric})", 1, asked.higher) for each in comparisons.values()]
    title = f"{asked.metric} by {asked.arm}"
    steps, curves = curves_of(histories)
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found"
        now = pd.Timestamp.now().strftime("%Y-%m-%d %H:%M")
        about = About(title, asdict(asked), begun=now, notes=notes)
        show = write_runs(found, table, comparisons, curves, steps, sentences, asked.metric, about)
        if as_json:
            print(
                json.dumps({"arms": json.loads(table.to_json(orient="index")), "verdicts": sentences, "notes": notes})
            )
        else:
            show(console)
        if client is not None and asked.log:
            run = log(client, asked, table, found, title)
            if not as_json:
                console.print(f"\nlogged as run {run[:8]} of the experiment {asked.experiment}", highlight=False)


def asked_of(given: Mapping[str, str]) -> Asked:
    """The words as settings. Raises UserError in one line."""
    for key in ("arm", "metric"):
        if not given.get(key):
            raise UserError(f"--mode compare-runs: say {key}=, such as arm=params.optimizer metric=val_accuracy")
    if bool(given.get("experiment")) == bool(given.get("file")):
        raise UserError("--mode compare-runs: give either experiment=NAME or file=results.csv")
    for key in ("at", "filter", "log"):
        if given.get("file") and key in given:
            raise UserError(f"{key}={given[key]}: a file has one number for each run; leave {key}= out")
    values: dict[str, Any] = dict(given)
    for key in ("higher", "log"):
        if key in given:
            word = "true" if given[key] == "better" else given[key].lower()  # higher=better is how one says it
            if word not in YES:
                raise UserError(f"{key}={given[key]}: expected true or false")
            values[key] = YES[word]
    at = given.get("at", "last")
    if at not in ("last", "best") and not (at.startswith("step:") and at.removeprefix("step:").isdecimal()):
        raise UserError(f"at={at}: expected last, best or step:N")
    return Asked(**values)


def read_file(path: Path) -> pd.DataFrame:
    """A table with a row per run."""
    try:
        if path.suffix == ".parquet":
            table = open_parquet(path, read_schema(path).names).read().to_pandas()
            return table.astype(dict.fromkeys(table.select_dtypes("category"), object))
        # an arm may be called None; what is packed may unpack to more than there is memory
        return pd.read_csv(path, keep_default_na=False, na_values=[""], compression=None)
    except (OSError, ValueError) as error:
        raise UserError(f"file={path}: {' '.join(str(error).split())}") from error


def read_runs(client: Any, asked: Asked) -> tuple[pd.DataFrame, list[History], list[str]]:
    """A row per run of the experiment that holds arm, seed and metric, the oldest first; the histories of these; and notes on
    the runs that are left out.
    """
    with store_errors():
        experiment = client.get_experiment_by_name(asked.experiment) if client else None
        if experiment is None:
            names = [each.name for each in client.search_experiments()] if client else []
            raise UserError(
                f"experiment={asked.experiment}: there is no such experiment{nearest(asked.experiment, names)}"
            )
        found = search(client, experiment.experiment_id, asked.filter)
        found = [run for run in found if run.data.tags.get("phase") != PHASE]  # earlier comparisons of these runs
        if not found:
            raise UserError(
                f"experiment={asked.experiment}: it holds no runs{' that filter= lets in' * bool(asked.filter)}"
            )
        rows, histories, left = [], [], dict.fromkeys(("not finished", "arm", "seed", "metric"), 0)
        for run in found:
            arm, seed = value_of(run, asked.arm), value_of(run, asked.seed)
            lacking = next((what for what, lacks in (
                ("not finished", run.info.status != "FINISHED"), ("arm", arm is None), ("seed", seed is None),
                ("metric", asked.metric not in run.data.metrics)) if lacks), "")  # fmt: skip
            if lacking:
                left[lacking] += 1
                continue
            history = client.get_metric_history(run.info.run_id, asked.metric)
            points = {each.step: each.value for each in sorted(history, key=lambda each: (each.step, each.timestamp))}
            rows.append({asked.arm: arm, asked.seed: seed, asked.metric: chosen(points, asked.at, asked.higher)})
            histories.append((str(arm), points))
    words = {"arm": f"without {asked.arm}", "seed": f"without {asked.seed}", "metric": f"without metric {asked.metric}"}
    lacks = ", ".join(f"{n} {words.get(what, what)}" for what, n in left.items() if n)
    notes = [f"Not used of {len(found)} runs: {lacks}"] if lacks else []
    if not rows:
        known = sorted({name for run in found for name in (*run.data.params, *run.data.metrics)})
        raise UserError(f"experiment={asked.experiment}: {'; '.join(notes)}; its runs have {', '.join(known[:20])}")
    return pd.DataFrame(rows), histories, notes


def curves_of(histories: Sequence[History]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Steps (E,) that all runs have, and arm to the values (runs, E) there; of arms of several runs, none for fewer than two steps.

    Without steps at which no run has a finite number, and then without runs that have none at some step.
    """
    common = sorted(set.intersection(*(set(points) for _, points in histories))) if histories else []
    common = [step for step in common if any(np.isfinite(points[step]) for _, points in histories)]
    histories = [(arm, points) for arm, points in histories if all(np.isfinite(points[step]) for step in common)]
    curves: dict[str, list[list[float]]] = {}
    for arm, points in histories if len(common) > 1 else []:
        curves.setdefault(arm, []).append([points[step] for step in common])
    return np.array(common), {arm: np.array(values) for arm, values in curves.items() if len(values) > 1}


def search(client: Any, experiment: str, filter_string: str) -> list[Any]:
    """All runs of an experiment, the oldest first."""
    found, token = [], None
    while True:
        page = client.search_runs(
            [experiment], filter_string, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def value_of(run: Any, name: str) -> str | None:
    """A parameter or tag of a run."""
    for beginning, values in (("params.", run.data.params), ("tags.", run.data.tags)):
        if name.startswith(beginning):
            return values.get(name.removeprefix(beginning))
    return run.data.params.get(name, run.data.tags.get(name))


def chosen(points: Mapping[int, float], at: str, higher: bool) -> float:
    """Of values by step the one that counts; NaN where the step was not logged."""
    if at.startswith("step:"):
        return points.get(int(at.removeprefix("step:")), np.nan)
    if at == "best":
        numbers = [value for value in points.values() if np.isfinite(value)]
        return (max if higher else min)(numbers, default=np.nan)
    return [*points.values()][-1]


def log(client: Any, asked: Asked, table: pd.DataFrame, folder: Path, title: str) -> str:
    """The comparison as a run of the experiment that it compares. Returns its id."""
    with store_errors():
        experiment = client.get_experiment_by_name(asked.experiment)
        run = client.create_run(experiment.experiment_id, run_name=title, tags={"phase": PHASE}).info.run_id
        try:
            for key, value in asdict(asked).items():
                client.log_param(run, f"compare.{key}", value)  # not the name of a parameter that arms or seeds have
            wanted = [name for name in ("mean", "difference", "corrected_p") if name in table]
            numbers = tracking.by_arm(table, wanted)
            tracking.log_metrics(client, run, tracking.metrics_of([(0, pd.Timestamp.now().timestamp(), numbers)]))
            client.log_artifacts(run, str(folder))
        except BaseException:
            client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run)
    return run
