"""How fast K LeNet5 networks train on CIFAR-10, everything counted, against plain forms of the same work in one run.

    uv run benchmarks/lenet5.py [--root data] [--networks 5] [--epochs 2]

Figures are training images per second, summed over networks: the wall time counts data, forward,
backward, optimiser, the learning record and the evaluation of the test set, but not importing torch. The plain
forms train one network in one process with one thread and no evaluation, which flatters them; "two of them" is twice
that, as if nothing were lost side by side.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import nn

from agreement.record import begin_record
from conf import compose
from training.batches import share
from training.data import load
from training.loop import train_network
from training.parallel import run_tasks, side_by_side, warm_up


def plain_lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.BatchNorm2d(120), nn.ReLU(),
        nn.Flatten(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def train_plainly(batches, count: int) -> float:
    """Images per second of an unadorned fp32 loop over `count` batches, after three to warm up."""
    network = plain_lenet5()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4)
    images_seen, started = 0, 0.0
    for step, (images, labels) in enumerate(batches):
        if step == 3:
            started = time.perf_counter()
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 3:
            images_seen += len(labels)
        if step == count + 2:
            break
    return images_seen / (time.perf_counter() - started)


def from_files(root: Path):
    """The original's way: a DataLoader with worker processes over image files."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import ToTensor

    return iter(DataLoader(ImageFolder(root, ToTensor()), 128, shuffle=True, num_workers=2))


def from_memory(images: np.ndarray, labels: np.ndarray):
    images, labels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    for index in torch.randperm(len(labels)).split(128):
        yield images[index].float() / 255, labels[index]


def stacked(images: np.ndarray, labels: np.ndarray, networks: int, count: int) -> float:
    """All networks as one, their weights stacked (torch.func.vmap), each with batches of its own; summed images/s."""
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    models = [plain_lenet5() for _ in range(networks)]
    parameters, buffers = stack_module_state(models)
    for norm in (module for module in models[0].modules() if isinstance(module, nn.BatchNorm2d)):
        norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    buffers = {}
    velocity = {key: torch.zeros_like(value) for key, value in parameters.items()}

    def loss(parameters, x, y):
        return F.cross_entropy(functional_call(models[0], (parameters, buffers), (x,)), y)

    step_all = vmap(grad_and_value(loss))
    data, labels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    for step in range(count + 3):
        if step == 3:
            started = time.perf_counter()
        index = torch.randint(len(labels), (networks, 128))
        gradients, _ = step_all(parameters, data[index].float() / 255, labels[index])
        for key, gradient in gradients.items():
            velocity[key].mul_(0.9).add_(gradient + 5e-4 * parameters[key].detach())
            parameters[key] = parameters[key].detach() - 0.1 * velocity[key]
    return networks * 128 * count / (time.perf_counter() - started)


def ours(config, data, workers: int) -> float:
    """The program's own training: summed images/s over the wall time of all, the start of the processes included."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        splits = {"train": data.train, "test": data.test}
        labels = {key: split.labels for key, split in splits.items()}
        ids = {key: split.ids for key, split in splits.items()}
        begin_record(record, ["lenet5"] * config.networks, data.classes, labels, ids)
        for key, split in splits.items():
            share(split.images, record.parent / key)
        plain = OmegaConf.create(OmegaConf.to_container(config))
        _, threads = side_by_side(config.networks, 0, on_gpu=False)
        tasks = [(k, "lenet5", plain, record, 32, threads) for k in range(config.networks)]
        started = time.perf_counter()
        run_tasks(train_network, tasks, workers)
        return config.networks * len(data.train) * config.epochs / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds cifar10/ (default: data)")
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    warm_up("training.loop")
    config = compose(
        ["data=cifar10", f"root={options.root}", f"networks={options.networks}", f"epochs={options.epochs}"]
    )
    data = load(config)
    torch.set_num_threads(1)
    workers, _ = side_by_side(options.networks, 0, on_gpu=False)

    rates = {}
    folder = Path(options.root) / "cifar10" / "train"
    if folder.is_dir():
        rates["original: DataLoader over files, fp32"] = train_plainly(from_files(folder), 100)
    rates["plain loop in memory, fp32, one process"] = train_plainly(
        from_memory(data.train.images, data.train.labels), 150
    )
    torch.set_num_threads(2)
    rates["stacked with torch.func.vmap, 2 threads"] = stacked(
        data.train.images, data.train.labels, options.networks, 15
    )
    torch.set_num_threads(1)
    rates["ours, two processes at a time"] = ours(config, data, 2)
    rates[f"ours, {workers} processes at a time (default)"] = ours(config, data, workers)
    rates["ours in fp32 (default otherwise)"] = ours(OmegaConf.merge(config, {"precision": "fp32"}), data, workers)
    default = rates[f"ours, {workers} processes at a time (default)"]
    print(f"{'images/s, all networks':>62}  ours is faster by")
    for name, rate in rates.items():
        print(f"{name:50s} {rate:11,.0f}  {default / rate:6.2f}×")
    plain = rates["plain loop in memory, fp32, one process"]
    print(f"{'two plain loops, if side by side cost nothing':50s} {2 * plain:11,.0f}  {default / plain / 2:6.2f}×")


if __name__ == "__main__":
    main()
