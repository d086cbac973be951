"""The comparison: training with examples in an order, against shuffled baselines of the same seeds on equal terms."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from agreement.record import read_lines, replace_text, save_array
from curricula import (
    PACING,
    compare,
    corrupt_labels,
    missing,
    order,
    seeds_needed,
)
from curricula.comparison import Arm, answer, read_outcome, table_of
from curricula.scores import SCORES
from lab import tracking
from lab.compared import Compared
from lab.data import Data, Images, load
from lab.errors import UserError
from lab.networks import check_networks
from lab.ordering import check_metric, scores_of
from lab.processes import device_and_precision, ranks_of_torchrun, side_by_side, start_server, train_all
from lab.progress import Progress
from lab.report import write_comparison
from lab.report.summary import print_comparison
from lab.settings import CompareSettings, nearest, plain
from lab.training import Recipe, train
from lab.views import describe
from lab.work import TERMS, attempt_of, discard, unfinished

RESULT_FILES = ("evaluations.jsonl", "drawn.npy", "result.json")  # the last one says that the training is done


def run_comparison(settings: CompareSettings, console: Any) -> str:
    """Run the configured comparison and log it to MLflow. Returns the id of its parent run."""
    check(settings, console)
    data = load(settings)
    for note in data.notes:
        console.print(note, highlight=False, markup=False)
    size = data.size(settings.crop)
    check_networks([settings.network], data.channels, len(data.classes), size)
    device, precision = device_and_precision(settings.device, settings.precision, settings.scheduler, console.print)
    trained = replace(settings, device=device, precision=precision)
    start_server(Compared)  # which imports torch while this process imports MLflow
    client = tracking.open_store()
    trainings = len(settings.arms) * settings.seeds
    with Progress(console, trainings, settings.evaluations) as progress:
        scores, notes = scores_of(settings, data.train, client, progress)
    train, validation = held_out(data, settings)
    config, trained = (with_steps(each, len(train.labels)) for each in (settings, trained))
    warn_of_examples_never_drawn(config, len(train.labels), console)
    about = notes_on(scores[train.index], [data.train.ids[i] for i in train.index], config)
    for note in about:
        console.print(f"{note}. Training all the same.", highlight=False, markup=False)
    notes += about
    arms = arms_of(config, scores[train.index], train.labels)
    terms = terms_of(trained, data, arms)
    # with the terms: what was begun in another order, of a file or measurement that has changed since, is other work
    with unfinished("curriculum", settings, data, terms) as work:
        with Progress(console, trainings, config.evaluations) as progress:
            parent, *children = runs_of(client, config, arms, terms, work)
            tracking.log_data(client, parent, config, data)
            sent = partial(tracking.holds, client, key="test/accuracy")  # the last of what a training sends
            with tracking.ending(client, [*children, parent], sent):
                reused = reuse(client, children, work)
                for name, part in (("train", train), ("validation", validation), ("test", data.test)):
                    part.images.save(work / name)
                    save_array(work / f"{name}-labels.npy", part.labels)
                train_arms(trained, arms, data, size, work, client, children, progress)
                progress.say("comparing arms, writing figures and tables")
                outcome = read_outcome(arms, [folder_of(work, number) for number in range(len(arms))])
                comparisons = compare(outcome.at_best) if len(outcome.at_best) > 1 else {}
                table = table_of(outcome, comparisons)
                told = answer(comparisons, table, commonest(data.test.labels))
                findings = work / "findings"
                if reused:
                    notes.append(
                        f"{reused} of {len(children)} trainings had been done before on identical terms and were used again"
                    )
                summary = write_comparison(
                    findings,
                    outcome,
                    table,
                    comparisons,
                    told,
                    pacing_curve(config.pacing, config.steps, len(train.labels), config.a, config.b),
                    config.metric,
                    f"{config.network} on {config.data}, ordered by {config.metric}, {config.seeds} seeds",
                    notes,
                    plain(settings),
                    parent,
                )
                log_outcome(client, parent, table, findings)
                describe(client, parent, told, summary)
        print_comparison(console, outcome, table, comparisons, told, config.metric, notes, parent)
        discard(work)
    return parent


def log_outcome(client: Any, run: str, table: pd.DataFrame, folder: Path) -> None:
    """The comparison's numbers as metrics of the parent run; the folder as its artifacts."""
    log = tracking.MetricLog(client)
    for arm, row in table.iterrows():
        wanted = ("test_at_best", "difference", "corrected_p")
        # step 0: single numbers, which MLflow's charts draw as bars
        log.log(run, 0, {f"comparison/{name}_{arm}": row[name] for name in wanted if name in row})
    log.flush()
    with tracking.store_errors():
        client.log_artifacts(run, str(folder))


