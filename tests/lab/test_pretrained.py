"""Networks that begin with weights from elsewhere, which the tests make."""

import copy
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ResNet18_Weights, get_model

from lab.compose import compose
from lab.errors import UserError
from lab.networks import build_network
from lab.training import Recipe, make_optimizer, training_step
from lab.work import digests_of


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A ResNet18 for 1,000 classes, whose batch-norm has seen something."""
    torch.manual_seed(1)
    network = get_model("resnet18", weights=None)
    network(torch.rand(4, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(trained.state_dict(), path)
    return str(path)


def told(*arguments, **others) -> str:
    with pytest.raises(UserError) as raised:
        build_network(*arguments, **others)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_network_sees_normalised_images_and_has_a_head_of_its_own(trained, file):
    """At 64 pixels too, where drawn weights would have another stem."""
    network = build_network("resnet18", 3, 5, 64, weights=file).eval()
    images = torch.rand(3, 3, 64, 64)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    headless = copy.deepcopy(trained)
    headless.fc = nn.Identity()
    found = network(images)
    assert found.shape == (3, 5)
    torch.testing.assert_close(found, network.body.fc(headless((images - mean) / std)), rtol=1e-4, atol=1e-4)


def test_grey_images_are_seen_in_three_channels(file):
    network, grey = build_network("resnet18", 1, 5, 64, weights=file).eval(), torch.rand(2, 1, 64, 64)
    colour = build_network("resnet18", 3, 5, 64, weights=file).eval()
    colour.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(grey), colour(grey.expand(2, 3, 64, 64)))


def test_a_head_for_as_many_classes_is_kept(trained, file):
    assert torch.equal(build_network("resnet18", 3, 1000, 64, weights=file).body.fc.weight, trained.fc.weight)


@pytest.mark.parametrize("train", ["all", "head"])
def test_what_is_trained(trained, file, train):
    """With head, nothing of the rest moves: neither weights nor the means of batch-norm."""
    network = build_network("resnet18", 3, 5, 64, weights=file, train=train)
    before = copy.deepcopy(network.state_dict())
    optimizer = make_optimizer(network, Recipe.of(compose(["weight_decay=0.1"])))
    network.eval()
    network.train()
    training_step(network, optimizer, torch.rand(8, 3, 64, 64), torch.arange(8) % 5, False)
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert {"body.fc.weight", "body.fc.bias"} <= changed
    assert (changed == {"body.fc.weight", "body.fc.bias"}) == (train == "head")
    assert train == "head" or {"body.conv1.weight", "body.bn1.running_mean"} <= changed


def test_weights_by_name_are_those_that_torchvision_has(trained, tmp_path, monkeypatch):
    """Its file lies where torch.hub would have put it; one that is not there cannot be downloaded here."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    entry = ResNet18_Weights.DEFAULT
    place = tmp_path / "hub" / "checkpoints" / entry.url.rpartition("/")[2]
    place.parent.mkdir(parents=True)
    torch.save(trained.state_dict(), place)
    network = build_network("resnet18", 3, 5, 64, weights="DEFAULT")
    assert torch.equal(network.body.conv1.weight, trained.conv1.weight)
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: exec("raise OSError('no route')"))
    message = told("resnet34", 3, 5, 64, weights="DEFAULT")
    assert "resnet34-" in message and "no route" in message and "weights=PATH" in message
    assert "resnet18 has DEFAULT, IMAGENET1K_V1" in told("resnet18", 3, 5, 64, weights="imagenet")


def test_weights_of_a_densenet_under_their_older_names(tmp_path):
    network = get_model("densenet121", weights=None)
    state = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert {*state} != {*network.state_dict()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "old.pth")
    found = build_network("densenet121", 3, 5, 32, weights=str(tmp_path / "old.pth"))
    assert torch.equal(
        found.body.features.denseblock1.denselayer2.conv2.weight, network.features.denseblock1.denselayer2.conv2.weight
    )


def test_files_that_do_not_serve(trained, file, tmp_path):
    message = told("resnet34", 3, 5, 64, weights=file)
    assert file in message and "of another network: layer1.2.bn1.bias is nothing there, [64] here" in message
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"no weights")
    assert "cannot be read" in told("resnet18", 3, 5, 64, weights=str(bad))
    torch.save(trained, bad)  # a whole network, as pickle: its code is not run
    assert "cannot be read" in told("resnet18", 3, 5, 64, weights=str(bad))
    assert "no network of torchvision" in told("lenet5", 3, 5, 32, weights="DEFAULT")


def test_another_file_is_other_work(file, tmp_path):
    def digests(*words: str) -> list[str]:
        return digests_of(compose([*words]))

    other = tmp_path / "weights.pth"
    other.write_bytes(b"1")
    assert digests() == digests("weights=DEFAULT") == []
    assert digests(f"weights={file}") != digests(f"weights={other}") != []


@pytest.mark.parametrize(
    ("words", "message"), [(["train=head"], "give weights= too"), (["weights=x", "stem=small"], "leave stem=small out")]
)
def test_settings_that_do_not_go_together(words, message):
    with pytest.raises(UserError, match=message):
        compose(words)


# timm's


def test_networks_of_timm(tmp_path):
    timm = pytest.importorskip("timm")
    made = timm.create_model("resnet10t", num_classes=7)
    torch.save(made.state_dict(), tmp_path / "timm.pth")
    network = build_network("timm:resnet10t", 3, 5, 64, weights=str(tmp_path / "timm.pth"), train="head")
    assert network.mean.flatten().tolist() == pytest.approx(made.pretrained_cfg["mean"])
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert torch.equal(network.body.conv1[0].weight, made.conv1[0].weight)
    drawn = build_network("timm:resnet10t", 1, 5, 64)
    F.cross_entropy(drawn(torch.rand(4, 1, 64, 64)), torch.arange(4)).backward()
    assert "did you mean resnet18" in told("timm:resnt18", 3, 5, 64)


def test_without_timm_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert "pip install 'learnorder[timm]'" in told("timm:resnet18", 3, 5, 64)
