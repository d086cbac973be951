"""How fast K networks train on CIFAR-10, everything counted, against the original's form of the same work in one run.

    uv run benchmarks/networks.py lenet5
    uv run benchmarks/networks.py densenet121 [--root data] [--networks 5] [--epochs 1] [--images 512]

Both forms train and, after each epoch, go through the test images, and note of every image whether it was right. The
original's form: one network after the other, a DataLoader with worker processes over image files, float32 in planes,
all cores for each operation, correct images gathered as lists of paths. It is timed on one network. Ours is the
program's own training of all K, from the start of its processes to the end of the last one. Rates are training images
per second, summed over networks, the median of `--repeats` rounds in which every form has its turn. Beside them stand
the images per second of processor time, of all processes of a form and times the number of cores: what the form would
do were the cores its own and never idle. Quote either from a machine with nothing else to do: other work slows a form
of few processes more than one of many, and threads of one operation that wait for each other burn processor time. What the cores can do is the fastest of several large matrix products, the better
of fp32 and bf16; the floating-point operations of a network are counted by torch over a training step and an evaluation.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from precision import gigaflops
from torch import Tensor, nn

from agreement.recorder import begin_record
from lab.compose import compose
from lab.data import Data, Split, load
from lab.measured import Measured
from lab.networks import build_network
from lab.processes import run_tasks, run_through, side_by_side
from lab.training import Recipe, settle, train

IMAGES = {"lenet5": 10_000, "densenet121": 768}  # to train on; a fifth as many to test
BATCH = 128
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def original_network(name: str) -> nn.Module:
    """The network as the original builds it, of torch's own layers."""
    if name != "lenet5":
        return build_network(name, 3, 10, 32)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.BatchNorm2d(120), nn.ReLU(),
        nn.Flatten(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


# ---- the original's form ----


def write_files(folder: Path, data: Data) -> None:
    """The images as PNG files."""
    for key, split in (("train", data.train), ("test", data.test)):
        (folder / key).mkdir()
        for i, image in enumerate(split.images):
            Image.fromarray(image).save(folder / key / f"{i}.png")


class ImageFiles(torch.utils.data.Dataset):
    """Image, label and path of every file, decoded when it is asked for."""

    def __init__(self, folder: Path, labels: np.ndarray):
        from torchvision.datasets.folder import default_loader
        from torchvision.transforms import ToTensor

        self.paths, self.labels = [str(folder / f"{i}.png") for i in range(len(labels))], labels.tolist()
        self.read, self.as_tensor = default_loader, ToTensor()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int, str]:
        return self.as_tensor(self.read(self.paths[i])), self.labels[i], self.paths[i]


def original(name: str, folder: Path, data: Data, epochs: int) -> tuple[float, float]:
    """Training images of one network per second, and per second of processor time times cores."""
    from torch.utils.data import DataLoader

    torch.set_num_threads(CORES)
    train, test = (
        DataLoader(ImageFiles(folder / key, split.labels), BATCH, shuffle=key == "train", num_workers=CORES)
        for key, split in (("train", data.train), ("test", data.test))
    )
    begun, used = time.perf_counter(), processor_seconds()
    network = original_network(name)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4)
    right: list[dict[str, list[str]]] = []
    for _ in range(epochs):
        found: dict[str, list[str]] = {"train": [], "test": []}
        for images, labels, paths in train:
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gather(found["train"], logits, labels, paths)
        network.eval()
        with torch.no_grad():
            for images, labels, paths in test:
                gather(found["test"], network(images), labels, paths)
        network.train()
        right.append({key: sorted(paths) for key, paths in found.items()})
    rates = rates_of(epochs * len(data.train), begun, processor_seconds() - used)
    torch.set_num_threads(1)
    return rates


def gather(found: list[str], logits: Tensor, labels: Tensor, paths: list[str]) -> None:
    for path, predicted, label in zip(paths, logits.argmax(dim=1), labels, strict=True):
        if predicted.item() == label.item():
            found.append(path)


