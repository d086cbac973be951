"""What augmentation costs: training steps of LeNet5 with `augment=none`, `flip_crop` and `trivial`, in one run.

    uv run benchmarks/augment.py [--steps 20] [--rounds 3]

Processor time of one thread for batches of 128 random images of 32×32 pixels in colour, each form in its turn, the fastest round.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lab.batches import Batches
from lab.compose import compose
from lab.data import Images
from lab.networks import build_network
from lab.training import Recipe, make_optimizer, settle, training_step

BATCH, EXAMPLES = 128, 2000


def seconds(
    batches: Batches, network: torch.nn.Module, optimizer: torch.optim.Optimizer, bf16: bool, steps: int
) -> float:
    """Processor seconds of a step, drawing and augmenting its batch included."""
    draw, begun = torch.Generator().manual_seed(0), time.process_time()
    for _ in range(steps):
        index = torch.randint(EXAMPLES, (BATCH,), generator=draw)
        training_step(network, optimizer, *batches.get(index, batches.draws(BATCH, draw)), bf16)
    return (time.process_time() - begun) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, bf16 = build_network("lenet5", 3, 10, 32), settle("cpu", "auto")[1] == "bf16"
    optimizer = make_optimizer(network, Recipe.of(compose([])))
    draw = np.random.default_rng(0)
    images, labels = draw.integers(256, size=(EXAMPLES, 32, 32, 3), dtype=np.uint8), draw.integers(10, size=EXAMPLES)
    with tempfile.TemporaryDirectory() as folder:
        Images.of(list(images)).save(Path(folder) / "train")
        forms = {
            kind: Batches(Images.open(Path(folder) / "train"), labels, torch.device("cpu"), augment=kind)
            for kind in ("none", "flip_crop", "trivial")
        }
        for batches in forms.values():
            seconds(batches, network, optimizer, bf16, 3)
        found: dict[str, list[float]] = {kind: [] for kind in forms}
        for _ in range(options.rounds):
            for kind, batches in forms.items():
                found[kind].append(seconds(batches, network, optimizer, bf16, options.steps))
    for kind, times in found.items():
        print(
            f"augment={kind:10s} {1e3 * min(times):6.2f} ms a step, {min(found['none']) / min(times):.0%} of the throughput without"
        )


if __name__ == "__main__":
    main()
