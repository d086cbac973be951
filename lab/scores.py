"""Which score to order by: one table of all that can be had for a data set and its measurement, what each costs and is worth."""

import time
from collections.abc import Iterator
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd

from agreement.learning_order import epochs_wrong
from agreement.record import LearningRecord
from curricula.choice import Candidate, choice_table, reliability
from curricula.scores import SCORES
from lab import tracking
from lab.arms import with_label_noise
from lab.data import ANNOTATIONS, DIFFICULTIES, Data, Split, load
from lab.data.labels import with_random_labels, wrong_labels
from lab.ordering import measured_direction
from lab.progress import Progress, tell
from lab.records import matching_record
from lab.report import write_scores
from lab.report.about import About
from lab.report.summary import as_text
from lab.settings import ScoreSettings, plain, with_effect
from lab.statistics import check_names, statistics_of
from lab.store import open_store
from lab.views import describe
from lab.work import discard, work_folder
from metrics import EXAMPLE_STATISTICS, STATISTICS


def scores(settings: ScoreSettings, console: Any) -> str:
    """Compare all scores and log the table to MLflow. Returns the id of its run."""
    check_names(settings.statistics, settings.teacher_weights)
    with console.status("reading the images"):
        clean = load(settings)
        data = with_random_labels(clean, settings.random_labels, settings.seed)
        data = with_label_noise(data, settings.label_noise, settings.validation, settings.seed)
    tell(console, *data.notes)
    client, known = open_store(), settings.known
    record, run, gone = matching_record(settings.measurement, data.train, known, client)
    tell(console, *gone)
    wrong, how = wrong_labels(clean.train, data.train)
    candidates: list[Candidate] = []
    with (
        work_folder("scores", settings.data, [with_effect(settings), data.digest, run]) as work,
        tracking.Tracked(client, work, f"scores-{known}", [run_of(settings)]) as tracked,
    ):
        tracking.log_data(client, tracked.parent, known, settings.root, data)
        with Progress(console, 1, 1) as progress:
            candidates += before_training(settings, data, client, progress)
            candidates += published(data.train)
            times: tuple[Any, Any] = (None, None)
            if record:
                progress.say("reading the measurement")
                candidates += measured(record)
                correct = record.correct("train")
                times = epochs_wrong(correct), epochs_wrong(correct[1::2]) if len(correct) > 1 else None
            progress.say("correlations of the scores")
            labels = data.train.labels
            table = choice_table(candidates, labels, *times, wrong)
        headline = answer(table, run)
        source = {"measurement": run[:8], "wrong": how, "networks": len(record.networks) if record else 0}
        title = settings.name or f"scores of {known}"
        about = About(title, plain(settings), tracked.parent, tracked.begun, (*data.notes, *gone), data.left_out)
        show = write_scores(work / "findings", table, headline, source, about)
        tracked.publish([(0, time.time(), numbers_of(table))])
        describe(client, tracked.parent, headline, as_text(show))
        show(console)
        discard(work)
    return tracked.parent


def run_of(settings: ScoreSettings) -> tracking.Run:
    known = settings.known
    name = settings.name or f"scores of {known}"
    return name, plain(settings), {"phase": "scores", "data": known, "seed": str(settings.seed)}


def before_training(settings: ScoreSettings, data: Data, client: Any, progress: Progress) -> Iterator[Candidate]:
    """Statistics of images and of examples. The reliability of the latter is their correlation with another seed's."""
    from agreement import spearman

    train, labels, names = data.train, data.classes_of(data.train.labels), settings.statistics
    of_examples = [name for name in names if name in EXAMPLE_STATISTICS]
    drawn = [name for name in of_examples if "seed" in signature(EXAMPLE_STATISTICS[name]).parameters]
    cache, resize = settings.cache, settings.statistics_resize
    seconds: dict[str, float] = {}
    table = statistics_of(train, labels, names, cache, resize, progress, "statistics of the train images", seconds)
    again = pd.DataFrame()
    if drawn:
        again = statistics_of(train, labels, drawn, cache, resize, progress, "the same from another seed", seed=1)
    for name in names:
        values = table[name].to_numpy()
        if name in of_examples:
            steady = spearman(values, again[name].to_numpy()) if name in drawn else np.nan
            yield Candidate(name, "examples", values, False, seconds[name], 0, steady)
        else:
            high = name in STATISTICS and measured_direction(name, settings.known, data.digest, len(train), client)[0]
            yield Candidate(name, "images", values, high, seconds[name], 0)


def published(train: Split) -> Iterator[Candidate]:
    """The annotations that are numbers and say which way is easy."""
    for name, values in train.annotations.items():
        easy = ANNOTATIONS.get(name)
        if easy is not None and values.dtype.kind in "fiub":
            source = "published" if name in DIFFICULTIES else "annotated"
            yield Candidate(name, source, values.astype(float), easy)


def measured(record: LearningRecord) -> Iterator[Candidate]:
    """The scores of a record; of an old one those that it has the numbers for."""
    networks = len(record.networks)
    try:
        per_epoch = record.series("seconds").sum(axis=0)
    except ValueError:  # of a loop of one's own, which did not tell
        per_epoch = np.full(record.epochs, np.nan)
    for name, score in SCORES.items():
        try:
            values = score.read(record)
        except ValueError:  # what an old record lacks is told where it is asked for
            continue
        epochs = score.trained(record.epochs)
        steady = reliability(partial(score.read, record), networks)
        half = score.read(record, range(0, networks, 2)) if networks > 1 else None
        seconds = float(per_epoch[:epochs].sum())
        yield Candidate(name, "measured", values, score.descending, seconds, networks * epochs, steady, half)


def answer(table: pd.DataFrame, run: str) -> str:
    """What the table comes to in a sentence or two."""
    sentences = []
    if table["rho"].notna().any():
        before = table[table["source"].isin(["images", "examples"])]["rho"].dropna()
        if len(before):
            best = before.idxmax()
            sentences.append(f"Before training, {best} knows most of the order of learning (rho {before[best]:+.2f}).")
    else:
        sentences.append("There is no measurement of these examples to compare with.")
    found = table.drop(index="label_noise", errors="ignore")["area"].dropna()
    if len(found):
        best = found.idxmax()
        sentences.append(f"Wrong labels are found best by {best} (area under the curve {found[best]:.3f}).")
    return " ".join(sentences)


def numbers_of(table: pd.DataFrame) -> dict[str, float]:
    wanted = ("rho", "reliability", "area", "seconds")
    return {f"scores/{column}_{name}": float(row[column]) for name, row in table.iterrows() for column in wanted}