def processor_seconds() -> float:
    """Of this process and of those it has waited for, the DataLoaders' workers."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def rates_of(images: int, begun: float, used: float) -> tuple[float, float]:
    return images / (time.perf_counter() - begun), CORES * images / used


# ---- ours ----


def train_and_tell(plan: Measured, *others: Any) -> None:
    """`train`, and a file with the processor seconds it took."""
    used = time.process_time()
    run_through(train, (plan, *others))
    (plan.folder.parent.parent / f"processor-{plan.name}.txt").write_text(str(time.process_time() - used))


def ours(name: str, config: Any, data: Data, workers: int, threads: int) -> tuple[float, float]:
    """As `original`, summed over the networks, so many of them at a time."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        splits = {"train": data.train, "test": data.test}
        labels = {key: split.labels for key, split in splits.items()}
        ids = {key: split.ids for key, split in splits.items()}
        begun, used = time.perf_counter(), processor_seconds()
        begin_record(record, [name] * config.networks, data.classes, labels, ids)
        for key, split in splits.items():
            split.images.save(record.parent / key)
        recipe = Recipe.of(config)
        tasks = [(Measured(record, k, config.seed, False), name, recipe, 32, threads) for k in range(config.networks)]
        run_tasks(train_and_tell, tasks, workers)
        theirs = sum(float(path.read_text()) for path in Path(folder).glob("processor-*.txt"))
        used = processor_seconds() - used + theirs
        return rates_of(config.networks * len(data.train) * config.epochs, begun, used)


# ---- the limits ----


def operations(name: str) -> float:
    """Floating-point operations for each training image: its own step, and a fifth of a test image's evaluation."""
    from torch.utils.flop_counter import FlopCounterMode

    network, images = original_network(name), torch.rand(4, 3, 32, 32)
    with FlopCounterMode(display=False) as step:
        network(images).sum().backward()
    with FlopCounterMode(display=False) as evaluation, torch.no_grad():
        network(images)
    return (step.get_total_flops() + evaluation.get_total_flops() / 5) / len(images)


def cpu_name() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def first(split: Split, count: int) -> Split:
    """So many examples of a split, spread evenly over it."""
    index = np.linspace(0, len(split) - 1, min(count, len(split))).astype(int)
    ids = [split.ids[i] for i in index]
    return replace(split, images=split.images.take(index), labels=split.labels[index], ids=ids, annotations={})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=IMAGES)
    parser.add_argument("--root", default="data", help="folder that holds cifar10/, or is to")
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, help=f"to train on (default: {IMAGES}), a fifth as many to test")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    name, count, k = options.network, options.images or IMAGES[options.network], options.networks
    config = compose(
        ["data=cifar10", f"root={options.root}", f"network={name}", f"networks={k}", f"epochs={options.epochs}"]
    )
    whole = load(config)
    data = Data(first(whole.train, count), first(whole.test, count // 5), whole.classes)
    workers, threads = side_by_side(k, 0, on_gpu=False)
    precision = settle("cpu", "auto")[1]
    other = "fp32" if precision == "bf16" else "bf16"
    forms: dict[str, Callable[[], tuple[float, float]]] = {
        "original's form": lambda: original(name, Path(folder), data, options.epochs),
        f"ours: {precision}, {workers} processes at a time (default)": lambda: ours(
            name, config, data, workers, threads
        ),
        f"ours, {CORES} processes at a time": lambda: ours(name, config, data, CORES, 1),
        f"ours, one at a time with {CORES} threads": lambda: ours(name, config, data, 1, CORES),
    }
    if torch.cpu._is_avx512_bf16_supported():  # else bf16 is emulated, many times slower
        forms[f"ours in {other}"] = lambda: ours(name, replace(config, precision=other), data, workers, threads)
    print(
        f"{name}, {k} networks, {count:,} + {count // 5:,} images, {options.epochs} epochs; {CORES} cores, {cpu_name()}"
    )
    ours(
        name,
        replace(config, epochs=1),
        Data(first(data.train, 256), data.test, data.classes),
        workers,
        threads,
    )
    rates: dict[str, list[tuple[float, float]]] = {form: [] for form in forms}
    peaks: dict[str, list[float]] = {"fp32": [], "bf16": []}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), data)
        for _ in range(options.repeats):
            peaks["fp32"].append(CORES * gigaflops(torch.float32) / 1e3)
            peaks["bf16"].append(CORES * gigaflops(torch.bfloat16) / 1e3)
            for form, run in forms.items():
                rates[form].append(run())
                print(f"  {form}: {rates[form][-1][0]:,.0f}", file=sys.stderr, flush=True)
    peak = {key: max(values) for key, values in peaks.items()}
    work = operations(name)
    print(
        f"large matrix product: {peak['fp32']:.2f} TFLOP/s fp32, {peak['bf16']:.2f} bf16; {work / 1e6:,.1f} MFLOP an image"
    )
    print(f"{'images/s':>55}  {'ratio':>6}  {'by processor time':>18}  {'ratio':>6}  of the best product")
    base = np.median(rates["original's form"], axis=0)
    for form, found in rates.items():
        wall, own = np.median(found, axis=0)
        part = own * work / max(peak.values()) / 1e12
        print(f"{form:45s} {wall:9,.0f}  {wall / base[0]:5.2f}×  {own:18,.0f}  {own / base[1]:5.2f}×  {part:18.0%}")


if __name__ == "__main__":
    main()
