"""The measurement: train networks, record what they get right, relate the order of learning to image statistics."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import agreement
from agreement.analysis import Findings
from agreement.record import LearningRecord, read_epochs
from agreement.recorder import begin_record
from lab import tracking
from lab.data import Data, load, with_random_labels
from lab.errors import UserError
from lab.networks import check_networks
from lab.processes import device_and_precision, ranks_of_torchrun, side_by_side, start_server, train_all
from lab.progress import Progress
from lab.report import write_measurement
from lab.report.summary import headline, print_measurement
from lab.settings import MeasureSettings, nearest, plain
from lab.statistics import annotated, kinds_of, statistics_of
from lab.training import Measured, Recipe, train
from lab.views import describe
from lab.work import attempt_of, discard, unfinished
from metrics import STATISTICS


def measure(config: MeasureSettings, console: Any, sweep: str | None = None, tags: dict[str, str] | None = None) -> str:
    """Run the configured measurement and log it to MLflow. Returns the id of its run, the parent of one per network.

    sweep: the run that this measurement is a child of, and tags that it gets there.
    """
    for name in config.statistics:
        if name not in STATISTICS:
            raise UserError(f"statistics: there is no '{name}'{nearest(name, list(STATISTICS))}")
    with console.status("reading the images"):
        data = with_random_labels(load(config), config.random_labels, config.seed)
    for note in data.notes:
        console.print(note, highlight=False, markup=False)
    size = data.size(config.crop)
    check_networks(config.architectures, data.channels, len(data.classes), size)
    device, precision = device_and_precision(config.device, config.precision, config.scheduler, console.print)
    trained = replace(config, device=device, precision=precision)
    start_server(train)  # which imports torch while this process imports MLflow
    client = tracking.open_store()
    # on another device, precision or number of threads or processes it is other work
    threads = side_by_side(len(config.architectures), config.workers, trained.device == "cuda")[1]
    with unfinished("measure", trained, data, [f"{threads} threads", f"{ranks_of_torchrun()} processes"]) as work:
        parent, *children = runs_of(client, config, work, sweep, tags or {})
        tracking.log_data(client, parent, config, data)
        with (
            tracking.ending(client, [parent, *children]),
            Progress(console, len(children), config.epochs) as progress,
        ):
            splits = {"train": data.train, "test": data.test}
            statistics = {
                name: statistics_of(split, config.statistics, config, progress, f"statistics of the {name} images")
                for name, split in splits.items()
            }
            with tracking.in_the_end(lambda: log_record(client, parent, work / "record")):
                train_networks(trained, data, size, work / "record", client, children, progress)
            progress.say("measuring agreement and correlations")
            statistics = {name: annotated(table, splits[name]) for name, table in statistics.items()}
            kinds = {name: kinds_of(split) for name, split in splits.items()}
            record = LearningRecord(work / "record")
            findings = agreement.analyse(record, statistics, kinds, config.statistics, config.resamples, config.seed)
            progress.say("writing report, figures, tables and metrics")
            title = f"{', '.join(dict.fromkeys(config.architectures))} on {config.data}"
            settings = plain(config)
            folder = work / "findings"
            summary = write_measurement(folder, findings, record, splits, title, settings, config.seed, parent)
            log_findings(client, parent, findings, config, folder)
            describe(client, parent, headline(findings.curves["train"]), summary)
        print_measurement(console, findings, parent)
        discard(work)
    return parent


def train_networks(
    config: Any, data: Data, size: int, folder: Path, client: Any, children: list[str], progress: Progress
) -> None:
    """Train the networks side by side, logging to MLflow and showing progress as their epochs come in."""
    names = config.architectures
    splits = {"train": data.train, "test": data.test}
    begin_record(
        folder,
        names,
        data.classes,
        {key: split.labels for key, split in splits.items()},
        {key: split.ids for key, split in splits.items()},
        data.multi_label,
    )
    folders = [folder / f"network-{k + 1}" for k in range(len(names))]
    for key, split in splits.items():
        split.images.save(folder.parent / key)
    workers, threads = side_by_side(len(names), config.workers, config.device == "cuda")
    log = tracking.MetricLog(client)

    def look() -> None:
        for k, path in enumerate(folders):
            for line in read_epochs(path)[progress.done[k] :]:
                log.log(
                    children[k],
                    int(line["epoch"]),
                    {key: value for key, value in line.items() if key not in ("epoch", "time")},
                )
                done = "/".join(map(str, [*progress.done[:k], int(line["epoch"]), *progress.done[k + 1 :]]))
                progress.trained(k, int(line["epoch"]), f"epochs {done}  test accuracy {line['test/accuracy']:.1%}")
        log.flush_now_and_then()

    recipe = Recipe.of(config)
    tasks = {
        path.name: (Measured(folder, k, config.seed, config.record == "after"), name, recipe, size, threads)
        for k, (name, path) in enumerate(zip(names, folders, strict=True))
        if len(read_epochs(path)) < config.epochs  # not finished by an attempt that was cut off
    }
    with tracking.in_the_end(log.flush):
        train_all(train, tasks, look, workers, config.device == "cuda", folder.parent, config.scheduler)


def log_findings(client: Any, run: str, findings: Findings, config: Any, folder: Path) -> None:
    """Curves as metrics; tables, and what else is in the folder, as artifacts."""
    log = tracking.MetricLog(client)
    for split, curves in findings.curves.items():
        log.log_series(run, {f"{split}/{name}": curve for name, curve in curves.items()})
    for split, table in findings.correlations.items():
        section = "correlation" if split == "train" else f"correlation_{split}"
        log.log(run, config.epochs, {f"{section}/{name}": rho for name, rho in table["rho"].items()})
    log.log(
        run, config.epochs, {f"explained/{name}": value for name, value in findings.explained.items() if name != "n"}
    )
    log.log(run, config.epochs, {"learned/concordance": findings.concordance, "learned/never": findings.never_learned})
    log.flush()
    with tracking.store_errors():
        client.log_artifacts(run, str(folder))


def log_record(client: Any, run: str, record: Path) -> None:
    """The learning record as an artifact, whatever there is of it; checkpoints stay behind."""
    if not record.is_dir():
        return
    with tracking.store_errors():
        for file in record.rglob("*"):
            if file.is_file() and not file.name.startswith("checkpoint") and file.suffix != ".tmp":
                client.log_artifact(run, str(file), (Path("record") / file.relative_to(record).parent).as_posix())


def runs_of(client: Any, config: Any, work: Path, sweep: str | None, more: dict[str, str]) -> list[str]:
    """The parent run and one child per network: those of an interrupted attempt with the same settings, else new ones."""
    names = config.architectures
    experiment = tracking.experiment_id(client, f"measure-{config.data}")
    attempt = attempt_of(work)
    begun = tracking.begun_runs(client, experiment, attempt)
    mixed = "+".join(dict.fromkeys(names))
    tags = {"phase": "measure", "data": config.data, "network": mixed, "seed": str(config.seed), "attempt": attempt}
    name = config.name or f"{len(names)} × {mixed}, seed {config.seed}"
    parent = tracking.begin_run(
        client,
        experiment,
        name,
        plain(config),
        {**tags, "part": "all", **more},
        sweep,
        begun.get("all"),
    )
    children = [
        tracking.begin_run(
            client,
            experiment,
            f"network {k + 1}: {name}",
            {"network": name},
            {**tags, "phase": "network", "network": name, "part": str(k + 1)},
            parent,
            begun.get(str(k + 1)),
        )
        for k, name in enumerate(names)
    ]
    return [parent, *children]
