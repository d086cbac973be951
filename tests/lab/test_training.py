"""The training loop against a plain restatement of it, its resumption after kills, and its schedules."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from agreement.record import LearningRecord, read_epochs
from lab import networks, ranks
from lab import training as loop
from lab.compose import compose
from lab.errors import UserError
from lab.measured import Measured
from lab.processes import PROCESSES, in_turn, run_tasks, run_through, side_by_side, start_server
from lab.training import Recipe, make_optimizer, rates_of, seed_of, settle, train, training_step

ROOT = Path(__file__).parents[2]


def settings(*words: str):
    return compose(
        [
            "data=digits",
            "device=cpu",
            "precision=fp32",
            "epochs=2",
            "batch_size=64",
            "lr=0.02",
            "min_lr=0.001",
            "schedule=cosine",
            *words,
        ]
    )


def task(folder: Path, config, name: str = "lenet5", k: int = 0, threads: int = 1) -> tuple:
    """Arguments of `train` for network k of a record."""
    return Measured(folder, k, config.seed, config.record == "after"), name, Recipe.of(config), 32, threads


def trained(folder: Path, config, name: str = "lenet5", k: int = 0) -> LearningRecord:
    before = torch.get_num_threads()
    try:
        run_through(train, task(folder, config, name, k))
    finally:
        torch.set_num_threads(before)
    return LearningRecord(folder)


def weights(folder: Path, k: int = 0) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"network-{k + 1}" / "checkpoint.pt", weights_only=True)["network"]


def plain_lenet5() -> nn.Sequential:
    """LeNet5 in torch's own modules only, stage by stage where `lab.networks.lenet5` has its own."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2)),
        nn.Identity(), nn.Conv2d(16, 120, 5), nn.BatchNorm2d(120), nn.ReLU(), nn.Flatten(),
        nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def as_plain(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of LeNet5 as those of `plain_lenet5`: its convolutions are matrices."""
    renamed = {key.replace("taps", "0").replace("norm", "1"): value for key, value in state.items()}
    for key, channels in (("0.0.weight", 1), ("1.0.weight", 6), ("3.weight", 16)):
        renamed[key] = renamed[key].view(-1, channels, 5, 5)
    return renamed


def plain_training(network: nn.Module, digits, config, k: int) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """The recipe restated with nothing of the program but the seeds: probabilities (T, N, 10) of each split, mean losses."""
    images = {
        split: torch.from_numpy(part[0].transpose(0, 3, 1, 2) / np.float32(255)) for split, part in digits.items()
    }
    labels = {split: torch.from_numpy(part[1]) for split, part in digits.items()}
    optimizer = torch.optim.SGD(
        network.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )
    outcome = {"train": [], "test": []}
    losses = {"train": [], "test": []}
    for epoch in range(1, config.epochs + 1):
        for group in optimizer.param_groups:
            fraction = (epoch - 1) / config.epochs
            group["lr"] = config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * fraction)) / 2
        order = torch.randperm(300, generator=torch.Generator().manual_seed(seed_of(config.seed, k, epoch)))
        logits = {"train": torch.zeros(300, 10), "test": torch.zeros(100, 10)}
        network.train()
        for start in range(0, 300, config.batch_size):
            index = order[start : start + config.batch_size]
            output = network(images["train"][index])
            logits["train"][index] = output.detach()
            optimizer.zero_grad()
            F.cross_entropy(output, labels["train"][index]).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            logits["test"] = network(images["test"])
            if config.record == "after":
                logits["train"] = network(images["train"])
        for split in logits:
            outcome[split].append(logits[split].softmax(1).numpy())
            losses[split].append(F.cross_entropy(logits[split], labels[split]).item())
    return {split: np.stack(parts) for split, parts in outcome.items()}, losses


def test_networks_that_take_turns_in_one_process_train_as_alone(begun, few_digits):
    """As they do on a GPU; one of three waits until another has ended."""
    digits = {split: (images[:150], labels[:150]) for split, (images, labels) in few_digits.items()}
    config, together, alone = (
        settings("augment=flip_crop"),
        *(begun(each, ["lenet5"] * 3, digits) for each in ("a", "b")),
    )
    before = torch.get_num_threads()
    run_through(in_turn, (train, [task(together, config, k=k) for k in range(3)], 2))
    torch.set_num_threads(before)
    for k in range(3):
        trained(alone, config, k=k)
        assert all(torch.equal(each, weights(alone, k)[key]) for key, each in weights(together, k).items())
    for split in ("train", "test"):
        assert np.array_equal(LearningRecord(together).probability(split), LearningRecord(alone).probability(split))


@pytest.mark.parametrize("record", ["during", "after"])
def test_record_equals_that_of_a_plain_loop(begun, few_digits, record):
    """K=1 of network 3, so that the seed of the network matters."""
    config = settings(f"record={record}")
    folder = begun(networks=("lenet5",) * 3)
    trained(folder, config, k=2)

    torch.manual_seed(seed_of(config.seed, 2))
    initial = networks.build_network("lenet5", 1, 10, 32).state_dict()
    network = plain_lenet5()
    network.load_state_dict(as_plain(initial))
    expected, losses = plain_training(network, few_digits, config, k=2)

    lines = read_epochs(folder / "network-3")
    assert [line["lr"] for line in lines] == pytest.approx([0.02, 0.0105])
    for split, (_, labels) in few_digits.items():
        predictions = np.load(folder / "network-3" / f"{split}-predictions.npy", allow_pickle=False)
        probability = np.load(folder / "network-3" / f"{split}-probability.npy", allow_pickle=False)
        assert predictions.shape == probability.shape == (2, len(labels))
        # the fused layers round differently: only examples torn between two classes may fall to the other side
        best = np.sort(expected[split], axis=2)
        clear = best[:, :, -1] - best[:, :, -2] > 2e-4
        assert clear.mean() > 0.95
        np.testing.assert_array_equal(predictions[clear], expected[split].argmax(2)[clear])
        of_truth = np.take_along_axis(expected[split], labels[None, :, None], 2)[..., 0]
        np.testing.assert_allclose(probability / 255, of_truth, atol=0.5 / 255 + 1e-4)
        one_hot = np.eye(10, dtype=bool)[labels]
        margin = np.log(of_truth) - np.log(np.where(one_hot, 0, expected[split]).max(axis=2))  # a difference of logits
        for kind, values in (("margin", margin), ("error", np.linalg.norm(expected[split] - one_hot, axis=2))):
            noted = np.load(folder / "network-3" / f"{split}-{kind}.npy", allow_pickle=False)
            np.testing.assert_allclose(noted, values, rtol=2e-3, atol=2e-3)
        assert [line[f"{split}/loss"] for line in lines] == pytest.approx(losses[split], rel=1e-4)
        assert [line[f"{split}/accuracy"] for line in lines] == pytest.approx(
            (predictions == labels).mean(axis=1).tolist()
        )
    for name, value in as_plain(weights(folder, k=2)).items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-3, atol=1e-5)


def small_network(channels: int, classes: int, size: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, classes),
    )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    """All arrays of a network's record, and its numbers without when they came and the time that they took."""
    found = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    timed = ("seconds", "time")
    lines = [{key: value for key, value in line.items() if key not in timed} for line in read_epochs(folder)]
    return found | {"epochs": json.dumps(lines).encode()}


def assert_same(one: Path, other: Path, k: int = 0) -> None:
    assert files(one / f"network-{k + 1}") == files(other / f"network-{k + 1}")
    for name, value in weights(one, k).items():
        assert torch.equal(value, weights(other, k)[name]), name


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("lenet5", ("optimizer=sgd", "schedule=cosine")),
        ("lenet5", ("optimizer=adam", "schedule=one_cycle", "lr=0.001", "crop=32")),
        (
            "small",
            (
                "optimizer=adamw",
                "schedule=step",
                "step_epochs=1",
                "crop=28",
                "augment=trivial",
                "warmup=0.5",
                "label_smoothing=0.1",
            ),
        ),
    ],
)
def test_resuming_after_an_epoch_changes_nothing(begun, monkeypatch, name, recipe):
    """Dropout and crops too are drawn again as they were."""
    monkeypatch.setitem(networks.NETWORKS, "small", small_network)
    config = settings("epochs=3", *recipe)
    whole, parts = begun("whole"), begun("parts")
    trained(whole, config, name)

    class Stopped(Exception):
        pass

    def save_and_stop(*state, save=loop.save_checkpoint):
        save(*state)
        raise Stopped

    for epoch in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "save_checkpoint", save_and_stop)
            with pytest.raises(Stopped):
                trained(parts, config, name)
        assert len(read_epochs(parts / "network-1")) == epoch
    trained(parts, config, name)
    assert_same(whole, parts)
    assert LearningRecord(parts).epochs == 3


