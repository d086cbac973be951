"""Data sets of Hugging Face: `data=hf:NAME[:config]`, from a folder of `save_to_disk` or from their hub."""

from pathlib import Path
from typing import Any

import numpy as np

from lab.data.arrays import Part, data_of, numbered
from lab.data.split import Data
from lab.errors import UserError
from metrics.images import eight_bit


def huggingface(data: str, root: Path, resize: int | None) -> Data:
    """The set that `save_to_disk` wrote to `root` or `root/NAME`, else the one of that name on the hub."""
    try:
        import datasets
    except ImportError as error:
        raise UserError(f"data={data}: datasets is not installed: pip install 'learnorder[hf]'") from error
    name, _, configuration = data.partition(":")[2].partition(":")
    saved = [place for place in (root, root / name) if any((place / file).is_file() for file in ("dataset_dict.json", "dataset_info.json"))]  # fmt: skip
    try:
        read = datasets.load_from_disk(str(saved[0])) if saved else datasets.load_dataset(name, configuration or None)
    except Exception as error:  # of files, network and the hub, of many types
        why = " ".join(str(error).split())[:300]
        more = "" if saved else "; a folder of save_to_disk in root= works without the hub"
        raise UserError(f"data={data}: cannot be loaded ({why}){more}") from error
    splits = dict(read) if isinstance(read, dict) else {"all": read}
    features = next(iter(splits.values())).features
    image = next((key for key, kind in features.items() if isinstance(kind, datasets.Image)), None)
    label = next((key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)), None)
    label = label or next((key for key in ("label", "labels", "target", "class") if key in features), None)
    if image is None or label is None:
        raise UserError(f"data={data}: has columns {', '.join(features)}; one of images and one of classes are needed")
    kind = features[label]
    if not isinstance(kind, datasets.Value | datasets.ClassLabel):
        raise UserError(f"data={data}: column {label} holds {type(kind).__name__}; one class for each image is needed")
    named = [one for split in splits.values() for one in split[label]]
    if None in named:
        raise UserError(f"data={data}: some examples have no {label}; leave them out")
    labels, classes = numbered(named)
    if isinstance(kind, datasets.ClassLabel):
        used = [int(each) for each in classes]
        if used and used[0] < 0:
            raise UserError(f"data={data}: some examples have no label (-1); leave the split out that lacks them")
        classes = [kind.int2str(each) for each in used]
    parts: dict[str, Part] = {}
    for one, split in splits.items():
        images = [
            pixels_of(each[image], f"data={data}: image {i} of {one}")
            for i, each in enumerate(split.select_columns([image]))
        ]
        parts[one], labels = (images, labels[: len(split)]), labels[len(split) :]
    return data_of(parts, classes, resize, f"data={data}")


def pixels_of(image: Any, said: str) -> np.ndarray:
    """Raises UserError where there is no image, or one that has no 8-bit form."""
    if image is None:
        raise UserError(f"{said} is missing; leave it out")
    try:
        return eight_bit(image)
    except (OSError, ValueError) as error:
        raise UserError(f"{said}: {error}") from error
