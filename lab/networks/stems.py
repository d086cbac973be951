"""The stem for small images: what torchvision's networks for 224 pixels need so that 32 pixels are not 1 after a few layers."""

from torch import nn

SMALL = 64  # pixels up to which stem=auto takes it


def has_small_stem(network: nn.Module) -> bool:
    from torchvision.models import VGG, DenseNet, ResNet

    return isinstance(network, ResNet | DenseNet | VGG)


def give_small_stem(network: nn.Module, classes: int) -> None:
    """Change a ResNet or DenseNet of torchvision to a 3×3 convolution of stride 1 without pooling, and a VGG, whose first
    convolution is one already, to one linear layer: the forms that are usual for CIFAR (He et al. 2016, section 4.2)."""
    from torchvision.models import VGG, DenseNet, ResNet

    if isinstance(network, ResNet):
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif isinstance(network, DenseNet):
        network.features.conv0 = nn.Conv2d(3, network.features.conv0.out_channels, 3, padding=1, bias=False)
        network.features.pool0 = nn.Identity()
    elif isinstance(network, VGG):
        network.avgpool = nn.AdaptiveAvgPool2d(1)
        network.classifier = nn.Linear(512, classes)
