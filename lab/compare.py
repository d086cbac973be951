"""The comparison: training with examples in an order, against shuffled baselines of the same seeds on equal terms."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import curricula
from agreement import commonest
from agreement.record import read_lines, save_array
from curricula import PACING, check_counts, seeds_needed
from curricula.comparison import Arm, answer, pairs_of, read_outcome, table_of
from curricula.scores import SCORES
from lab import tracking
from lab.compared import Compared
from lab.data import load
from lab.errors import UserError
from lab.networks import check_networks
from lab.ordering import Part, arms_of, check_metric, clusters_of, held_out, notes_on, scores_of, withheld
from lab.processes import device_and_precision, ranks_of_torchrun, side_by_side, start_server, train_all
from lab.progress import Progress
from lab.report import write_comparison
from lab.report.summary import print_comparison
from lab.settings import CompareSettings, nearest, plain
from lab.training import Recipe, train
from lab.views import describe
from lab.work import TERMS, digests_of, discard, keep_training, take_training, unfinished


def compare(settings: CompareSettings, console: Any) -> str:
    """Run the configured comparison and log it to MLflow. Returns the id of its parent run."""

    def say(*notes: str) -> None:
        for note in notes:
            console.print(note, highlight=False, markup=False)

    check(settings)
    say(*too_few(settings.seeds, settings.arms))
    data = load(settings)
    say(*data.notes)
    size = data.size(settings.crop)
    check_networks(
        [settings.network], data.channels, len(data.classes), size, settings.stem, settings.weights, settings.train
    )
    device, precision = device_and_precision(settings.device, settings.precision, settings.scheduler, console.print)
    start_server(Compared)  # which imports torch while this process imports MLflow
    client = tracking.open_store()
    trainings = len(settings.arms) * settings.seeds
    train, validation = held_out(data, settings.validation, settings.label_noise, settings.seed)
    given = data.train.labels.copy()
    given[train.index] = train.labels  # with the wrong ones: a score must not know better than the training
    labels = data.classes_of(given)
    with Progress(console, trainings, settings.evaluations) as progress:
        scores, notes = scores_of(
            settings.metric, data.train, labels, settings.data, settings.root, settings.measurement, client,
            settings.cache, settings.statistics_resize, progress,
        )  # fmt: skip
    groups = clusters_of(data.train, labels)[train.index] if settings.variety == "clusters" else None
    examples = len(train.labels)
    if examples < settings.batch_size:
        raise UserError(f"batch_size={settings.batch_size} is larger than the {examples} examples to train on")
    steps = max(1, round(settings.budget * settings.epochs * -(-examples // settings.batch_size)))
    pacing = pacing_curve(settings.pacing, steps, examples, settings.a, settings.b)
    say(*never_drawn(settings.pacing, pacing))
    about = notes_on(scores[train.index], [data.train.ids[i] for i in train.index], settings.metric)
    say(*(f"{note}. Continuing." for note in about))
    notes += about
    seeds = range(settings.seed, settings.seed + settings.seeds)
    arms = arms_of(
        settings.arms, seeds, scores[train.index], train.labels, settings.balance, settings.descending, groups
    )
    if not data.multi_label:
        kept_back = withheld(arms, train.labels, pacing[1][settings.pacing], settings.batch_size, data.classes)
        say(*(f"{note}. Continuing." for note in kept_back))
        notes += kept_back
    config = SimpleNamespace(**(vars(settings) | {"device": device, "precision": precision, "steps": steps}))
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
            tracking.Tracked(client, work, f"curriculum-{settings.data}", runs, lines) as tracked,
            Progress(console, trainings, settings.evaluations) as progress,
        ):
            tracking.log_data(client, tracked.parent, settings.data, settings.root, data)
            share(work, train, validation, Part(data.test.images, data.test.labels, np.arange(len(data.test))))

            def look() -> None:
                for number, run in enumerate(tracked.children):
                    keep_training(folders[number], kept[number], run)
                tracked.follow()

            train_arms(config, arms, folders, len(data.classes), data.multi_label, size, look, progress)
            progress.say("comparing arms, writing figures and tables")
            outcome = read_outcome(arms, folders)
            comparisons = curricula.compare(outcome.at_best) if len(outcome.at_best) > 1 else {}
            table = table_of(outcome, comparisons)
            message = answer(comparisons, table, commonest(data.test.labels))
            title = f"{settings.network} on {settings.data}, ordered by {settings.metric}, {settings.seeds} seeds"
            summary = write_comparison(
                work / "findings", outcome, table, comparisons, message, pacing, settings.metric, title, notes,
                plain(settings), tracked.parent,
            )  # fmt: skip
            tracked.publish([point_of(table, tracked.times()[-1])])
            describe(client, tracked.parent, message, summary)
        print_comparison(console, outcome, table, comparisons, message, settings.metric, notes, tracked.parent)
        discard(work)
    return tracked.parent


def check(settings: CompareSettings) -> None:
    """Raise UserError for what can be wrong with a comparison before anything is loaded."""
    parts = check_metric(settings.metric)
    if settings.measurement and not {*parts} & {*SCORES}:
        readers = ", ".join(SCORES)
        raise UserError(f"measurement={settings.measurement}: metric={settings.metric} reads none; {readers} do")
    if ranks_of_torchrun() > 1:
        raise UserError(
            "torchrun is for --mode measure; engine=dask spreads the trainings of a comparison over devices"
        )
    if not isinstance(settings.network, str):
        raise UserError("network: a comparison trains one architecture; name one")
    if "shuffled" not in settings.arms or len(set(settings.arms)) != len(settings.arms):
        raise UserError("arms: name each once, and shuffled, the baseline, among them")
    if settings.pacing not in PACING:
        raise UserError(f"pacing={settings.pacing}: there is no such function{nearest(settings.pacing, PACING)}")


def too_few(seeds: int, arms: Sequence[str]) -> list[str]:
    """What to say where so many seeds cannot show that any of the arms differs from the baseline."""
    comparisons = len(pairs_of(arms))
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
        "threads": side_by_side(len(arms), 0, config.device == "cuda")[1],
    }
    paced = {"pacing": config.pacing, "a": config.a, "b": config.b}

    def key(arm: Arm) -> str:
        own = {**paced, "order": hashlib.sha256(arm.order.tobytes()).hexdigest()} if arm.paced else {}
        # the baseline shuffles all examples with its own seed: its starting order is the seed's as well
        text = json.dumps({**shared, "of": arm.seed, "balance": config.balance or None, **own}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    return [key(arm) for arm in arms]


def runs_for(
    settings: CompareSettings, arms: Sequence[Arm], terms: Sequence[str], reused: Sequence[str]
) -> list[tracking.Run]:
    """The run of a comparison, and one for each training. reused: the run that its result is taken from, if there is one."""
    shared = {key: str(getattr(settings, key)) for key in ("metric", "pacing", "data", "network")}
    name = settings.name or f"{settings.metric}, {settings.network}, {settings.seeds} seeds"
    children: list[tracking.Run] = []
    for arm, key, other in zip(arms, terms, reused, strict=True):
        tags = {**shared, "phase": "arm", "arm": arm.name, "seed": str(arm.seed), "terms": key}
        tags |= {"reused_from": other} if other else {}
        children.append((f"{arm.name}, seed {arm.seed}", {"arm": arm.name, "seed": arm.seed}, tags))
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
                seed=arm.seed,
                steps=config.steps,
                evaluations=config.evaluations,
                pacing=config.pacing if arm.paced else None,
                a=config.a,
                b=config.b,
                shared=work,
                classes=classes,
                sets_of=classes if multi_label else 0,
                folder=folder,
            )
            tasks[folder.name] = (plan, config.network, Recipe.of(config), size, threads)
    train_all(train, tasks, look, workers, config.device == "cuda", work, config.scheduler)


def point_of(table: pd.DataFrame, seconds: float) -> tracking.Point:
    """The comparison's numbers, found at that time; at step 0, as single numbers, which MLflow's charts draw as bars."""
    wanted = [name for name in ("test_at_best", "difference", "corrected_p") if name in table]
    return 0, seconds, {f"comparison/{name}_{arm}": row[name] for arm, row in table.iterrows() for name in wanted}
