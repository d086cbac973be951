"""The settings: each with its meaning, default and bounds. `lab.compose` makes them of presets and the command line.

Nothing here imports torch, so that `--help` answers at once.
"""

import difflib
import os
import re
import types
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_args, get_origin

PROGRAM = "uv run train.py" if "UV" in os.environ else "python train.py"  # as the user calls it: uv sets UV
# what these are the names of takes long to import; a test compares
NETWORKS = ("lenet5", "vgg16", "resnet50", "densenet121", "resnet8", "resnet20", "airbench")
ARMS = ("shuffled", "curriculum", "anti", "random")
DYNAMIC = ("self_paced", "infobatch", "rho", "hard_first", "superloss", "dihcl")
PACING = ("linear", "quadratic", "root", "log", "exp", "step", "single_step", "fixed_exponential", "varied_exponential")
SCORES = (
    "learning_time", "agreement", "first", "last", "forgetting", "confidence", "variability", "loss", "aum", "margin", "el2n",
)  # fmt: skip
STATISTICS = (
    "entropy", "frequency", "segments", "edges", "gradient", "brightness", "contrast", "colourfulness", "sharpness",
    "height", "width",
)  # fmt: skip
EXAMPLE_STATISTICS = ("shallow", "shallow:fast", "shallow:loss", "neighbours", "typicality")
ANNOTATIONS = (
    "instances", "box_area", "search_difficulty", "scale", "label_entropy", "c_score", "label_noise", "el2n_published",
    "el2n_variance_published", "forgetting_published", "grand_published", "uncertainty_published", "loss_published",
    "transfer_published", "second_split_forgetting_published",
)  # fmt: skip