def check(config: Any, console: Any) -> None:
    """What can be wrong with a comparison before anything is loaded; says so if the seeds are too few to show anything."""
    parts = check_metric(config.metric)
    if config.measurement and not {*parts} & {*SCORES}:
        raise UserError(f"measurement={config.measurement}: metric={config.metric} reads none; {', '.join(SCORES)} do")
    if ranks_of_torchrun() > 1:
        raise UserError(
            "a comparison under torchrun: its many trainings are better spread one to a device, by engine=dask; "
            "torchrun is for --mode measure"
        )
    if not isinstance(config.network, str):
        raise UserError("network: a comparison trains one architecture; name one")
    if "shuffled" not in config.arms or len(set(config.arms)) != len(config.arms):
        raise UserError("arms: name each once, and shuffled, the baseline, among them")
    if config.pacing not in PACING:
        raise UserError(f"pacing={config.pacing}: there is no such function{nearest(config.pacing, PACING)}")
    needed = seeds_needed(max(len(config.arms) - 1, 1))
    if config.seeds < needed and len(config.arms) > 1:
        console.print(
            f"seeds={config.seeds} are too few to show any difference: with {len(config.arms) - 1} arms against the "
            f"baseline p cannot go below 0.05 after correction with fewer than {needed}. Training all the same.",
            highlight=False,
        )


@dataclass(frozen=True)
class Part:
    """A part of the train set: images, labels, and the indices (n,) it is made of."""

    images: Images
    labels: np.ndarray
    index: np.ndarray


def held_out(data: Data, config: Any) -> tuple[Part, Part]:
    """Train and validation parts, class by class; a fixed draw from seed=. Only the train part gets label noise."""
    split, draw = data.train, np.random.default_rng([config.seed, 1])
    chosen = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        chosen[draw.permutation(members)[: round(config.validation * len(members))]] = True
    if not chosen.any() or chosen.all():
        raise UserError(
            f"validation={config.validation} of {len(split)} examples leaves a part empty: give another share"
        )

    def part(index: np.ndarray) -> Part:
        return Part(split.images.take(index), split.labels[index], index)

    train = part(np.flatnonzero(~chosen))
    if len(train.labels) < config.batch_size:
        raise UserError(f"batch_size={config.batch_size} is larger than the {len(train.labels)} examples to train on")
    if data.multi_label and config.label_noise:
        raise UserError(
            f"label_noise={config.label_noise}: the examples of data={config.data} have sets of labels; give 0"
        )
    noisy = (
        train.labels
        if data.multi_label
        else corrupt_labels(train.labels, config.label_noise, len(data.classes), config.seed)[0]
    )
    return replace(train, labels=noisy), part(np.flatnonzero(chosen))