def test_killed_again_and_again_it_ends_with_the_same_record(begun):
    """SIGKILL at times that hit any point of an epoch: training, writing the record, writing the checkpoint."""
    config = settings("epochs=4")
    whole, killed = begun("whole"), begun("killed")
    trained(whole, config)
    start_server(train)
    kills = 0
    for attempt in range(30):
        process = PROCESSES.Process(target=run_through, args=(train, task(killed, config)))
        process.start()
        begun_with = len(read_epochs(killed / "network-1"))
        while process.is_alive() and len(read_epochs(killed / "network-1")) <= begun_with:
            time.sleep(0.002)
        time.sleep(0.013 * (attempt % 8))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        record = LearningRecord(killed)  # readable at any moment, and right as far as it goes
        for split in ("train", "test"):
            (part,), (of_whole,) = record.predictions(split), LearningRecord(whole).predictions(split)
            np.testing.assert_array_equal(part, of_whole[: record.epochs])
    trained(killed, config)
    assert kills >= 2
    assert_same(whole, killed)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b""])
@pytest.mark.parametrize("name", ["checkpoint.pt", "train-predictions.npy", "epochs.jsonl"])
def test_a_damaged_network_is_told_and_can_be_begun_anew(begun, name, damage):
    config = settings("epochs=2")
    folder = begun()
    trained(folder, config)
    whole = (folder / "network-1" / "train-probability.npy").read_bytes()
    path = folder / "network-1" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"network-1 is damaged, .*; delete it") as told:
        trained(folder, config)
    assert "\n" not in str(told.value)
    shutil.rmtree(folder / "network-1")
    trained(folder, config)
    assert (folder / "network-1" / "train-probability.npy").read_bytes() == whole


