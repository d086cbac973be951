"""What a GPU would be given, without one: torch's fake tensors compute shapes and devices, and refuse to mix devices.

The backward pass needs a GPU; it runs on the CPU in the other tests.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError

from exercises.gpu.record import pack
from lab.batches import Batches, losses_of, predicted
from lab.networks import build_network
from lab.pixels import Images
from lab.training import evaluate, look_at

ROOT = Path(__file__).parents[2]
GPU, SIDE, EXAMPLES = torch.device("cuda"), 40, 70
PIXELS = np.zeros((EXAMPLES * SIDE * SIDE, 3), np.uint8)


@pytest.fixture(params=["the GPU holds the images", "the images would crowd the GPU"])
def holds(request, monkeypatch):
    fits = request.param == "the GPU holds the images"
    free = 8 * PIXELS.nbytes + fits
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * 2**30))
    return fits


def batches(crop: int | None, sets_of: int) -> Batches:
    shapes, begins = np.full((EXAMPLES, 2), SIDE), np.arange(EXAMPLES) * SIDE * SIDE
    return Batches(Images(PIXELS, shapes, begins), np.zeros(EXAMPLES, np.int64), GPU, crop, sets_of)


def test_mixed_devices_would_be_noticed():
    with FakeTensorMode(), pytest.raises(FakeTensorDeviceMismatchError):
        torch.zeros(3, device=GPU) + torch.zeros(3)


@pytest.mark.parametrize("sets_of", [0, 10], ids=["labels", "sets of classes"])
@pytest.mark.parametrize("crop", [None, 32])
def test_batches_reach_the_gpu(holds, crop, sets_of):
    with FakeTensorMode():
        split = batches(crop, sets_of)
        assert split.images.device.type == ("cuda" if holds else "cpu")
        order = torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(0))
        for drawn in (None, split.draws(64, torch.Generator().manual_seed(1))):
            images, targets = split.get(order[:64], drawn)
            assert images.shape == (64, 3, crop or SIDE, crop or SIDE)
            assert images.device.type == targets.device.type == "cuda"
            assert images.is_contiguous(memory_format=torch.channels_last)
            logits = images.new_zeros(64, 10)
            assert losses_of(logits, targets).device.type == predicted(logits, sets_of).device.type == "cuda"


@pytest.mark.filterwarnings("ignore:CUDA is not available")  # so that autocast is off
@pytest.mark.parametrize("name", ["lenet5", "vgg16", "resnet50", "densenet121", "airbench"])
def test_networks_are_evaluated_on_the_gpu(holds, name):
    network = build_network(name, 3, 10, 32)
    with FakeTensorMode() as mode:
        split = batches(32, 0)
        for module in network.modules():
            for tensors in (module._parameters, module._buffers):
                there = {key: value for key, value in tensors.items() if value is not None}
                tensors.update({key: mode.from_tensor(value).to(GPU) for key, value in there.items()})
        look = look_at(split, network, bf16=True)
        evaluate(network, look)
        assert look.found.device.type == look.losses.device.type == "cuda" and look.done == EXAMPLES
        assert all(each.device.type == "cpu" and each.shape == (EXAMPLES,) for each in look.seen())


@pytest.mark.parametrize("name", ["strong", "airbench"])
def test_what_is_packed_for_a_gpu_has_the_programs_recipe(tmp_path, name):
    pack(tmp_path, ["data=digits", f"recipe={name}"])
    about = json.loads((tmp_path / "training.json").read_text())
    layer = OmegaConf.to_container(OmegaConf.load(ROOT / "lab" / "recipes" / f"{name}.yaml"))
    found = about["recipe"] | {"network": about["names"][0]}
    assert layer == {key: found[key] for key in layer}


def test_trainings_need_no_program():
    """Machines with a GPU may have torch alone: `exercises/gpu` trains there without MLflow and OmegaConf."""
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "omegaconf", "altair", "rich", "jinja2", "joblib"):
            raise ImportError(name)

sys.meta_path.insert(0, Missing())
import curricula, metrics, lab.compared, lab.training
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