def setting(
    default: Any,
    meaning: str,
    choices: Collection[str] = (),
    known: Collection[str] = (),
    effect: bool = True,
    **bounds: float,
) -> Any:
    """A field, with what `check`, help and completion need to know of it.

    choices: the only values there are, or elements of a list. known: names that completion offers, others exist. effect:
    whether it changes what is found, not only where or how fast. bounds: any of `at_least`, `above`, `at_most`, `below`.
    """
    about = {"meaning": meaning, "choices": tuple(choices), "known": tuple(known), "effect": effect, "bounds": bounds}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """What both modes read."""

    # what is learned
    data: str = setting(
        "digits",
        "data set, one of lab.data.DATASETS, or torchvision:NAME, hf:NAME; its preset is lab/presets/<data>.yaml",
    )
    root: str = setting(
        "data",
        "folder that holds the data set (cifar10, voc and torchvision's are downloaded there when missing); of csv and npz, the file",
    )
    resize: int | None = setting(
        None, "shorter side of the images in pixels before cropping; null keeps their size", at_least=1
    )
    crop: int | None = setting(
        None, "side in pixels of the square crop, random in training and central in testing; null: no crop", at_least=1
    )
    test_sample: str = setting(
        "a", "which of the four samples of each material kth_tips2b tests on", choices=("a", "b", "c", "d")
    )
    labels: str | None = setting(
        None,
        "table of corrected labels, CSV of id (or path) and label, such as the report page saves; an empty label leaves the "
        "image out",
    )
    skip_bad_images: bool = setting(False, "leave unreadable images out (and say how many) instead of stopping")
    statistics_resize: int | None = setting(
        None,
        "side in pixels of the squares that images are resized to for entropy and frequency; null: no resizing",
        at_least=10,
    )
    label_noise: float = setting(
        0.0,
        "fraction of the train labels to replace by wrong ones; with the same seed= and validation= a measurement and a "
        "comparison have the same ones",
        at_least=0,
        at_most=1,
    )
    imbalance: float = setting(
        1.0,
        "train examples of the first class for one of the last: a long tail is drawn from the seed, the test set stays whole; "
        "1 keeps all examples",
        at_least=1,
    )
    validation: float = setting(
        0.1,
        "fraction of the train set that a comparison holds out to choose the best step by; no label noise there",
        above=0,
        below=1,
    )
    teacher_weights: str | None = setting(
        None, "file of the weights of the statistic teacher:NAME, a network of torchvision.models; null: torchvision's"
    )
    # by which networks
    network: Any = setting(
        "lenet5",
        "a name in lab.networks.NETWORKS or torchvision.models, or timm:NAME, or a list of them: one network each",
        known=NETWORKS,
    )
    stem: str = setting(
        "auto",
        "first layers of torchvision's ResNets, DenseNets and VGGs: small (3×3, no pooling), or imagenet (for 224 pixels); "
        "auto: small up to 64 pixels, but for densenet121, which is the paper's",
        choices=("auto", "small", "imagenet"),
    )
    weights: str | None = setting(
        None,
        "weights to begin with, their normalisation before them: DEFAULT or another name of torchvision's or timm's, or a file; "
        "null: drawn",
    )
    train: str = setting(
        "all", "what is trained: all of the network, or of one with weights= only the head", choices=("all", "head")
    )
    # how they are trained
    epochs: int = setting(30, "passes over the training set, T", at_least=1)
    batch_size: int = setting(128, "examples in one optimiser step", at_least=2)
    recipe: str = setting(
        "preset",
        "the data set's preset as it is, or over it the settings of a recipe in lab/recipes: strong, airbench",
        choices=("preset", "strong", "airbench"),
        effect=False,
    )
    optimizer: str = setting(
        "sgd", "optimiser; nesterov is sgd with Nesterov's momentum", choices=("sgd", "nesterov", "adam", "adamw")
    )
    lr: float = setting(0.1, "largest learning rate", above=0)
    min_lr: float = setting(5e-4, "learning rate at the end of schedule=cosine", at_least=0)
    momentum: float = setting(0.9, "momentum of sgd and nesterov, first beta of adam and adamw", at_least=0, below=1)
    weight_decay: float = setting(5e-4, "weight decay: L2, of adamw decoupled", at_least=0)
    schedule: str = setting(
        "cosine",
        "learning rate over time: cosine and step change it every epoch, one_cycle every step",
        choices=("cosine", "one_cycle", "step", "constant"),
    )
    step_epochs: int = setting(30, "epochs between the drops of schedule=step", at_least=1)
    step_factor: float = setting(0.1, "factor of each drop of schedule=step", at_least=0)
    augment: str = setting(
        "none",
        "of train images: flip_crop mirrors half of them and cuts them out at a random place; trivial does that and "
        "TrivialAugment. With record=during, a measurement notes predictions of the augmented images",
        choices=("none", "flip_crop", "trivial"),
    )
    warmup: float = setting(0.0, "epochs in which the learning rate rises step by step to its schedule", at_least=0)
    label_smoothing: float = setting(
        0.0, "share of each label that training spreads evenly over all classes", at_least=0, below=1
    )
    precision: str = setting(
        "auto",
        "bf16 autocast, fp32, or on GPUs fp32 whose products round to TF32; auto: bf16 where the machine has it and it is "
        "faster, else fp32",
        choices=("auto", "bf16", "fp32", "tf32"),
    )
    compile: bool = setting(
        False,
        "compile networks with torch.compile: on a GPU 33 to 120 s for deep ones, which then train 1.3 to 1.9 times as fast",
    )
    graphs: bool = setting(
        True, "on a GPU, capture training steps as CUDA graphs, which spares launching their kernels", effect=False
    )
    # on which machine, under which name
    seed: int = setting(0, "the one seed of all randomness", at_least=0)
    device: str = setting("auto", "auto takes the GPU when there is one", choices=("auto", "cpu", "cuda"))
    workers: int = setting(
        0,
        "networks trained in parallel, one process each, or all in one on a GPU; 0: automatic (ignored on a cluster)",
        effect=False,
        at_least=0,
    )
    engine: str = setting(
        "local",
        "train on this machine, or on the workers of a Dask cluster",
        choices=("local", "dask"),
        effect=False,
    )
    scheduler: str | None = setting(None, "address tcp://host:port of the scheduler of engine=dask", effect=False)
    cache: str = setting(
        "cache",
        "folder of statistics, decoded images and finished trainings of comparisons; safe to delete",
        effect=False,
    )
    imports: list[str] = setting([], "modules of your own that add data sets, networks or statistics; --import my.py")
    name: str | None = setting(None, "name of the run in MLflow; null makes one from the settings", effect=False)

    @property
    def known(self) -> str:
        """What the data set is called, see `known_as`."""
        return known_as(self.data, self.root)


