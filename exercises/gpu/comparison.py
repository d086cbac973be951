"""Does the order help where training is as fast as a GPU makes it? Arms of a comparison, paired by seed, all in one process.

    uv run exercises/gpu/record.py pack DIR data=cifar10 root=data recipe=airbench      where the program is installed
    python exercises/gpu/comparison.py DIR                                              on the GPU

scores the train images in DIR by `shallow`, and with `--record` by the learning time of a learning record of them; trains `shuffled`,
`random`, easy first by each score, with and without clusters, hard first, and `hard_first` (the hardest half of twice as many
candidates), with the recipe in DIR/training.json or in another such file, at the budgets given (1 is all its epochs); and prints,
after each budget, accuracies and differences with intervals over seeds and test images, Holm-corrected. Curves and which test images were right
stay in DIR/work. Needs torch and torchvision, but neither MLflow nor OmegaConf.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from agreement import orders_by_network
from agreement.record import SPLITS, LearningRecord, save_array
from curricula import DYNAMIC, Arm, compare, order, read_outcome
from curricula.dynamic.arm import step_cost
from exercises.gpu.record import recipe_of, unpack
from lab.compared import Compared
from lab.pixels import Images
from lab.processes import in_turn, run_through
from lab.training import Recipe, train
from metrics import clusters, shallow

HELD_OUT = 5_000  # of the train images, to choose the best step by


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


def run(
    folder: Path,
    network: str,
    recipe: Recipe,
    size: int,
    seeds: int,
    budgets: list[float],
    at_once: int,
    record: Path | None,
) -> None:
    """size: side in pixels of what the network sees. record: of the train images, to order them by."""
    work, images = folder / "work", {split: Images.open(folder / split) for split in SPLITS}
    work.mkdir(exist_ok=True)
    labels = {split: LearningRecord(folder / "record").labels(split) for split in SPLITS}
    begun, examples = time.perf_counter(), len(labels["train"])
    held = np.zeros(examples, bool)
    held[np.random.default_rng(0).permutation(examples)[: min(HELD_OUT, examples // 10)]] = True
    for name, split, index in (
        ("train", "train", np.flatnonzero(~held)),
        ("validation", "train", np.flatnonzero(held)),
        ("test", "test", np.arange(len(labels["test"]))),
    ):
        images[split].take(index).save(work / name)
        save_array(work / f"{name}-labels.npy", labels[split][index])
    own, own_labels = np.stack([images["train"][i] for i in np.flatnonzero(~held)]), labels["train"][~held]
    scores = {"shallow": shallow(own, own_labels)}
    if record:
        read = LearningRecord(record)
        if not np.array_equal(read.labels("train"), labels["train"]):
            raise SystemExit(f"{record} has other train labels, or in another order")
        scores["learning time"] = orders_by_network(read.correct("train"))["learning_time"].mean(axis=0)[~held]
    within = clusters(own, own_labels)
    print(f"scores of {len(own)} images: {time.perf_counter() - begun:.0f} s", flush=True)
    for budget in budgets:
        steps = max(1, round(budget * recipe.epochs * -(-len(own) // recipe.batch_size)))
        begun = time.perf_counter()
        arms = [arm for seed in range(seeds) for arm in arms_of(own_labels, seed, scores, within, steps)]
        folders = [work / f"{budget}-{arm.name}-{arm.seed}" for arm in arms]
        tasks = []
        for arm, place in zip(arms, folders, strict=True):
            place.mkdir(exist_ok=True)
            save_array(place / "order.npy", arm.order)
            own_steps = arm.steps or steps
            plan = Compared(
                arm.name, arm.seed, own_steps, min(10, own_steps), "linear" if arm.paced else None, None, None, work,
                int(own_labels.max()) + 1, 0, place, arm.dynamic,
            )  # fmt: skip
            tasks.append((plan, network, recipe, size, 1))
        run_through(in_turn, (train, tasks, at_once))
        outcome = read_outcome(arms, folders, len(labels["test"]))
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
    parser.add_argument("folder", type=Path)
    parser.add_argument("--training", type=Path, help="training.json of another recipe; by default that of the folder")
    parser.add_argument("--record", type=Path, help="a learning record of the train images, to order them by")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, help="other than the recipe's")
    parser.add_argument("--batch-size", type=int, help="other than the recipe's")
    parser.add_argument("--budgets", nargs="+", type=float, default=[1.0, 0.2])
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", help="other than the recipe's")
    given = parser.parse_args()
    about = json.loads((given.training or given.folder / "training.json").read_text())
    recipe = recipe_of(
        about, epochs=given.epochs, batch_size=given.batch_size, device=given.device, precision=given.precision
    )
    unpack(given.folder)
    network = about["names"][0]
    run(given.folder, network, recipe, about["size"], given.seeds, given.budgets, given.at_once, given.record)


if __name__ == "__main__":
    main()
