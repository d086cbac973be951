"""Data sets: a name, and a function that returns labelled images.

Images are uint8 and are batched by `lab.batches`, so that no Python runs per image while training.
A data set is one function, whose parameters are named as the settings it reads, one line in DATASETS, and a preset
`lab/presets/<name>.yaml`; names of numbers that it annotates examples with go into ANNOTATIONS.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from lab.data.cifar10 import PUBLISHED
from lab.data.cifar10 import cifar10 as load_cifar10
from lab.data.csv import csv as load_csv
from lab.data.digits import digits as load_digits
from lab.data.folder import folder as load_folder
from lab.data.huggingface import huggingface as load_huggingface
from lab.data.imbalance import long_tailed
from lab.data.kth_tips2b import kth_tips2b as load_kth_tips2b
from lab.data.labels import with_corrections
from lab.data.npz import npz as load_npz
from lab.data.split import Data as Data
from lab.data.split import Split as Split
from lab.data.torchvision import torchvision as load_torchvision
from lab.data.traps import traps
from lab.data.voc import voc as load_voc
from lab.errors import UserError
from lab.pixels import Images as Images
from lab.settings import Settings, base

DATASETS: dict[str, Callable[..., Data]] = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "folder": load_folder,
    "imagenet": load_folder,  # train/<wnid>/*.JPEG and val/<wnid>/*.JPEG
    "kth_tips2b": load_kth_tips2b,
    "voc": load_voc,
    "csv": load_csv,
    "npz": load_npz,
    "torchvision": load_torchvision,
    "hf": load_huggingface,
}
# those that are numbers, which a comparison can order by, and whether high is easy; None where that is not known
ANNOTATIONS: dict[str, bool | None] = {
    "instances": False,
    "box_area": True,
    "search_difficulty": False,
    "scale": None,
    "label_entropy": False,
    "c_score": True,
    "label_noise": False,
    **PUBLISHED,
}

OF_DATA = ("root", "resize", "skip_bad_images", "test_sample")  # settings that only data sets read, and not all of them
DIFFICULTIES = ("search_difficulty", "c_score", *PUBLISHED)  # of these, difficulties that others published


def load(settings: Settings) -> Data:
    """The data set that the settings name; raises UserError in one line when it cannot be had.

    Its function gets the settings that its parameters name, `root` and `cache` as paths.
    """
    name = base(settings.data)
    if name not in DATASETS:
        raise UserError(
            f"data={name}: lab/presets/{name}.yaml is there, but lab.data.DATASETS has no function of that name"
        )
    function = DATASETS[name]
    check_read(settings, function)
    values = {name: getattr(settings, name) for name in inspect.signature(function).parameters}
    paths = {name: Path(values[name]).expanduser() for name in ("root", "cache") if name in values}
    data = with_corrections(function(**values | paths), settings.labels, Path(settings.root).expanduser())
    check_labels(settings.data, data)
    data = long_tailed(data, settings.imbalance, settings.seed)
    if data.multi_label and settings.label_smoothing:
        raise UserError(f"label_smoothing={settings.label_smoothing}: the examples have sets of labels; give 0")
    if len(np.unique(data.train.labels)) == 1:
        raise UserError(f"data={settings.data}: all training examples are of one class: there is nothing to learn")
    return replace(data, notes=(*data.notes, *traps(data.train, data.test)))


def check_read(settings: Settings, function: Callable[..., Data]) -> None:
    """Raise UserError for a setting of another data set, which this one does not read and which is not at its default."""
    read = inspect.signature(function).parameters
    default = {entry.name: entry.default for entry in fields(Settings)}
    for name in (name for name in OF_DATA if name not in read):
        if (value := getattr(settings, name)) != default[name]:
            readers = [each for each in DATASETS if name in inspect.signature(DATASETS[each]).parameters]
            raise UserError(
                f"{name}={value}: data={settings.data} does not read it; leave it out, or give another data set: "
                f"{', '.join(f'data={each}' for each in readers)} read{'s' if len(readers) == 1 else ''} it"
            )


def check_labels(name: str, data: Data) -> None:
    """Raise UserError where a data set of one's own has labels that are not its classes, or not one for each image."""
    kinds = 2 ** len(data.classes) if data.multi_label else len(data.classes)
    for part, split in (("train", data.train), ("test", data.test)):
        labels, images = split.labels, len(split.images)
        if labels.dtype.kind not in "iu" or labels.shape != (images,) or len(split.ids) != images:
            found = f"labels {labels.dtype} {labels.shape} and {len(split.ids)} ids for {images} images"
            raise UserError(f"data={name}: the {part} set has {found}; a whole number and an id for each are needed")
        if images and not 0 <= labels.min() <= labels.max() < kinds:
            found = f"labels from {labels.min()} to {labels.max()}"
            raise UserError(
                f"data={name}: the {part} set has {found}, and {len(data.classes)} classes, numbered from 0"
            )
