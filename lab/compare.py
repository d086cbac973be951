"""The comparison: training with examples in an order, against shuffled baselines of the same seeds on equal terms."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import curricula
from agreement import commonest
from agreement.record import read_lines, save_array
from curricula import (
    ARMS,
    DYNAMIC,
    PACING,
    Arm,
    Comparison,
    Dynamic,
    Outcome,
    answer,
    check_counts,
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
    notes_on,
    orders_shown,
    part_of,
    parts_of,
    picks,
    tries_of,
    with_label_noise,
    withheld,
    wrong_labels_last,
)
from lab.code import code_digest
from lab.compared import Compared
from lab.data import Data, load
from lab.errors import UserError, printable
from lab.networks import check_networks
from lab.ordering import check_metric, metrics_of, scores_of
from lab.processes import device_and_precision, ranks_of_torchrun, side_by_side, start_server, train_all
from lab.progress import Progress
from lab.report import write_comparison
from lab.report.ends import ends_of
from lab.report.summary import print_comparison
from lab.settings import CompareSettings, known_as, nearest, plain
from lab.statistics import statistics_of
from lab.teacher import register
from lab.training import Recipe, train
from lab.views import describe
from lab.work import TERMS, digests_of, discard, keep_training, take_training, unfinished

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
    client = tracking.open_store()
    # a score must not know better than the training which labels are wrong
    given = with_label_noise(data, settings.label_noise, settings.validation, settings.seed)
    train, validation = (part_of(given.train, index) for index in parts_of(data, settings.validation, settings.seed))
    with Progress(console, 1, 1) as progress:
        scored = scores_by_name(settings, given, train.index, data, client, progress)
    say(*scored.notes)
    budget = budget_of(settings, len(train.labels), scored.cost)
    pacing = pacings_of(settings, budget.steps, len(train.labels))
    say(*(note for name in pacing[1] for note in never_drawn(name, pacing)))
    doubts = doubts_on(scored.values, [data.train.ids[i] for i in train.index])
    labels = data.classes_of(given.train.labels)
    groups = {
        variety: clusters_of(data.train, labels)[train.index] if variety == "clusters" else None
        for variety in settings.variety
    }
    arms = arms_of(
        named, seeds, scored.values, train.labels, settings.balance, scored.descending, groups,
        settings.keep, steps_by_arm(named, budget, len(train.labels), settings.batch_size), tries_of(settings.tune_lr, settings.tune_a, settings.tune_b),
    )  # fmt: skip
    if not data.multi_label:
        doubts += withheld(arms, train.labels, next(iter(pacing[1].values())), settings.batch_size, data.classes)
    say(*(f"{doubt}. Continuing." for doubt in doubts))
    notes = [*scored.notes, *doubts, *wrong_labels_last(arms, train.labels != data.train.labels[train.index])]
    irreducible = None
    if "rho" in named:
        with Progress(console, 1, 1) as progress:
            table = statistics_of(
                given.train, labels, ["shallow:loss"], settings.cache, None, progress, "irreducible losses"
            )
            irreducible = table["shallow:loss"].to_numpy()[train.index]
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
        known = known_as(settings.data, settings.root)
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
            found = verdict_of(outcome, pairs, settings.matters / 100, data, train.labels, scored.cost, budget)
            question, title = question_of(settings, known, named)
            summary = write_comparison(
                work / "findings", outcome, found.table, found.comparisons, found.message, pacing, question, title, notes,
                plain(settings), tracked.parent, found.by_class,
                ends_of(orders_shown(arms, named, scored.values), train.images, [*map(data.label_name, train.labels)]),
            )  # fmt: skip
            tracked.publish([point_of(found.table, tracked.times()[-1])])
            describe(client, tracked.parent, found.message, summary, list(named))
        print_comparison(
            console,
            outcome,
            found.table,
            found.comparisons,
            found.message,
            question,
            notes,
            tracked.parent,
            found.by_class,
        )
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


@dataclass(frozen=True)
class Found:
    """What a comparison comes to: in numbers, arm by arm and by class, and in a message."""

    comparisons: Mapping[str, Comparison]
    table: pd.DataFrame
    by_class: pd.DataFrame | None
    message: str


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
    scored = Scored({}, {}, [], 0)
    for metric in metrics_of(settings.metric):
        values, scored.descending[metric], notes, cost = scores_of(
            metric, given.train, data.classes_of(given.train.labels), settings.data, settings.root, settings.measurement,
            settings.record, client, settings.cache, settings.statistics_resize, progress, noise, settings.descending,
            data.digest,
        )  # fmt: skip
        scored.values[metric] = values[index]
        scored.notes.extend(notes)
        scored = replace(scored, cost=max(scored.cost, cost))
    return scored


def budget_of(settings: CompareSettings, examples: int, cost: int) -> Budget:
    """Raises UserError where the examples fill no batch. cost: of the scores, in passes."""
    if examples < settings.batch_size:
        raise UserError(f"batch_size={settings.batch_size} is larger than the {examples} examples to train on")
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


def doubts_on(scores: Mapping[str, np.ndarray], ids: list[str]) -> list[str]:
    """What the scores leave open, in notes. Raises UserError where one gives no order."""
    notes = []
    for metric, values in scores.items():
        about = notes_on(values, ids, metric)
        notes += [f"{metric}: {note}" for note in about] if len(scores) > 1 else about
    return notes


def used_again(reused: Sequence[str]) -> list[str]:
    """A note on the trainings that had been done before; reused: the run that each is taken from, if there is one."""
    if not any(reused):
        return []
    again = len(reused) - reused.count("")
    return [f"{again} of {len(reused)} trainings had been done before on identical terms and were used again"]


def verdict_of(
    outcome: Outcome,
    pairs: Mapping[str, tuple[str, str]],
    matters: float,
    data: Data,
    labels: np.ndarray,
    cost: int,
    budget: Budget,
) -> Found:
    """Arms against each other. labels: of the examples to train on. cost: of the scores, in passes."""
    comparisons = curricula.compare(outcome.at_best, pairs=pairs, matters=matters) if pairs else {}
    tested = None if data.multi_label else data.test.labels
    table = table_of(outcome, comparisons, tested)
    by_class = None if tested is None else curricula.class_table(outcome.at_best, tested, labels, data.classes)
    against = [c for c in comparisons.values() if c.baseline == "shuffled_longer"]
    paid = price(cost, budget.steps / budget.batches, budget.more / budget.batches, against) if cost else ""
    return Found(comparisons, table, by_class, answer(comparisons, table, commonest(data.test.labels), paid))


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


def too_few(seeds: int, comparisons: int) -> list[str]:
    """What to say where so many seeds cannot show any difference, so many being tested."""
    if not comparisons or seeds >= (needed := seeds_needed(comparisons)):
        return []
    return [f"seeds={seeds} is too few to reach a corrected p below 0.05, which takes {needed}. Continuing."]


def pacing_curve(
    name: str, steps: int, examples: int, a: float | None, b: float | None
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Some 400 steps, how many examples the pacing function lets in at them, and the number of examples."""
    t = np.unique(np.linspace(0, steps, 400).astype(int))
    given = {key: value for key, value in (("a", a), ("b", b)) if value is not None}
    try:
        return t, {name: check_counts(name, PACING[name](t, steps, examples, **given), examples)}, examples
    except ValueError as error:
        raise UserError(f"pacing={name}: {error}") from error


