"""Does the order help where training is as fast as a GPU makes it? Arms of a comparison, paired by seed, all in one process.

    uv run exercises/gpu/comparison.py pack ROOT DIR      where the program is installed: CIFAR-10 in pieces under 60 MB
    python exercises/gpu/comparison.py run DIR            on the GPU: needs torch and torchvision, not MLflow, not OmegaConf

`run` scores the train images by `shallow`, plainly and within clusters; trains `shuffled`, `random`, and easy and hard first by them with
the recipe of `recipe=strong`, at the budgets given (1 is 30 epochs); and prints, after each budget, accuracies and differences with
intervals over seeds and test images, Holm-corrected. Curves and which test images were right stay in DIR/work.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from agreement.record import save_array
from curricula import Arm, compare, order, read_outcome
from exercises.gpu.speed import recipe
from lab.compared import Compared
from lab.pixels import Images
from lab.processes import in_turn, run_through
from lab.training import train
from metrics import clusters, shallow

PIECE, HELD_OUT = 10_000, 5_000
STRONG = {"schedule": "cosine", "min_lr": 0.0, "warmup": 3.0, "label_smoothing": 0.1, "augment": "flip_crop", "lr": 0.1}


def pack(root: Path, folder: Path) -> None:
    from lab.compose import compose
    from lab.data import load

    data = load(compose(["data=cifar10", f"root={root}"]))
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in (("train", data.train), ("test", data.test)):
        for begin in range(0, len(split), PIECE):
            images = np.stack([split.original(i) for i in range(begin, min(begin + PIECE, len(split)))])
            np.savez_compressed(
                folder / f"{name}-{begin:05}.npz", images=images, labels=split.labels[begin : begin + PIECE]
            )


def unpacked(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W, C) and labels (N,)."""
    pieces = [np.load(path, allow_pickle=False) for path in sorted(folder.glob(f"{name}-*.npz"))]
    return np.concatenate([each["images"] for each in pieces]), np.concatenate([each["labels"] for each in pieces])


def orders_of(images: np.ndarray, labels: np.ndarray, seed: int, scores: Mapping[str, np.ndarray]) -> dict[str, Arm]:
    """The arms of a seed. scores: `shallow` and, of the same shape, `clusters`."""
    by, within = scores["shallow"], scores["clusters"].astype(int)
    made = {
        "shuffled": order(by, "shuffled", labels, seed=seed),
        "random": order(by, "random", labels, seed=seed),
        "shallow": order(by, "curriculum", labels, seed=seed),
        "shallow within clusters": order(by, "curriculum", labels, seed=seed, clusters=within),
        "anti": order(by, "anti", labels, seed=seed),
    }
    return {name: Arm(name, seed, each, name != "shuffled") for name, each in made.items()}


def run(folder: Path, network: str, seeds: int, epochs: int, budgets: list[float], at_once: int) -> None:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    images, labels = unpacked(folder, "train")
    begun, held = time.perf_counter(), np.zeros(len(images), bool)
    held[np.random.default_rng(0).permutation(len(images))[: min(HELD_OUT, len(images) // 10)]] = True
    parts = {"train": (images[~held], labels[~held]), "validation": (images[held], labels[held]), "test": unpacked(folder, "test")}  # fmt: skip
    for name, (pixels, own) in parts.items():
        Images.of(pixels).save(work / name)
        save_array(work / f"{name}-labels.npy", own)
    images, labels = parts["train"]
    scores = {"shallow": shallow(images, labels), "clusters": clusters(images, labels)}
    print(f"scores of {len(images)} images: {time.perf_counter() - begun:.0f} s", flush=True)
    for budget in budgets:
        steps, begun = max(1, round(budget * epochs * -(-len(images) // 128))), time.perf_counter()
        arms = [arm for seed in range(seeds) for arm in orders_of(images, labels, seed, scores).values()]
        folders = [work / f"{budget}-{arm.name}-{arm.seed}" for arm in arms]
        tasks = []
        for arm, place in zip(arms, folders, strict=True):
            place.mkdir(exist_ok=True)
            save_array(place / "order.npy", arm.order)
            plan = Compared(
                arm.name, arm.seed, steps, min(10, steps), "linear" if arm.paced else None, None, None, work,
                int(labels.max()) + 1, 0, place,
            )  # fmt: skip
            tasks.append((plan, network, recipe(epochs=epochs, **STRONG), images.shape[1], 1))
        run_through(in_turn, (train, tasks, at_once))
        outcome = read_outcome(arms, folders, len(parts["test"][1]))
        seconds = time.perf_counter() - begun
        print(f"budget {budget:g}: {len(arms)} trainings of {steps} steps in {seconds:.0f} s", flush=True)
        for name, right in outcome.at_best.items():
            print(f"    {name}: {100 * right.mean():.2f} %", flush=True)
        pairs = {
            f"{name} - {base}": (name, base)
            for base in ("shuffled", "random")
            for name in outcome.at_best
            if name not in ("shuffled", base)
        }
        for name, found in compare(outcome.at_best, pairs=pairs).items():
            inside = f"[{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
            print(f"    {name}: {100 * found.difference:+.2f} {inside}, p {found.corrected_p:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    packing = what.add_parser("pack")
    packing.add_argument("root", type=Path)
    packing.add_argument("folder", type=Path)
    running = what.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("--network", default="resnet18")
    running.add_argument("--seeds", type=int, default=8)
    running.add_argument("--epochs", type=int, default=30)
    running.add_argument("--budgets", nargs="+", type=float, default=[0.2, 1.0])
    running.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args()
    if options.what == "pack":
        pack(options.root, options.folder)
    else:
        run(options.folder, options.network, options.seeds, options.epochs, options.budgets, options.at_once)


if __name__ == "__main__":
    main()
