"""The networks: their sizes, their first weights, and what they refuse."""

import warnings
from functools import cache

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from lab.errors import UserError
from lab.networks import NETWORKS, build_network, initialise, known_networks
from lab.networks.stems import give_small_stem


@cache
def built(name: str, channels: int, classes: int = 10, size: int = 32) -> nn.Module:
    """A network that several tests look at and none changes."""
    torch.manual_seed(0)
    return build_network(name, channels, classes, size)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "channels", "count"),
    [
        # by hand: convolutions 450 + 2,416 + 48,120, batch-norm 12 + 32 + 240, linear 10,164 + 850
        ("lenet5", 3, 62_006 + 284),
        ("lenet5", 1, 62_006 + 284 - 300),
        # as published for the CIFAR forms: github.com/kuangliu/pytorch-cifar
        ("vgg16", 3, 14_728_266),
        ("resnet50", 3, 23_520_842),
        # torchvision's 6,953,856 of the features and 1,024 × 10 + 10
        ("densenet121", 3, 6_953_856 + 10_250),
        ("densenet121", 1, 6_953_856 + 10_250 - 2 * 64 * 49),
        # 0.27 million in the paper's table 6: 3×3 convolutions of 19 layers, scale and bias of batch-norm, linear
        (
            "resnet20",
            3,
            9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2) + 2 * (7 * 16 + 6 * 32 + 6 * 64) + 650,
        ),
        ("resnet8", 1, 9 * (16 + 2 * 16**2 + 16 * 32 + 32**2 + 32 * 64 + 64**2) + 2 * (3 * 16 + 2 * 32 + 2 * 64) + 650),
        # biases of the whitening; 3×3 convolutions; scale and bias of batch-norm; linear: 1.97 million in the paper
        ("airbench", 3, 24 + 9 * (24 * 64 + 64**2 + 64 * 256 + 3 * 256**2) + 2 * (2 * 64 + 4 * 256) + 2_560),
    ],
)
def test_parameter_counts(name, channels, count):
    assert parameters(built(name, channels)) == count


@pytest.mark.parametrize(("name", "channels", "size"), [("lenet5", 1, 32), ("lenet5", 3, 40), ("vgg16", 1, 64), ("resnet50", 1, 65), ("densenet121", 3, 32)])  # fmt: skip
def test_outputs_in_training_mode(name, channels, size):
    network = built(name, channels, 7, size)
    assert network.training
    assert network(torch.rand(2, channels, size, size)).shape == (2, 7)


def test_the_cifar_resnet_keeps_the_resolution_that_the_other_loses():
    """Strides 1-2-2-2 up to 64 pixels; torchvision's own stem above."""
    small, large = built("resnet50", 3), built("resnet50", 1, 7, 65)
    assert small.conv1.kernel_size == (3, 3) and small.conv1.stride == (1, 1) and isinstance(small.maxpool, nn.Identity)
    assert (
        large.conv1.kernel_size == (7, 7) and large.conv1.stride == (2, 2) and isinstance(large.maxpool, nn.MaxPool2d)
    )


@pytest.mark.parametrize("name", [*sorted({*NETWORKS} - {"airbench"}), "mobilenet_v3_small"])
def test_weights_are_kaiming_normal_and_biases_zero(name):
    """Variance 2 / fan-in, and the fourth moment of a normal distribution, over all layers together."""
    network = built(name, 3)
    standardised = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            standardised.append((module.weight.detach() * (fan_in / 2) ** 0.5).flatten())
            assert module.bias is None or not module.bias.any()
            if module.weight.numel() > 5000:
                assert float(standardised[-1].var()) == pytest.approx(1, abs=0.12)
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            assert (module.weight == 1).all() and not module.bias.any()
    every = torch.cat(standardised).double()
    assert float(every.mean()) == pytest.approx(0, abs=0.02)
    assert float(every.square().mean()) == pytest.approx(1, abs=0.03)
    assert float(every.pow(4).mean()) == pytest.approx(3, abs=0.2)