def test_checkpoints_of_two_networks_that_change_places_are_told(begun):
    folder, config = begun(networks=("lenet5", "lenet5")), settings("epochs=1")
    for k in range(2):
        trained(folder, config, k=k)
    first, second = (folder / f"network-{k}" / "checkpoint.pt" for k in (1, 2))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    for k in range(2):
        with pytest.raises(UserError, match=rf"network-{k + 1} is of another training than network {k + 1} \(lenet5\)"):
            trained(folder, settings("epochs=2"), k=k)


def test_the_number_of_workers_changes_nothing(begun):
    """Five networks one after the other, two at a time and all at once."""
    config, folders = settings("batch_size=100"), {}
    for asked in (1, 2, 5):
        workers, threads = side_by_side(5, asked, on_gpu=False)
        assert workers == asked
        folders[asked] = begun(f"workers-{asked}", networks=("lenet5",) * 5)
        run_tasks(train, [task(folders[asked], config, k=k, threads=threads) for k in range(5)], workers)
    for k in range(5):
        assert_same(folders[1], folders[2], k)
        assert_same(folders[1], folders[5], k)


def test_networks_epochs_and_seeds_draw_differently(begun):
    seeds = {seed_of(seed, k, epoch) for seed in range(4) for k in range(4) for epoch in range(4)}
    assert len(seeds) == 64 and all(0 <= seed < 2**63 for seed in seeds)
    folder = begun(networks=("lenet5", "lenet5"))
    config = settings("epochs=1")
    record = [trained(folder, config, k=k) for k in (0, 1)][-1]
    one, other = record.predictions("test")
    assert (one != other).any()


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_record(begun):
    """The first epoch is sound; from the second on the learning rate is absurd."""
    folder = begun()
    with pytest.raises(
        UserError, match=r"^network 1 \(lenet5\): the loss is NaN or infinite in epoch 2; try a smaller lr than 0.02$"
    ):
        trained(folder, settings("epochs=3", "schedule=step", "step_epochs=1", "step_factor=1e12"))
    record = LearningRecord(folder)
    assert record.epochs == 1
    assert record.correct("train").shape == (1, 1, 300)
    assert torch.load(folder / "network-1" / "checkpoint.pt", weights_only=True)["done"] == 1


def test_a_loss_that_is_no_number_in_the_first_epoch(begun):
    folder = begun(networks=("lenet5", "lenet5"))
    with pytest.raises(UserError, match=r"^network 2 \(lenet5\): .* in epoch 1;"):
        trained(folder, settings("lr=1e9"), k=1)
    assert read_epochs(folder / "network-2") == []


@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_a_last_batch_of_one_example(begun, few_digits, name):
    """Batch-norm in training mode has no variance to take from one vector."""
    digits = {split: (images[:33], labels[:33]) for split, (images, labels) in few_digits.items()}
    folder = begun(networks=(name,), digits=digits)
    record = trained(folder, settings("batch_size=16", "epochs=1", "schedule=one_cycle"), name)
    assert record.correct("train").shape == (1, 1, 33)
    assert np.isfinite(record.series("train/loss")).all()


