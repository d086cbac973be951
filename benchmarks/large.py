"""Measures, correlations, order and sampler on a learning record of ImageNet's size, and how they grow with it.

    uv run benchmarks/large.py                                        1,280,000 examples, 5 networks, 100 epochs
    uv run benchmarks/large.py --growth docs/figures/large-growth.png

The record is made up: examples, classes and networks of different difficulty, learned and forgotten; wrong predictions
are often the same wrong class. It is written by the program's own recorder into a temporary folder (2 GB), read memory-mapped as the
program reads it, and removed. Each size is measured in a process of its own. Memory is the peak of the resident set
while a part runs, which counts the pages of the record that are mapped then; processor seconds are of all threads.
Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FULL = {"examples": 1_280_000, "networks": 5, "epochs": 100}
SMALL = {"examples": 80_000, "networks": 5, "epochs": 50}  # what the growth of one size is measured around
GROWTH = {"examples": [80_000, 160_000, 320_000, 640_000], "networks": [2, 4, 8, 16], "epochs": [25, 50, 100, 200]}
CLASSES, BATCH = 1000, 128
LIMITS = {"measures": 60.0, "scores to order": 2.0, "sampler, an epoch": 0.05}  # seconds, at full size
MEASURES = ("correct from predictions", "agreement measures", "order of learning", "correlations")


# ---- a record that looks like one ----


def make_up(folder: Path, examples: int, networks: int, epochs: int) -> None:
    """A learning record of that many train examples, and its statistics, as files in `folder`."""
    from agreement.recorder import RecordWriter, begin_record

    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, examples)
    difficulty = (rng.normal(size=examples) + rng.normal(scale=0.5, size=CLASSES)[labels]).astype(np.float32)
    confused_with = ((labels + rng.integers(1, CLASSES, examples)) % CLASSES).astype(np.uint16)
    # drawn once, and shifted for every row: drawing takes ten times as long as all the rest
    noise = rng.normal(scale=0.3, size=examples).astype(np.float32)
    mistake = np.where(rng.random(examples) < 0.6, confused_with, rng.integers(0, CLASSES, examples)).astype(np.uint16)
    index, few = np.arange(examples), slice(0, examples // 25)
    ids = [f"n{label:08d}/{i:07d}.JPEG" for i, label in enumerate(labels.tolist())]
    begin_record(
        folder / "record",
        ["made up"] * networks,
        [str(c) for c in range(CLASSES)],
        {"train": labels, "test": labels[few]},
        {"train": ids, "test": ids[few]},
    )
    for k in range(networks):
        taste = difficulty + rng.normal(scale=0.5, size=examples).astype(np.float32)
        recorder = RecordWriter(
            folder / "record" / f"network-{k + 1}", {"train": examples, "test": examples // 25}, CLASSES
        )
        for epoch in range(epochs):
            lead = (
                3 * np.sqrt((epoch + 1) / epochs)
                - 1.5
                - taste
                - np.roll(noise, (7919 * epoch + 104_729 * k) % examples)
            )
            predicted = np.where(
                lead > 0, labels, np.roll(mistake, 31 * (epoch // 5)) if epoch < epochs // 4 else mistake
            )
            probability = np.clip(0.5 + 0.3 * lead, 0, 1)
            for split, part in (("train", slice(None)), ("test", few)):
                recorder.update(split, index[part], predicted[part], probability[part])
            recorder.end_epoch(**{"epoch": epoch + 1, "train/loss": 1.0, "test/loss": 1.0})
    np.savez(
        folder / "statistics.npz",
        entropy=0.3 * difficulty + rng.normal(size=examples),
        frequency=0.1 * difficulty + rng.normal(size=examples),
        segments=rng.poisson(np.exp(1.5 + 0.1 * difficulty)).astype(float),
        edges=rng.gamma(2.0, size=examples),
    )


# ---- what is measured ----


class Parts:
    """Seconds, processor seconds and peak memory (GB) of parts of the work, by name."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    def part(self, name: str, work: Callable[[], Any], repeats: int = 1) -> Any:
        """The result of `work`; of several repeats the median time is kept."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        seconds, processor = [], []
        for _ in range(repeats):
            begun, used = time.perf_counter(), time.process_time()
            result = work()
            seconds.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9
        self.found[name] = {"seconds": float(np.median(seconds)), "processor": float(np.median(processor)), "GB": peak}
        print(f"  {name}: {sum(seconds):.1f} s", file=sys.stderr, flush=True)
        return result


def measured(folder: Path) -> dict[str, dict[str, float]]:
    import pandas as pd

    import agreement
    from agreement.analysis import curves_of
    from agreement.record import LearningRecord
    from curricula import PacedSampler, order
    from curricula.scores import SCORES, agreement_score

    small = np.arange(20.0)
    agreement.correlation_table({"x": small}, small, np.zeros(20))  # loads compiled code
    record, columns = LearningRecord(folder / "record"), dict(np.load(folder / "statistics.npz"))
    labels = record.labels("train")
    parts = Parts()
    parts.part("nothing yet", lambda: None)
    correct = parts.part("correct from predictions", lambda: record.correct("train"))
    parts.part("agreement measures", lambda: curves_of(record, "train", correct, pd.DataFrame(columns)))

    def order_of_learning() -> np.ndarray:
        agreement.forgetting_events(correct)
        times = agreement.orders_by_network(correct)["learning_time"]
        agreement.rank_correlation_of_two(times)
        agreement.reliability(times)
        return times

    learned = parts.part("order of learning", order_of_learning)
    parts.part(
        "correlations",
        lambda: (
            agreement.correlation_table(columns, learned, labels),
            agreement.partial_correlations(columns, learned, labels),
            agreement.explained_variance(columns, learned, labels),
        ),
    )
    parts.found["measures"] = {
        "seconds": sum(parts.found[name]["seconds"] for name in MEASURES),
        "processor": sum(parts.found[name]["processor"] for name in MEASURES),
        "GB": max(parts.found[name]["GB"] for name in MEASURES),
    }
    for name, score in SCORES.items():
        parts.part(f"score {name}", lambda score=score: score.read(record))
    scores = agreement_score(correct)
    ordered = parts.part("scores to order", lambda: order(scores, "curriculum", labels), 3)
    epochs, steps = 10, -(-len(labels) // BATCH)
    sampler = PacedSampler(ordered, BATCH, epochs * steps)
    batches = sampler.arrays()

    def an_epoch() -> None:
        for _ in range(steps):
            next(batches)

    parts.part("sampler, an epoch", an_epoch, epochs)
    return parts.found


def in_another_process(size: dict[str, int]) -> dict[str, dict[str, float]]:
    """What `measured` finds for a record of that size, made up by one process and measured in another."""
    with tempfile.TemporaryDirectory(prefix="large-record-") as folder:
        for stage in ("make", "measure"):
            done = subprocess.run(
                [sys.executable, __file__, "--stage", stage, "--folder", folder, "--size", json.dumps(size)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
        return json.loads(done.stdout)


# ---- growth ----


def growth(picture: Path) -> None:
    """Measure one size after the other, each for several values, and draw what was found."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = figure.subplots(2, 3, sharey="row")
    shown = {"agreement measures": "-o", "order of learning": "--s", "correlations": "-.^", "scores to order": ":v"}
    for column, (key, values) in zip(panels.T, GROWTH.items(), strict=True):
        found = []
        for value in values:
            size = SMALL | {key: value}
            found.append(in_another_process(size))
            print(", ".join(f"{name} {number:,}" for name, number in size.items()))
            table(found[-1], indent="    ")
        for name, style in shown.items():
            column[0].plot(values, [each[name]["processor"] for each in found], style, label=name)
        reference = found[-1]["agreement measures"]["processor"]
        column[0].plot(values, [reference * v / values[-1] for v in values], color="#999999", linewidth=0.8, zorder=0)
        base = [each["nothing yet"]["GB"] for each in found]
        column[1].plot(values, [each["measures"]["GB"] for each in found], "-o", label="peak of all measures")
        column[1].plot(values, base, ":", color="#999999", label="before the first: Python and libraries")
        column[0].set(xscale="log", yscale="log")
        others = ", ".join(f"{number:,} {name}" for name, number in SMALL.items() if name != key)
        column[0].set_title(f"growth with {key}\n({others})", fontsize=10)
        column[1].set(xlabel=key, ylim=(0, None))
        for axes in column:
            axes.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
            axes.minorticks_off()
            axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].set_ylabel("processor seconds (grey: proportional)")
    panels[1, 0].set_ylabel("resident memory (GB)")
    panels[0, 0].legend(frameon=False, fontsize=8)
    panels[1, 0].legend(frameon=False, fontsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def table(found: dict[str, dict[str, float]], indent: str = "") -> None:
    for name, numbers in found.items():
        print(
            f"{indent}{name:28s} {numbers['seconds']:9.3f} s {numbers['processor']:9.3f} s of processors "
            f"{numbers['GB']:6.2f} GB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in FULL.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--growth", type=Path, metavar="PNG", help="measure growth with every size, and draw it there")
    parser.add_argument("--stage", choices=("make", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage == "make":
        make_up(options.folder, **options.size)
    elif options.stage == "measure":
        print(json.dumps(measured(options.folder)))
    elif options.growth:
        growth(options.growth)
    else:
        size = {name: getattr(options, name) for name in FULL}
        print(f"{', '.join(f'{number:,} {name}' for name, number in size.items())}; {os.cpu_count()} cores")
        found = in_another_process(size)
        table(found)
        for name, limit in LIMITS.items():
            print(f"{name}: {found[name]['seconds']:.3f} s, allowed {limit:g} s")
        print(f"memory: {max(numbers['GB'] for numbers in found.values()):.2f} GB at most, allowed 4 GB")


if __name__ == "__main__":
    main()
