"""The ResNets that He et al. (2016) made for CIFAR-10 (section 4.2): three stages of 16, 32 and 64 channels, 6n + 2 layers."""

import torch.nn.functional as F
from torch import Tensor, nn


def resnet8(channels: int, classes: int, size: int) -> nn.Module:
    return cifar_resnet(channels, classes, blocks=1)


def resnet20(channels: int, classes: int, size: int) -> nn.Module:
    return cifar_resnet(channels, classes, blocks=3)


def cifar_resnet(channels: int, classes: int, blocks: int) -> nn.Module:
    """For images of any size; so many blocks a stage, n in the paper."""
    widths = [16, *([16] * blocks), *([32] * blocks), *([64] * blocks)]
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *map(Block, widths, widths[1:]),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes),
    )  # fmt: skip


class Block(nn.Module):
    """Two 3×3 convolutions around a shortcut without parameters: every other pixel, and zeros for new channels (option A)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.added = outputs - inputs
        self.stride = 2 if self.added else 1
        self.first = nn.Conv2d(inputs, outputs, 3, self.stride, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return F.relu(shortcut + self.norm2(self.second(F.relu(self.norm1(self.first(x))))))