def test_every_line_says_when_it_was_written_and_the_checkpoint_follows(begun, monkeypatch):
    folder, lines = begun(), []

    def save(path, state, save=loop.save_checkpoint):
        lines.append(len(read_epochs(path.parent)))
        save(path, state)

    monkeypatch.setattr(loop, "save_checkpoint", save)
    begin = time.time()
    trained(folder, settings())
    assert lines == [1, 2]
    times = [line["time"] for line in read_epochs(folder / "network-1")]
    assert begin < times[0] < times[1] < time.time()


# learning rates


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # cosine starts at lr, is half-way in the middle, and would reach min_lr after the last epoch
        (["schedule=cosine", "epochs=4", "lr=0.1", "min_lr=0.02"],
         [0.1, 0.06 + 0.04 * math.sqrt(0.5), 0.06, 0.06 - 0.04 * math.sqrt(0.5)]),
        (["schedule=cosine", "epochs=2", "lr=0.001", "min_lr=0.02"], [0.001, 0.001]),
        (["schedule=step", "epochs=6", "step_epochs=2", "step_factor=0.2", "lr=1"], [1, 1, 0.2, 0.2, 0.04, 0.04]),
        (["schedule=constant", "epochs=3", "lr=0.3"], [0.3] * 3),
    ],
)  # fmt: skip
def test_rates_by_epoch(words, expected):
    recipe = Recipe.of(settings(*words))
    rates = rates_of(recipe, recipe.epochs, 7)
    assert rates == pytest.approx(np.repeat(expected, 7).tolist())
    assert all(len(set(rates[epoch * 7 : epoch * 7 + 7])) == 1 for epoch in range(recipe.epochs))


