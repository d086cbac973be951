"""Networks: a name, a function (channels, classes, size) to a torch module that maps (B, C, size, size) to (B, classes).

As in the paper (appendix A) every convolution and linear layer starts Kaiming-normal with zero biases, but of a network
that says `own_weights`. Adding a network is one function and one line in NETWORKS; any other name is looked up in torchvision.models, and `timm:NAME` in timm.
"""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lab.code import code_digest
from lab.errors import UserError
from lab.networks.airbench import airbench
from lab.networks.cifar_resnet import resnet8, resnet20
from lab.networks.lenet5 import lenet5
from lab.networks.pretrained import IMAGENET, Pretrained, downloaded, head_of, load_weights, read_weights
from lab.networks.stems import SMALL, give_small_stem, has_small_stem


def vgg16(channels: int, classes: int, size: int) -> nn.Module:
    """VGG16 (Simonyan & Zisserman 2015) in its CIFAR form: 13 3×3 convolutions with batch-norm, one linear layer."""
    if size < 32:
        raise UserError(f"vgg16 needs images of at least 32 pixels, these have {size}: give a larger resize= or crop=")
    layers: list[nn.Module] = []
    width = channels
    for step in (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool"):
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(width, step, 3, padding=1), nn.BatchNorm2d(step), nn.ReLU(inplace=True)]
            width = step
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def resnet50(channels: int, classes: int, size: int) -> nn.Module:
    """ResNet50 (He et al. 2016) in its CIFAR form up to 64 pixels (3×3 stem, no initial pooling), torchvision's above."""
    from torchvision.models import resnet50 as build

    network = build(num_classes=classes)
    if size <= 64:
        network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    else:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return network


def densenet121(channels: int, classes: int, size: int) -> nn.Module:
    """DenseNet121 (Huang et al. 2017) as torchvision has it, with its 7×7 stem on small images too."""
    from torchvision.models import densenet121 as build

    network = build(num_classes=classes)
    network.features.conv0 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return network


NETWORKS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "lenet5": lenet5,
    "vgg16": vgg16,
    "resnet50": resnet50,
    "densenet121": densenet121,
    "resnet8": resnet8,
    "resnet20": resnet20,
    "airbench": airbench,
}


# networks above in the form that torchvision's others take with this stem=
OTHER_STEMS = {("resnet50", "imagenet"), ("densenet121", "small")}


def known_networks() -> list[str]:
    return [*NETWORKS, *(name for name in of_torchvision() if name not in NETWORKS)]


def of_torchvision() -> list[str]:
    import torchvision.models
    from torchvision.models import list_models

    return list_models(module=torchvision.models)


def build_network(
    name: str,
    channels: int,
    classes: int,
    size: int,
    stem: str = "auto",
    weights: str | None = None,
    train: str = "all",
) -> nn.Module:
    """The named network with Kaiming-normal weights, drawn from torch's global generator, checked on one blank image.

    stem, weights, train: as the settings of these names. Its convolutions lie channels-last in memory, which torch multiplies
    fastest, and as images from `lab.batches` do. Raises UserError where the name is unknown or the network does not take
    images of this size and kind.
    """
    if weights:
        network = pretrained(name, channels, classes, size, weights, train == "head")
    else:
        network = drawn(name, channels, classes, size, stem)
        if not getattr(network, "own_weights", False):
            network.apply(initialise)
    network.to(memory_format=torch.channels_last).eval()  # when the weights are drawn: another layout draws others
    try:
        with torch.inference_mode():
            shape = tuple(network(torch.zeros(1, channels, size, size)).shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{name} does not take images of {size}×{size} pixels with {channels} channels ({reason}): give another resize= or crop="
        ) from error
    if shape != (1, classes):
        raise UserError(f"{name} gives outputs of shape {shape}, not one number per class")
    return network.train()