def test_batch_norm_is_the_papers():
    for name in {*NETWORKS} - {"airbench"}:
        norms = [m for m in built(name, 3).modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
        assert norms and all(norm.eps == 1e-5 for norm in norms)


def test_the_generator_decides_the_weights():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build_network("lenet5", 1, 10, 32)[0].taps.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("name", ["lenet5", "vgg16", "resnet18"])
def test_convolutions_lie_channels_last_and_their_weights_are_those_drawn_in_planes(name):
    torch.manual_seed(0)
    network = build_network(name, 3, 10, 64)
    torch.manual_seed(0)
    drawn = NETWORKS[name](3, 10, 64) if name in NETWORKS else get_model(name, weights=None, num_classes=10)
    if name not in NETWORKS:
        give_small_stem(drawn, 10)
    drawn.apply(initialise)
    for one, other in zip(network.parameters(), drawn.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.dim() < 4 or one.is_contiguous(memory_format=torch.channels_last)


# torchvision's


@pytest.mark.parametrize(
    ("name", "channels"), [("resnet18", 1), ("squeezenet1_1", 1), ("mobilenet_v2", 3), ("alexnet", 3)]
)
def test_any_name_of_torchvision(name, channels):
    network = build_network(name, channels, 5, 64)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert first.in_channels == channels
    assert network(torch.rand(2, channels, 64, 64)).shape == (2, 5)


def test_a_grey_first_convolution_keeps_the_rest_of_it():
    for name in ("resnet18", "squeezenet1_1", "regnet_y_400mf"):
        original = next(m for m in get_model(name, weights=None).modules() if isinstance(m, nn.Conv2d))
        first = next(m for m in build_network(name, 1, 5, 65).modules() if isinstance(m, nn.Conv2d))
        for what in ("out_channels", "kernel_size", "stride", "padding"):
            assert getattr(first, what) == getattr(original, what)
        assert (first.bias is None) == (original.bias is None)


def test_a_network_with_auxiliary_outputs_gives_the_main_one():
    """In training mode too, at sizes too small for the auxiliary ones, and without torchvision's warnings about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = build_network("googlenet", 3, 5, 32)
    output = network(torch.rand(2, 3, 32, 32))
    assert isinstance(output, torch.Tensor) and output.shape == (2, 5)
    output.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_known_networks():
    known = known_networks()
    assert set(NETWORKS) < set(known) and "efficientnet_b0" in known
    assert len(known) == len(set(known))
    assert not any("fcn" in name or "detection" in name or "raft" in name for name in known)


# stems


def test_small_images_get_the_stem_for_small_images():
    """ResNet18 at 32 pixels as published for CIFAR: github.com/kuangliu/pytorch-cifar has 11,173,962 parameters."""
    network = built("resnet18", 3)
    assert parameters(network) == 11_173_962
    seen: list[torch.Size] = []
    network.layer1.register_forward_hook(lambda module, images, found: seen.append(found.shape))
    network(torch.rand(2, 3, 32, 32))
    assert seen == [(2, 64, 32, 32)]


@pytest.mark.parametrize(
    ("name", "first"), [("resnet34", "conv1"), ("densenet161", "features.conv0"), ("densenet121", "features.conv0")]
)
def test_stems(name, first):
    def steps(size: int, stem: str) -> tuple[int, ...]:
        convolution = build_network(name, 1, 5, size, stem).get_submodule(first)
        return convolution.in_channels, *convolution.kernel_size, *convolution.stride

    small, large = (1, 3, 3, 1, 1), (1, 7, 7, 2, 2)
    assert steps(40, "auto") == (large if name == "densenet121" else small)  # the paper's
    assert steps(65, "auto") == steps(40, "imagenet") == large
    assert steps(65, "small") == small


def test_a_vgg_of_torchvision_for_small_images_has_one_linear_layer():
    assert sum(isinstance(module, nn.Linear) for module in built("vgg11_bn", 3).modules()) == 1
    assert build_network("vgg11_bn", 1, 5, 32)(torch.rand(2, 1, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("stem", ["auto", "imagenet"])
@pytest.mark.parametrize("name", ["lenet5", "vgg16", "densenet121"])
def test_these_have_one_form_up_to_64_pixels(name, stem):
    torch.manual_seed(0)
    network = build_network(name, 3, 10, 32, stem)
    for one, other in zip(network.parameters(), built(name, 3).parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_network_without_such_a_stem_is_told():
    with pytest.raises(UserError, match="stem=small: mobilenet_v2 has none; ResNets"):
        build_network("mobilenet_v2", 3, 10, 32, "small")


# what they refuse


def told(name: str, size: int, channels: int = 3) -> str:
    with pytest.raises(UserError) as raised:
        build_network(name, channels, 10, size)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [("lenet", "lenet5"), ("resnet_50", "resnet50"), ("densenet", "densenet1"), ("xyz", "known: lenet5")],
)
def test_an_unknown_name_names_the_nearest(name, near):
    message = told(name, 32)
    assert f"there is no network '{name}'" in message and near in message


@pytest.mark.parametrize(
    ("name", "size"), [("lenet5", 31), ("lenet5", 4), ("vgg16", 31), ("alexnet", 32), ("vit_b_32", 32)]
)
def test_images_of_the_wrong_size(name, size):
    message = told(name, size)
    assert name in message and str(size) in message and "resize= or crop=" in message


@pytest.mark.parametrize("channels", [1, 3])
def test_airbench_whitens_what_it_is_first_trained_on(channels):
    """Patches of the first batch come out with unit variance, uncorrelated; later batches change nothing."""
    torch.manual_seed(0)
    network = build_network("airbench", channels, 10, 32)
    images = torch.rand(300, channels, 32, 32)
    layer, images = network[0], images + images.roll(1, 3)  # neighbours are correlated
    whitened = layer(images).detach()
    half = 4 * channels
    assert torch.equal(whitened[:, :half], -whitened[:, half:])
    seen = whitened[:, :half].transpose(0, 1).flatten(1)
    torch.testing.assert_close(seen @ seen.T / seen.shape[1], torch.eye(half), atol=0.05, rtol=0)
    before = layer.filters.clone()
    layer(images * 0.5)
    assert torch.equal(layer.filters, before)
    again = build_network("airbench", channels, 10, 32)
    again.load_state_dict(network.state_dict())
    again(torch.rand(4, channels, 32, 32))
    assert torch.equal(again[0].filters, before)


def test_airbench_learns():
    torch.manual_seed(0)
    network, labels = build_network("airbench", 3, 2, 32), torch.arange(40) % 2
    images = torch.rand(40, 3, 32, 32)
    images[labels == 1, :, :16] *= 0.7
    optimizer = torch.optim.SGD(network.parameters(), 0.3, 0.85, nesterov=True)
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
