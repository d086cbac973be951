"""The settings: each with its meaning, default and bounds, composed from presets and the command line.

`compose(["data=cifar10", "epochs=5"])` returns `MeasureSettings` or `CompareSettings`, made of, in this order, the
defaults below, the preset `lab/presets/<data>.yaml`, and the `key=value` words given. Nothing here imports torch, so that
`--help` answers at once.
"""

import difflib
import itertools
import json
import os
import re
import sys
import types
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from lab.errors import UserError

PRESETS = Path(__file__).parent / "presets"  # of data sets
RECIPES = Path(__file__).parent / "recipes"
PROGRAM = "uv run train.py" if "UV" in os.environ else "python train.py"  # as the user calls it: uv sets UV
# what these are the names of takes long to import; a test compares
NETWORKS = ("lenet5", "vgg16", "resnet50", "densenet121")
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
OTHER_WORDS = {  # of other programs, that look like no setting here
    **dict.fromkeys(("learning_rate", "max_lr", "base_lr", "eta"), "lr"),
    **dict.fromkeys(("model", "models", "arch", "architecture", "net"), "network"),
    **dict.fromkeys(("dataset", "data_set"), "data"),
    **dict.fromkeys(("data_dir", "path", "dir"), "root"),
    **dict.fromkeys(("wd", "l2"), "weight_decay"),
    **dict.fromkeys(("bs", "minibatch"), "batch_size"),
    **dict.fromkeys(("num_workers", "n_jobs", "jobs"), "workers"),
    **dict.fromkeys(("num_epochs", "n_epochs", "max_epochs", "passes"), "epochs"),
    "random_state": "seed",
}
NOT_DECIMAL = re.compile(r"[-+]?(0[\d_]+|0[xob]\w+|\d[\d_]*(:[0-5]?\d)+|\d+_[\d_]+)(\.\d*)?")  # numbers to YAML 1.1


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
        "the data set's preset as it is, or over it the settings of a recipe in lab/recipes: strong",
        choices=("preset", "strong"),
        effect=False,
    )
    optimizer: str = setting("sgd", "optimiser", choices=("sgd", "adam", "adamw"))
    lr: float = setting(0.1, "largest learning rate", above=0)
    min_lr: float = setting(5e-4, "learning rate at the end of schedule=cosine", at_least=0)
    momentum: float = setting(0.9, "momentum of sgd, first beta of adam and adamw", at_least=0, below=1)
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


