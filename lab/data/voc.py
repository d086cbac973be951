"""Pascal VOC: photographs with any of 20 kinds of objects in boxes (Everingham et al. 2010)."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from lab.data.images import DOWNLOAD_ERRORS, Files, read_splits
from lab.data.split import Data
from lab.errors import UserError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
DIFFICULTIES = "VSD_dataset.csv"  # of Ionescu et al. 2016, for the images of 2012
LARGEST_TEXT = 2**24  # bytes of an annotation or a list; the largest published has some 400,000
LARGEST_SIDE = 65_535  # pixels: a JPEG file cannot state more


def voc(root: Path, resize: int | None, cache: Path, skip_bad_images: bool) -> Data:
    """Pascal VOC 2007 and 2012 as torchvision unpacks them, `root/VOCdevkit/VOC2012/...`; downloaded when missing.

    As in the paper, train is trainval of both years and test is the test set of 2007. Where only 2012 is there, whose test
    set has no labels, train and val of 2012 take these places, and a note says so. An example's label is the set of classes
    of its objects. Objects marked difficult are left out, and images of no others with them.

    Annotations: `instances`, the number of objects; `box_area`, the sum of the areas of their boxes over that of the image;
    and of images of 2012 `search_difficulty`, the seconds that people took to find an object (Ionescu et al. 2016), where
    `root` holds VSD_dataset.csv.
    """
    kit, notes = root / "VOCdevkit", []
    if not kit.is_dir():
        download(root)
    if has(kit, "2007", "trainval") and has(kit, "2007", "test"):
        train = [("2007", "trainval")] + [("2012", "trainval")] * has(kit, "2012", "trainval")
        test = [("2007", "test")]
    elif has(kit, "2012", "train") and has(kit, "2012", "val"):
        train, test = [("2012", "train")], [("2012", "val")]
        notes.append(f"{kit} holds no VOC2007: train and val of 2012 stand in for the paper's train and test sets")
    else:
        raise UserError(
            f"{kit}: needs VOC2007 with its ImageSets/Main/trainval.txt and test.txt, or VOC2012 with train.txt and val.txt"
        )
    difficulties = read_difficulties(root)
    if difficulties is None:
        notes.append(f"search_difficulty is left out: put {DIFFICULTIES} of Ionescu et al. (2016) into {root}")
    parts = [files_of(kit, part, difficulties) for part in (train, test)]
    splits, more, left_out = read_splits(parts, resize, cache, skip_bad_images)
    return Data(splits[0], splits[1], list(CLASSES), (*notes, *more), multi_label=True, left_out=left_out)


def has(kit: Path, year: str, part: str) -> bool:
    return (kit / f"VOC{year}/ImageSets/Main/{part}.txt").is_file()


def download(root: Path) -> None:
    from torchvision.datasets.utils import download_url, extract_archive
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    archives = [DATASET_YEAR_DICT[part] for part in ("2007", "2007-test", "2012")]
    try:
        for each in archives:
            download_url(each["url"], root, each["filename"], each["md5"])
        for each in archives:  # only now: a folder that is there counts as whole
            extract_archive(root / each["filename"], root)
    except DOWNLOAD_ERRORS as error:
        raise UserError(
            f"root={root} holds no VOCdevkit, and downloading it failed ({error}): give the same command again, "
            f"or unpack {', '.join(each['filename'] for each in archives)} there"
        ) from error


def files_of(kit: Path, parts: list[tuple[str, str]], difficulties: dict[str, float] | None) -> Files:
    paths, labels, annotations = [], [], []
    for year, part in parts:
        folder = kit / f"VOC{year}"
        listed = folder / f"ImageSets/Main/{part}.txt"
        for name in read_text(listed).split():
            if "/" in name or "\\" in name:  # it would lead out of the folder
                raise UserError(f"{listed}: {name!r} is no name of an image")
            present, instances, area = read_objects(folder / f"Annotations/{name}.xml")
            if not instances:  # all are difficult
                continue
            path = folder / f"JPEGImages/{name}.jpg"
            if not path.is_file():
                raise UserError(f"{path}: there is no such image, but ImageSets/Main/{part}.txt names it")
            paths.append(path)
            labels.append(sum(1 << CLASSES.index(one) for one in present))
            annotations.append((instances, area, (difficulties or {}).get(name, np.nan)))
    columns = np.array(annotations, float).reshape(-1, 3).T
    names = ["instances", "box_area", *([] if difficulties is None else ["search_difficulty"])]
    return Files(kit, paths, np.array(labels, np.int64), dict(zip(names, columns, strict=False)))


def read_objects(path: Path) -> tuple[set[str], int, float]:
    """The classes, the number, and the summed area (as a fraction of the image's) of the objects that are not difficult.

    Raises UserError naming the file where it is missing or no XML, has a document type (which could define entities that
    expand to gigabytes), no size, no objects, an unknown class, or a box outside the image.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text:
        raise UserError(f"{path}: an annotation of Pascal VOC has no document type; take the <!DOCTYPE ...> out")
    try:
        tree = ElementTree.fromstring(text)
        width, height = (int(tree.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except (ValueError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: is not an annotation of Pascal VOC ({error})") from error
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise UserError(f"{path}: states a size of {width} × {height} pixels")
    objects = tree.findall("object")
    if not objects:
        raise UserError(f"{path}: names no object; take the image out of ImageSets/Main, or repair the file")
    present, instances, area = set(), 0, 0.0
    for one in objects:
        name = one.findtext("name")
        if name not in CLASSES:
            raise UserError(f"{path}: {name!r} is no class of Pascal VOC")
        try:
            left, top, right, bottom = (
                float(one.findtext(f"bndbox/{c}") or "") for c in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError as error:
            raise UserError(f"{path}: the box of the {name} is not four numbers") from error
        if not (0 <= left <= right <= width and 0 <= top <= bottom <= height):
            raise UserError(
                f"{path}: the box {left:g}, {top:g} to {right:g}, {bottom:g} of the {name} is outside the image of "
                f"{width} × {height} pixels"
            )
        if (one.findtext("difficult") or "0").strip() == "1":
            continue
        present.add(name)
        instances += 1
        area += (right - left + 1) * (bottom - top + 1) / (width * height)  # pixels are counted from 1, ends included
    return present, instances, area


def read_difficulties(root: Path) -> dict[str, float] | None:
    """Search difficulty by image, or None where the file is not there."""
    found = next(
        (path for path in (root / DIFFICULTIES, *sorted(root.glob(f"*/{DIFFICULTIES}"))) if path.is_file()), None
    )
    if found is None:
        return None
    try:
        return {name: float(seconds) for name, seconds in csv.reader(read_text(found).splitlines())}
    except (ValueError, csv.Error) as error:
        raise UserError(f"{found}: expected lines of an image's name and a number ({error})") from error


def read_text(path: Path) -> str:
    """A text file of the data set, in UTF-8. Raises UserError where it is not that, is missing or is larger than any can be."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_TEXT + 1).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if len(text) > LARGEST_TEXT:
        raise UserError(f"{path}: more than {LARGEST_TEXT:,} bytes cannot be meant")
    return text
