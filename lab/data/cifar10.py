"""CIFAR-10, with what others published of its images: human labels and how hard networks find them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lab.data.folder import folder
from lab.data.images import DOWNLOAD_ERRORS, as_network_input
from lab.data.split import Data, Split
from lab.errors import UserError
from lab.pixels import Images

# (split, annotation, file below root, array in it): published in the original order of the images
REFERENCES = (
    ("test", "label_entropy", "cifar10h/cifar10h-probs.npy", None),
    ("train", "c_score", "cscores/cifar10-cscores-orig-order.npz", "scores"),
    ("train", "label_noise", "cifar10n/cifar10n_labels.npz", None),
    ("train", "el2n_published", "difficulty/el2n_epoch20_cifar10.npy", None),
    ("train", "el2n_variance_published", "difficulty/el2n_epoch20_var_cifar10.npy", None),
    ("train", "forgetting_published", "difficulty/forgetting_5run_mean_cifar10.npy", None),
    ("train", "grand_published", "difficulty/grand_withinclass_rank_cifar10.npy", None),
    ("train", "uncertainty_published", "difficulty/uncertainty_withinclass_rank_cifar10.npy", None),
    ("train", "loss_published", "difficulty/loss_convnet_rank_cifar10.npy", None),
    ("train", "transfer_published", "difficulty/transfer_inception_svm_cifar10_trueclass.npy", None),
    ("test", "transfer_published", "difficulty/transfer_inception_svm_cifar10_test_trueclass.npy", None),
    ("train", "second_split_forgetting_published", "difficulty/ssft_cifar10.npy", None),
)
PUBLISHED = {  # by others; whether high is easy
    "el2n_published": False,
    "el2n_variance_published": False,
    "forgetting_published": False,
    "grand_published": False,
    "uncertainty_published": False,
    "loss_published": False,
    "transfer_published": True,
    "second_split_forgetting_published": True,
}
EXAMPLES = {"train": 50_000, "test": 10_000}


def cifar10(root: Path, resize: int | None, cache: Path, skip_bad_images: bool) -> Data:
    """CIFAR-10: a folder of images `root/cifar10/train/<class>/*` when there is one, else torchvision's files, downloaded when missing.

    Annotations, where `root` holds what they are made of: of the test set `label_entropy`, the entropy in bits of the labels that
    people gave (cifar10h/cifar10h-probs.npy, Peterson et al. 2019); of the train set `c_score`, how consistently networks get
    an image right that were trained without it (cscores/cifar10-cscores-orig-order.npz, Jiang et al. 2021), and
    `label_noise`, the fraction of three people who gave another label (cifar10n/cifar10n_labels.npz, Wei et al. 2022), and what
    else others published of how hard its images are, in PUBLISHED (difficulty/*.npy): EL2N at epoch 20 and its variance over
    networks (Paul et al. 2021), forgetting events (Toneva et al. 2019), GraNd and uncertainty as ranks within the class
    (DeepCore), the rank of the loss of small networks, the probability by an SVM on Inception's features (Hacohen and
    Weinshall 2019), and when an example is forgotten in training on others (Maini et al. 2022).
    """
    for candidate in (root / "cifar10", root):
        if (candidate / "train").is_dir() and candidate.absolute().name == "cifar10":
            data = folder(candidate, resize, cache, skip_bad_images)
            parts = {"train": by_index(data.train), "test": by_index(data.test)}
            break
    else:
        data = downloaded(root, resize)
        parts = {"train": data.train, "test": data.test}
    for split, name, file, array in REFERENCES:
        if (root / file).is_file():
            values = read_reference(root / file, name, array)
            if len(values) != EXAMPLES[split]:
                raise UserError(
                    f"{root / file}: holds {len(values)} examples, not the {EXAMPLES[split]} of the {split} set"
                )
            if all(one.isdecimal() and int(one) < len(values) for one in parts[split].ids):
                column = values[[int(one) for one in parts[split].ids]]
                parts[split] = replace(parts[split], annotations={**parts[split].annotations, name: column})
    return replace(data, train=parts["train"], test=parts["test"])


def downloaded(root: Path, resize: int | None) -> Data:
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(root, train=train, download=True) for train in (True, False)]  # which checks every file
    except DOWNLOAD_ERRORS as error:
        raise UserError(
            f"root={root} holds no CIFAR-10, and downloading it failed ({error}): give the same command again, "
            f"or put {CIFAR10.filename} there, or cifar10/train/<class>/*.png"
        ) from error
    train, test = (
        Split(
            Images.of([as_network_input(image, 3, resize) for image in part.data]),
            np.array(part.targets, np.int64),
            [str(i) for i in range(len(part.data))],
            part.data,
        )
        for part in parts
    )
    return Data(train, test, list(parts[0].classes))


def by_index(split: Split) -> Split:
    """The examples of a CIFAR-10 folder in their original order, which the file names give, so that published scores line up."""
    stems = [Path(name).stem for name in split.ids]
    if not all(stem.isdecimal() for stem in stems) or len({int(stem) for stem in stems}) < len(stems):
        return split
    numbers = np.array(stems, int)
    order = np.argsort(numbers)
    originals = [split.originals[i] for i in order]
    return Split(split.images.take(order), split.labels[order], [str(i) for i in numbers[order]], originals)


def read_reference(path: Path, name: str, array: str | None) -> np.ndarray:
    """One number per image, (N,), in the original order."""
    try:
        read = np.load(path, allow_pickle=False)
        if name == "label_entropy":
            with np.errstate(divide="ignore", invalid="ignore"):
                return 0.0 - np.nansum(read * np.log2(read), axis=1)
        if name == "label_noise":
            return np.mean([read[f"random_label{i}"] != read["clean_label"] for i in (1, 2, 3)], axis=0)
        return (read if array is None else read[array]).astype(float)
    except Exception as error:  # numpy and zipfile meet a damaged file with errors of many types
        raise UserError(f"{path}: cannot be read as published ({' '.join(str(error).split())})") from error
