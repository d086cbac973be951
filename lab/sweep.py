"""A sweep: the same measurement for several values of a setting, in one picture (the paper's ablations, section 3)."""

from typing import Any

import numpy as np
from rich.markup import escape

import agreement
from agreement.record import LearningRecord
from lab import tracking
from lab.data import Data
from lab.measure import data_of, measure
from lab.report import write_sweep
from lab.report.about import About
from lab.report.summary import as_text
from lab.report.words import sweep_headline
from lab.settings import plain, with_effect
from lab.store import open_store
from lab.views import describe
from lab.work import TERMS, digests_of, discard, work_folder


def run_sweep(configs: dict[str, Any], console: Any) -> str:
    """Measure every configuration, by what it is called, as children of one run in MLflow. Returns the parent's id.

    Interrupted, the same sweep goes on: what was measured in it is not measured again.
    """
    client = open_store()
    first, records = next(iter(configs.values())), {}
    settings = {name: with_effect(config) for name, config in configs.items()}
    run = (
        first.name or " / ".join(configs),
        {"values": list(configs)},
        {"phase": "sweep", "data": first.known},
    )
    files = {name: digests_of(config) for name, config in configs.items()}
    with work_folder("sweep", first.data, [settings, TERMS, files]) as work:
        with tracking.Tracked(client, work, f"measure-{first.known}", [run]) as tracked:
            for number, (name, config) in enumerate(configs.items()):
                measured = work / f"measurement-{number + 1}"
                if measured.is_dir() and not is_of(LearningRecord(measured / "record"), data_of(config)[0]):
                    discard(measured)  # images or labels have changed since
                if not measured.is_dir():  # where a measurement's folder goes when it is done
                    console.print(f"\n[bold]{escape(name)}[/]", highlight=False)
                    measure(config, console, tracked.parent, {"sweep_value": name}, measured)
                records[name] = LearningRecord(measured / "record")
            curves, orders = agreement.compare_orders(records)
            title = f"{first.name or first.known}, train set"
            about = About(title, plain(first), tracked.parent, tracked.begun)
            show = write_sweep(work / "findings", curves, orders, about)
            tracked.publish()
            describe(client, tracked.parent, sweep_headline(orders), as_text(show))
        show(console)
        discard(work)
    return tracked.parent


def is_of(record: LearningRecord, data: Data) -> bool:
    """Whether a record is of these images with these labels."""
    return all(
        record.digest(name) == split.digest and np.array_equal(record.labels(name), split.labels)
        for name, split in (("train", data.train), ("test", data.test))
    )
