"""How fast K networks train on CIFAR-10, everything counted, against the original's form of the same work in one run.

    uv run benchmarks/networks.py lenet5
    uv run benchmarks/networks.py densenet121 [--root data] [--networks 5] [--epochs 1] [--images 512]

Both forms train and, after each epoch, go through the test images, and note of every image whether it was right. The
original's form: one network after the other, a DataLoader with worker processes over image files, float32 in planes,
all cores for each operation, correct images gathered as lists of paths. It is timed on one network. Ours is the
program's own training of all K, from the start of its processes to the end of the last one. Rates are training images
per second, summed over networks, the median of `--repeats` rounds in which every form has its turn. What the cores can
do is the fastest of several large matrix products, on all of them; the floating-point operations of a network are
counted by torch over a training step and an evaluation.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from agreement.record import begin_record
from conf import compose
from training.batches import share
from training.data import load
from training.examples import Data, Split
from training.loop import choose_bf16, train_network
from training.networks import build_network
from training.parallel import run_tasks, side_by_side, warm_up
from training.pixels import take

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


class ImageFiles(torch.utils.data.Dataset):
    """Image, label and path of every file, decoded when it is asked for."""

    def __init__(self, folder: Path, ids: list[str], labels: np.ndarray):
        from torchvision.datasets.folder import default_loader
        from torchvision.transforms import ToTensor

        self.paths, self.labels = [str(folder / name) for name in ids], labels.tolist()
        self.read, self.as_tensor = default_loader, ToTensor()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int, str]:
        return self.as_tensor(self.read(self.paths[i])), self.labels[i], self.paths[i]


def original(name: str, folder: Path, data: Data, epochs: int) -> float:
    """Training images per second of one network."""
    from torch.utils.data import DataLoader

    torch.set_num_threads(CORES)
    train, test = (
        DataLoader(ImageFiles(folder / key, split.ids, split.labels), BATCH, shuffle=key == "train", num_workers=CORES)
        for key, split in (("train", data.train), ("test", data.test))
    )
    begun = time.perf_counter()
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
    rate = epochs * len(data.train) / (time.perf_counter() - begun)
    torch.set_num_threads(1)
    return rate


def gather(found: list[str], logits: Tensor, labels: Tensor, paths: list[str]) -> None:
    for path, predicted, label in zip(paths, logits.argmax(dim=1), labels, strict=True):
        if predicted.item() == label.item():
            found.append(path)


# ---- ours ----


def ours(name: str, config: Any, data: Data, workers: int, threads: int) -> float:
    """Training images per second, summed over the networks, so many of them at a time."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        splits = {"train": data.train, "test": data.test}
        labels = {key: split.labels for key, split in splits.items()}
        ids = {key: split.ids for key, split in splits.items()}
        begun = time.perf_counter()
        begin_record(record, [name] * config.networks, data.classes, labels, ids)
        for key, split in splits.items():
            share(split.images, record.parent / key)
        plain = OmegaConf.create(OmegaConf.to_container(config))
        tasks = [(k, name, plain, record, 32, threads) for k in range(config.networks)]
        run_tasks(train_network, tasks, workers)
        return config.networks * len(data.train) * config.epochs / (time.perf_counter() - begun)


# ---- the limits ----


def teraflops(dtype: torch.dtype, size: int = 2048) -> float:
    """Of a large matrix product on all cores."""
    torch.set_num_threads(CORES)
    a, times = torch.randn(size, size).to(dtype), []
    for _ in range(12):
        begun = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - begun)
    torch.set_num_threads(1)
    return 2 * size**3 / min(times) / 1e12


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
    return replace(split, images=take(split.images, index), labels=split.labels[index], ids=ids, annotations={})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=IMAGES)
    parser.add_argument("--root", default="data", help="folder that holds cifar10/{train,test}/<class>/*.png")
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, help=f"to train on (default: {IMAGES}), a fifth as many to test")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    warm_up("training.loop")
    name, count, k = options.network, options.images or IMAGES[options.network], options.networks
    config = compose(
        ["data=cifar10", f"root={options.root}", f"network={name}", f"networks={k}", f"epochs={options.epochs}"]
    )
    whole = load(config)
    data = Data(first(whole.train, count), first(whole.test, count // 5), whole.classes)
    workers, threads = side_by_side(k, 0, on_gpu=False)
    precision = "bf16" if choose_bf16("auto", torch.device("cpu")) else "fp32"
    other = "fp32" if precision == "bf16" else "bf16"
    forms: dict[str, Callable[[], float]] = {
        "original's form": lambda: original(name, Path(options.root) / "cifar10", data, options.epochs),
        f"ours: {precision}, {workers} processes at a time (default)": lambda: ours(
            name, config, data, workers, threads
        ),
        f"ours in {other}": lambda: ours(name, OmegaConf.merge(config, {"precision": other}), data, workers, threads),
        f"ours, {CORES} processes at a time": lambda: ours(name, config, data, CORES, 1),
        f"ours, one at a time with {CORES} threads": lambda: ours(name, config, data, 1, CORES),
    }
    print(
        f"{name}, {k} networks, {count:,} + {count // 5:,} images, {options.epochs} epochs; {CORES} cores, {cpu_name()}"
    )
    ours(
        name,
        OmegaConf.merge(config, {"epochs": 1}),
        Data(first(data.train, 256), data.test, data.classes),
        workers,
        threads,
    )
    rates: dict[str, list[float]] = {form: [] for form in forms}
    peaks: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for _ in range(options.repeats):
        peaks["fp32"].append(teraflops(torch.float32))
        peaks["bf16"].append(teraflops(torch.bfloat16))
        for form, run in forms.items():
            rates[form].append(run())
    peak = {key: max(values) for key, values in peaks.items()}
    work, baseline = operations(name), np.median(rates["original's form"])
    print(
        f"large matrix product: {peak['fp32']:.2f} TFLOP/s fp32, {peak['bf16']:.2f} bf16; {work / 1e6:,.1f} MFLOP an image"
    )
    print(f"{'':52s} {'images/s':>10}  {'ratio':>6}  of the best product  rounds")
    for form, found in rates.items():
        rate = float(np.median(found))
        rounds = ", ".join(f"{each:,.0f}" for each in found)
        print(
            f"{form:52s} {rate:10,.0f}  {rate / baseline:5.2f}×  {rate * work / max(peak.values()) / 1e12:18.0%}   {rounds}"
        )


if __name__ == "__main__":
    main()