def compose(words: list[str], mode: str = "measure", file: Path | None = None) -> Any:
    """Defaults, then lab/presets/<data>.yaml, then lab/recipes/<recipe>.yaml, then a file of one's own, then the `key=value` words.

    A section of a file that is named as the mode comes after the rest of the file.
    Returns the mode's class in MODES. Raises UserError with one clear line.
    """
    default: DictConfig = OmegaConf.structured(MODES[mode])
    given = [pair(re.sub(r"^tune\.", "tune_", word)) for word in words]
    own = layers_of(read_layer(file, str(file)), str(file), mode) if file else []

    stated = dict([*(each for _, pairs in own for each in pairs), *given])
    if "root" in stated and "data" not in stated:  # images of one's own: the default set has no folder
        stated["data"] = "folder"
        given.insert(0, ("data", "folder"))

    def chosen(name: str) -> Any:
        return stated.get(name, default[name])

    data, recipe, layers = chosen("data"), chosen("recipe"), []
    layers += layers_of(read_preset(data), f"lab/presets/{base(data)}.yaml", mode)
    if recipe in ENTRIES["recipe"].metadata["choices"] and recipe != default.recipe:
        name = f"lab/recipes/{recipe}.yaml"
        layers += layers_of(read_layer(RECIPES / f"{recipe}.yaml", name), name, mode)
    config = default
    for source, pairs in (*layers, *own, ("", given)):
        for key, value in pairs:
            if key in ENTRIES and key not in default:  # a preset serves both modes, what is typed is meant
                if not source and OmegaConf.structured(other_mode(key)[1])[key] != value:
                    raise UserError(f"{key}={value}: --mode {mode} does not read it, --mode {other_mode(key)[0]} does")
                continue
            config = merged(config, key, value, source)
    try:
        settings = cast(Settings, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {first_line(error)}") from error
    check(settings)
    number = len(settings.network) if isinstance(settings.network, list) else None
    if number and dict(given).get("networks", number) != number:
        raise UserError(f"networks={dict(given)['networks']}: network= lists {number}, one network each")
    return settings


def known_as(data: str, root: str) -> str:
    """What a data set is called in experiments, titles and tables: one of one's own by its folder or file."""
    if data not in ("folder", "csv", "npz"):
        return data
    place = Path(root).expanduser().resolve()
    return re.sub(r"[^\w .-]", "_", place.name if data == "folder" else place.stem) or data


def base(data: Any) -> str:
    """The name in lab.data.DATASETS of data=: what stands before the colon of torchvision:FashionMNIST."""
    return str(data).partition(":")[0]


def read_preset(data: Any) -> dict[Any, Any]:
    name = base(data)
    preset = PRESETS / f"{name}.yaml"
    if not preset.is_file():
        sets = getattr(sys.modules.get("lab.data"), "DATASETS", {})
        if name in sets:  # of a module of one's own, which is imported before
            return {}
        known = [*(path.stem for path in PRESETS.glob("*.yaml")), *sets]
        if data == "mnist5k":
            raise UserError("data=mnist5k: there is no data set 'mnist5k'; it is called digits now")
        raise UserError(f"data={data}: there is no preset lab/presets/{name}.yaml{nearest(name, sorted({*known}))}")
    return read_layer(preset, f"lab/presets/{name}.yaml")


def read_layer(path: Path, name: str) -> dict[Any, Any]:
    """The settings of a YAML file, with those of one mode in a section of its name. Raises UserError in one line."""
    if not path.is_file():
        raise UserError(f"{name}: there is no such file")
    try:
        for line in path.read_text("utf-8").splitlines():
            key, _, value = line.partition("#")[0].partition(":")
            refuse_odd_numbers(f"{name}: {key.strip()}", value.strip())
        layer = OmegaConf.to_container(OmegaConf.load(path))
    except UserError:
        raise
    except Exception as error:  # yaml and OmegaConf meet bad text with errors of many types
        raise UserError(f"{name} is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(layer, dict) or not all(isinstance(layer.get(mode, {}), dict) for mode in MODES):
        raise UserError(f"{name}: expected lines of the form 'key: value'")
    return layer


def layers_of(layer: dict[Any, Any], name: str, mode: str) -> list[tuple[str, list[tuple[Any, Any]]]]:
    """What to merge of a file: where from, in messages, and keys with values; the section of the mode last."""
    return [
        (f"{name}: ", [(key, value) for key, value in layer.items() if key not in MODES]),
        (f"{name}, {mode}: ", [*layer.get(mode, {}).items()]),
    ]


def other_mode(key: str) -> tuple[str, type[Settings]]:
    """The mode that reads a setting, and its class."""
    return next((mode, kind) for mode, kind in MODES.items() if key in kind.__dataclass_fields__)


def compose_sweep(words: list[str], file: Path | None = None) -> dict[str, MeasureSettings]:
    """Settings for every value that words of the form `sweep.key=[value,...]` list, by 'key=value'.

    Several such words give all combinations. Raises UserError with one clear line.
    """
    plain = [word for word in words if not word.startswith("sweep.")]
    choices = []
    for word in words:
        if word.startswith("sweep."):
            key, values = pair(word.removeprefix("sweep."), several=True)
            if not isinstance(values, list) or len(values) < 2:
                raise UserError(f"{word}: expected a list of two or more values, such as sweep.{key}=1,2")
            choices.append([f"{key}={json.dumps(value)}" for value in values])
            if len({*choices[-1]}) < len(values):
                raise UserError(f"{word}: a value stands there twice")
    return {
        ", ".join(chosen).replace('"', ""): compose([*plain, *chosen], "measure", file)
        for chosen in itertools.product(*choices)
    }


def pair(word: str, several: bool = False) -> tuple[str, Any]:
    """Key and value. several: whether the value may be a list where the setting is none."""
    key, equals, text = word.partition("=")
    if not equals or not key:
        spaces = " without spaces" if key in ENTRIES else nearest(key, ENTRIES)
        raise UserError(f"'{word}' is not of the form key=value{spaces}")
    kind = ENTRIES[key].type if key in ENTRIES else None
    if kind in (str, str | None) and not several and re.fullmatch(r"(?!null$)[^'\"].*", text):
        return key, text  # as it stands: to YAML some paths and names are numbers, dates or comments
    # a list needs no brackets: they mean something to some shells
    if is_list(kind) and not several and re.fullmatch(r"[\w.:]+(,[\w.:]+)*", text):
        return key, text.split(",")
    if (several or kind is Any) and re.fullmatch(r"[^\[\]{}]+(,[^\[\]{}]+)+", text):
        text = f"[{text}]"
        word = f"{key}={text}"
    if kind not in (str, str | None):
        refuse_odd_numbers(key, text)
    try:
        value = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.from_dotlist([word]))).get(key)
    except Exception as error:  # yaml and OmegaConf meet bad text with errors of many types
        raise UserError(f"{word}: the value is not valid YAML ({first_line(error)})") from error
    return key, value


