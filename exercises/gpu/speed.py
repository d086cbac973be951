"""How fast does the training core run on this machine, and how much of what the device could do is that?

    python exercises/gpu/speed.py [--networks lenet5 resnet18 ...] [--at-once 1 5] [--plain] [--compile]

Trains networks on made-up images of 32 pixels, batch 128, through `lab.training.train` as a measurement does: record,
evaluation and checkpoints included. Counted from the end of the first epoch, when steps have been captured, to the end of the
last. Beside it the share of the rate of a large bf16 matrix product (8192³; of the CPU 2048³ in fp32), by the
multiplications that torch counts. Needs torch and torchvision, but neither MLflow nor OmegaConf. A line is printed as soon as it is known.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2]))

from agreement.record import read_epochs
from agreement.recorder import begin_record
from lab.measured import Measured
from lab.networks import build_network
from lab.pixels import Images
from lab.processes import in_turn, run_through
from lab.training import Recipe, settle, train

SIDE, CLASSES, TEST = 32, 10, 1000


def recipe(**more: object) -> Recipe:
    """Appendix A of the paper."""
    about: dict = dict(
        epochs=3, batch_size=128, crop=None, optimizer="sgd", lr=0.1, min_lr=5e-4, momentum=0.9, weight_decay=5e-4,
        schedule="cosine", step_epochs=30, step_factor=0.1, warmup=0.0, label_smoothing=0.0, device="auto",
        precision="auto", augment="none", stem="auto", weights=None, train="all", imports=[],
    )  # fmt: skip
    return Recipe(**about | more)


def operations(name: str) -> float:
    """Multiplications and additions of a training step for an image: three times those of its forward pass."""
    network = build_network(name, 3, CLASSES, SIDE).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, SIDE, SIDE))
    return 3 * counter.get_total_flops()


def product_rate(device: str) -> float:
    """Operations a second of a large matrix product."""
    side, kind = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        (a @ b).sum().item()
        times.append(time.perf_counter() - begun)
    return 2 * side**3 / min(times)


def made_up(folder: Path, names: list[str], sizes: Mapping[str, int]) -> Path:
    """The learning record of these networks, begun in `folder`/record, with random images and labels beside it."""
    record, draw = folder / "record", np.random.default_rng(0)
    labels = {split: draw.integers(CLASSES, size=size) for split, size in sizes.items()}
    ids = {split: [str(i) for i in range(size)] for split, size in sizes.items()}
    begin_record(record, names, [str(c) for c in range(CLASSES)], labels, ids)
    for split, size in sizes.items():
        Images.of(draw.integers(256, size=(size, SIDE, SIDE, 3), dtype=np.uint8)).save(folder / split)
    return record


def images_a_second(name: str, networks: int, examples: int, how: Recipe) -> float:
    with tempfile.TemporaryDirectory() as made:
        record = made_up(Path(made), [name] * networks, {"train": examples, "test": TEST})
        tasks = [(Measured(record, k, 0, False), name, how, SIDE, 1) for k in range(networks)]
        run_through(in_turn, (train, tasks, networks))
        times = [[line["time"] for line in read_epochs(record / f"network-{k + 1}")] for k in range(networks)]
    return networks * (how.epochs - 1) * examples / (max(each[-1] for each in times) - max(each[0] for each in times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["lenet5", "resnet18", "vgg16", "resnet50", "densenet121"])
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--plain", action="store_true", help="also without CUDA graphs")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    options = parser.parse_args()
    device, precision = settle("auto", options.precision)
    rate = product_rate(device)
    print(f"torch {torch.__version__}, {device}, {precision}; a large product: {rate / 1e12:.3g} TFLOP/s", flush=True)
    forms = [("graphs", {}), *([("plain", {"graphs": False})] if options.plain else [])]
    forms += [("compiled", {"compile": True})] if options.compile else []
    for name in options.networks:
        each = operations(name)
        for form, more in forms:
            for networks in options.at_once:
                how = recipe(epochs=options.epochs, precision=precision, **more)
                found = images_a_second(name, networks, options.examples, how)
                share = found * each / rate
                print(
                    f"{name}, {form}, {networks} at once: {found:,.0f} images/s, {share:.1%} of the product", flush=True
                )


if __name__ == "__main__":
    main()