def pacings_of(settings: CompareSettings, steps: int, examples: int) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """As `pacing_curve`, a curve for each of the parameters that are tried."""
    curves: dict[str, np.ndarray] = {}
    for _, a, b, _ in tries_of([], settings.tune_a, settings.tune_b):
        own = [f"{key}={value:g}" for key, value in (("a", a), ("b", b)) if value is not None]
        t, curve, _ = pacing_curve(settings.pacing, steps, examples, a or settings.a, b or settings.b)
        curves[" ".join([settings.pacing, *own])] = curve[settings.pacing]
    return t, curves, examples


def never_drawn(name: str, pacing: tuple[np.ndarray, dict[str, np.ndarray], int]) -> list[str]:
    """What to say where a pacing function ends before all examples are in: H&W's count steps, however short a training is."""
    t, sizes, examples = pacing
    reached = int(sizes[name][-1])
    if reached >= examples:
        return []
    return [
        f"pacing={name} reaches {reached:,} of {examples:,} examples by the end of the {t[-1]} steps; "
        "the rest are never trained on. a=0.8 lets all in after 80 % of the steps. Continuing."
    ]


def terms_of(config: Any, digest: str, arms: Sequence[Arm], irreducible: np.ndarray | None = None) -> list[str]:
    """What determines the result of each training, as a hash: trainings on the same terms need not be done twice."""
    keys = ("network", "steps", "label_noise", "validation", "evaluations", "seed")
    shared = {key: getattr(config, key) for key in keys} | {
        "recipe": asdict(Recipe.of(config)),
        "files": digests_of(config),
        "terms": TERMS,
        "data": digest,
        "code": config.code,
        "threads": side_by_side(len(arms), 0, config.device == "cuda")[1],
    }
    code, whole = code_digest([PACING[config.pacing]]), max(len(arm.order) for arm in arms)

    def key(arm: Arm) -> str:
        paced = {"pacing": config.pacing, "a": arm.a or config.a, "b": arm.b or config.b, "pacing_code": code}
        own: dict[str, Any] = paced if arm.paced else {}
        if arm.paced or arm.dynamic or len(arm.order) < whole:
            own = own | {"order": hashlib.sha256(arm.order.tobytes()).hexdigest()}
        if arm.dynamic:
            own = own | {"dynamic": arm.dynamic, "dynamic_code": code_digest([DYNAMIC[arm.dynamic], Dynamic])}
        if arm.dynamic == "rho" and irreducible is not None:
            own = own | {"irreducible": hashlib.sha256(irreducible.tobytes()).hexdigest()}
        differs = {"steps": arm.steps or config.steps, "lr": arm.lr or config.lr}
        # the baseline shuffles all examples with its own seed: its starting order is the seed's as well
        text = json.dumps(
            {**shared, **differs, "of": arm.training_seed, "balance": config.balance or None, **own}, sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    return [key(arm) for arm in arms]


def runs_for(
    settings: CompareSettings, arms: Sequence[Arm], terms: Sequence[str], reused: Sequence[str]
) -> list[tracking.Run]:
    """The run of a comparison, and one for each training. reused: the run that its result is taken from, if there is one."""
    shared = {key: str(getattr(settings, key)) for key in ("metric", "pacing", "network")}
    shared["data"] = known_as(settings.data, settings.root)
    name = settings.name or f"{settings.metric}, {settings.network}, {settings.seeds} seeds"
    children: list[tracking.Run] = []
    for arm, key, other in zip(arms, terms, reused, strict=True):
        tags = {**shared, "phase": "arm", "arm": arm.name, "seed": str(arm.seed), "terms": key}
        tags |= {"reused_from": other} if other else {}
        about = {"arm": arm.name, "seed": arm.seed, **arm.tried}
        label = ", ".join([arm.name, f"seed {arm.seed}", *(f"{key}={value:g}" for key, value in arm.tried.items())])
        children.append((label, about, tags))
    return [(name, plain(settings), {**shared, "phase": "curriculum"}), *children]


def share(work: Path, train: Part, validation: Part, test: Part) -> None:
    """Write images and labels where all trainings read them."""
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        part.images.save(work / name)
        save_array(work / f"{name}-labels.npy", part.labels)


def train_arms(
    config: Any,
    arms: Sequence[Arm],
    folders: Sequence[Path],
    classes: int,
    multi_label: bool,
    size: int,
    follow: Callable[[], None],
    progress: Progress,
) -> None:
    """Train what is not done yet, side by side, showing progress, and calling `follow`, as evaluations come in."""
    work = folders[0].parent
    workers, threads = side_by_side(len(arms), config.workers, config.device == "cuda")

    def look() -> None:
        for k, folder in enumerate(folders):
            for line in read_lines(folder / "evaluations.jsonl")[progress.done[k] :]:
                words = f"{arms[k].name}: validation accuracy {line['validation/accuracy']:.1%}"
                progress.trained(k, progress.done[k] + 1, words)
        follow()

    tasks = {}
    for arm, folder in zip(arms, folders, strict=True):
        if not (folder / "result.json").is_file():
            folder.mkdir(exist_ok=True)
            save_array(folder / "order.npy", arm.order)  # too large to travel with the task
            plan = Compared(
                arm=arm.name,
                seed=arm.training_seed,
                steps=arm.steps or config.steps,
                evaluations=config.evaluations,
                pacing=config.pacing if arm.paced else None,
                a=arm.a or config.a,
                b=arm.b or config.b,
                shared=work,
                classes=classes,
                sets_of=classes if multi_label else 0,
                folder=folder,
                dynamic=arm.dynamic,
            )
            recipe = Recipe.of(config)
            recipe = replace(recipe, lr=arm.lr or recipe.lr)
            tasks[folder.name] = (plan, config.network, recipe, size, threads)
    progress.begin()
    train_all(train, tasks, look, workers, config.device == "cuda", work, config.scheduler)


def point_of(table: pd.DataFrame, seconds: float) -> tracking.Point:
    """The comparison's numbers, found at that time; at step 0, as single numbers, which MLflow's charts draw as bars."""
    wanted = [name for name in ("test_at_best", "balanced_at_best", "difference", "corrected_p") if name in table]
    names = {arm: re.sub(r"[^\w. :-]", "_", str(arm)) for arm in table.index}  # MLflow takes no + and no path
    return (
        0,
        seconds,
        {f"comparison/{name}_{names[arm]}": round(row[name], 10) for arm, row in table.iterrows() for name in wanted},
    )