def refuse_odd_numbers(key: str, text: str) -> None:
    """YAML 1.1 reads 010 as 8 and 1:30 as 90, which nobody means."""
    for part in re.split(r"[\[\],\s]+", text):
        if NOT_DECIMAL.fullmatch(part):
            raise UserError(f"{key}={text}: write {part} as a decimal number without leading zeros")


def merged(config: DictConfig, key: Any, value: Any, source: str) -> DictConfig:
    try:
        return cast(DictConfig, OmegaConf.merge(config, {key: value}))
    except (ConfigKeyError, ConfigAttributeError) as error:
        unknown = str(error.full_key or key)
        hint = f"; did you mean {OTHER_WORDS[unknown]}?" if unknown in OTHER_WORDS else nearest(unknown, ENTRIES)
        raise UserError(f"{source}there is no setting '{unknown}'{hint}") from error
    except (OmegaConfBaseException, TypeError) as error:  # TypeError: a mapping where a list belongs
        about = ENTRIES[key].metadata
        names = ",".join((about["choices"] or about["known"])[:2])
        example = f", such as {key}={names}" if type_of(ENTRIES[key].type).startswith("list") else ""
        raise UserError(
            f"{source}{key}={value}: expected {type_of(ENTRIES[key].type)}{example} ({meaning_of(key)})"
        ) from error


def check(settings: Settings) -> None:
    """Values that are of the right type and still cannot be meant."""
    for entry in fields(settings):
        value, about = getattr(settings, entry.name), entry.metadata
        for each in value if isinstance(value, list) else [value]:
            if about["choices"] and each is not None and each not in about["choices"]:
                hint = nearest(str(each), about["choices"])
                raise UserError(f"{entry.name}={each}: expected one of {', '.join(about['choices'])}{hint}")
            for bound, limit in about["bounds"].items():
                fits = {
                    "at_least": lambda x, limit: x >= limit,
                    "above": lambda x, limit: x > limit,
                    "at_most": lambda x, limit: x <= limit,
                    "below": lambda x, limit: x < limit,
                }[bound]
                if each is not None and not fits(each, limit):
                    words = bound.replace("_", " ")
                    raise UserError(f"{entry.name}={each}: expected {words} {limit:g} ({about['meaning']})")
    if settings.resize and settings.crop and settings.crop > settings.resize:
        raise UserError(f"crop={settings.crop}: larger than resize={settings.resize}")
    if settings.weights and settings.stem == "small":
        raise UserError(f"weights={settings.weights}: they have the stem for large images; leave stem=small out")
    if settings.train == "head" and not settings.weights:
        raise UserError("train=head: a network of drawn weights has nothing to keep; give weights= too")
    if settings.warmup and (settings.schedule == "one_cycle" or settings.warmup >= settings.epochs):
        why = "schedule=one_cycle rises by itself" if settings.schedule == "one_cycle" else "it takes all epochs"
        raise UserError(f"warmup={settings.warmup}: {why}; give warmup=0, or less")
    if (settings.engine == "dask") != (settings.scheduler is not None):
        raise UserError(
            f"engine={settings.engine} with scheduler={settings.scheduler}: for a Dask cluster give engine=dask and "
            "scheduler=tcp://host:port; `dask scheduler --port 8786` starts one"
        )
    if settings.scheduler is not None and not re.fullmatch(r"\w+://\S+:\d+", settings.scheduler):
        raise UserError(f"scheduler={settings.scheduler}: expected an address such as tcp://host:8786")
    names = settings.network if isinstance(settings.network, list) else [settings.network]
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"network={settings.network}: expected a name, or a list of names such as network=lenet5,vgg16")
    if isinstance(settings, MeasureSettings | ScoreSettings) and not settings.statistics:
        raise UserError("statistics=[]: name at least one")
    if isinstance(settings, MeasureSettings) and settings.sync_batchnorm and not on_gpu(settings.device):
        raise UserError("sync_batchnorm=true: torch synchronises batch-norm between GPUs alone; leave it out on CPUs")


def on_gpu(device: str) -> bool:
    """Whether device= comes to a GPU on this machine."""
    if device == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def plain(settings: Settings) -> dict[str, Any]:
    """All settings by name."""
    return dict(vars(settings))


def with_effect(settings: Settings) -> dict[str, Any]:
    """The settings that change what is found, by name."""
    return {name: value for name, value in vars(settings).items() if ENTRIES[name].metadata["effect"]}


def as_yaml(settings: Settings) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(plain(settings)))


def meaning_of(key: str) -> str:
    return cast(str, ENTRIES[key].metadata["meaning"])


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


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
