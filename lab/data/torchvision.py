"""The classification sets of torchvision, by name: `data=torchvision:FashionMNIST`."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from lab.data.arrays import Part, data_of, numbered
from lab.data.images import DOWNLOAD_ERRORS
from lab.data.split import TEST_NAMES, Data
from lab.errors import UserError
from lab.settings import nearest
from metrics.images import eight_bit

TRAIN_SPLITS = ("train", "trainval", "train-standard")


def torchvision(data: str, root: Path, resize: int | None) -> Data:
    """A set of torchvision.datasets, downloaded to `root` when missing; `torchvision:EMNIST:letters` names a part of one."""
    import torchvision.datasets

    name, _, part = data.partition(":")[2].partition(":")
    if name not in torchvision.datasets.__all__:
        raise UserError(
            f"data={data}: torchvision.datasets has no '{name}'{nearest(name, torchvision.datasets.__all__)}"
        )
    kind = getattr(torchvision.datasets, name)
    parameters = inspect.signature(kind).parameters
    others = any(each.kind == each.VAR_KEYWORD for each in parameters.values())
    shared: dict[str, Any] = {"split": part} if part else {}
    shared |= {"download": True} if "download" in parameters or others else {}
    ways: dict[str, list[dict[str, Any]]]
    if "train" in parameters or (part and others):
        ways = {"train": [{"train": True}], "test": [{"train": False}]}
    elif "split" in parameters and not part:
        ways = {"train": [{"split": each} for each in TRAIN_SPLITS], "test": [{"split": each} for each in TEST_NAMES]}
    else:
        ways = {"all": [{}]}
    read = {one: opened(kind, root, data, [shared | way for way in each]) for one, each in ways.items()}
    given = [label for _, of_part, _ in read.values() for label in of_part]
    names = next(iter(read.values()))[2]
    if names and all(isinstance(label, int) and 0 <= label < len(names) for label in given):
        labels, classes = np.array(given), names
    else:
        labels, classes = numbered(given)
    parts: dict[str, Part] = {}
    for one, (images, of_part, _) in read.items():
        parts[one], labels = (images, labels[: len(of_part)]), labels[len(of_part) :]
    return data_of(parts, classes, resize, f"data={data}")


def opened(
    kind: Any, root: Path, data: str, ways: list[dict[str, Any]]
) -> tuple[list[np.ndarray], list[Any], list[str]]:
    """Images, labels and names of the classes, if any, of the first of several ways to ask for a part that there is."""
    for number, way in enumerate(ways):
        try:
            found = kind(root, **way)
            break
        except (*DOWNLOAD_ERRORS, TypeError, AttributeError, ImportError) as error:
            if not isinstance(error, ValueError) or number == len(ways) - 1:
                why = " ".join(str(error).split())[:300]
                raise UserError(f"data={data}: torchvision cannot open it in root={root} ({why})") from error
    images, labels = [], []
    for image, label in found:
        if not hasattr(image, "mode") or not np.isscalar(label):
            raise UserError(f"data={data}: is no set of images with one class each")
        images.append(eight_bit(image))
        labels.append(label)
    return images, labels, [str(name) for name in getattr(found, "classes", None) or []]
