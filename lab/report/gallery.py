"""What the report page shows of single examples: which of them, and the facts beside each image."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from agreement import first_epoch, learned_epoch, learning_time, shared_mistakes
from agreement.record import LearningRecord, classes_in

SAMPLE = 4000  # images of the gallery: more are no easier to look through, and a browser draws a point for each
SUSPECTS = 200  # train examples whose labels to look at
DIGITS = 4  # significant ones of numbers in the page
SIDE, QUALITY = 64, 85  # pixels of an image: larger ones are made smaller
# of all images. The plots' script takes 0.9 million and facts about 4,000 examples about 1.5, of the 10 allowed
IMAGE_CHARACTERS = 5_000_000


def example_facts(
    record: LearningRecord, table: pd.DataFrame, images: Mapping[str, Any], statistics: Sequence[str]
) -> dict[str, Any]:
    """The page's examples as plain lists, ready for JSON.

    table: of `agreement.examples_table`. images: split to uint8 images by index. statistics: columns of the table.
    sample: how many of the train examples are in the gallery (they come first, in the order of learning). train,
    test: sizes of the splits. mistakes: per split what `shared_mistakes` finds, examples by position. suspects: positions
    of the train examples whose labels are the most suspect. labels: per label the name and the classes it has. columns: a list per fact, an entry per example; see `facts_of`.
    """
    place = order_of_learning(record.correct("train"))
    mistaken = {
        split: shared_mistakes(record.noted(split), record.probability(split), record.labels(split))
        for split in record.splits
    }
    sample = spread(place, record.labels("train"), SAMPLE)
    addresses = [image_address(images["train"][i]) for i in sample]
    size = sum(map(len, addresses))
    if size > IMAGE_CHARACTERS:  # large images, or many colours: fewer of them
        kept = np.linspace(0, len(sample) - 1, int(len(sample) * IMAGE_CHARACTERS / size)).astype(int)
        sample, addresses = sample[kept], [addresses[i] for i in kept]
    suspects = np.argsort(table.loc[table["split"] == "train", "suspect"].to_numpy())[:SUSPECTS]
    more = np.setdiff1d(np.concatenate([mistaken["train"][0], suspects]), sample)
    shown = {"train": np.concatenate([sample, more]).astype(int)}
    shown |= {split: mistaken[split][0] for split in mistaken if split != "train"}
    columns: dict[str, list[Any]] = {"image": addresses}
    columns["image"] += [image_address(images["train"][i]) for i in shown["train"][len(sample) :]]
    for split in (split for split in shown if split != "train"):
        columns["image"] += [image_address(images[split][i]) for i in shown[split]]
    ranks = pd.Series(place).rank(method="first").to_numpy(int)[shown["train"]].tolist()
    columns["place"] = ranks + [None] * (len(columns["image"]) - len(ranks))
    for split, chosen in shown.items():
        for name, column in facts_of(record, split, table[table["split"] == split], chosen, statistics).items():
            columns[name] = columns.get(name, []) + column
    position = {(split, i): n for n, (split, i) in enumerate((s, i) for s in shown for i in shown[s].tolist())}
    used = sorted({*columns["label"], *(label for each in columns["predicted"] for label in each), *(label for _, others, _ in mistaken.values() for label in others.tolist())})  # fmt: skip
    code = {label: i for i, label in enumerate(used)}  # sets of classes can be numbers that JSON has no room for
    columns["label"] = [code[label] for label in columns["label"]]
    columns["predicted"] = [[code[label] for label in each] for each in columns["predicted"]]
    return {
        "sample": len(sample),
        **{split: len(record.labels(split)) for split in shown},
        "suspects": [position["train", i] for i in suspects.tolist()],
        "mistakes": {
            split: {
                "at": [position[split, i] for i in wrong.tolist()],
                "predicted": [code[label] for label in others.tolist()],
                "epoch": epoch.tolist(),
            }
            for split, (wrong, others, epoch) in mistaken.items()
        },
        "labels": [
            {
                "name": record.label_name(label) or "nothing",
                "classes": classes_in(label, len(record.classes), record.multi_label),
            }
            for label in used
        ],
        "columns": columns,
    }


def facts_of(
    record: LearningRecord, split: str, table: pd.DataFrame, chosen: np.ndarray, statistics: Sequence[str]
) -> dict[str, list[Any]]:
    """What is told of the chosen (n,) examples of a split: a list per fact, an entry per example.

    id, label. time: the learning time. first: the first epoch right, mean over networks. learned: the epoch from which all
    networks stay right; networks: that of each network; null for never. right: who was right
    when, K·T bits in base64, network by network. confidence, variability. correctness: fraction of networks and epochs
    that are right. forgotten: forgetting events over all networks. predicted: each network's class in the last epoch.
    statistics: a number for each, null where there is none.
    """
    part, rows = record.correct(split)[:, :, chosen], table.iloc[chosen]
    networks = len(part)
    bits = np.packbits(part.transpose(2, 0, 1).reshape(len(chosen), networks * part.shape[1]), axis=1)
    alone = rows[[f"last_{k + 1}" for k in range(networks)]].to_numpy(float, na_value=np.nan)
    return {
        "id": rows["id"].tolist(),
        "label": record.labels(split)[chosen].tolist(),
        "time": numbers(rows["learning_time"].to_numpy()),
        "first": numbers(rows["first"].to_numpy()),
        "learned": whole(rows["last"].to_numpy(float, na_value=np.nan)),
        "networks": [whole(row) for row in alone],
        "right": [base64.b64encode(row.tobytes()).decode() for row in bits],
        **{name: numbers(rows[name].to_numpy()) for name in ("confidence", "variability", "correctness")},
        "forgotten": np.rint(rows["forgetting"].to_numpy() * networks).astype(int).tolist(),
        "predicted": np.array([network[-1, chosen] for network in record.predictions(split)]).T.tolist(),
        "statistics": [numbers(row) for row in rows.reindex(columns=list(statistics)).to_numpy(float)],
    }


def class_facts(record: LearningRecord) -> list[dict[str, Any]]:
    """Per class that has train examples: its index, name, number of examples, median learning time and share that not all
    networks have right in the end."""
    correct, labels, facts = record.correct("train"), record.labels("train"), []
    times, learned = learning_time(correct), learned_epoch(correct)
    for c, name in enumerate(record.classes):
        own = np.flatnonzero((labels >> c) & 1 == 1 if record.multi_label else labels == c)
        if len(own):
            median, never = numbers(np.median(times[own], keepdims=True))[0], float(np.isinf(learned[own]).mean())
            facts.append({"index": c, "name": name, "n": len(own), "median": median, "never": never})
    return facts


def order_of_learning(correct: np.ndarray) -> np.ndarray:
    """Rank of each example by learning time, ties by the first epoch right and by the last, (N,), from `correct` (K, T, N)."""
    keys = np.array([learned_epoch(correct), first_epoch(correct), learning_time(correct)])
    ordered = np.lexsort(keys)
    differs = (keys[:, ordered[1:]] != keys[:, ordered[:-1]]).any(axis=0)
    ranks = np.empty(len(ordered))
    ranks[ordered] = np.append(0, np.cumsum(differs))
    return ranks


def spread(place: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """Indices of at most `size` examples, evenly spaced in the order of learning within each class.

    place: (N,), smaller is earlier. labels: (N,). Classes keep their proportions; in the order of learning.
    """
    by_class = np.lexsort((place, labels))
    chosen = by_class[np.unique(np.linspace(0, len(labels) - 1, min(size, len(labels))).round().astype(int))]
    return chosen[np.lexsort((chosen, place[chosen]))]


def image_address(image: np.ndarray) -> str:
    """A data: address of a uint8 image (H, W), (H, W, 1) or (H, W, 3), its longer side at most SIDE pixels.

    WebP: of the formats that all browsers show, it makes an image of CIFAR-10 (500 bytes) and a digit (280) smallest;
    as JPEG they take 900 and 600, as PNG 2,300 and 280.
    """
    picture = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def whole(epochs: np.ndarray) -> list[int | None]:
    return [int(epoch) if np.isfinite(epoch) else None for epoch in epochs.tolist()]


def numbers(values: np.ndarray) -> list[float | None]:
    """Rounded to what the eye can distinguish; JSON has no NaN."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in np.asarray(values, float)]
