"""The comparison: training with examples in an order, against shuffled baselines of the same seeds on equal terms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import curricula
from agreement import commonest
from agreement.record import save_array
from curricula import ARMS, DYNAMIC, Arm, Comparison, answer, class_table, read_outcome, table_of
from curricula.sentences import price
from lab import tracking
from lab.arms import BY_SCORE, Part, orders_shown
from lab.compared import Compared
from lab.data import Data, load
from lab.doubts import picks, too_few
from lab.networks import check_networks
from lab.ordering import metrics_of
from lab.prepare import Budget, Named, Prepared, check, planned, prepare
from lab.processes import device_and_precision, start_server
from lab.progress import Progress, tell
from lab.report import write_comparison
from lab.report.about import About
from lab.report.answered import Answered
from lab.report.ends import ends_of
from lab.report.summary import as_text
from lab.settings import CompareSettings, plain
from lab.store import open_store
from lab.trainings import runs_for, share, terms_of, train_arms, used_again
from lab.views import describe
from lab.work import discard, keep_training, take_training, unfinished


def compare(settings: CompareSettings, console: Any) -> str:
    """Run the configured comparison and log it to MLflow. Returns the id of its parent run."""

    check(settings)
    settings, seeds, named, pairs = planned(settings)
    tell(console, *too_few(len(seeds), len(pairs)))
    with console.status("reading the images"):
        data = load(settings)
    tell(console, *data.notes)
    size = data.size(settings.crop)
    code = check_networks(
        [settings.network], data.channels, len(data.classes), size, settings.stem, settings.weights, settings.train
    )
    device, precision = device_and_precision(settings.device, settings.precision, settings.scheduler, console.print)
    start_server(Compared)  # which imports torch while this process imports MLflow
    client = open_store()
    ready = prepare(settings, seeds, named, data, client, console)
    arms, notes, known = ready.arms, ready.notes, settings.known
    own = {"device": device, "precision": precision, "steps": ready.budget.steps, "code": code}
    config = SimpleNamespace(**vars(settings) | own | {"evaluations": ready.evaluations})
    terms = terms_of(config, data.digest, arms, ready.irreducible)
    # with the terms: what was begun in another order, of a file or measurement that has changed since, is other work
    with unfinished("curriculum", settings, data, terms) as work:
        folders = [work / f"training-{number + 1}" for number in range(len(arms))]
        kept = [Path(settings.cache).expanduser() / "trainings" / key for key in terms]
        reused = [take_training(*each) for each in zip(kept, folders, strict=True)]
        notes += used_again(reused)
        lines = [folder / "evaluations.jsonl" for folder in folders]
        with (
            tracking.Tracked(client, work, f"curriculum-{known}", runs_for(settings, arms, terms, reused), lines) as tracked,
            Progress(console, len(arms), ready.evaluations) as progress,
        ):  # fmt: skip
            tell(console, *tracked.notes)
            tracking.log_data(client, tracked.parent, known, settings.root, data)
            share(
                work, ready.train, ready.validation, Part(data.test.images, data.test.labels, np.arange(len(data.test)))
            )
            if ready.irreducible is not None:
                save_array(work / "irreducible.npy", ready.irreducible)

            def look() -> None:
                for number, run in enumerate(tracked.children):
                    keep_training(folders[number], kept[number], run)
                tracked.follow()

            train_arms(config, arms, folders, len(data.classes), data.multi_label, size, look, progress)
            progress.say("comparing arms, writing figures and tables")
            chosen = curricula.picked(arms, folders)
            arms, folders = [arms[i] for i in chosen], [folders[i] for i in chosen]
            question, title = question_of(settings, named)
            found = answered(question, arms, folders, pairs, settings.matters / 100, named, ready, data)
            notes = [*data.notes, *notes, *picks(arms)]
            about = About(title, plain(settings), tracked.parent, tracked.begun, notes, data.left_out)
            show = write_comparison(work / "findings", found, about)
            tracked.publish([point_of(found.table, tracked.times()[-1])])
            describe(client, tracked.parent, found.answer, as_text(show), list(named))
        show(console)
        discard(work)
    return tracked.parent


def answered(
    question: str,
    arms: Sequence[Arm],
    folders: Sequence[Path],
    pairs: Mapping[str, tuple[str, str]],
    matters: float,
    named: Named,
    ready: Prepared,
    data: Data,
) -> Answered:
    """What the trainings in the folders come to. matters: the smallest difference that counts, a share."""
    outcome = read_outcome(arms, folders, len(data.test))
    comparisons = curricula.compare(outcome.at_best, pairs=pairs, matters=matters) if pairs else {}
    train, tested = ready.train, None if data.multi_label else data.test.labels
    table = table_of(outcome, comparisons, tested)
    cost = paid(comparisons, ready.scored.cost, ready.budget)
    shown = orders_shown(ready.arms, named, ready.scored.values)
    return Answered(
        outcome=outcome,
        table=table,
        comparisons=comparisons,
        question=question,
        answer=answer(comparisons, table, commonest(data.test.labels), cost),
        by_class=None if tested is None else class_table(outcome.at_best, tested, train.labels, data.classes),
        pacing=ready.pacing,
        ends=ends_of(shown, train.images, [*map(data.label_name, train.labels)]),
    )


def question_of(settings: CompareSettings, named: Named) -> tuple[str, str]:
    """The question that the headline answers, and a title."""
    *others, last = metrics_of(settings.metric)
    by = " or ".join([", ".join(others), last] if others else [last])
    kinds = {kind for kind, _, _ in named.values()}
    question = f"Does training in order of {by} help?"
    if not kinds & {"curriculum", "anti"} and kinds & {*DYNAMIC}:
        question = "Does it help to decide while training what comes next?"
    elif not kinds & {"curriculum", "anti"} and settings.drop:
        question = f"Does it help to leave out {1 - settings.keep:.0%} of the examples?"
    arms = f"ordered by {by}" if kinds & {*BY_SCORE} or kinds <= {*ARMS} else ", ".join(named)
    return question, settings.name or f"{settings.network} on {settings.known}, {arms}, {settings.seeds} seeds"


def paid(comparisons: Mapping[str, Comparison], cost: int, budget: Budget) -> str:
    """What the order cost, in a sentence, and what that would have bought; nothing where it cost nothing. cost: in passes."""
    against = [c for c in comparisons.values() if c.baseline == "shuffled_longer"]
    return price(cost, budget.steps / budget.batches, budget.more / budget.batches, against) if cost else ""


def point_of(table: pd.DataFrame, seconds: float) -> tracking.Point:
    """The comparison's numbers, found at that time, see `tracking.Point`."""
    wanted = [name for name in ("test_at_best", "balanced_at_best", "difference", "corrected_p") if name in table]
    return 0, seconds, tracking.by_arm(table, wanted)
