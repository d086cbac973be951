"""How settings are composed of presets, recipes, files of one's own and words of the command line, and what cannot be meant.

`compose(["data=cifar10", "epochs=5"])` returns `MeasureSettings` or `CompareSettings`, made of, in this order, the
defaults in `lab.settings`, the preset `lab/presets/<data>.yaml`, and the `key=value` words given.
"""

import itertools
import json
import operator
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from lab.errors import UserError
from lab.settings import (
    ENTRIES,
    MODES,
    MeasureSettings,
    ScoreSettings,
    Settings,
    base,
    is_list,
    nearest,
    plain,
    type_of,
)

PRESETS = Path(__file__).parent / "presets"  # of data sets
RECIPES = Path(__file__).parent / "recipes"
FITS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}  # of bounds
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
            if any(each[0].startswith(f"{key}=") for each in choices[:-1]):
                raise UserError(f"{word}: {key} is swept twice; name all of its values in one list")
    return {
        ", ".join(chosen).replace('"', ""): compose([*plain, *chosen], "measure", file)
        for chosen in itertools.product(*choices)
    }


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
    if is_list(kind) and not several and re.fullmatch(r"(?!(?:null|~)$)[\w.:/~+-]+(,[\w.:/~+-]+)*", text):
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
        example = f", such as {key}={names}" if names and type_of(ENTRIES[key].type).startswith("list") else ""
        raise UserError(
            f"{source}{key}={value}: expected {type_of(ENTRIES[key].type)}{example} ({about['meaning']})"
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
                if each is not None and not FITS[bound](each, limit):
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


def as_yaml(settings: Settings) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(plain(settings)))


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
