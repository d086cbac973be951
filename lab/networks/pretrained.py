"""Networks with weights that were trained before: torchvision's, timm's or a file's, behind the normalisation that is theirs."""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from lab.errors import UserError

# means and standard deviations of red, green and blue
IMAGENET: tuple[tuple[float, ...], tuple[float, ...]] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AUXILIARY = re.compile(r"(aux\d|AuxLogits)\.")  # outputs beside the main one, which nothing here trains
# keys of torchvision's older files of DenseNets
OLD_KEY = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$")


class Pretrained(nn.Module):
    """A network that gets images in [0, 1], (B, C, H, W), and sees them as its weights were trained: normalised, grey in three channels.

    body: the network. head: the name in it of the layer that gives the classes. frozen: nothing but the head is trained, and
    batch-norm and dropout of all the rest stay as in eval mode.
    """

    def __init__(self, body: nn.Module, head: str, mean: tuple[float, ...], std: tuple[float, ...], frozen: bool):
        super().__init__()
        self.body, self.head, self.frozen = body, head, frozen
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)
        if frozen:
            body.requires_grad_(False)
            body.get_submodule(head).requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        return self.body((images - self.mean) / self.std)

    def train(self, mode: bool = True) -> "Pretrained":
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self


def head_of(network: nn.Module) -> str:
    """The name of the layer that gives the classes: the last linear one, or convolution."""
    return [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]


def load_weights(network: nn.Module, head: str, state: dict[str, Tensor], about: str) -> None:
    """Give a network the weights of `state`, its head excepted where that has another number of classes.

    about: what the weights are, in messages. Raises UserError where they are of another network.
    """
    own = network.state_dict()
    state = {OLD_KEY.sub(r"\1\2", key.removeprefix("module.")): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if key in own or not AUXILIARY.match(key)}
    of_head = {f"{head}.weight", f"{head}.bias"}
    fits = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    wrong = sorted({*own, *state} - {*fits} - of_head - {key for key in own if key.endswith("num_batches_tracked")})
    if wrong:
        has, needs = (f"{[*each[wrong[0]].shape]}" if wrong[0] in each else "nothing" for each in (state, own))
        raise UserError(f"{about}: of another network: {wrong[0]} is {has} there, {needs} here ({len(wrong)} differ)")
    if not of_head <= {*fits}:
        fits = {key: value for key, value in fits.items() if key not in of_head}
    network.load_state_dict(fits, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights that a file of torch.save or safetensors holds, by name. Raises UserError; runs no code of the file."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model", "network"):
            state = state.get(key, state)
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it is no state_dict")
        return state
    except Exception as error:  # torch's reader, zip and pickle fail in many ways
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"weights={path}: cannot be read ({why}); a file of torch.save(network.state_dict()) is needed"
        ) from error


def downloaded(name: str, weights: str) -> tuple[dict[str, Tensor], tuple[float, ...], tuple[float, ...]]:
    """Weights that torchvision has for a network by this name of theirs (DEFAULT, IMAGENET1K_V1), and their normalisation."""
    from torchvision.models import get_model_weights

    known = get_model_weights(name)
    if weights not in known.__members__:
        names = ", ".join(["DEFAULT", *known.__members__])
        raise UserError(f"weights={weights}: there is no such file, and {name} has {names}")
    entry = known[weights]
    try:
        state = entry.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # of network, disk and hash
        raise UserError(
            f"weights={weights}: {entry.url} cannot be downloaded ({error}); give the file itself, weights=PATH, or put it "
            f"into {torch.hub.get_dir()}/checkpoints"
        ) from error
    about = entry.transforms()
    return state, tuple(about.mean), tuple(about.std)
