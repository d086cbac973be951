"""On a GPU: captured steps, networks that take turns and resumed trainings give the record of plain steps, byte for byte.

    pytest --noconftest -m gpu tests/lab/test_cuda.py

needs torch, torchvision and pytest, but neither MLflow nor OmegaConf. Skipped where torch sees no GPU.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from agreement.record import LearningRecord
from exercises.gpu.speed import CLASSES, SIDE, made_up, recipe
from lab.measured import Measured
from lab.networks import build_network
from lab.processes import in_turn, run_through
from lab.training import train

SIZES = {"train": 300, "test": 70}
FORMS = [("lenet5", {}), ("airbench", {"optimizer": "nesterov"}), ("resnet18", {"optimizer": "adam", "lr": 0.001, "augment": "flip_crop"})]  # fmt: skip

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


def plan(record: Path, name: str, k: int = 0, **more) -> tuple:
    return Measured(record, k, 0, False), name, recipe(**{"epochs": 4, "batch_size": 64} | more), SIDE, 1


def contents(record: Path) -> dict[str, np.ndarray]:
    read = LearningRecord(record)
    return {
        f"{kind}-{split}": getattr(read, kind)(split)
        for kind in ("correct", "probability", "margin", "error")
        for split in SIZES
    }


def assert_same(record: Path, other: Path) -> None:
    for name, values in contents(record).items():
        np.testing.assert_array_equal(values, contents(other)[name], err_msg=name)


@pytest.mark.parametrize(("name", "more"), FORMS)
def test_captured_steps_write_the_record_of_plain_ones(tmp_path, name, more):
    records = {graphs: made_up(tmp_path / str(graphs), [name], SIZES) for graphs in (True, False)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no step falls back
        for graphs, record in records.items():
            run_through(train, plan(record, name, graphs=graphs, **more))
    assert_same(records[True], records[False])


@pytest.mark.parametrize(("name", "more"), FORMS)
def test_a_training_that_was_cut_off_goes_on_to_the_same_record(tmp_path, name, more):
    whole, cut = (made_up(tmp_path / each, [name], SIZES) for each in ("whole", "cut"))
    run_through(train, plan(whole, name, **more))
    steps = train(*plan(cut, name, **more))
    while not (cut / "network-1" / "checkpoint.pt").exists():
        next(steps)
    steps.close()
    run_through(train, plan(cut, name, **more))
    assert_same(whole, cut)


def test_networks_that_take_turns_train_as_alone(tmp_path):
    together, alone = (made_up(tmp_path / each, ["lenet5"] * 3, SIZES) for each in ("together", "alone"))
    run_through(in_turn, (train, [plan(together, "lenet5", k) for k in range(3)], 2))
    for k in range(3):
        run_through(train, plan(alone, "lenet5", k))
    assert_same(together, alone)


@pytest.mark.parametrize("name", ["lenet5", "resnet50", "densenet121", "airbench"])
def test_fp32_is_fp32(name):
    """Without TF32 logits are those of the CPU to 1e-4; with it, deep networks are off by a hundred times as much."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    network, images = build_network(name, 3, CLASSES, SIDE), torch.rand(16, 3, SIDE, SIDE)
    network(images)
    network.eval()
    with torch.no_grad():
        here = network(images)
        there = network.cuda()(images.cuda()).cpu()
    assert float((here - there).abs().max() / here.abs().max()) < 1e-4
