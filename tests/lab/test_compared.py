"""Training one arm of a comparison: what it writes, its resumption, and a loss that is no number."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from agreement.record import read_lines
from curricula import DYNAMIC
from curricula.dynamic.arm import step_cost
from lab import training
from lab.batches import losses_of
from lab.compared import PARTS, Compared
from lab.compose import compose
from lab.data import Images
from lab.errors import Diverged, UserError
from lab.processes import run_through
from lab.training import Recipe, rates_of, seed_of, train

STEPS = 12
SMALL = ["device=cpu", "precision=fp32", "batch_size=25", "epochs=3", "lr=0.02", "min_lr=0.001", "schedule=one_cycle"]


@pytest.fixture
def arm(tmp_path, few_digits):
    """Makes the plan of an arm in a folder of its own, which draws the 200 first digits in their order."""
    images, labels = few_digits["train"]
    parts = {"train": slice(0, 200), "validation": slice(200, 300), "test": slice(0, 100)}
    for name, part in parts.items():
        Images.of(images[part]).save(tmp_path / name)
        np.save(tmp_path / f"{name}-labels.npy", labels[part])

    def made(name: str, **others) -> Compared:
        folder = tmp_path / name
        folder.mkdir()
        np.save(folder / "order.npy", np.arange(200))
        about = {
            "arm": "curriculum",
            "seed": 3,
            "steps": STEPS,
            "evaluations": 4,
            "pacing": "linear",
            "a": 0.8,
            "b": 0.3,
        }
        return Compared(**about | others, shared=tmp_path, classes=10, sets_of=0, folder=folder)

    return made


def trained(plan: Compared, *words: str) -> None:
    before = torch.get_num_threads()
    try:
        run_through(train, (plan, "lenet5", Recipe.of(compose([*SMALL, *words], "curriculum")), 32, 1))
    finally:
        torch.set_num_threads(before)


def written(folder: Path) -> tuple:
    """All that a training leaves, without times."""
    lines = [line | {"seconds": 0, "time": 0} for line in read_lines(folder / "evaluations.jsonl")]
    return lines, (folder / "drawn.npy").read_bytes(), json.loads((folder / "result.json").read_text())


def test_what_it_writes(arm, monkeypatch):
    plan, rates, begin = arm("one"), [], time.time()

    def step(network, optimizer, *rest, step=training.training_step):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(network, optimizer, *rest)

    monkeypatch.setattr(training, "training_step", step)
    trained(plan)
    assert rates == rates_of(Recipe.of(compose(SMALL, "curriculum")), STEPS, 1)
    lines, _, result = written(plan.folder)
    names = ["step", "train/loss", "validation/loss", "validation/accuracy", "seconds", "time"]
    assert [list(line) for line in lines] == [names] * 4 and [line["step"] for line in lines] == [3, 6, 9, 12]
    times = [line["time"] for line in read_lines(plan.folder / "evaluations.jsonl")]
    assert begin < times[0] <= times[1] <= times[2] <= times[3] < time.time()
    drawn = np.load(plan.folder / "drawn.npy", allow_pickle=False)
    assert drawn.shape == (4, PARTS) and (drawn.sum(axis=1) == 3 * 25).all()
    assert not drawn[0, 4:].any() and drawn[-1, 4:].any()  # easy first
    best = max(lines, key=lambda line: line["validation/accuracy"])
    assert result["best_step"] == best["step"] and set(result) == {
        "test/accuracy",
        "test/accuracy_at_best",
        "best_step",
    }


def test_arms_of_a_seed_begin_with_the_weights_of_network_1_of_a_measurement():
    assert seed_of(3) == seed_of(3, 0) and seed_of(3, 0, 1) != seed_of(3, 1)


@pytest.mark.parametrize(
    ("moment", "dynamic"),
    [
        ("before the checkpoint", None),
        ("after the checkpoint", None),
        ("in the middle", None),
        ("in the middle", "infobatch"),
        ("after the checkpoint", "rho"),
        ("before the checkpoint", "superloss"),
    ],
)
def test_resuming_changes_nothing(arm, tmp_path, monkeypatch, moment, dynamic):
    np.save(tmp_path / "irreducible.npy", np.linspace(0, 2, 200))
    whole, parts = arm("whole", dynamic=dynamic), arm("parts", dynamic=dynamic)
    trained(whole)

    class Stopped(Exception):
        pass

    def save_and_stop(*state, save=training.save_checkpoint):
        if moment == "after the checkpoint":
            save(*state)
        raise Stopped

    def train_a_little():
        steps = train(parts, "lenet5", Recipe.of(compose(SMALL, "curriculum")), 32, 1)
        for _ in range(STEPS - 4):
            next(steps)
        steps.close()

    if moment == "in the middle":
        train_a_little()
    else:
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(training, "save_checkpoint", save_and_stop)
            trained(parts)
    assert not (parts.folder / "result.json").exists()
    trained(parts)
    assert written(parts.folder) == written(whole.folder)


@pytest.mark.parametrize("name", DYNAMIC)
def test_all_arms_cost_the_same(arm, tmp_path, monkeypatch, name):
    """Examples forward, and forward and backward, as the network sees them: a third and a whole, to within a step."""
    np.save(tmp_path / "irreducible.npy", np.linspace(0, 2, 200))
    seen = {True: 0, False: 0}
    build = training.build_network

    def counting(*words):
        network = build(*words)
        network.register_forward_hook(
            lambda module, inputs, output: (
                seen.update({torch.is_grad_enabled(): seen[torch.is_grad_enabled()] + len(output)})
                if module.training
                else None
            )
        )
        return network

    monkeypatch.setattr(training, "build_network", counting)
    cost = step_cost(DYNAMIC[name], 200, 25)
    plan = arm(name, dynamic=name, steps=round(STEPS / cost), evaluations=2)
    trained(plan)
    assert abs(seen[True] + seen[False] / 3 - STEPS * 25) <= 25 * cost / 2
    assert (seen[False] > 0) == (DYNAMIC[name].candidates > 1)


def test_losses_of_a_step_are_told_before_it_and_weigh_it(arm, monkeypatch):
    plan, told, descended = arm("one", dynamic="superloss"), [], []
    step = training.training_step

    def watched(network, optimizer, images, targets, bf16, weight, smoothing, weigh):
        before = [each.clone() for each in network.parameters()]

        def weighing(losses):
            with torch.no_grad():
                expected = losses_of(network(images).float(), targets)
            assert torch.allclose(losses, expected, atol=1e-4)
            assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
            told.append(weigh(losses))
            return told[-1]

        logits, losses = step(network, optimizer, images, targets, bf16, weight, smoothing, weighing)
        last = [each.grad for each in network.parameters()][-1]  # of the last bias: the mean of weighted errors
        errors = logits.softmax(1) - torch.nn.functional.one_hot(targets, 10)
        descended.append(torch.allclose(last, (errors * told[-1][:, None]).mean(0), atol=1e-5))
        return logits, losses

    monkeypatch.setattr(training, "training_step", watched)
    trained(plan)
    assert len(told) == STEPS and all(descended) and not any((each == 1).all() for each in told)


def test_a_loss_that_is_no_number_leaves_nothing_of_its_round(arm):
    plan = arm("one", pacing=None)
    with pytest.raises(Diverged, match=r"^arm curriculum, seed 3 \(lenet5\): the loss is NaN or infinite by step 3; try a smaller lr than 1e\+30$"):  # fmt: skip
        trained(plan, "lr=1e30", "schedule=constant")
    assert read_lines(plan.folder / "evaluations.jsonl") == []
    assert not (plan.folder / "checkpoint.pt").exists()


def test_lines_that_are_missing_are_told(arm):
    plan = arm("one")
    trained(plan)
    (plan.folder / "evaluations.jsonl").write_text("")
    with pytest.raises(UserError, match=r"one is damaged, .*; delete it"):
        trained(plan)
