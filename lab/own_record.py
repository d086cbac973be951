"""The report of a learning record that this program has not written itself, such as of a loop of one's own: the same page,
tables and run in MLflow as after a measurement."""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import agreement
from agreement.outcomes import as_sets
from agreement.record import LearningRecord
from lab import tracking
from lab.compose import compose
from lab.data import Split, load
from lab.data.folder import SUFFIXES
from lab.errors import UserError
from lab.measure import points_of
from lab.progress import Progress
from lab.records import are_named_as
from lab.report import write_record
from lab.report.about import About
from lab.report.summary import as_text
from lab.report.words import headline
from lab.settings import PROGRAM
from lab.statistics import annotated, check_names, kinds_of, statistics_of
from lab.store import open_store
from lab.views import describe
from metrics import EXAMPLE_STATISTICS, STATISTICS
from metrics.images import read_image

DATA = "own-loop"
MEASURED = "entropy,frequency,segments"  # of the images, where they are given
OF_DATA_SET = ("data", "root", "resize", "test_sample")
NO_IMAGE = np.full((2, 2), 224, np.uint8)


def report(given: Mapping[str, str], console: Any) -> str:
    """Write page, tables and summary of the record in the folder `record`, and log them to MLflow. Returns the run's id.

    given: the words of the command line: `record`, and perhaps `images`, see `images_of`, or `data` with the settings that it
    reads; `statistics` to measure on them, joined by commas, and `teacher_weights`; `name` of the run; `cache`. Raises UserError.
    """
    if not given.get("record"):
        raise UserError(f"--mode report: name the folder of a record, such as {PROGRAM} --mode report record=DIR")
    folder = Path(given["record"]).expanduser()
    names = given.get("statistics", MEASURED if {"images", "data"} & given.keys() else "")
    statistics = [name for name in names.strip("[]").split(",") if name]
    check_names(statistics, given.get("teacher_weights"))
    if statistics and not {"images", "data"} & given.keys():
        raise UserError(f"statistics={names}: they are measured on images; give images=DIR, or data=NAME")
    record = LearningRecord(folder)
    try:
        if record.about and "train" not in record.splits:
            raise UserError(f"record={folder}: it has no train examples")
        if not record.epochs:
            raise UserError(f"record={folder}: not every network has finished an epoch yet")
        for name in record.splits:
            record.ids(name), record.labels(name)  # whose files are checked
    except (OSError, ValueError) as error:
        raise UserError(f"record={error}") from error
    splits = splits_of_data(given, record) if "data" in given else splits_of_images(given.get("images"), record)
    shown = {
        "record": str(folder),
        **{key: given[key] for key in ("images", *OF_DATA_SET) if key in given},
        "statistics": ",".join(statistics),
        "epochs": record.epochs,
        "networks": len(record.networks),
    }
    networks = Counter(record.networks)
    title = given.get("name") or f"{', '.join(f'{n} × {name}' for name, n in networks.items())}, {folder.name}"
    tags = {"phase": "measure", "data": DATA, "network": "+".join(networks)}
    client = open_store()
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        (work / "record").symlink_to(folder.absolute())
        with (
            tracking.Tracked(client, work, f"measure-{DATA}", [(title, shown, tags)]) as tracked,
            Progress(console, 1, 1) as progress,
        ):
            cache, words = given.get("cache", "cache"), "statistics of the images"
            tables, kinds = {}, {name: kinds_of(split) for name, split in splits.items()}
            for name, split in splits.items():
                classes = as_sets(split.labels, len(record.classes)) if record.multi_label else split.labels
                table = statistics_of(split, classes, statistics, cache, None, progress, words)
                tables[name] = annotated(table, split)
            of_images = [name for name in statistics if name in STATISTICS]
            of_examples = [name for name in statistics if name in EXAMPLE_STATISTICS]
            progress.say("measuring agreement and correlations")
            try:
                findings = agreement.analyse(record, tables, kinds, of_images, before=of_examples)
            except ValueError as error:
                raise UserError(f"record={error}") from error
            progress.say("writing report and tables")
            about = About(title, shown, tracked.parent, tracked.begun)
            images = {name: split.images for name, split in splits.items()}
            show = write_record(work / "findings", findings, record, images, about)
            tracked.publish(points_of(findings, [time.time()] * record.epochs))
            describe(client, tracked.parent, headline(findings), as_text(show))
        show(console)
    return tracked.parent


