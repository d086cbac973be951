"""The configuration: every setting with its meaning and default, composed from presets and the command line.

`compose(["data=cifar10", "epochs=5"])` returns a typed OmegaConf object made of, in this order, the defaults below, the
preset `lab/presets/<data>.yaml`, and the `key=value` words given. Nothing here imports torch, so `--help` answers at once.
"""

import difflib
import itertools
import json
import os
import re
import types
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from lab.errors import UserError

PRESETS = Path(__file__).parent / "presets"
PROGRAM = "uv run train.py" if "UV" in os.environ else "python train.py"  # as the user calls it: uv sets UV
MEASURE_ONLY = {"networks", "record", "statistics", "resamples", "random_labels", "sync_batchnorm"}
CURRICULUM_ONLY = {"metric", "descending", "arms", "balance", "pacing", "a", "b", "seeds", "budget", "label_noise", "validation", "evaluations", "measurement"}  # fmt: skip
SECTIONS = ("curriculum",)  # of a preset: what differs in that mode


def setting(default: Any, meaning: str, *choices: str) -> Any:
    metadata = {"meaning": meaning, "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Configuration:
    # what is learned
    data: str = setting("mnist5k", "data set, one of lab.data.DATASETS; its preset is lab/presets/<data>.yaml")
    root: str = setting("data", "folder that holds the data set (cifar10 and voc are downloaded there when missing)")
    resize: int | None = setting(None, "shorter side of the images in pixels before cropping; null keeps their size")
    crop: int | None = setting(
        None, "side in pixels of the square crop, random in training and central in testing; null: no crop"
    )
    memory: float = setting(
        4.0,
        "GB of decoded images to hold in memory; larger sets are decoded once into a file in cache= and read from there",
    )
    test_sample: str = setting(
        "a", "which of the four samples of each material kth_tips2b tests on", "a", "b", "c", "d"
    )
    random_labels: float = setting(
        0.0, "probability that an example, of train or test, has a class drawn at random for its label"
    )
    skip_bad_images: bool = setting(False, "leave unreadable images out (and say how many) instead of stopping")
    # by which networks
    network: Any = setting(
        "lenet5", "a name in lab.networks.NETWORKS or torchvision.models, or a list of them: one network each"
    )
    networks: int = setting(5, "number of networks K trained side by side (with a list in network=, its length)")
    # how they are trained
    epochs: int = setting(30, "passes over the training set, T")
    batch_size: int = setting(128, "examples in one optimiser step")
    optimizer: str = setting("sgd", "optimiser", "sgd", "adam")
    lr: float = setting(0.1, "largest learning rate")
    min_lr: float = setting(5e-4, "learning rate at the end of schedule=cosine")
    momentum: float = setting(0.9, "momentum of sgd, first beta of adam")
    weight_decay: float = setting(5e-4, "weight decay (L2)")
    schedule: str = setting(
        "cosine",
        "learning rate over time: cosine and step change it every epoch, one_cycle every step",
        "cosine",
        "one_cycle",
        "step",
        "constant",
    )
    step_epochs: int = setting(30, "epochs between the drops of schedule=step")
    step_factor: float = setting(0.1, "factor of each drop of schedule=step")
    precision: str = setting(
        "auto", "bf16 autocast, or fp32; auto: bf16 where the machine has it and it is faster", "auto", "bf16", "fp32"
    )
    # what is measured
    record: str = setting(
        "during",
        "train predictions: during the training pass (as the paper's code), or after it in eval mode",
        "during",
        "after",
    )
    statistics: list[str] = setting(
        ["entropy", "frequency", "segments", "edges"],
        "image statistics to relate to the learning order, names in metrics.STATISTICS",
    )
    statistics_resize: int | None = setting(
        None, "side in pixels of the squares that images are resized to for entropy and frequency; null: no resizing"
    )
    resamples: int = setting(1000, "bootstrap resamples behind each 95 % interval")
    # how the order is tried (mode curriculum)
    metric: str = setting(
        "entropy",
        "what orders the examples: a statistic; agreement, confidence or forgetting of a measurement; file:PATH of "
        "columns id and score; several joined by +",
    )
    descending: bool = setting(False, "take high scores for easy")
    arms: list[str] = setting(
        ["shuffled", "curriculum", "anti", "random"], "ways of ordering to compare, shuffled among them"
    )
    balance: bool = setting(True, "keep the proportions of the classes in every prefix of the order")
    pacing: str = setting(
        "linear",
        "how fast examples come in, a name in curricula.PACING: linear, quadratic, root, log, exp, step, single_step, "
        "fixed_exponential, varied_exponential; --show-pacing draws them",
    )
    a: float | None = setting(None, "fraction of the training until all examples are in; null: the pacing's own")
    b: float | None = setting(None, "fraction of the examples to begin with; null: the pacing's own")
    seeds: int = setting(8, "trainings of each arm, from seed= on, paired over arms")
    budget: float = setting(1.0, "fraction of the optimiser steps of all epochs to train for")
    label_noise: float = setting(0.0, "fraction of the train labels to replace by wrong ones")
    validation: float = setting(0.1, "fraction of the train set held out to choose the best step by")
    evaluations: int = setting(20, "how often a training is evaluated on the validation part, evenly spaced")
    measurement: str | None = setting(
        None, "run id of the measurement that metric= reads; null: the latest of the data"
    )
    # on which machine, under which name
    seed: int = setting(0, "the one seed of all randomness")
    device: str = setting("auto", "auto takes the GPU when there is one", "auto", "cpu", "cuda")
    workers: int = setting(
        0, "networks trained at the same time, each in a process of its own; 0 chooses (a cluster's workers always do)"
    )
    engine: str = setting("local", "trains on this machine, or on the workers of a Dask cluster", "local", "dask")
    scheduler: str | None = setting(None, "address tcp://host:port of the scheduler of engine=dask")
    sync_batchnorm: bool = setting(False, "under torchrun: batch-norm over the whole batch, not each process's share")
    cache: str = setting("cache", "folder of computed statistics and decoded images; safe to delete")
    name: str | None = setting(None, "name of the run in MLflow; null makes one from the settings")


def compose(words: list[str], mode: str = "measure") -> DictConfig:
    """Defaults, then lab/presets/<data>.yaml, then its section named as the mode, then the `key=value` words.

    Raises UserError with one clear line.
    """
    default = OmegaConf.structured(Configuration)
    given = [pair(word) for word in words]
    chosen = next((value for key, value in reversed(given) if key == "data"), default.data)
    preset = PRESETS / f"{chosen}.yaml"
    if not preset.is_file():
        known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
        raise UserError(f"data={chosen}: there is no preset lab/presets/{chosen}.yaml{nearest(str(chosen), known)}")
    try:
        layer: Any = OmegaConf.to_container(OmegaConf.load(preset))
    except Exception as error:  # yaml and OmegaConf meet bad text with errors of many types
        raise UserError(f"lab/presets/{chosen}.yaml is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(layer, dict) or not all(isinstance(layer.get(name, {}), dict) for name in SECTIONS):
        raise UserError(f"lab/presets/{chosen}.yaml: expected lines of the form 'key: value'")
    section = layer.pop(mode, {}) if mode in SECTIONS else {}
    for other in SECTIONS:
        layer.pop(other, None)
    config = default
    for source, pairs in (
        (f"lab/presets/{chosen}.yaml: ", layer.items()),
        (f"lab/presets/{chosen}.yaml, {mode}: ", section.items()),
        ("", given),
    ):
        for key, value in pairs:
            config = merged(config, key, value, source)
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {first_line(error)}") from error
    check(config)
    if OmegaConf.is_list(config.network) and dict(given).get("networks", len(config.network)) != len(config.network):
        raise UserError(f"networks={config.networks}: network= lists {len(config.network)}, one network each")
    other, ignored = ("measure", MEASURE_ONLY) if mode == "curriculum" else ("curriculum", CURRICULUM_ONLY)
    for key, value in given:
        if key in ignored and config[key] != plain(default)[key]:
            raise UserError(f"{key}={value}: --mode {mode} does not look at it, --mode {other} does")
    OmegaConf.set_readonly(config, True)
    return config


def compose_sweep(words: list[str]) -> dict[str, DictConfig]:
    """A configuration for every value that words of the form `sweep.key=[value,...]` list, by 'key=value'.

    Several such words give all combinations. Raises UserError with one clear line.
    """
    plain = [word for word in words if not word.startswith("sweep.")]
    choices = []
    for word in words:
        if word.startswith("sweep."):
            key, values = pair(word.removeprefix("sweep."), several=True)
            if not isinstance(values, list) or len(values) < 2:
                raise UserError(f"{word}: expected a list of two or more values, such as sweep.{key}=[1,2]")
            choices.append([f"{key}={json.dumps(value)}" for value in values])
            if len({*choices[-1]}) < len(values):
                raise UserError(f"{word}: a value stands there twice")
    return {
        ", ".join(chosen).replace('"', ""): compose([*plain, *chosen], "measure")
        for chosen in itertools.product(*choices)
    }


def pair(word: str, several: bool = False) -> tuple[str, Any]:
    """Key and value. several: whether the value may be a list where the setting is none."""
    key, equals, text = word.partition("=")
    if not equals or not key:
        spaces = " without spaces" if key in names() else nearest(key, names())
        raise UserError(f"'{word}' is not of the form key=value{spaces}")
    is_text = not several and key in names() and described(key).type in (str, str | None)
    if is_text and re.fullmatch(r"(?!null$)[^'\"].*", text):
        return key, text  # as it stands: to YAML some paths and names are numbers, dates or comments
    try:
        value = plain(OmegaConf.from_dotlist([word])).get(key)
    except Exception as error:  # yaml and OmegaConf meet bad text with errors of many types
        raise UserError(f"{word}: the value is not valid YAML ({first_line(error)})") from error
    return key, value


def merged(config: DictConfig, key: str, value: Any, source: str) -> DictConfig:
    try:
        return cast(DictConfig, OmegaConf.merge(config, {key: value}))
    except (ConfigKeyError, ConfigAttributeError) as error:
        unknown = error.full_key or key
        raise UserError(f"{source}there is no setting '{unknown}'{nearest(str(unknown), names())}") from error
    except (OmegaConfBaseException, TypeError) as error:  # TypeError: a mapping where a list belongs
        raise UserError(
            f"{source}{key}={value}: expected {type_of(key)} ({described(key).metadata['meaning']})"
        ) from error


def check(config: DictConfig) -> None:
    """Values that are of the right type and still cannot be meant."""
    for entry in fields(Configuration):
        value, choices = config[entry.name], entry.metadata["choices"]
        if choices and value not in choices:
            raise UserError(f"{entry.name}={value}: expected one of {', '.join(choices)}{nearest(str(value), choices)}")
    least = {"networks": 1, "epochs": 1, "batch_size": 2, "step_epochs": 1, "step_factor": 0, "workers": 0, "resamples": 1, "seed": 0, "min_lr": 0,
             "momentum": 0, "weight_decay": 0, "resize": 1, "crop": 1, "seeds": 2,
             "evaluations": 1, "label_noise": 0, "random_labels": 0, "memory": 0, "statistics_resize": 10}  # fmt: skip
    for key, bound in least.items():
        if config[key] is not None and not config[key] >= bound:
            raise UserError(f"{key}={config[key]}: expected at least {bound} ({described(key).metadata['meaning']})")
    for key in ("lr", "budget", "validation", "a", "b"):
        if config[key] is not None and not config[key] > 0:
            raise UserError(f"{key}={config[key]}: expected a number above 0 ({described(key).metadata['meaning']})")
    for key in ("budget", "b", "label_noise", "random_labels"):
        if config[key] is not None and config[key] > 1:
            raise UserError(f"{key}={config[key]}: expected at most 1 ({described(key).metadata['meaning']})")
    if config.validation >= 1:
        raise UserError(f"validation={config.validation}: expected less than 1, to leave something to train on")
    if config.momentum >= 1:
        raise UserError(
            f"momentum={config.momentum}: expected less than 1 ({described('momentum').metadata['meaning']})"
        )
    if config.resize and config.crop and config.crop > config.resize:
        raise UserError(f"crop={config.crop}: larger than resize={config.resize}")
    if (config.engine == "dask") != (config.scheduler is not None):
        raise UserError(
            f"engine={config.engine} with scheduler={config.scheduler}: for a Dask cluster give engine=dask and "
            "scheduler=tcp://host:port; `dask scheduler --port 8786` starts one"
        )
    if config.scheduler is not None and not re.fullmatch(r"\w+://\S+:\d+", config.scheduler):
        raise UserError(f"scheduler={config.scheduler}: expected an address such as tcp://host:8786")
    architectures = config.network if OmegaConf.is_list(config.network) else [config.network]
    if not architectures or not all(isinstance(name, str) for name in architectures):
        raise UserError(f"network={config.network}: expected a name, or a list of names such as [lenet5,vgg16]")
    if not config.statistics:
        raise UserError("statistics=[]: name at least one")


def architectures(config: DictConfig) -> list[str]:
    """The architecture of each of the K networks."""
    return list(config.network) if OmegaConf.is_list(config.network) else [config.network] * config.networks


def plain(config: DictConfig) -> dict[str, Any]:
    """The settings as plain Python values; OmegaConf's own annotation has lists, strings and None among what may come."""
    return cast(dict[str, Any], OmegaConf.to_container(config))


def settings_of(config: DictConfig, mode: str) -> dict[str, Any]:
    """The settings that a mode looks at."""
    ignored = MEASURE_ONLY if mode == "curriculum" else CURRICULUM_ONLY
    return {key: value for key, value in plain(config).items() if key not in ignored}


def names() -> list[str]:
    return [entry.name for entry in fields(Configuration)]


def described(key: str) -> Any:
    return next(entry for entry in fields(Configuration) if entry.name == key)


def type_of(key: str) -> str:
    """The type of a setting in words a user types: 'int or null', 'list of str'."""
    annotation = described(key).type
    if annotation is Any:
        return "str or list of str"
    if get_origin(annotation) is list:
        return f"list of {get_args(annotation)[0].__name__}"
    if isinstance(annotation, types.UnionType):
        return " or ".join("null" if part is type(None) else part.__name__ for part in get_args(annotation))
    return annotation.__name__


def nearest(word: str, known: Any) -> str:
    """' (did you mean ...?)' for the closest known words, all of them when none is close."""
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6) or sorted(known)
    return f"; did you mean {', '.join(close)}?" if len(close) <= 3 else f"; known: {', '.join(close)}"


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
