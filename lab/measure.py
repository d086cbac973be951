"""The measurement: train networks, record what they get right, relate the order of learning to image statistics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

import agreement
from agreement.analysis import Findings
from agreement.record import KINDS, LearningRecord, read_epochs
from agreement.recorder import begin_record
from lab import tracking
from lab.arms import with_label_noise
from lab.data import Data, load
from lab.data.labels import with_random_labels, wrong_labels
from lab.errors import UserError
from lab.measured import Measured
from lab.networks import check_networks
from lab.processes import device_and_precision, ranks_of_torchrun, side_by_side, start_server, train_all
from lab.progress import Progress, tell
from lab.report import draw_examples, write_record
from lab.report.about import About
from lab.report.summary import as_text
from lab.report.words import headline
from lab.settings import MeasureSettings, plain
from lab.statistics import annotated, check_names, kinds_of, statistics_of, varying
from lab.store import open_store
from lab.training import Recipe, train
from lab.views import describe
from lab.work import discard, unfinished
from metrics import EXAMPLE_STATISTICS, STATISTICS


def measure(
    settings: MeasureSettings,
    console: Any,
    sweep: str | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
    keep: Path | None = None,
) -> str:
    """Run the configured measurement and log it to MLflow. Returns the id of its run, the parent of one per network.

    sweep: the run that this measurement is a child of, and tags that it gets there. keep: where its folder of work goes in
    the end, in place of being removed.
    """
    check_names(settings.statistics, settings.teacher_weights)
    with console.status("reading the images"):
        data, wrong = data_of(settings)
        data = replace(data, notes=(*data.notes, *augmented(settings)))
    tell(console, *data.notes)
    names, size = settings.architectures, data.size(settings.crop)
    code = check_networks(
        names, data.channels, len(data.classes), size, settings.stem, settings.weights, settings.train
    )
    device, precision = device_and_precision(settings.device, settings.precision, settings.scheduler, console.print)
    trained = replace(settings, device=device, precision=precision)
    start_server(train)  # which imports torch while this process imports MLflow
    with console.status("importing MLflow, opening its store"):
        client = open_store()
    # on another device, precision or number of threads or processes, or by other code, it is other work
    threads = side_by_side(len(names), settings.workers, trained.device == "cuda")[1]
    terms = [*KINDS, f"{threads} threads", f"{ranks_of_torchrun()} processes", code]
    with unfinished("measure", trained, data, terms) as work:
        lines = [work / "record" / f"network-{k + 1}" / "epochs.jsonl" for k in range(len(names))]
        experiment = f"measure-{settings.known}"
        with (
            tracking.Tracked(client, work, experiment, runs_for(settings, tags), lines, sweep) as tracked,
            Progress(console, len(names), settings.epochs) as progress,
        ):
            tell(console, *tracked.notes)
            tracking.log_data(client, tracked.parent, settings.known, settings.root, data)
            splits = {"train": data.train, "test": data.test}
            cache, resize = settings.cache, settings.statistics_resize
            statistics = {
                name: statistics_of(
                    split,
                    data.classes_of(split.labels),
                    settings.statistics,
                    cache,
                    resize,
                    progress,
                    f"statistics of the {name} images",
                )
                for name, split in splits.items()
            }
            train_networks(trained, data, size, work / "record", tracked.follow, progress)
            progress.say("measuring agreement and correlations")
            statistics = {name: annotated(table, splits[name]) for name, table in varying(statistics).items()}
            kinds = {name: kinds_of(split) for name, split in splits.items()}
            record = LearningRecord(work / "record")
            of_images = [name for name in settings.statistics if name in STATISTICS]
            of_examples = [name for name in settings.statistics if name in EXAMPLE_STATISTICS]
            findings = agreement.analyse(record, statistics, kinds, of_images, of_examples)
            progress.say("writing report, figures and tables")
            title = settings.name or f"{', '.join(dict.fromkeys(names))} on {settings.known}"
            about = About(title, plain(settings), tracked.parent, tracked.begun, data.notes, data.left_out)
            images = {name: split.images for name, split in splits.items()}
            show = write_record(work / "findings", findings, record, images, about, wrong)
            for name, split in splits.items():
                caption = f"{title}, {name} set"
                draw_examples(record, name, split, settings.seed, caption, work / "findings/figures")
            progress.say("sending what was found to MLflow")
            tracked.publish(points_of(findings, tracked.times()))
            describe(client, tracked.parent, headline(findings), as_text(show))
        show(console)
        if keep:
            work.rename(keep)
        else:
            discard(work)
    return tracked.parent


def data_of(settings: MeasureSettings) -> tuple[Data, np.ndarray | None]:
    """The data with the labels that are learned, and which of the train labels are wrong, boolean (N,), if known."""
    clean = load(settings)
    if len(clean.train) < settings.batch_size:
        raise UserError(
            f"batch_size={settings.batch_size} is larger than the training set of {len(clean.train)} examples: "
            f"give batch_size={max(2, len(clean.train) // 4)} or so"
        )
    data = with_random_labels(clean, settings.random_labels, settings.seed)
    data = with_label_noise(data, settings.label_noise, settings.validation, settings.seed)
    return data, wrong_labels(clean.train, data.train)[0]


def augmented(settings: MeasureSettings) -> list[str]:
    """What to say of train images that change."""
    if settings.augment == "none" or settings.record == "after":
        return []
    return [
        f"augment={settings.augment}: train predictions are of the augmented images; record=after takes a clean pass"
    ]


def runs_for(settings: MeasureSettings, tags: Mapping[str, str]) -> list[tracking.Run]:
    """The run of a measurement, with more tags if it is part of a sweep, and one for each network."""
    names = settings.architectures
    mixed = "+".join(dict.fromkeys(names))
    shared = {
        "phase": "measure",
        "data": settings.known,
        "network": mixed,
        "seed": str(settings.seed),
    }
    name = settings.name or f"{len(names)} × {mixed}, seed {settings.seed}"
    children: list[tracking.Run] = [
        (f"network {k + 1}: {name}", {"network": name}, {**shared, "phase": "network", "network": name})
        for k, name in enumerate(names)
    ]
    return [(name, plain(settings), {**shared, **tags}), *children]


def points_of(findings: Findings, times: Sequence[float]) -> list[tracking.Point]:
    """The curves of a measurement, each epoch at its time, and the numbers that it comes to in the end."""
    numbers = {
        **{f"explained/{name}": float(value) for name, value in findings.explained["share"].items()},
        "order/reliability": findings.reliability,
        "order/two_networks": findings.two_networks,
        "order/still_wrong": findings.still_wrong,
    }
    for split, table in findings.correlations.items():
        section = "correlation" if split == "train" else f"correlation_{split}"
        numbers |= {f"{section}/{name}": rho for name, rho in table["rho"].items()}
        if split == "train":
            numbers |= {f"correlation_within/{name}": rho for name, rho in table["within_rho"].items()}
    curves = {f"{split}/{name}": curve for split, each in findings.curves.items() for name, curve in each.items()}
    points: list[tracking.Point] = [
        (t + 1, time, {name: curve[t] for name, curve in curves.items()}) for t, time in enumerate(times)
    ]
    return [*points, (0, times[-1], numbers)]


def lay_out(config: MeasureSettings, data: Data, folder: Path) -> None:
    """Begin the learning record in `folder`, and lay the images beside it, where trainings read them."""
    splits = {"train": data.train, "test": data.test}
    begin_record(
        folder,
        config.architectures,
        data.classes,
        {key: split.labels for key, split in splits.items()},
        {key: split.ids for key, split in splits.items()},
        data.multi_label,
        {key: split.digest for key, split in splits.items()},
        {"device": config.device, "precision": config.precision},
    )
    for key, split in splits.items():
        split.images.save(folder.parent / key)


def train_networks(
    config: Any, data: Data, size: int, folder: Path, follow: Callable[[], None], progress: Progress
) -> None:
    """Train the networks side by side, showing progress, and calling `follow`, as their epochs come in."""
    names = config.architectures
    lay_out(config, data, folder)
    folders = [folder / f"network-{k + 1}" for k in range(len(names))]
    workers, threads = side_by_side(len(names), config.workers, config.device == "cuda")

    def look() -> None:
        for k, path in enumerate(folders):
            for line in read_epochs(path)[progress.done[k] :]:
                done = "/".join(map(str, [*progress.done[:k], int(line["epoch"]), *progress.done[k + 1 :]]))
                progress.trained(k, int(line["epoch"]), f"epochs {done}  test accuracy {line['test/accuracy']:.1%}")
        follow()

    recipe = Recipe.of(config)
    tasks = {
        path.name: (Measured(folder, k, config.seed, config.record == "after"), name, recipe, size, threads)
        for k, (name, path) in enumerate(zip(names, folders, strict=True))
        if len(read_epochs(path)) < config.epochs  # not finished by an attempt that was cut off
    }
    progress.begin()
    train_all(train, tasks, look, workers, config.device == "cuda", folder.parent, config.scheduler)