def splits_of_data(given: Mapping[str, str], record: LearningRecord) -> dict[str, Split]:
    """The splits of the data set that the words name, by those of the record. Raises UserError where it is of others."""
    data = load(compose([f"{key}={given[key]}" for key in (*OF_DATA_SET, "cache") if key in given]))
    found = {"train": data.train, "test": data.test}
    for name in record.splits:
        split = found[name]
        if not are_named_as(record.ids(name), split) or not np.array_equal(split.labels, record.labels(name)):
            raise UserError(f"data={given['data']}: its {name} examples are not those of the record")
    return {name: found[name] for name in record.splits}


def splits_of_images(place: str | None, record: LearningRecord) -> dict[str, Split]:
    """The splits of the record, with the images in a folder, see `images_of`, or with none."""
    splits = {}
    for name in record.splits:
        ids, labels = record.ids(name), record.labels(name)
        images: Any = [NO_IMAGE] * len(ids)
        if place is not None:
            images = images_of(Path(place).expanduser(), name, ids, labels, record)
        originals = images.paths if isinstance(images, Files) else images
        splits[name] = Split(images, labels, ids, originals)
    return splits


class Files(Sequence[np.ndarray]):
    """Images in files, decoded when they are looked at."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: Any) -> np.ndarray:  # type: ignore[override]  # nobody takes slices
        try:
            return read_image(self.paths[i])
        except (OSError, ValueError) as error:
            raise UserError(f"images: {error}") from error


def images_of(
    place: Path, split: str, ids: list[str], labels: np.ndarray, record: LearningRecord
) -> Sequence[np.ndarray]:
    """The images of a split's examples. Raises UserError where they are not those.

    They are in `place/SPLIT.npy`, uint8 (N, H, W[, 3]), or files below `place/SPLIT` (`val` for test; `place` itself where
    there is no such folder and no other split). A file is found by the example's id, its path; or, where the loop gave no ids, by its place
    among all files as torchvision's ImageFolder counts them, which is checked against the labels.
    """
    array = place / f"{split}.npy"
    if array.is_file():
        try:
            images = np.load(array, "r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"images: {array} is damaged ({error})") from error
        if images.ndim == 4 and images.shape[3] == 1:
            images = images[..., 0]
        if images.dtype != np.uint8 or len(images) != len(ids) or images.shape[3:] not in ((), (3,)) or images.ndim < 3:
            found = f"{images.dtype} {images.shape}"
            raise UserError(f"images: {array} is {found}; uint8 ({len(ids)}, height, width[, 3]) are needed")
        return images
    others = [place / name for name in ((split, "val") if split == "test" else (split,))]
    own = next((other for other in others if other.is_dir()), place if len(record.splits) == 1 else others[0])
    if not own.is_dir():
        raise UserError(f"images: there is neither a folder {own} nor a file {array}")
    if ids != [str(i) for i in range(len(ids))]:
        paths = [own / name for name in ids]
        lacking = next((path for path in paths if not path.is_file()), None)
        if lacking:
            raise UserError(f"images: there is no file {lacking}, and the record has an example of that id")
        return Files(paths)
    found_files = [path for path in own.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    visible = [path for path in found_files if not any(part.startswith(".") for part in path.relative_to(own).parts)]
    paths = sorted(visible, key=lambda path: (path.relative_to(own).parts[0], str(path.parent), path.name))
    if len(paths) != len(ids):
        raise UserError(
            f"images: {own} holds {len(paths)} images, the record {len(ids)} {split} examples; its ids are no paths, so that "
            f"the files must be all of them (or write the images as {array}, uint8)"
        )
    folders = sorted({path.relative_to(own).parts[0] for path in paths})
    classes = np.array([folders.index(path.relative_to(own).parts[0]) for path in paths])
    if record.multi_label or (classes != labels).any():
        first = "" if record.multi_label else f", {paths[int((classes != labels).argmax())]} the first"
        raise UserError(
            f"images: the files in {own}, in the order of torchvision's ImageFolder, have not the labels of the record{first}; "
            f"give the recorder ids, the paths of the files, or write the images as {array}, uint8"
        )
    return Files(paths)