def test_one_cycle_by_step():
    """Smith & Topin 2018 as torch has it: up from lr/25 over 30 % of the steps, down to lr/25/1e4, along half cosines."""
    rates = rates_of(Recipe.of(settings("schedule=one_cycle", "optimizer=adam", "epochs=2", "lr=0.001")), 2, 10)

    def between(start: float, end: float, fraction: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2

    low, high, least = 0.001 / 25, 0.001, 0.001 / 25 / 1e4
    assert rates == pytest.approx(
        [between(low, high, i / 5) if i <= 5 else between(high, least, (i - 5) / 14) for i in range(20)]
    )


def test_warm_up_rises_step_by_step_to_the_schedule():
    recipe = Recipe.of(settings("schedule=constant", "epochs=4", "lr=0.4", "warmup=0.5"))
    assert rates_of(recipe, 4, 8) == pytest.approx([0.1, 0.2, 0.3, 0.4] + [0.4] * 28)
    assert rates_of(recipe, 16, 1) == pytest.approx([0.2, 0.4] + [0.4] * 14)  # of a comparison: 16 steps are 4 epochs


def test_smoothed_labels_are_those_of_torch_and_the_losses_those_of_the_labels():
    network, draw = nn.Linear(6, 4), torch.Generator().manual_seed(0)
    images, labels = torch.rand(9, 6, generator=draw), torch.arange(9) % 4
    expected = F.cross_entropy(network(images), labels, label_smoothing=0.3)
    expected.backward()
    gradient = network.weight.grad.clone()
    _, losses = training_step(network, torch.optim.SGD(network.parameters(), 0.0), images, labels, False, 1, 0.3)
    torch.testing.assert_close(network.weight.grad, gradient)
    torch.testing.assert_close(losses, F.cross_entropy(network(images), labels, reduction="none").detach())


def test_adamw_decays_the_weights_beside_the_gradient():
    """Without a gradient the weights shrink by lr times weight_decay, which Adam's would not."""
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    optimizer = make_optimizer(network, Recipe.of(settings("optimizer=adamw", "lr=0.1", "weight_decay=0.5")))
    network.weight.grad = torch.zeros(2, 2)
    optimizer.step()
    torch.testing.assert_close(network.weight.detach(), before * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step", "constant"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rates_are_those_of_torchs_schedule_on_the_optimiser_itself(schedule, optimizer):
    """To the last bit, for the steps of a comparison: its schedules are stretched over the steps."""
    recipe, steps = Recipe.of(settings(f"schedule={schedule}", f"optimizer={optimizer}", "step_epochs=1")), 31
    trained = make_optimizer(nn.Linear(2, 2), recipe)
    schedules = torch.optim.lr_scheduler
    there = {
        "cosine": lambda: schedules.CosineAnnealingLR(trained, steps, 0.001),
        "one_cycle": lambda: schedules.OneCycleLR(trained, 0.02, total_steps=steps, cycle_momentum=False),
        "step": lambda: schedules.StepLR(trained, 16, 0.1),  # one of two epochs
        "constant": lambda: schedules.ConstantLR(trained, factor=1.0),
    }[schedule]()
    expected = []
    for _ in range(steps):
        expected.append(trained.param_groups[0]["lr"])
        trained.step()
        there.step()
    assert rates_of(recipe, steps, 1) == expected


@pytest.mark.parametrize("words", [["schedule=cosine"], ["schedule=one_cycle", "optimizer=adam"]])
@pytest.mark.parametrize(("examples", "steps"), [(300, 5), (64, 1), (65, 1), (66, 2)])
def test_there_is_a_rate_for_every_step(begun, few_digits, words, examples, steps, monkeypatch):
    digits = {split: (images[:examples], labels[:examples]) for split, (images, labels) in few_digits.items()}
    taken = []

    def step(network, optimizer, *rest, step=loop.training_step):
        taken.append(optimizer.param_groups[0]["lr"])
        return step(network, optimizer, *rest)

    monkeypatch.setattr(loop, "training_step", step)
    config, folder = settings(*words, "lr=0.001", "epochs=3"), begun(digits=digits)
    trained(folder, config)
    assert taken == rates_of(Recipe.of(config), 3, steps)
    assert [line["lr"] for line in read_epochs(folder / "network-1")] == taken[::steps]


def test_optimizers_follow_the_recipe():
    network = nn.Linear(2, 2)
    sgd = make_optimizer(network, Recipe.of(settings("momentum=0.8", "weight_decay=0.01", "lr=0.3"))).param_groups[0]
    assert (sgd["lr"], sgd["momentum"], sgd["weight_decay"], sgd["nesterov"]) == (0.3, 0.8, 0.01, False)
    adam = make_optimizer(network, Recipe.of(settings("optimizer=adam", "momentum=0.8"))).param_groups[0]
    assert adam["betas"] == (0.8, 0.999)


def loaded(path: Path) -> Iterator[None]:
    """Notes what a new process has imported, and how long its first optimiser takes."""
    names, begun = ("torch._dynamo", "lab.training", "lab.networks.lenet5"), time.perf_counter()
    found = [name for name in names if name in sys.modules]
    torch.optim.SGD([nn.Parameter(torch.zeros(1))])
    path.write_text(json.dumps([found, time.perf_counter() - begun]))
    yield


PROGRAM = """
import sys
from pathlib import Path
from lab.processes import run_tasks, start_server
from lab.training import train
from test_training import loaded

if __name__ == "__main__":
    start_server(train)
    run_tasks(loaded, [(Path(sys.argv[1]),)], 1)
"""


@pytest.mark.slow
def test_a_new_process_has_imported_torchs_compiler_and_ours(tmp_path):
    """Each would otherwise take seconds for it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))
    program = [sys.executable, tmp_path / "program.py", tmp_path / "found"]
    subprocess.run(program, env={**os.environ, "PYTHONPATH": path}, check=True, timeout=300)
    found, seconds = json.loads((tmp_path / "found").read_text())
    assert found == ["torch._dynamo", "lab.training", "lab.networks.lenet5"]
    assert seconds < 1


# devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_batch_too_small_for_the_ranks_is_told_before_any_training(begun, monkeypatch):
    folder = begun()
    monkeypatch.setattr(ranks, "count", lambda: 23)  # 300 examples leave 44 for the last batch
    with pytest.raises(UserError, match="a batch of 44 is too small for 23 processes"):
        trained(folder, settings())
    assert not (folder / "network-1" / "epochs.jsonl").exists()


def test_a_gpu_that_is_not_there():
    with pytest.raises(UserError, match=r"^device=cuda: .*device=cpu$"):
        settle("cuda", "fp32")
    with pytest.raises(UserError, match="precision=tf32 is of NVIDIA GPUs"):
        settle("cpu", "tf32")
    assert settle("auto", "fp32") == settle("cpu", "fp32") == ("cpu", "fp32")


def test_bf16_trains_too(begun):
    record = trained(begun(), settings("precision=bf16", "epochs=6"))
    assert record.series("train/accuracy")[0, -1] > 0.7


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "vendor", "gains"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
        (False, True, None, False),
    ],
)
def test_bf16_is_chosen_where_the_cpu_multiplies_it_faster(tmp_path, monkeypatch, amx, avx512_bf16, vendor, gains):
    about = tmp_path / "cpuinfo"
    if vendor:
        about.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(loop, "Path", lambda name: about)
    assert settle("cpu", "auto") == ("cpu", "bf16" if gains else "fp32")
    assert settle("cpu", "bf16")[1] == "bf16" and settle("cpu", "fp32")[1] == "fp32"
