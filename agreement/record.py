"""The learning record: what every network predicted for every example after every epoch, on disk, growing epoch by epoch.

    record/record.json                      networks, classes, format
    record/{train,test}-labels.npy          (N,) class of every example
    record/{train,test}-ids.json            N stable names
    record/network-1/train-predictions.npy  (T, N) predicted class, uint8 (uint16 above 256 classes), or set of classes
    record/network-1/train-probability.npy  (T, N) probability given to the true class, uint8 in 1/255
    record/network-1/train-margin.npy       (T, N) the true class's logit less the highest of another class, float16
    record/network-1/train-error.npy        (T, N) distance of the probabilities from the label, float16
    record/network-1/train-known.npy        (T, N) 1 where an epoch had the example, else 0; only where one lacked some
    record/network-1/epochs.jsonl           one line of numbers per finished epoch: loss, accuracy, rate, seconds, time

The arrays are ordinary .npy files, valid at any moment: a row is appended first, the header counts it afterwards. Each
network writes its own folder, so networks can train in different processes or on different machines.

Where an example has any number of classes, a label and a prediction are sets, as whole numbers whose bit c says whether
class c is there: two are equal where they match exactly, which is when the paper counts such an example as correct. Its
margin is the least of the logits of the classes that are there and of minus those that are not.

Margin and error are missing from records of versions before they were kept.
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
SPLITS = ("train", "test")
KINDS = ("predictions", "probability", "margin", "error")  # what is kept of every example in every epoch


@dataclass(frozen=True)
class LearningRecord:
    """A record on disk, read lazily: arrays are memory-mapped, and cut to the epochs that all networks have finished.

    What is read raises ValueError, naming the file, where it is damaged or does not fit the rest of the record.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

    @cached_property
    def about(self) -> dict[str, Any]:
        path = self.folder / "record.json"
        try:
            about = read_json(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.folder} holds no learning record ({error})") from error
        if not isinstance(about, dict):
            raise ValueError(f"{self.folder} holds no learning record ({path.name} is something else)")
        if about.get("format") != FORMAT:
            raise ValueError(
                f"{self.folder} is a learning record of format {about.get('format')!r}, this program reads {FORMAT}"
            )
        if not all(are_strings(about.get(names)) and about[names] for names in ("networks", "classes")):
            raise ValueError(f"{path} does not name the networks and the classes")
        return about

    @property
    def networks(self) -> list[str]:
        return self.about["networks"]

    @property
    def classes(self) -> list[str]:
        return self.about["classes"]

    @property
    def splits(self) -> list[str]:
        """Those of SPLITS that it has: a loop of one's own may record no test set."""
        return [split for split in SPLITS if (self.folder / f"{split}-labels.npy").is_file()]

    @property
    def multi_label(self) -> bool:
        return self.about.get("multi_label", False)

    @property
    def number_of_labels(self) -> int:
        """How many labels there can be: the classes, or the sets of them."""
        return 2 ** len(self.classes) if self.multi_label else len(self.classes)

    @property
    def sets_of(self) -> int:
        """The number of classes where a label is a set of them, else 0."""
        return len(self.classes) if self.multi_label else 0

    def label_name(self, label: int) -> str:
        """The name of a label's class, or of its classes, joined by commas; "not seen" for the prediction of what was not."""
        if label >= self.number_of_labels:
            return "not seen"
        return ", ".join(self.classes[c] for c in classes_in(label, len(self.classes), self.multi_label))

    @cached_property
    def epochs(self) -> int:
        return min(len(read_epochs(self.network_folder(k))) for k in range(len(self.networks)))

    def network_folder(self, k: int) -> Path:
        return self.folder / f"network-{k + 1}"

    def labels(self, split: str) -> np.ndarray:
        """Classes of the examples, int64 (N,)."""
        path = self.folder / f"{split}-labels.npy"
        labels = load_array(path, dimensions=1)
        if labels.size and not 0 <= labels.min() <= labels.max() < self.number_of_labels:
            raise ValueError(
                f"{path} has labels from {labels.min()} to {labels.max()}, the record {self.number_of_labels}"
            )
        return labels

    def ids(self, split: str) -> list[str]:
        path = self.folder / f"{split}-ids.json"
        ids = read_json(path)
        if not are_strings(ids) or len(ids) != len(self.labels(split)):
            raise ValueError(f"{path} does not name the {len(self.labels(split))} examples")
        return ids

    def predictions(self, split: str) -> list[np.ndarray]:
        """K memory-mapped arrays (T, N) of predicted classes."""
        return self.arrays(split, "predictions")

    def noted(self, split: str) -> list[np.ndarray]:
        """The same with the label in place of the prediction that was not seen yet, which is then no mistake."""
        labels, predictions = self.labels(split), self.predictions(split)
        if self.is_complete(split):
            return predictions
        return [
            np.where(network == self.number_of_labels, labels.astype(network.dtype), network) for network in predictions
        ]

    def probability(self, split: str) -> list[np.ndarray]:
        """K memory-mapped arrays (T, N) of the probability given to the true class, in 1/255."""
        return self.arrays(split, "probability")

    def margin(self, split: str) -> list[np.ndarray]:
        """K memory-mapped arrays (T, N), float16: the true class's logit less the highest of another class. NaN where none was noted.

        Raises ValueError where the record has none.
        """
        return self.arrays(split, "margin", "f")

    def error(self, split: str) -> list[np.ndarray]:
        """K memory-mapped arrays (T, N), float16: the length ‖p − y‖ of the probabilities less the label as a unit vector, 0 to √2.

        NaN where none was noted. Raises ValueError where the record has none.
        """
        return self.arrays(split, "error", "f")

    def has_margins(self, split: str) -> bool:
        """Whether the record keeps margins; those of earlier versions do not."""
        return all((self.network_folder(k) / f"{split}-margin.npy").is_file() for k in range(len(self.networks)))

    def is_complete(self, split: str) -> bool:
        """Whether every network was shown every example in every epoch, as far as the files tell: `known` costs memory."""
        return not any((self.network_folder(k) / f"{split}-known.npy").is_file() for k in range(len(self.networks)))

    def known(self, split: str) -> np.ndarray:
        """Which examples each network was shown in each epoch: boolean (K, T, N).

        Only a loop of one's own leaves some out. Where it did, predictions and probabilities are those of the example's last
        epoch; before its first, the prediction is one more than there are labels, so that it is not right.
        """
        known = np.ones((len(self.networks), self.epochs, len(self.labels(split))), bool)
        for k in range(len(self.networks)):
            path = self.network_folder(k) / f"{split}-known.npy"
            if path.is_file() and self.epochs:
                known[k] = self.array(path, known.shape[1:])
        return known

    def gaps(self, split: str) -> np.ndarray | None:
        """`known`, or None where every network was shown every example in every epoch: it takes no memory then."""
        return None if self.is_complete(split) else self.known(split)

    def correct(self, split: str) -> np.ndarray:
        """Which examples each network got right: boolean (K, T, N)."""
        labels = self.labels(split)
        correct = np.empty((len(self.networks), self.epochs, len(labels)), bool)
        for k, predictions in enumerate(self.predictions(split)):
            np.equal(predictions, labels, out=correct[k])
        return correct

    def digest(self, split: str) -> str | None:
        """A digest of the images, by which those of equal names can be told apart; None where the loop did not give one."""
        images = self.about.get("images")
        return images.get(split) if isinstance(images, dict) else None

    def same_examples(self, other: "LearningRecord", split: str) -> bool:
        """Whether two records name the same examples and, as far as both tell, were made of the same images."""
        digests = {self.digest(split), other.digest(split)} - {None}
        return len(digests) < 2 and self.ids(split) == other.ids(split)

    def series(self, name: str) -> np.ndarray:
        """A number that every network logged at the end of every epoch, float (K, T)."""
        lines = [read_epochs(self.network_folder(k))[: self.epochs] for k in range(len(self.networks))]
        try:
            return np.array([[line[name] for line in network] for network in lines], float)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.folder}: not every epoch of every network has a number {name!r}") from error

    def arrays(self, split: str, kind: str, numbers: str = "iu") -> list[np.ndarray]:
        examples = len(self.labels(split))
        if self.epochs == 0:  # a network that has not begun has no files
            return [np.empty((0, examples), np.uint8) for _ in self.networks]
        paths = [self.network_folder(k) / f"{split}-{kind}.npy" for k in range(len(self.networks))]
        if numbers == "f" and not all(path.is_file() for path in paths):
            raise ValueError(f"{self.folder} has no {kind} of its {split} examples: an earlier version made it")
        return [self.array(path, (self.epochs, examples), numbers) for path in paths]

    def array(self, path: Path, shape: tuple[int, ...], numbers: str = "iu") -> np.ndarray:
        """A memory-mapped array, cut to the epochs that all networks have finished."""
        array = load_array(path, 2, "r", numbers)[: self.epochs]
        if array.shape != shape:
            raise ValueError(f"{path} does not hold {shape[0]} epochs of {shape[1]} examples")
        return array