def with_steps(config: Any, examples: int) -> Any:
    """The configuration with `steps`, the optimiser steps of every training."""
    steps = max(1, round(config.budget * config.epochs * -(-examples // config.batch_size)))
    return SimpleNamespace(**{**vars(config), "steps": steps})


def pacing_curve(
    name: str, steps: int, examples: int, a: float | None, b: float | None
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Some 400 steps, how many examples the pacing function lets in at them, and the number of examples."""
    t = np.unique(np.linspace(0, steps, 400).astype(int))
    given = {key: value for key, value in (("a", a), ("b", b)) if value is not None}
    return t, {name: np.asarray(PACING[name](t, steps, examples, **given))}, examples


def warn_of_examples_never_drawn(config: Any, examples: int, console: Any) -> None:
    """H&W's pacing functions count steps, whatever the training's length: a short one may end before all are in."""
    reached = int(pacing_curve(config.pacing, config.steps, examples, config.a, config.b)[1][config.pacing][-1])
    if reached < examples:
        console.print(
            f"pacing={config.pacing} reaches {reached:,} of {examples:,} examples by the end of the {config.steps} steps; "
            "the rest are never trained on. a=0.8 lets all in after 80 % of the steps. Training all the same.",
            highlight=False,
        )


def notes_on(scores: np.ndarray, ids: list[str], config: Any) -> list[str]:
    """What the scores of the examples to train on leave open. Raises UserError where they give no order at all."""
    notes, without = [], missing(scores)
    values, counts = np.unique(scores[~np.isnan(scores)], return_counts=True)
    if len(values) < 2:
        what = "are all equal" if len(values) else "are all missing"
        raise UserError(f"metric={config.metric}: the scores {what}, which gives no order")
    if len(without):
        notes.append(
            f"{len(without)} of {len(scores)} training examples have no score ({ids[without[0]]!r}, ...) and come last in "
            "the order"
        )
    if counts.max() > len(scores) / 4:
        notes.append(
            f"{counts.max()} of {len(scores)} training examples share the score {values[counts.argmax()]:g}, in random order"
        )
    return notes


def commonest(labels: np.ndarray) -> float:
    """The share of the commonest label, or set of labels."""
    return float(np.unique(labels, axis=0, return_counts=True)[1].max() / len(labels))


def arms_of(config: Any, scores: np.ndarray, labels: np.ndarray) -> list[Arm]:
    """Every arm with every seed; the seed draws the random order and the order of equal scores."""
    return [
        Arm(name, seed, order(scores, name, labels, config.balance, seed, config.descending), name != "shuffled")
        for seed in range(config.seed, config.seed + config.seeds)
        for name in config.arms
    ]


def terms_of(config: Any, data: Data, arms: list[Arm]) -> list[str]:
    """What determines the result of each training, as a hash: trainings on the same terms need not be done twice."""
    keys = ("network", "batch_size", "epochs", "steps", "optimizer", "lr", "min_lr", "momentum", "weight_decay",
            "schedule", "step_epochs", "step_factor", "crop", "label_noise", "validation", "evaluations", "seed")  # fmt: skip
    shared = {key: getattr(config, key) for key in keys} | {
        "terms": TERMS,
        "data": data.digest,
        "device": config.device,
        "bf16": config.precision == "bf16",
        "threads": side_by_side(len(arms), 0, config.device == "cuda")[1],
    }
    paced = {"pacing": config.pacing, "a": config.a, "b": config.b}

    def key(arm: Arm) -> str:
        own = {**paced, "order": hashlib.sha256(arm.order.tobytes()).hexdigest()} if arm.paced else {}
        # the baseline shuffles all examples with its own seed: its starting order is the seed's as well
        text = json.dumps({**shared, "of": arm.seed, "balance": config.balance or None, **own}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    return [key(arm) for arm in arms]


def runs_of(client: Any, config: Any, arms: list[Arm], terms: list[str], work: Path) -> list[str]:
    """The parent run and one child per arm and seed: those of an interrupted attempt, else new ones."""
    experiment = tracking.experiment_id(client, f"curriculum-{config.data}")
    attempt = attempt_of(work)
    begun = tracking.begun_runs(client, experiment, attempt)
    shared = {key: str(getattr(config, key)) for key in ("metric", "pacing", "data", "network")} | {"attempt": attempt}
    settings = plain(config)
    name = config.name or f"{config.metric}, {config.network}, {config.seeds} seeds"
    tags = {**shared, "phase": "curriculum", "part": "all"}
    parent = tracking.begin_run(client, experiment, name, settings, tags, begun=begun.get("all"))
    children = [
        tracking.begin_run(
            client,
            experiment,
            f"{arm.name}, seed {arm.seed}",
            {"arm": arm.name, "seed": arm.seed},
            {**shared, "phase": "arm", "arm": arm.name, "seed": str(arm.seed), "terms": key, "part": str(number + 1)},
            parent,
            begun.get(str(number + 1)),
        )
        for number, (arm, key) in enumerate(zip(arms, terms, strict=True))
    ]
    return [parent, *children]


def folder_of(work: Path, number: int) -> Path:
    return work / f"training-{number + 1}"


def is_finished(folder: Path) -> bool:
    return (folder / "result.json").is_file()


def reuse(client: Any, children: list[str], work: Path) -> int:
    """Fetch what finished trainings on the same terms gave. Returns how many there were, those of an earlier attempt included."""
    found = 0
    with tracking.store_errors():
        for number, child in enumerate(children):
            folder, run = folder_of(work, number), client.get_run(child)
            if is_finished(folder):
                found += "reused_from" in run.data.tags
                continue
            same = client.search_runs(
                [run.info.experiment_id],
                f"tags.terms = '{run.data.tags['terms']}' and attributes.status = 'FINISHED'",
                max_results=1,
            )
            if same:
                fetched = Path(client.download_artifacts(same[0].info.run_id, "training"))
                client.set_tag(child, "reused_from", same[0].info.run_id)
                folder.mkdir(parents=True, exist_ok=True)
                for name in RESULT_FILES[:-1]:
                    shutil.copy(fetched / name, folder / name)
                replace_text(folder / RESULT_FILES[-1], (fetched / RESULT_FILES[-1]).read_text())
                found += 1
    return found


def train_arms(
    config: Any,
    arms: list[Arm],
    data: Data,
    size: int,
    work: Path,
    client: Any,
    children: list[str],
    progress: Progress,
) -> None:
    """Train what is not done yet, side by side, logging to MLflow and showing progress as evaluations come in."""
    classes, folders = len(data.classes), [folder_of(work, number) for number in range(len(arms))]
    workers, threads = side_by_side(len(arms), config.workers, config.device == "cuda")
    log = tracking.MetricLog(client)

    def look() -> None:
        for k, folder in enumerate(folders):
            for line in read_lines(folder / "evaluations.jsonl")[progress.done[k] :]:
                log.log(
                    children[k],
                    int(line["step"]),
                    {name: value for name, value in line.items() if name not in ("step", "time")},
                )
                words = f"{arms[k].name}: validation accuracy {line['validation/accuracy']:.1%}"
                progress.trained(k, progress.done[k] + 1, words)
        log.flush_now_and_then()

    def send_results() -> None:
        for child, folder in zip(children, folders, strict=True):
            if is_finished(folder) and not tracking.holds(client, child, "test/accuracy"):
                with tracking.store_errors():
                    for name in RESULT_FILES:
                        client.log_artifact(child, str(folder / name), "training")
                log.log(child, config.steps, json.loads((folder / "result.json").read_text()))
        log.flush()

    sets_of = classes if data.multi_label else 0
    tasks = {}
    for arm, folder in zip(arms, folders, strict=True):
        if not is_finished(folder):
            folder.mkdir(exist_ok=True)
            save_array(folder / "order.npy", arm.order)  # too large to travel with the task
            plan = Compared(
                arm=arm.name,
                seed=arm.seed,
                steps=config.steps,
                evaluations=config.evaluations,
                pacing=config.pacing if arm.paced else None,
                a=config.a,
                b=config.b,
                shared=work,
                classes=classes,
                sets_of=sets_of,
                folder=folder,
            )
            tasks[folder.name] = (plan, config.network, Recipe.of(config), size, threads)
    with tracking.in_the_end(send_results):
        train_all(train, tasks, look, workers, config.device == "cuda", work, config.scheduler)
