"""What drawing the batches costs: `PacedSampler` against the LeNet5 epoch it feeds, and at the size of ImageNet.

    uv run benchmarks/sampler.py

An epoch is as many batches of 128 as go through all examples once. The sampler is timed as arrays, as the training of
this program takes them, and as lists, as a DataLoader wants them; beside it torch's own shuffling batch sampler, which
knows no pacing. The LeNet5 epoch is timed on one core over 40 steps of made-up images, indexing included, in the same
run. Times are medians; other work on the machine adds to them.
"""

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import BatchSampler, RandomSampler

import curricula
from curricula import PacedSampler
from lab.networks import build_network

BATCH = 128
EPOCHS = 10
STEPS_TIMED = 40


def seconds(work: Callable[[], object], repeats: int = 7) -> float:
    """Median time."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def exhaust(batches: Iterable) -> None:
    for _ in batches:
        pass


def an_epoch(batches: Iterator, steps: int) -> None:
    for _ in range(steps):
        next(batches)


def sampler_costs(examples: int) -> dict[str, float]:
    """Seconds an epoch."""
    steps = -(-examples // BATCH)
    order = np.random.default_rng(0).permutation(examples)

    def paced(pacing: str | None, lists: bool = False, **parameters: float) -> float:
        sampler = PacedSampler(order, BATCH, EPOCHS * steps, pacing, steps_per_epoch=EPOCHS * steps, **parameters)
        batches = iter(sampler) if lists else sampler.arrays()
        return seconds(lambda: an_epoch(batches, steps), EPOCHS)

    plain = BatchSampler(RandomSampler(range(examples)), BATCH, drop_last=False)
    restarted = PacedSampler(order, BATCH, EPOCHS * steps)

    def restart() -> None:
        restarted.load_state_dict(restarted.state_dict(EPOCHS * steps - 1))
        exhaust(restarted.arrays())

    return {
        "all examples, arrays": paced(None),
        "all examples, lists": paced(None, lists=True),
        "linear pacing, arrays": paced("linear"),
        "linear pacing, lists": paced("linear", lists=True),
        "one batch again and again, arrays": paced("step", a=10, b=1e-9),
        "torch's BatchSampler(RandomSampler), lists": seconds(lambda: exhaust(plain), 3),
        "once: making the sampler, 10 epochs": seconds(lambda: PacedSampler(order, BATCH, EPOCHS * steps)),
        "once: restart at the last step": seconds(restart),
    }


def order_costs(examples: int, classes: int) -> float:
    rng = np.random.default_rng(0)
    scores, labels = rng.random(examples), rng.integers(0, classes, examples)
    return seconds(lambda: curricula.order(scores, "curriculum", labels), 3)


def lenet5_epoch(examples: int) -> float:
    """Seconds, from a few steps on one core."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_network("lenet5", 3, 10, 32)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    images = torch.randint(0, 256, (examples, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (examples,))
    batches = PacedSampler(np.arange(examples), BATCH, 10_000, pacing=None).arrays()

    def step() -> None:
        index = torch.from_numpy(next(batches))
        loss = F.cross_entropy(network(images[index].float().div_(255)), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(10):
        step()
    return seconds(step, STEPS_TIMED) * -(-examples // BATCH)


def main() -> None:
    epoch = lenet5_epoch(50_000)
    print(f"LeNet5 epoch, 50,000 images of 32 px, one core: {epoch:.2f} s\n")
    for examples, classes in ((50_000, 10), (1_280_000, 1000)):
        print(f"{examples:,} examples, {-(-examples // BATCH):,} batches of {BATCH} an epoch")
        for name, cost in sampler_costs(examples).items():
            share = f"   {cost / epoch:6.2%} of a LeNet5 epoch" if examples == 50_000 and "once" not in name else ""
            print(f"  {name:44s} {cost * 1e3:8.2f} ms{share}")
        print(f"  {'once: order, balanced':44s} {order_costs(examples, classes) * 1e3:8.2f} ms")


if __name__ == "__main__":
    main()