def classes_in(label: int, classes: int, multi_label: bool) -> list[int]:
    """The classes of a label as the record has it: of a set those whose bit is set, else the label itself."""
    return [c for c in range(classes) if label >> c & 1] if multi_label else [int(label)]


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """The numbers of the epochs that a network has finished."""
    return read_lines(folder / "epochs.jsonl")


def read_lines(path: Path) -> list[dict[str, float]]:
    """The lines of a file that grows; none where there is no file, and a last line still being written is not counted."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    numbers = [parsed(line, path) for line in lines]
    if not all(isinstance(line, dict) for line in numbers):
        raise ValueError(f"{path} is damaged (a line is no object)")
    return numbers


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises ValueError naming a damaged one, OSError as `open` does."""
    return parsed(path.read_bytes(), path)


def parsed(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error


def are_strings(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def load_array(path: Path, dimensions: int, mmap_mode: Any = None, numbers: str = "iu") -> np.ndarray:
    """An array of whole numbers, or of the kinds of dtype in `numbers`, from a .npy file.

    Raises ValueError naming one that is not that, OSError as `open` does.
    """
    try:
        array = np.load(path, mmap_mode, allow_pickle=False)
        if isinstance(array, np.ndarray) and array.ndim == dimensions and array.dtype.kind in numbers:
            return array
    except OSError:
        raise
    except Exception as error:  # numpy meets damaged files with errors of many types
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())})") from error
    what = "whole numbers" if numbers == "iu" else "fractions"
    raise ValueError(f"{path} is not an array of {what} with {dimensions} dimensions")


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file. Where the disk is full the error says so; that of `np.save` is two numbers."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)


def replace_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file so that it is never seen half-written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_array(draft, array)
    draft.replace(path)


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it is never seen half-written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
