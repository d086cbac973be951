"""The network of airbench94 (Jordan 2024, arXiv:2404.00498, section 3): whitened patches, then three blocks of two convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 2  # pixels of a patch that is whitened
EPSILON = 5e-4  # added to the variance of a principal component
WIDTHS = (64, 256, 256)
SCALE = 1 / 9  # of the logits


def airbench(channels: int, classes: int, size: int) -> nn.Module:
    """For images of 9 pixels or more. Weights begin as in the paper, not Kaiming-normal."""
    before = (2 * channels * SIDE**2, *WIDTHS)
    blocks = [block(inputs, outputs) for inputs, outputs in zip(before, WIDTHS, strict=False)]
    head = Scaled(nn.Linear(WIDTHS[-1], classes, bias=False))
    return OwnWeights(Whitening(channels), nn.GELU(), *blocks, nn.AdaptiveMaxPool2d(1), nn.Flatten(), head)


class OwnWeights(nn.Sequential):
    """A network that begins with the weights it was built with."""

    own_weights = True


class Whitening(nn.Module):
    """Principal components of 2×2 patches, each of variance 1, and minus these: x (B, C, H, W) to (B, 8 C, H - 1, W - 1).

    They are those of the first batch that it is trained on (the paper's are of 5,000 images) and stay; only the bias is trained.
    """

    def __init__(self, channels: int):
        super().__init__()
        values = channels * SIDE**2
        self.bias = nn.Parameter(torch.zeros(2 * values))
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("filters", torch.zeros(2 * values, channels, SIDE, SIDE))
        self.register_buffer("found", torch.zeros((), dtype=torch.bool))
        self.ready = False  # `found`, known without asking the device, which a captured step must not

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.ready:
            self.find(x.detach().float())
        return F.conv2d(x - self.mean, self.filters, self.bias)

    @torch.no_grad()
    def find(self, x: Tensor) -> None:
        with torch.autocast(x.device.type, enabled=False):
            self.mean.copy_(x.mean((0, 2, 3))[:, None, None])
            patches = F.unfold(x - self.mean, SIDE).transpose(1, 2).flatten(0, 1)
            variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
            filters = (components / (variances.clamp(min=0) + EPSILON).sqrt()).T.flip(0)
            self.filters.copy_(torch.cat([filters, -filters]).view_as(self.filters))
        self.found.fill_(True)
        self.ready = True

    def _load_from_state_dict(self, state_dict, prefix, *args):
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.ready = bool(self.found)


class Scaled(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * SCALE


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, outputs), nn.MaxPool2d(2), norm(outputs), nn.GELU(),
        convolution(outputs, outputs), norm(outputs), nn.GELU(),
    )  # fmt: skip


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3×3; as many outputs as there are inputs begin as their inputs."""
    made = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(made.weight.data[:inputs])
    return made


def norm(channels: int) -> nn.BatchNorm2d:
    """Without a scale; its statistics follow the last batches closely, because there are few."""
    made = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    made.weight.requires_grad_(False)
    return made