def check_networks(
    names: Iterable[str], channels: int, classes: int, size: int, stem: str, weights: str | None, train: str
) -> str:
    """Raises UserError as `build_network` does for the first name that is wrong. Returns a digest of the code of them all."""
    parts: list[Any] = [initialise]
    for name in dict.fromkeys(names):
        network = build_network(name, channels, classes, size, stem, weights, train)
        parts += [*([NETWORKS[name]] if name in NETWORKS else []), *map(type, network.modules())]
    return code_digest(parts)


def drawn(name: str, channels: int, classes: int, size: int, stem: str) -> nn.Module:
    """A network whose weights are to be drawn."""
    if name.startswith("timm:"):
        return from_timm(name, classes, channels=channels)
    if name in NETWORKS and (name, stem) not in OTHER_STEMS:
        return NETWORKS[name](channels, classes, size)
    if name not in known_networks():
        close = difflib.get_close_matches(name, known_networks(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(NETWORKS)} and torchvision.models"
        raise UserError(f"there is no network '{name}'; {hint}")
    network = from_torchvision(name, classes)
    if stem == "small" and not has_small_stem(network):
        raise UserError(f"stem=small: {name} has none; ResNets, DenseNets and VGGs of torchvision have")
    if stem == "small" or (stem == "auto" and size <= SMALL):
        give_small_stem(network, classes)
    if channels != 3:  # the first convolution is the one that sees the image
        path, first = next((path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d))
        parent, _, attribute = path.rpartition(".")
        setattr(network.get_submodule(parent), attribute, nn.Conv2d(channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=first.bias is not None))  # type: ignore[arg-type]  # fmt: skip
    return network


def pretrained(name: str, channels: int, classes: int, size: int, weights: str, frozen: bool) -> nn.Module:
    """A network with the weights of a file, or of torchvision's or timm's by name, and a head for these classes.

    A name that torchvision has is torchvision's network, in the form for large images.
    """
    path = Path(weights).expanduser()
    state = read_weights(path) if path.is_file() else None
    mean, std = IMAGENET
    if name.startswith("timm:"):
        network = from_timm(name, classes, pretrained=state is None)
        mean, std = network.pretrained_cfg["mean"], network.pretrained_cfg["std"]
    elif name in of_torchvision():
        network = from_torchvision(name, classes)
        if state is None:
            state, mean, std = downloaded(name, weights)
    elif state is None:
        raise UserError(f"weights={weights}: there is no such file, and {name} is no network of torchvision")
    else:
        network = (
            NETWORKS[name](channels, classes, size)
            if name in NETWORKS
            else drawn(name, channels, classes, size, "auto")
        )
        mean, std = (0.0,), (1.0,)
    head = head_of(network)
    network.get_submodule(head).apply(initialise)
    if state is not None:
        load_weights(network, head, state, f"weights={weights}")
    return Pretrained(network, head, mean, std, frozen)


def from_torchvision(name: str, classes: int) -> nn.Module:
    from torchvision.models import get_model

    # their outputs beside the main one would be trained by nothing here, and need larger images
    auxiliary = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return get_model(name, weights=None, num_classes=classes, **auxiliary)


def from_timm(name: str, classes: int, channels: int = 3, pretrained: bool = False) -> nn.Module:
    """The network of timm that `timm:NAME` names. Raises UserError in one line."""
    try:
        import timm
    except ImportError as error:
        raise UserError(f"network={name}: timm is not installed: pip install 'learnorder[timm]'") from error
    short = name.removeprefix("timm:")
    if short.partition(".")[0] not in timm.list_models():
        close = difflib.get_close_matches(short, timm.list_models(), n=3)
        raise UserError(
            f"network={name}: timm has no such network" + (f"; did you mean {', '.join(close)}?" if close else "")
        )
    try:
        return timm.create_model(short, pretrained=pretrained, num_classes=classes, in_chans=channels)
    except Exception as error:  # of network, disk and hash
        if not pretrained:
            raise
        why = str(error).strip().splitlines()[0]
        raise UserError(
            f"weights=: those of {name} cannot be downloaded ({why}); give their file, weights=PATH"
        ) from error


def initialise(module: nn.Module) -> None:
    """Kaiming-normal weights and zero biases (He et al. 2015; appendix A of the paper)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
