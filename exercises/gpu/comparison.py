"""Does the order help where training is as fast as a GPU makes it? Arms of a comparison, paired by seed, all in one process.

    uv run exercises/gpu/comparison.py pack ROOT DIR      where the program is installed: CIFAR-10 in pieces under 60 MB
    python exercises/gpu/comparison.py run DIR            on the GPU: needs torch and torchvision, not MLflow, not OmegaConf

`run` scores the train images by `shallow`, and with `--record` by the learning time of a learning record of them; trains `shuffled`,
`random`, easy first by each score, with and without clusters, hard first, and `hard_first` (the hardest half of twice as many
candidates); with the recipe of `recipe=strong` or `recipe=airbench`, at the budgets given (1 is all epochs of the recipe); and prints,
after each budget, accuracies and differences with intervals over seeds and test images, Holm-corrected. Curves and which test images were right
stay in DIR/work.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from agreement import orders_by_network
from agreement.record import LearningRecord, save_array
from curricula import DYNAMIC, Arm, compare, order, read_outcome
from curricula.dynamic.arm import step_cost
from exercises.gpu.speed import recipe
from lab.compared import Compared
from lab.pixels import Images
from lab.processes import in_turn, run_through
from lab.training import train
from metrics import clusters, shallow

PIECE, HELD_OUT = 10_000, 5_000
# as lab/recipes has them, which take OmegaConf to read; tests/lab/test_gpu.py compares
RECIPES: dict[str, dict] = {
    "strong": {
        "network": "resnet18", "epochs": 30, "batch_size": 128, "optimizer": "sgd", "lr": 0.1, "min_lr": 0.0, "momentum": 0.9,
        "weight_decay": 0.0005, "schedule": "cosine", "warmup": 3.0, "label_smoothing": 0.1, "augment": "flip_crop",
    },
    "airbench": {
        "network": "airbench", "epochs": 10, "batch_size": 1024, "optimizer": "nesterov", "lr": 1.5, "momentum": 0.85,
        "weight_decay": 0.00133, "schedule": "one_cycle", "label_smoothing": 0.2, "augment": "flip_crop",
    },
}  # fmt: skip


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


def arms_of(
    labels: np.ndarray, seed: int, scores: Mapping[str, np.ndarray], clusters: np.ndarray, steps: int
) -> list[Arm]:
    """The arms of a seed. hard_first has fewer steps, of the same cost."""
    first = next(iter(scores.values()))
    orders = {
        "shuffled": order(first, "shuffled", labels, seed=seed),
        "random": order(first, "random", labels, seed=seed),
        "anti": order(first, "anti", labels, seed=seed),
    }
    for name, score in scores.items():
        orders[name] = order(score, "curriculum", labels, seed=seed)
        orders[f"{name} within clusters"] = order(score, "curriculum", labels, seed=seed, clusters=clusters)
    fewer = max(1, round(steps / step_cost(DYNAMIC["hard_first"], len(labels), 1)))
    arms = [Arm(name, seed, each, name != "shuffled") for name, each in orders.items()]
    return [*arms, Arm("hard_first", seed, orders["shuffled"], False, fewer, dynamic="hard_first")]


def run(folder: Path, about: dict, seeds: int, budgets: list[float], at_once: int, record: Path | None) -> None:
    """about: of RECIPES."""
    network, epochs = about.pop("network"), about["epochs"]
    work = folder / "work"
    work.mkdir(exist_ok=True)
    images, labels = unpacked(folder, "train")
    begun, held = time.perf_counter(), np.zeros(len(images), bool)
    held[np.random.default_rng(0).permutation(len(images))[: min(HELD_OUT, len(images) // 10)]] = True
    parts = {"train": (images[~held], labels[~held]), "validation": (images[held], labels[held]), "test": unpacked(folder, "test")}  # fmt: skip
    for name, (pixels, own_labels) in parts.items():
        Images.of(pixels).save(work / name)
        save_array(work / f"{name}-labels.npy", own_labels)
    scores = {"shallow": shallow(*parts["train"])}
    if record:
        read = LearningRecord(record)
        if not np.array_equal(read.labels("train"), labels):
            raise SystemExit(f"{record} has other train labels, or in another order")
        scores["learning time"] = orders_by_network(read.correct("train"))["learning_time"].mean(axis=0)[~held]
    within = clusters(*parts["train"])
    images, labels = parts["train"]
    print(f"scores of {len(images)} images: {time.perf_counter() - begun:.0f} s", flush=True)
    for budget in budgets:
        steps = max(1, round(budget * epochs * -(-len(images) // about["batch_size"])))
        begun = time.perf_counter()
        arms = [arm for seed in range(seeds) for arm in arms_of(labels, seed, scores, within, steps)]
        folders = [work / f"{budget}-{arm.name}-{arm.seed}" for arm in arms]
        tasks = []
        for arm, place in zip(arms, folders, strict=True):
            place.mkdir(exist_ok=True)
            save_array(place / "order.npy", arm.order)
            own_steps = arm.steps or steps
            plan = Compared(
                arm.name, arm.seed, own_steps, min(10, own_steps), "linear" if arm.paced else None, None, None, work,
                int(labels.max()) + 1, 0, place, arm.dynamic,
            )  # fmt: skip
            tasks.append((plan, network, recipe(**about), images.shape[1], 1))
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
    running.add_argument("--recipe", choices=RECIPES, default="airbench")
    running.add_argument("--record", type=Path, help="a learning record of the train images, to order them by")
    running.add_argument("--seeds", type=int, default=8)
    running.add_argument("--epochs", type=int, help="other than the recipe's")
    running.add_argument("--batch-size", type=int, help="other than the recipe's")
    running.add_argument("--budgets", nargs="+", type=float, default=[1.0, 0.2])
    running.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args()
    if options.what == "pack":
        pack(options.root, options.folder)
    else:
        own = {"epochs": options.epochs, "batch_size": options.batch_size}
        about = RECIPES[options.recipe] | {name: value for name, value in own.items() if value}
        run(options.folder, about, options.seeds, options.budgets, options.at_once, options.record)


if __name__ == "__main__":
    main()