@dataclass(frozen=True)
class MeasureSettings(Settings):
    """Of `--mode measure`."""

    networks: int = setting(
        5, "number of networks K trained side by side (with a list in network=, its length)", at_least=1
    )
    record: str = setting(
        "during",
        "train predictions: during the training pass (as the paper's code), or after it in eval mode",
        choices=("during", "after"),
    )
    statistics: list[str] = setting(
        [
            "entropy",
            "frequency",
            "segments",
            "edges",
            "brightness",
            "contrast",
            "colourfulness",
            "sharpness",
            "height",
            "width",
            "shallow",
        ],
        "what to relate to the learning order, names in metrics.STATISTICS and metrics.EXAMPLE_STATISTICS",
        known=(*STATISTICS, *EXAMPLE_STATISTICS),
    )
    random_labels: float = setting(
        0.0,
        "probability that an example, of train or test, has a class drawn at random for its label",
        at_least=0,
        at_most=1,
    )
    sync_batchnorm: bool = setting(
        False, "under torchrun on GPUs: batch-norm over the whole batch, not each process's share"
    )

    @property
    def architectures(self) -> list[str]:
        """The architecture of each of the K networks."""
        return list(self.network) if isinstance(self.network, list) else [self.network] * self.networks


@dataclass(frozen=True)
class CompareSettings(Settings):
    """Of `--mode curriculum`."""

    metric: str = setting(
        "entropy",
        "what orders the examples: a statistic, such as shallow or entropy; a score of a measurement, such as "
        "learning_time, agreement or aum; an annotation, such as c_score; file:PATH of "
        "columns id and score, or file:PATH:COLUMN; several joined by + make one score, separated by commas each an arm of its own",
        known=(*STATISTICS, *EXAMPLE_STATISTICS, *SCORES, *ANNOTATIONS, "file:"),
    )
    descending: bool | None = setting(
        None, "whether high scores are easy; null: as the score declares, which is printed"
    )
    arms: list[str] | None = setting(
        None,
        f"what to compare, shuffled among them: orders, {', '.join(ARMS[1:])}, and what decides while training, "
        f"{', '.join(DYNAMIC)} (docs/arms.md); null: the orders, but with several scores without anti",
        known=(*ARMS, *DYNAMIC),
    )
    drop: list[str] = setting(
        [],
        "arms that leave out the hardest or the easiest examples by the score, or any, for good",
        choices=("hard", "easy", "random"),
    )
    keep: float = setting(0.7, "share of the examples that the arms of drop= keep", above=0, below=1)
    balance: bool = setting(True, "keep the proportions of the classes in every prefix of the order")
    variety: list[str] = setting(
        ["none"],
        "clusters: rank the scores within clusters of similar images of a class, so that the first examples are varied; "
        "none,clusters compares with and without",
        choices=("none", "clusters"),
    )
    pacing: str = setting(
        "linear",
        f"how fast examples come in, a name in curricula.PACING: {', '.join(PACING)}; --show-pacing draws them",
        known=PACING,
    )
    a: float | None = setting(
        None, "fraction of the training until all examples are in; null: the pacing's own", above=0
    )
    b: float | None = setting(
        None, "fraction of the examples to begin with; null: the pacing's own", above=0, at_most=1
    )
    seeds: int | None = setting(
        None,
        "trainings of each arm, from seed= on, paired; null: 8, or what many arms need",
        at_least=2,
    )
    budget: float = setting(1.0, "fraction of the optimiser steps of all epochs to train for", above=0, at_most=1)
    matters: float = setting(
        0.0,
        "smallest difference of interest in percentage points: a smaller one that is shown is called negligible",
        at_least=0,
    )
    tune_lr: list[float] = setting(
        [], "learning rates, tune.lr=0.02,0.1, of which each arm picks one a seed by validation", above=0
    )
    tune_a: list[float] = setting(
        [], "the same of a=; shuffled, which has none, is the best of as many trainings with other seeds", above=0
    )
    tune_b: list[float] = setting([], "the same of b=", above=0, at_most=1)
    evaluations: int = setting(
        20, "how often a training is evaluated on the validation part, evenly spaced", at_least=1
    )
    longer: float | None = setting(
        None,
        "passes over the data that the arm shuffled_longer has at most beyond the others: what the measurement behind a "
        "score cost; null: as many as they have, 0: no such arm",
        at_least=0,
    )
    measurement: str | None = setting(
        None, "run id of the measurement that metric= reads; null: the latest of the data"
    )
    record: str | None = setting(
        None,
        "folder of the learning record that metric= reads, such as of a loop of your own, in place of a measurement",
    )


