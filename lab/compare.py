"""The comparison: training with examples in an order, against shuffled baselines of the same seeds on equal terms."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import curricula
from agreement import commonest
from agreement.record import read_lines, save_array
from curricula import ARMS, PACING, Arm, answer, check_counts, picked, read_outcome, seeds_needed, table_of
from curricula.comparison import orders_of, pairs_of
from curricula.scores import SCORES
from curricula.sentences import price
from lab import tracking
from lab.code import code_digest
from lab.compared import Compared
from lab.data import load
from lab.errors import UserError, printable
from lab.networks import check_networks
from lab.ordering import (
    Part,
    arms_of,
    check_metric,
    clusters_of,
    metrics_of,
    named_arms,
    notes_on,
    part_of,
    parts_of,
    picks,
    scores_of,
    tries_of,
    with_label_noise,
    withheld,
    wrong_labels_last,
)  # fmt: skip
from lab.processes import device_and_precision, ranks_of_torchrun, side_by_side, start_server, train_all
from lab.progress import Progress
from lab.report import write_comparison
from lab.report.about import About
from lab.report.ends import ends_of
from lab.report.plots import arm_colours
from lab.report.summary import as_text
from lab.settings import CompareSettings, known_as, nearest, plain
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
    metrics = metrics_of(settings.metric)
    # anti of each of several scores would take half of the time again
    kinds = settings.arms or [arm for arm in ARMS if arm != "anti" or len(metrics) == 1]
    named = named_arms(kinds, metrics, settings.variety)
    costly = [metric for metric in metrics if {*check_metric(metric)} & {*SCORES}]  # which read a measurement
    if costly and settings.longer != 0:
        named["shuffled_longer"] = named["shuffled"]
    pairs = pairs_of(named, paid=[arm for arm, (_, metric, _) in named.items() if metric in costly])
    number = settings.seeds or max(SEEDS, seeds_needed(max(len(pairs), 1)))
    settings = replace(settings, arms=kinds, seeds=number)
    say(*too_few(number, len(pairs)))
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
    tries = tries_of(settings.tune_lr, settings.tune_a, settings.tune_b)
    trainings = len(named) * number * len(tries)
    # a score must not know better than the training which labels are wrong
    given = with_label_noise(data, settings.label_noise, settings.validation, settings.seed)
    train, validation = (part_of(given.train, index) for index in parts_of(data, settings.validation, settings.seed))
    labels = data.classes_of(given.train.labels)
    noise = f" label_noise={settings.label_noise} validation={settings.validation} seed={settings.seed}"
    noise = noise if settings.label_noise else ""
    if settings.imbalance != 1:
        noise = f"{noise or f' seed={settings.seed}'} imbalance={settings.imbalance:g}"
    if settings.labels:
        noise = f" labels={settings.labels}{noise}"
    scores, descending, notes, cost = {}, {}, [], 0
    with Progress(console, trainings, settings.evaluations) as progress:
        for metric in metrics:
            found, descending[metric], about, passes = scores_of(
                metric, given.train, labels, settings.data, settings.root, settings.measurement, settings.record, client,
                settings.cache, settings.statistics_resize, progress, noise, settings.descending, data.digest,
            )  # fmt: skip
            scores[metric], cost = found[train.index], max(cost, passes)
            notes += about
    say(*notes)
    groups = {
        variety: clusters_of(data.train, labels)[train.index] if variety == "clusters" else None
        for variety in settings.variety
    }
    examples = len(train.labels)
    if examples < settings.batch_size:
        raise UserError(f"batch_size={settings.batch_size} is larger than the {examples} examples to train on")
    batches = -(-examples // settings.batch_size)
    steps = max(1, round(settings.budget * settings.epochs * batches))
    more = max(1, round(min(cost * batches, steps if settings.longer is None else settings.longer * batches)))
    pacing = pacings_of(settings, steps, examples)
    say(*(note for name in pacing[1] for note in never_drawn(name, pacing)))
    for metric, values in scores.items():
        about = notes_on(values, [data.train.ids[i] for i in train.index], metric)
        about = [f"{metric}: {note}" for note in about] if len(metrics) > 1 else about
        say(*(f"{note}. Continuing." for note in about))
        notes += about
    seeds = range(settings.seed, settings.seed + number)
    arms = arms_of(
        named,
        seeds,
        scores,
        train.labels,
        settings.balance,
        descending,
        groups,
        {"shuffled_longer": steps + more},
        tries,
    )
    wrong = given.train.labels[train.index] != data.train.labels[train.index]
    for arm in {arm.name: arm for arm in arms}.values() if wrong.any() else ():
        if orders_of([arm.name]):
            notes.append(f"{arm.name}: {wrong_labels_last(arm.order, wrong)}")
    if not data.multi_label:
        sizes = next(iter(pacing[1].values()))
        kept_back = withheld(arms, train.labels, sizes, settings.batch_size, data.classes)
        say(*(f"{note}. Continuing." for note in kept_back))
        notes += kept_back
    config = SimpleNamespace(
        **(vars(settings) | {"device": device, "precision": precision, "steps": steps, "code": code})
    )
    terms = terms_of(config, data.digest, arms)
    # with the terms: what was begun in another order, of a file or measurement that has changed since, is other work
    with unfinished("curriculum", settings, data, terms) as work:
        folders = [work / f"training-{number + 1}" for number in range(trainings)]
        kept = [Path(settings.cache).expanduser() / "trainings" / key for key in terms]
        reused = [take_training(*each) for each in zip(kept, folders, strict=True)]
        if any(reused):
            again = f"{trainings - reused.count('')} of {trainings} trainings had been done before on identical terms"
            notes.append(f"{again} and were used again")
        lines = [folder / "evaluations.jsonl" for folder in folders]
        runs = runs_for(settings, arms, terms, reused)
        with (
            tracking.Tracked(
                client, work, f"curriculum-{known_as(settings.data, settings.root)}", runs, lines
            ) as tracked,
            Progress(console, trainings, settings.evaluations) as progress,
        ):
            say(*tracked.notes)
            tracking.log_data(client, tracked.parent, known_as(settings.data, settings.root), settings.root, data)
            share(work, train, validation, Part(data.test.images, data.test.labels, np.arange(len(data.test))))

            def look() -> None:
                for number, run in enumerate(tracked.children):
                    keep_training(folders[number], kept[number], run)
                tracked.follow()

            train_arms(config, arms, folders, len(data.classes), data.multi_label, size, look, progress)
            progress.say("comparing arms, writing figures and tables")
            chosen = picked(arms, folders)
            notes += picks([arms[i] for i in chosen])
            outcome = read_outcome([arms[i] for i in chosen], [folders[i] for i in chosen], len(data.test))
            comparisons = (
                curricula.compare(outcome.at_best, pairs=pairs, matters=settings.matters / 100) if pairs else {}
            )
            one_label = None if data.multi_label else data.test.labels
            table = table_of(outcome, comparisons, one_label)
            by_class = None
            if one_label is not None:
                by_class = curricula.class_table(outcome.at_best, one_label, train.labels, data.classes)
            against = [c for c in comparisons.values() if c.baseline == "shuffled_longer"]
            paid = price(cost, steps / batches, more / batches, against) if cost else ""
            message = answer(comparisons, table, commonest(data.test.labels), paid)
            by = " or ".join([", ".join(metrics[:-1]), metrics[-1]] if len(metrics) > 1 else metrics)
            title = (
                settings.name
                or f"{settings.network} on {known_as(settings.data, settings.root)}, ordered by {by}, {number} seeds"
            )
            names = [data.label_name(label) for label in train.labels]
            first_seed = {arm.name: arm.order for arm in reversed(arms)}
            orders = {arm: (first_seed[arm], scores[named[arm][1]]) for arm in named if named[arm][0] == "curriculum"}
            page = About(title, plain(settings), tracked.parent, tracked.begun, [*data.notes, *notes], data.left_out)
            show = write_comparison(
                work / "findings", outcome, table, comparisons, message, pacing, by, by_class,
                ends_of(orders, train.images, names), page,
            )  # fmt: skip
            tracked.publish([point_of(table, tracked.times()[-1])])
            describe(client, tracked.parent, message, as_text(show), list(named))
        show(console)
        discard(work)
    return tracked.parent


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


def terms_of(config: Any, digest: str, arms: Sequence[Arm]) -> list[str]:
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
    code = code_digest([PACING[config.pacing]])

    def key(arm: Arm) -> str:
        paced = {"pacing": config.pacing, "a": arm.a or config.a, "b": arm.b or config.b, "pacing_code": code}
        own = {**paced, "order": hashlib.sha256(arm.order.tobytes()).hexdigest()} if arm.paced else {}
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
    colours, children = arm_colours(arm.name for arm in arms), list[tracking.Run]()
    for arm, key, other in zip(arms, terms, reused, strict=True):
        tags = {**shared, "phase": "arm", "arm": arm.name, "seed": str(arm.seed), "terms": key}
        tags["mlflow.runColor"] = colours[arm.name]  # of its curves where they are not grouped
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
                evaluations=min(config.evaluations, config.steps),  # no more where it has more steps than the others
                pacing=config.pacing if arm.paced else None,
                a=arm.a or config.a,
                b=arm.b or config.b,
                shared=work,
                classes=classes,
                sets_of=classes if multi_label else 0,
                folder=folder,
            )
            recipe = Recipe.of(config)
            recipe = replace(recipe, lr=arm.lr or recipe.lr)
            tasks[folder.name] = (plan, config.network, recipe, size, threads)
    progress.begin()
    train_all(train, tasks, look, workers, config.device == "cuda", work, config.scheduler)


def point_of(table: pd.DataFrame, seconds: float) -> tracking.Point:
    """The comparison's numbers, found at that time, see `tracking.Point`."""
    wanted = [name for name in ("test_at_best", "balanced_at_best", "difference", "corrected_p") if name in table]
    names = {arm: re.sub(r"[^\w. :-]", "_", str(arm)) for arm in table.index}  # MLflow takes no + and no path
    return (
        0,
        seconds,
        {f"comparison/{name}_{names[arm]}": row[name] for arm, row in table.iterrows() for name in wanted},
    )
