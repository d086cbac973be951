"""LeNet5's 5×5 convolutions: `lab.networks.convolution` against torch's own, one by one and in a whole optimiser step.

    uv run benchmarks/convolutions.py [--threads 1] [--batch 128] [--rounds 20]

Made-up images of 32 pixels, wall clock, the shortest of several rounds in which every form has its turn. Ours use one
thread whatever `--threads` gives torch. Beside the times stand floating-point operations per second, of those that the
convolution needs, and those of a large matrix product, which is what a core can do.
"""

import argparse
import time
from collections.abc import Callable

import torch
from precision import gigaflops
from torch import Tensor, nn

from lab.networks import build_network
from lab.networks.convolution import Conv5x5
from lab.settings import compose
from lab.training import make_optimizer, training_step

LAYERS = {"first, 3 to 6 channels, 32×32": (3, 6, 32), "second, 6 to 16 channels, 14×14": (6, 16, 14)}


def shortest(forms: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each form."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds + 1):
        for name, form in forms.items():
            begun = time.perf_counter()
            form()
            times[name].append(time.perf_counter() - begun)
    return {name: min(taken[1:]) for name, taken in times.items()}  # the first warms up


def passes(layer: nn.Conv2d, images: Tensor, needs_images: bool) -> dict[str, Callable[[], object]]:
    """Forward; and backward to what training needs, on outputs and gradients as the layer itself lays them out."""
    leaf = images.detach().requires_grad_(needs_images)
    output = layer(leaf)
    gradient = torch.rand_like(output)
    wanted = [*layer.parameters(), *([leaf] if needs_images else [])]

    def forward() -> None:
        with torch.no_grad():
            layer(images)

    return {
        "forward": forward,
        "backward": lambda: torch.autograd.grad(output, wanted, gradient, retain_graph=True),
    }


def with_torchs_convolutions(network: nn.Sequential) -> nn.Sequential:
    """The same network, its own convolutions replaced by torch's with the same weights."""
    for place, layer in enumerate(network):
        if isinstance(layer, Conv5x5):
            network[place] = nn.Conv2d(layer.in_channels, layer.out_channels, 5)
            network[place].load_state_dict(layer.state_dict())
    return network


def step(network: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], object]:
    optimizer = make_optimizer(network, compose([]))
    return lambda: training_step(network, optimizer, images, labels, False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    product = gigaflops(torch.float32)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{options.threads} threads of torch, batches of {options.batch}")
    print(f"large matrix product: {product:.0f} GFLOP/s a core")
    print(f"{'':42s} {'ours':>9s} {'GFLOP/s':>8s} {'torch':>10s} {'GFLOP/s':>8s} {'ratio':>7s}")
    for name, (channels, outputs, side) in LAYERS.items():
        # as they come: images from `lab.batches`, activations from the layer before
        images = torch.rand(options.batch, side, side, channels).permute(0, 3, 1, 2)
        between = images if channels == 3 else torch.rand(channels, side, side, options.batch).permute(3, 0, 1, 2)
        ours = passes(Conv5x5(channels, outputs), between, channels != 3)
        theirs = passes(nn.Conv2d(channels, outputs, 5), images.contiguous(), channels != 3)
        forms = {f"ours {key}": run for key, run in ours.items()} | {f"torch {key}": run for key, run in theirs.items()}
        found = shortest(forms, options.rounds)
        work = 2 * options.batch * outputs * channels * 25 * (side - 4) ** 2 / 1e9
        for key, parts in (("forward", 1), ("backward", 1 + (channels != 3))):
            a, b = found[f"ours {key}"], found[f"torch {key}"]
            print(f"{name + ', ' + key:42s} {1e3 * a:6.2f} ms {parts * work / a:8.0f} {1e3 * b:7.2f} ms {parts * work / b:8.0f} {b / a:6.2f}×")  # fmt: skip
    images, labels = torch.rand(options.batch, 32, 32, 3).permute(0, 3, 1, 2), torch.randint(10, (options.batch,))
    network, torchs = (build_network("lenet5", 3, 10, 32) for _ in range(2))
    assert isinstance(torchs, nn.Sequential)
    found = shortest(
        {"ours": step(network, images, labels), "torch": step(with_torchs_convolutions(torchs), images, labels)},
        options.rounds,
    )
    a, b = found["ours"], found["torch"]
    print(f"{'a step of LeNet5':42s} {1e3 * a:6.2f} ms {'':8s} {1e3 * b:7.2f} ms {'':8s} {b / a:6.2f}×")


if __name__ == "__main__":
    main()
