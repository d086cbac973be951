"""Which precision and memory layout a CPU trains fastest with: one optimiser step on one core, in processor time.

    uv run benchmarks/precision.py [densenet121 lenet5 ...]

A step is of 128 made-up images of 32 pixels; the shortest of a few counts. Processor time of one thread says the same
beside other work, but for what that takes of the caches.
"""

import argparse
import time

import torch

from lab.networks import build_network
from lab.training import training_step

BATCH, STEPS = 128, {"lenet5": 15}  # other networks: three
PEAK_SECONDS = 2.0  # for matrix products, of which one can take long where bf16 is emulated


def gigaflops(dtype: torch.dtype, size: int = 1024) -> float:
    """Of a large matrix product on one core, by processor time."""
    torch.set_num_threads(1)
    a, times = torch.randn(size, size).to(dtype), []
    while sum(times) < PEAK_SECONDS:
        used = time.process_time()
        a @ a
        times.append(time.process_time() - used)
    return 2 * size**3 / min(times) / 1e9


def step_seconds(name: str, layout: torch.memory_format, bf16: bool) -> float:
    torch.manual_seed(0)
    network = build_network(name, 3, 10, 32).to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4, fused=True)
    images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=layout)
    labels, times = torch.randint(0, 10, (BATCH,)), []
    for _ in range(1 + STEPS.get(name, 3)):
        used = time.process_time()
        training_step(network, optimizer, images, labels, bf16)
        times.append(time.process_time() - used)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["densenet121", "lenet5"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"large matrix product: {gigaflops(torch.float32):.0f} GFLOP/s fp32, {gigaflops(torch.bfloat16):.0f} bf16")
    for name in options.networks:
        for layout, words in ((torch.contiguous_format, "planes"), (torch.channels_last, "channels-last")):
            for bf16 in (False, True):
                seconds = step_seconds(name, layout, bf16)
                print(
                    f"{name}, {words}, {'bf16' if bf16 else 'fp32'}: {1e3 * seconds:.1f} ms, {BATCH / seconds:,.0f} images/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
