"""How hard an example is to a shallow model on the features of a trained network: the transfer score of Hacohen and Weinshall (2019).

`teacher:NAME` is a statistic of examples like `metrics.shallow`, of the features of a network of torchvision.models before its last
layer. What it has computed is kept by the weights it was computed with.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lab.errors import UserError
from lab.settings import nearest
from metrics import EXAMPLE_STATISTICS, difficulty_by_features, version

PREFIX = "teacher:"
SIDE, BATCH = 224, 64  # what torchvision's weights were trained on; images at a time
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect


def register(names: Iterable[str], weights: str | None) -> None:
    """Make those of the names that are teachers statistics of examples. weights: of a file; None takes torchvision's.

    Raises UserError where there is no such network or no such file.
    """
    for name in names:
        if name.startswith(PREFIX):
            EXAMPLE_STATISTICS[name] = teacher(name.removeprefix(PREFIX), weights)


def teacher(name: str, weights: str | None) -> Any:
    """The statistic of a teacher: images, labels, progress to float64 (N,) in 0..1, lower is easier."""
    from torchvision import models  # here, because it takes long to import

    if name not in models.list_models(module=models):
        raise UserError(
            f"{PREFIX}{name}: torchvision.models has no '{name}'{nearest(name, models.list_models(module=models))}"
        )
    if weights is None:
        known = models.get_model_weights(name).DEFAULT.url.encode()
    else:
        try:
            known = Path(weights).expanduser().read_bytes()
        except OSError as error:
            raise UserError(f"teacher_weights={weights}: {error.strerror}") from error

    def statistic(images: Any, labels: np.ndarray, progress: Any = None) -> np.ndarray:  # nothing to draw from a seed
        return difficulty_by_features(features_of(loaded(name, weights), images, progress), labels)

    # the version of a statistic names what is kept of it; 2 is that of `difficulty_by_features`
    return version(int(hashlib.sha256(b"2" + known).hexdigest()[:8], 16))(statistic)


def loaded(name: str, weights: str | None) -> Any:
    """The network in eval mode, without its last linear layer."""
    import torch
    from torch import nn
    from torchvision import models

    from lab.networks.pretrained import head_of

    if weights is None:
        try:
            network = models.get_model(name, weights="DEFAULT")
        except Exception as error:  # of urllib and torch.hub, of many types
            said = " ".join(str(error).split())
            raise UserError(f"{PREFIX}{name}: its weights cannot be had ({said}); give teacher_weights=FILE") from error
    else:
        try:
            state = torch.load(Path(weights).expanduser(), map_location="cpu", weights_only=True)
            ends = [key for key in state if key.endswith(".bias")]
            network = models.get_model(name, weights=None, num_classes=len(state[ends[-1]]))
            network.load_state_dict(state)
        except Exception as error:  # torch's reader, zip and pickle fail in many ways
            said = " ".join(str(error).split())[:200]
            raise UserError(f"teacher_weights={weights}: no weights of torchvision's {name} ({said})") from error
    parent, _, child = head_of(network).rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network.eval()


def features_of(network: Any, images: Any, progress: Any = None) -> np.ndarray:
    """What the network makes of uint8 images of any sizes, brought to 224 x 224 pixels: float32 (N, D)."""
    import torch
    import torch.nn.functional as F

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    mean, deviation = (torch.tensor(each, device=device).view(3, 1, 1) for each in (MEAN, DEVIATION))
    rows = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            batch = []
            for i in range(start, min(start + BATCH, len(images))):
                image = np.asarray(images[i]).reshape(*np.shape(images[i])[:2], -1)
                pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1).float() / 255
                pixels = pixels.expand(3, -1, -1)[None]
                batch.append(F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)[0])
            rows.append(network((torch.stack(batch) - mean) / deviation).flatten(1).cpu().numpy())
            if progress is not None:
                progress(min(start + BATCH, len(images)), len(images))
    return np.concatenate(rows)
