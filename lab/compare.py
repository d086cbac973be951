"""The comparison: training with examples in an order, against shuffled baselines of the same seeds on equal terms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import curricula
from agreement import commonest
from agreement.record import save_array
from curricula import (
    ARMS,
    DYNAMIC,
    PACING,
    Comparison,
    answer,
    class_table,
    picked,
    read_outcome,
    seeds_needed,
    table_of,
)
from curricula.comparison import DROP, pairs_of
from curricula.dynamic.arm import step_cost
from curricula.scores import SCORES
from curricula.sentences import price
from lab import tracking
from lab.arms import (
    BY_SCORE,
    Part,
    arms_of,
    clusters_of,
    named_arms,
    orders_shown,
    pacings_of,
    part_of,
    parts_of,
    tries_of,
    with_label_noise,
)
from lab.compared import Compared
from lab.data import Data, Split, load
from lab.doubts import doubts_on, never_drawn, picks, too_few, withheld, wrong_labels_last
from lab.errors import UserError, printable
from lab.networks import check_networks
from lab.ordering import Scores, check_metric, metrics_of
from lab.processes import device_and_precision, ranks_of_torchrun, start_server
from lab.progress import Progress
from lab.report import write_comparison
from lab.report.about import About
from lab.report.answered import Answered
from lab.report.ends import ends_of
from lab.report.summary import as_text
from lab.settings import CompareSettings, nearest, plain
from lab.statistics import statistics_of
from lab.store import open_store
from lab.teacher import register
from lab.trainings import runs_for, share, terms_of, train_arms, used_again
from lab.views import describe
from lab.work import discard, keep_training, take_training, unfinished

SEEDS = 8  # where none are given and so few can show something


def compare(settings: CompareSettings, console: Any) -> str:
    """Run the configured comparison and log it to MLflow. Returns the id of its parent run."""

    def say(*notes: str) -> None:
        for note in notes:
            console.print(printable(note), highlight=False, markup=False)

    check(settings)
    settings, seeds, named, pairs = planned(settings)
    say(*too_few(len(seeds), len(pairs)))
    with console.status("reading the images"):
        data = load(settings)
    say(*data.notes)
    size = data.size(settings.crop)
    code = check_networks(
        [settings.network], data.channels, len(data.classes), size, settings.stem, settings.weights, settings.train
    )
    device, precision = device_and_precision(settings.device, settings.precision, settings.scheduler, console.print)
    start_server(Compared)  # which imports torch while this process imports MLflow
    client = open_store()
    # a score must not know better than the training which labels are wrong
    given = with_label_noise(data, settings.label_noise, settings.validation, settings.seed)
    train, validation = (part_of(given.train, index) for index in parts_of(data, settings.validation, settings.seed))
    with Progress(console, 1, 1) as progress:
        scored = scores_by_name(settings, given, train.index, data, client, progress)
    say(*scored.notes)
    budget = budget_of(settings, len(train.labels), scored.cost)
    tries = tries_of(settings.tune_lr, settings.tune_a, settings.tune_b)
    pacing = pacings_of(settings.pacing, budget.steps, len(train.labels), settings.a, settings.b, tries)
    say(*(note for name in pacing[1] for note in never_drawn(name, pacing)))
    doubts = doubts_on(scored.values, [data.train.ids[i] for i in train.index])
    labels = data.classes_of(given.train.labels)
    groups = {
        variety: clusters_of(data.train, labels)[train.index] if variety == "clusters" else None
        for variety in settings.variety
    }
    arms = arms_of(
        named, seeds, scored.values, train.labels, settings.balance, scored.descending, groups,
        settings.keep, steps_by_arm(named, budget, len(train.labels), settings.batch_size), tries,
    )  # fmt: skip
    if not data.multi_label:
        doubts += withheld(arms, train.labels, next(iter(pacing[1].values())), settings.batch_size, data.classes)
    say(*(f"{doubt}. Continuing." for doubt in doubts))
    notes = [*scored.notes, *doubts, *wrong_labels_last(arms, train.labels != data.train.labels[train.index])]
    irreducible = (
        irreducible_losses(given.train, labels, settings.cache, console)[train.index] if "rho" in named else None
    )
    # all arms are evaluated as often: no more often than the one of the fewest steps has steps
    evaluations = min(settings.evaluations, budget.steps, *(arm.steps for arm in arms if arm.steps))
    config = SimpleNamespace(
        **vars(settings)
        | {"device": device, "precision": precision, "steps": budget.steps, "code": code, "evaluations": evaluations}
    )
    terms = terms_of(config, data.digest, arms, irreducible)
    # with the terms: what was begun in another order, of a file or measurement that has changed since, is other work
    with unfinished("curriculum", settings, data, terms) as work:
        folders = [work / f"training-{number + 1}" for number in range(len(arms))]
        kept = [Path(settings.cache).expanduser() / "trainings" / key for key in terms]
        reused = [take_training(*each) for each in zip(kept, folders, strict=True)]
        notes += used_again(reused)
        lines = [folder / "evaluations.jsonl" for folder in folders]
        known = settings.known
        with (
            tracking.Tracked(client, work, f"curriculum-{known}", runs_for(settings, arms, terms, reused), lines) as tracked,
            Progress(console, len(arms), evaluations) as progress,
        ):  # fmt: skip
            say(*tracked.notes)
            tracking.log_data(client, tracked.parent, known, settings.root, data)
            share(work, train, validation, Part(data.test.images, data.test.labels, np.arange(len(data.test))))
            if irreducible is not None:
                save_array(work / "irreducible.npy", irreducible)

            def look() -> None:
                for number, run in enumerate(tracked.children):
                    keep_training(folders[number], kept[number], run)
                tracked.follow()

            train_arms(config, arms, folders, len(data.classes), data.multi_label, size, look, progress)
            progress.say("comparing arms, writing figures and tables")
            chosen = picked(arms, folders)
            notes += picks([arms[i] for i in chosen])
            outcome = read_outcome([arms[i] for i in chosen], [folders[i] for i in chosen], len(data.test))
            question, title = question_of(settings, known, named)
            about = About(title, plain(settings), tracked.parent, tracked.begun, [*data.notes, *notes], data.left_out)
            comparisons = (
                curricula.compare(outcome.at_best, pairs=pairs, matters=settings.matters / 100) if pairs else {}
            )
            tested = None if data.multi_label else data.test.labels
            table = table_of(outcome, comparisons, tested)
            found = Answered(
                outcome=outcome,
                table=table,
                comparisons=comparisons,
                question=question,
                answer=answer(comparisons, table, commonest(data.test.labels), paid(comparisons, scored.cost, budget)),
                by_class=None if tested is None else class_table(outcome.at_best, tested, train.labels, data.classes),
                pacing=pacing,
                ends=ends_of(
                    orders_shown(arms, named, scored.values), train.images, [*map(data.label_name, train.labels)]
                ),
            )
            show = write_comparison(work / "findings", found, about)
            tracked.publish([point_of(found.table, tracked.times()[-1])])
            describe(client, tracked.parent, found.answer, as_text(show), list(named))
        show(console)
        discard(work)
    return tracked.parent


@dataclass(frozen=True)
class Scored:
    """The scores by the name that `metric=` gives them.

    values: (N,) of the examples to train on. descending: whether high is easy. notes: where they are from. cost: in passes
    over the data, of the dearest.
    """

    values: dict[str, np.ndarray]
    descending: dict[str, bool]
    notes: list[str]
    cost: int


@dataclass(frozen=True)
class Budget:
    """Optimiser steps of a training, those that `shuffled_longer` has more, and how many go once through the data."""

    steps: int
    more: int
    batches: int


def planned(
    settings: CompareSettings,
) -> tuple[CompareSettings, range, dict[str, tuple[str, str, str]], dict[str, tuple[str, str]]]:
    """The settings with arms and seeds filled in, the seeds, the arms by name, and which are compared with which."""
    metrics = metrics_of(settings.metric)
    # anti of each of several scores would take half of the time again
    kinds = settings.arms or [arm for arm in ARMS if arm != "anti" or len(metrics) == 1]
    named = named_arms([*kinds, *(f"{DROP} {which}" for which in settings.drop)], metrics, settings.variety)
    costly = [metric for metric in metrics if {*check_metric(metric)} & {*SCORES}]  # which read a measurement
    if costly and settings.longer != 0:
        named["shuffled_longer"] = named["shuffled"]
    pairs = pairs_of(named, paid=[arm for arm, (_, metric, _) in named.items() if metric in costly])
    number = settings.seeds or max(SEEDS, seeds_needed(max(len(pairs), 1)))
    seeds = range(settings.seed, settings.seed + number)
    return replace(settings, arms=kinds, seeds=number), seeds, named, pairs


def scores_by_name(
    settings: CompareSettings, given: Data, index: np.ndarray, data: Data, client: Any, progress: Progress
) -> Scored:
    """What `metric=` names. given: the data with the labels that the training sees. index: of the examples to train on."""
    noise = ""
    if settings.label_noise:
        noise = f" label_noise={settings.label_noise} validation={settings.validation} seed={settings.seed}"
    if settings.imbalance != 1:
        noise = f"{noise or f' seed={settings.seed}'} imbalance={settings.imbalance:g}"
    if settings.labels:
        noise = f" labels={settings.labels}{noise}"
    scores = Scores(
        train=given.train, labels=data.classes_of(given.train.labels), data=settings.data, root=settings.root,
        digest=data.digest, client=client, cache=settings.cache, progress=progress, resize=settings.statistics_resize,
        measurement=settings.measurement, folder=settings.record, noise=noise,
        within=settings.balance or "clusters" in settings.variety, descending=settings.descending,
    )  # fmt: skip
    read = {metric: scores.read(metric) for metric in metrics_of(settings.metric)}
    return Scored(
        values={metric: values[index] for metric, (values, *_) in read.items()},
        descending={metric: high for metric, (_, high, _, _) in read.items()},
        notes=[note for _, _, notes, _ in read.values() for note in notes],
        cost=max(cost for *_, cost in read.values()),
    )


def budget_of(settings: CompareSettings, examples: int, cost: int) -> Budget:
    """Raises UserError where the examples fill no batch. cost: of the scores, in passes."""
    kept = round(settings.keep * examples) if settings.drop else examples
    if kept < settings.batch_size:
        raise UserError(
            f"batch_size={settings.batch_size} is larger than the {kept} examples to train on: give batch_size={max(2, kept // 4)} or so"
        )
    batches = -(-examples // settings.batch_size)
    steps = max(1, round(settings.budget * settings.epochs * batches))
    most = steps if settings.longer is None else settings.longer * batches
    return Budget(steps, max(1, round(min(cost * batches, most))), batches)


def steps_by_arm(
    named: Mapping[str, tuple[str, str, str]], budget: Budget, examples: int, batch_size: int
) -> dict[str, int]:
    """The steps of the arms that have other numbers of them: the longer baseline, and those whose steps cost more, so that all cost the same."""
    costs = {
        name: step_cost(DYNAMIC[kind], examples, batch_size) for name, (kind, _, _) in named.items() if kind in DYNAMIC
    }
    fewer = {name: max(1, round(budget.steps / cost)) for name, cost in costs.items() if cost > 1}
    return {"shuffled_longer": budget.steps + budget.more, **fewer}


def irreducible_losses(split: Split, labels: np.ndarray, cache: str, console: Any) -> np.ndarray:
    """What the arm rho takes them from, (N,), see `metrics.shallow_loss`. labels: as the training sees them."""
    name = "shallow:loss"
    with Progress(console, 1, 1) as progress:
        return statistics_of(split, labels, [name], cache, None, progress, "irreducible losses")[name].to_numpy()


def question_of(settings: CompareSettings, known: str, named: Mapping[str, tuple[str, str, str]]) -> tuple[str, str]:
    """The question that the headline answers, and a title. known: what the data set is called."""
    *others, last = metrics_of(settings.metric)
    by = " or ".join([", ".join(others), last] if others else [last])
    kinds = {kind for kind, _, _ in named.values()}
    question = f"Does training in order of {by} help?"
    if not kinds & {"curriculum", "anti"} and kinds & {*DYNAMIC}:
        question = "Does it help to decide while training what comes next?"
    elif not kinds & {"curriculum", "anti"} and settings.drop:
        question = f"Does it help to leave out {1 - settings.keep:.0%} of the examples?"
    arms = f"ordered by {by}" if kinds & {*BY_SCORE} or kinds <= {*ARMS} else ", ".join(named)
    return question, settings.name or f"{settings.network} on {known}, {arms}, {settings.seeds} seeds"


def paid(comparisons: Mapping[str, Comparison], cost: int, budget: Budget) -> str:
    """What the order cost, in a sentence, and what that would have bought; nothing where it cost nothing. cost: in passes."""
    against = [c for c in comparisons.values() if c.baseline == "shuffled_longer"]
    return price(cost, budget.steps / budget.batches, budget.more / budget.batches, against) if cost else ""


def check(settings: CompareSettings) -> None:
    """Raise UserError for what can be wrong with a comparison before anything is loaded."""
    parts = {part for metric in metrics_of(settings.metric) for part in check_metric(metric)}
    register(parts, settings.teacher_weights)
    if settings.measurement and not parts & {*SCORES}:
        readers = ", ".join(SCORES)
        raise UserError(f"measurement={settings.measurement}: metric={settings.metric} reads none; {readers} do")
    if settings.record and (settings.measurement or not {*parts} & {*SCORES}):
        other = "measurement= is another" if settings.measurement else f"metric={settings.metric} reads none"
        raise UserError(f"record={settings.record}: {other}; {', '.join(SCORES)} read one of the two")
    if ranks_of_torchrun() > 1:
        raise UserError(
            "torchrun is for --mode measure; engine=dask spreads the trainings of a comparison over devices"
        )
    if not isinstance(settings.network, str):
        raise UserError("network: a comparison trains one architecture; name one")
    arms = ["shuffled"] if settings.arms is None else settings.arms
    for arm in {*arms} - {*ARMS, *DYNAMIC}:
        raise UserError(f"arms={arm}: there is no such arm{nearest(arm, [*ARMS, *DYNAMIC])}")
    if len({*settings.drop}) != len(settings.drop):
        raise UserError("drop: name each once")
    if "shuffled" not in arms or len(set(arms)) != len(arms):
        raise UserError("arms: name each once, and shuffled, the baseline, among them")
    if not settings.variety or len(set(settings.variety)) != len(settings.variety):
        raise UserError("variety: name none, clusters, or each once")
    if settings.pacing not in PACING:
        raise UserError(f"pacing={settings.pacing}: there is no such function{nearest(settings.pacing, PACING)}")


def point_of(table: pd.DataFrame, seconds: float) -> tracking.Point:
    """The comparison's numbers, found at that time, see `tracking.Point`."""
    wanted = [name for name in ("test_at_best", "balanced_at_best", "difference", "corrected_p") if name in table]
    names = {arm: re.sub(r"[^\w. :-]", "_", str(arm)) for arm in table.index}  # MLflow takes no + and no path
    return (
        0,
        seconds,
        {f"comparison/{name}_{names[arm]}": row[name] for arm, row in table.iterrows() for name in wanted},
    )