@dataclass(frozen=True)
class ScoreSettings(Settings):
    """Of `--mode scores`. What training needs is read by nobody here, and may stand in a preset."""

    statistics: list[str] = setting(
        ["entropy", "frequency", "segments", "gradient", "shallow", "shallow:fast", "neighbours", "typicality"],
        "what to compare as scores, names in metrics.STATISTICS and metrics.EXAMPLE_STATISTICS",
        known=(*STATISTICS, *EXAMPLE_STATISTICS),
    )
    measurement: str | None = setting(None, "run id of the measurement to compare with; null: the latest of the data")
    random_labels: float = setting(
        0.0, "of the measurement: the labels that it drew are the wrong ones to find", at_least=0, at_most=1
    )


MODES: dict[str, type[Settings]] = {
    "measure": MeasureSettings,
    "curriculum": CompareSettings,
    "scores": ScoreSettings,
}
# of all modes, by name; what several have is described as in the first
ENTRIES = {entry.name: entry for kind in MODES.values() for entry in fields(kind)}
ENTRIES |= {entry.name: entry for kind in reversed(MODES.values()) for entry in fields(kind)}


def known_as(data: str, root: str) -> str:
    """What a data set is called in experiments, titles and tables: one of one's own by its folder or file."""
    if data not in ("folder", "csv", "npz"):
        return data
    place = Path(root).expanduser().resolve()
    return re.sub(r"[^\w .-]", "_", place.name if data == "folder" else place.stem) or data


def base(data: Any) -> str:
    """The name in lab.data.DATASETS of data=: what stands before the colon of torchvision:FashionMNIST."""
    return str(data).partition(":")[0]


def plain(settings: Settings) -> dict[str, Any]:
    """All settings by name."""
    return dict(vars(settings))


def with_effect(settings: Settings) -> dict[str, Any]:
    """The settings that change what is found, by name."""
    return {name: value for name, value in vars(settings).items() if ENTRIES[name].metadata["effect"]}


def type_of(annotation: Any) -> str:
    """The type of a setting in words a user types: 'int or null', 'list of str'."""
    if annotation is Any:
        return "str or list of str"
    if get_origin(annotation) is list:
        return f"list of {get_args(annotation)[0].__name__}"
    if isinstance(annotation, types.UnionType):
        return " or ".join("null" if part is type(None) else part.__name__ for part in get_args(annotation))
    return cast(type, annotation).__name__


def is_list(kind: Any) -> bool:
    """Whether a setting of this type is a list, or one or null."""
    return any(get_origin(part) is list for part in (kind, *get_args(kind)))


def nearest(word: str, known: Any) -> str:
    """'; did you mean ...?' with the closest known words, all of them when none is close."""
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6) or sorted(known)
    return f"; did you mean {', '.join(close)}?" if len(close) <= 3 else f"; known: {', '.join(close)}"
