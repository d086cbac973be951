"""How a configuration is composed, and how what is wrong with it is told."""

import argparse
import io
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from rich.console import Console

import curricula
import metrics
from lab import data, networks
from lab.compose import PRESETS, compose, compose_sweep
from lab.errors import UserError
from lab.help import print_help
from lab.settings import (
    ANNOTATIONS,
    ARMS,
    DYNAMIC,
    ENTRIES,
    EXAMPLE_STATISTICS,
    MODES,
    NETWORKS,
    PACING,
    SCORES,
    STATISTICS,
    MeasureSettings,
    known_as,
    type_of,
)

PRESET_NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def told(*words: str) -> str:
    with pytest.raises(UserError) as raised:
        compose(list(words))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_words_come_before_the_preset_and_the_preset_before_the_defaults():
    default = MeasureSettings()
    config = compose(["data=folder", "crop=32"])
    preset = OmegaConf.load(PRESETS / "folder.yaml")
    assert config.crop == 32 != preset.crop
    assert config.lr == preset.lr != default.lr
    assert config.momentum == default.momentum
    assert compose(["lr=0.5", "data=folder"]).lr == 0.5  # wherever data= stands


def test_a_root_alone_means_a_folder_of_ones_own(tmp_path):
    assert compose(["root=~/pets"]).data == "folder" and compose(["root=~/pets"]).crop == compose(["data=folder"]).crop
    assert compose(["root=x", "data=cifar10"]).data == "cifar10" and compose([]).data == "digits"
    (tmp_path / "my.yaml").write_text("data: voc\n")
    assert compose(["root=x"], file=tmp_path / "my.yaml").data == "voc"


def test_images_of_ones_own_are_known_by_their_folder():
    assert known_as("folder", "/data/my pets/") == "my pets" and known_as("folder", "/data/a:b#c") == "a_b_c"
    assert known_as("csv", "/data/table.csv") == "table" and known_as("cifar10", "/data/x") == "cifar10"
    assert known_as("folder", "/") == "folder"


def test_later_words_win():
    assert compose(["epochs=3", "epochs=4"]).epochs == 4
    assert compose(["data=folder", "data=cifar10"]).data == "cifar10"
    assert compose(["data=folder", "data=cifar10"]).crop is None


@pytest.mark.parametrize("name", PRESET_NAMES)
@pytest.mark.parametrize("mode", ["measure", "curriculum"])
def test_every_preset_composes(name, mode):
    config = compose([f"data={name}"], mode)
    assert config.data == name
    assert type(config) is MODES[mode]


def test_there_is_a_preset_for_every_data_set():
    from lab.data import DATASETS

    assert set(PRESET_NAMES) == set(DATASETS)


def test_a_recipe_comes_over_the_preset_and_under_the_words():
    config = compose(["data=cifar10", "recipe=strong", "epochs=7"])
    assert (config.network, config.augment, config.label_smoothing, config.epochs) == ("resnet18", "flip_crop", 0.1, 7)
    assert compose(["data=cifar10", "recipe=strong"], "curriculum").warmup == 3


def test_a_file_of_ones_own_comes_over_preset_and_recipe(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("data: cifar10\nrecipe: strong\nepochs: 9\nlr: 0.3\ncurriculum:\n  seeds: 3\n  lr: 0.4\n")
    measured, compared = compose(["epochs=8"], file=file), compose([], "curriculum", file)
    assert (measured.data, measured.network, measured.lr, measured.epochs) == ("cifar10", "resnet18", 0.3, 8)
    assert (compared.seeds, compared.lr, compared.epochs) == (3, 0.4, 9)
    assert [each.lr for each in compose_sweep(["sweep.epochs=4,5"], file).values()] == [0.3, 0.3]


@pytest.mark.parametrize(
    ("text", "message"),
    [("epochz: 3\n", "my.yaml: there is no setting 'epochz'"), ("epochs: [\n", "my.yaml is not valid YAML"), (None, "my.yaml: there is no such file")],
)  # fmt: skip
def test_a_file_of_ones_own_that_does_not_serve(tmp_path, text, message):
    if text:
        (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        compose([], file=tmp_path / "my.yaml")


@pytest.mark.parametrize(
    ("words", "message"),
    [(["schedule=one_cycle"], "rises by itself"), (["epochs=3"], "it takes all epochs")],
)
def test_a_warm_up_that_leaves_no_schedule(words, message):
    assert message in told("warmup=3", *words)


def test_the_papers_recipe_for_cifar10():
    config = compose(["data=cifar10"])
    recipe = {"epochs": 60, "batch_size": 128, "optimizer": "sgd", "lr": 0.1, "min_lr": 5e-4, "momentum": 0.9,
              "weight_decay": 5e-4, "schedule": "cosine", "networks": 5, "crop": None, "record": "during"}  # fmt: skip
    assert {key: getattr(config, key) for key in recipe} == recipe


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("lr=1e-3", 0.001), ("lr=1", 1.0), ("crop=null", None), ("crop=24", 24), ("name=5", "5"), ("name=a=b", "a=b"),
        ("root=~/my data", "~/my data"), ("root=/a[0]/b", "/a[0]/b"), ("skip_bad_images=true", True),
        ("statistics=[entropy]", ["entropy"]), ("statistics=entropy,segments", ["entropy", "segments"]), ("network=[lenet5,vgg16]", ["lenet5", "vgg16"]),
        ("statistics=entropy", ["entropy"]), ("statistics=shallow:fast,edges", ["shallow:fast", "edges"]), ("network=lenet5,vgg16", ["lenet5", "vgg16"]),
    ],
)  # fmt: skip
def test_values_have_their_types(word, value):
    found = getattr(compose([word]), word.partition("=")[0])
    assert found == value and type(found) is type(value)


def test_architectures():
    assert compose(["networks=3"]).architectures == ["lenet5"] * 3
    assert compose(["network=[lenet5,vgg16]", "networks=2"]).architectures == ["lenet5", "vgg16"]


def test_a_list_of_networks_has_its_own_number():
    assert "networks=3: network= lists 2" in told("network=[lenet5,vgg16]", "networks=3")


def test_spaces_around_the_equals_sign():
    assert "'epochs' is not of the form key=value without spaces" in told("epochs", "=", "3")


def test_it_cannot_be_changed_afterwards():
    with pytest.raises(FrozenInstanceError):
        compose([]).epochs = 3


@pytest.mark.parametrize(
    ("word", "near"),
    [("epoch=3", "epochs"), ("batchsize=3", "did you mean batch_size?"), ("optimiser=sgd", "optimizer"), ("netwroks=2", "networks"), ("learning_rate=1", "did you mean lr?"), ("model=vgg16", "did you mean network?")],
)  # fmt: skip
def test_an_unknown_key_names_the_nearest(word, near):
    message = told(word)
    assert f"'{word.partition('=')[0]}'" in message and near in message


@pytest.mark.parametrize(
    "word", ["a.b=3", "lr.x=1", "data.x=1", "=3", "epochs", "", "epochs=[", "epochs={a: 1", "lr={x: 1}"]
)
def test_words_of_no_use(word):
    told(word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("epochs=many", "int"), ("epochs=1.5", "int"), ("epochs=null", "int"), ("lr=fast", "float"), ("crop=big", "int or null"),
        ("skip_bad_images=perhaps", "bool"), ("statistics={a: 1}", "list of str, such as statistics=entropy,frequency ("), ("root=null", "str"),
        ("optimizer=sdg", "sgd"), ("schedule=cosin", "cosine"), ("record=durin", "during"), ("device=gpu", "cuda"), ("precision=fp16", "fp32"),
        ("epochs=0", "at least 1"), ("networks=0", "at least 1"), ("batch_size=0", "at least"), ("seed=-1", "at least 0"),
        ("lr=0", "above 0"), ("lr=nan", "above 0"), ("min_lr=-1", "at least 0"), ("min_lr=nan", "at least 0"), ("crop=0", "at least 1"), ("step_factor=nan", "at least 0"),
        ("statistics=[]", "at least one"), ("network=5", "a name"), ("network=[]", "a name"), ("network=[1]", "a name"), ("network=null", "a name"),
    ],
)  # fmt: skip
def test_a_bad_value_names_the_key_and_what_is_expected(word, expected):
    message = told(word)
    assert word.partition("=")[0] in message and expected in message


@pytest.mark.parametrize("word", ["name=${nothing}", "name=${epochs", "epochs=${lr}", "name=${oc.env:NO_SUCH}"])
def test_references_that_lead_nowhere(word):
    assert word.partition("=")[0] in told(word)


def test_a_crop_larger_than_the_images():
    assert "crop=65: larger than resize=64" in told("resize=64", "crop=65")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["engine=dask"], "`dask scheduler --port 8786` starts one"),
        (["scheduler=tcp://host:8786"], "give engine=dask"),
        (["engine=dask", "scheduler=host"], "an address such as tcp://host:8786"),
        (["engine=ray"], "expected one of local, dask"),
    ],
)
def test_a_cluster_needs_an_engine_and_a_scheduler(words, expected):
    assert expected in told(*words)


def test_an_unknown_data_set_names_the_nearest():
    message = told("data=cifar")
    assert "lab/presets/cifar.yaml" in message and "cifar10" in message


def test_a_preset_with_an_unknown_key_is_named(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("epochz: 3\n")
    monkeypatch.setattr("lab.compose.PRESETS", tmp_path)
    message = told("data=own")
    assert "lab/presets/own.yaml" in message and "'epochz'" in message and "epochs" in message


def test_a_preset_that_is_no_yaml(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("epochs: [\n")
    monkeypatch.setattr("lab.compose.PRESETS", tmp_path)
    assert "lab/presets/own.yaml" in told("data=own")


@pytest.mark.parametrize(
    "content",
    [
        b"epochs: \x9d",
        b"[1, 2]",
        b"3",
        b"? [1]\n: 2",
        b"~: 1",
        b"1: 2",
        b"curriculum: 3",
        b"lr: ${nothing}",
        b"name: !!set {a}",
        b"\0",
    ],
)
def test_a_preset_that_holds_something_else(tmp_path, monkeypatch, content):
    (tmp_path / "own.yaml").write_bytes(content)
    monkeypatch.setattr("lab.compose.PRESETS", tmp_path)
    assert told("data=own")


@pytest.mark.parametrize("word", ["[=p", "[]=1", "a[=1", "=x"])
def test_a_key_that_is_none(word):
    assert told(word)


LINES = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])


@given(st.text(LINES, max_size=30))
def test_any_word_composes_or_is_told_in_one_line(word):
    try:
        compose([word])
    except UserError as error:
        assert "\n" not in str(error)


@given(st.sampled_from(sorted(MeasureSettings.__dataclass_fields__)), st.text(LINES, max_size=20))
@example("statistics", "0:")  # a mapping where a list belongs
def test_any_value_composes_or_is_told_in_one_line(key, value):
    try:
        compose([f"{key}={value}"])
    except UserError as error:
        assert "\n" not in str(error)


def test_every_setting_has_a_meaning_and_a_type():
    for entry in ENTRIES.values():
        assert len(entry.metadata["meaning"]) > 5
        assert type_of(entry.type)


def test_a_sweep_composes_every_combination():
    configs = compose_sweep(["epochs=3", "sweep.batch_size=[16,32]", "sweep.network=[lenet5,[lenet5,vgg16]]"])
    assert list(configs) == [
        "batch_size=16, network=lenet5",
        "batch_size=16, network=[lenet5, vgg16]",
        "batch_size=32, network=lenet5",
        "batch_size=32, network=[lenet5, vgg16]",
    ]
    assert [(c.batch_size, c.epochs) for c in configs.values()] == [(16, 3), (16, 3), (32, 3), (32, 3)]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("sweep.batch_size=32,512", ["batch_size=32", "batch_size=512"]),
        ("sweep.lr=0.1,1e-3", ["lr=0.1", "lr=0.001"]),
        ("sweep.network=lenet5,vgg16", ["network=lenet5", "network=vgg16"]),
        ("sweep.data=digits,folder", ["data=digits", "data=folder"]),
    ],
)
def test_a_sweep_without_brackets(word, names):
    assert list(compose_sweep([word])) == names


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sweep.batch_size=32", "expected a list of two or more values, such as sweep.batch_size=1,2"),
        ("sweep.batch_size=[32]", "expected a list of two or more"),
        ("sweep.lr=[0.1,1e-1]", "a value stands there twice"),
        ("sweep.batch_sise=[1,2]", "there is no setting 'batch_sise'; did you mean batch_size?"),
        ("sweep.batch_size=[16,many]", "batch_size=many: expected int"),
    ],
)
def test_a_sweep_that_cannot_be_meant(word, told):
    with pytest.raises(UserError) as error:
        compose_sweep([word])
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["/data/set #2", "007", "2024_01", "yes", "12:30", "~", "a: b", "[x]"])
def test_paths_and_names_are_taken_as_they_stand(text):
    assert compose([f"root={text}", f"name={text}"]).root == text
    assert compose([f"name={text}"]).name == text


@pytest.mark.parametrize(("word", "name"), [("name=null", None), ("name='a b'", "a b"), ('name="null"', "null")])
def test_null_and_quotes_mean_what_they_do_in_yaml(word, name):
    assert compose([word]).name == name


@pytest.mark.parametrize("word", ["longer=4", "budget=0.1", "metric=segments"])
def test_what_a_mode_does_not_look_at_is_told(word):
    with pytest.raises(UserError, match="--mode measure does not read it, --mode curriculum does"):
        compose([word])


def test_help_names_every_pacing_function_and_the_mode_of_a_setting():
    console = Console(width=240, record=True, quiet=False, file=io.StringIO())
    print_help(console, argparse.ArgumentParser())
    rows = console.export_text().splitlines()
    assert all(name in " ".join(rows) for name in PACING)
    assert next(row for row in rows if row.startswith("seeds ")).rstrip().endswith("(--mode curriculum)")


def test_a_sweep_over_a_setting_that_is_text():
    configs = compose_sweep(["sweep.data=[digits,folder]", "sweep.name=[one,null]"])
    assert [(c.data, c.name) for c in configs.values()] == [
        ("digits", "one"), ("digits", None), ("folder", "one"), ("folder", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("auto", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU"))]
)
def test_batch_norm_is_synchronised_between_gpus_alone(device):
    assert told("sync_batchnorm=true", f"device={device}").startswith(
        "sync_batchnorm=true: torch synchronises batch-norm"
    )
    assert not compose(["sync_batchnorm=false", f"device={device}"]).sync_batchnorm


def test_names_that_help_offers_are_those_there_are():
    assert (
        ARMS == curricula.ARMS
        and (*curricula.DYNAMIC,) == DYNAMIC
        and set(PACING) == set(curricula.PACING)
        and set(SCORES) == set(curricula.SCORES)
    )
    assert set(EXAMPLE_STATISTICS) == set(metrics.EXAMPLE_STATISTICS)
    assert set(STATISTICS) == set(metrics.STATISTICS) and set(NETWORKS) == set(networks.NETWORKS)
    assert set(ANNOTATIONS) == set(data.ANNOTATIONS)


@pytest.mark.parametrize(
    "word", ["seed=010", "batch_size=0127", "seed=1:30", "epochs=0x10", "epochs=1_0", "resize=064"]
)
def test_a_number_that_yaml_reads_in_another_way_is_refused(word):
    assert "as a decimal number without leading zeros" in told(word)
    assert "as a decimal number" in told_of_sweep(f"sweep.{word.replace('=', '=[1,')}]")


def told_of_sweep(word: str) -> str:
    with pytest.raises(UserError) as raised:
        compose_sweep([word])
    return str(raised.value)


def test_such_a_number_in_a_preset_is_refused(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("seed: 010 # ten?\n")
    monkeypatch.setattr("lab.compose.PRESETS", tmp_path)
    assert "lab/presets/own.yaml: seed=010" in told("data=own")


def test_a_misspelt_setting_fails_in_mypy(tmp_path):
    """The types of settings are known everywhere."""
    code = "from lab.settings import CompareSettings, MeasureSettings\n\ndef f(a: MeasureSettings, b: CompareSettings) -> int:\n    return a.epochs + a.epochz + b.networks\n"
    (tmp_path / "use.py").write_text(code)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", root / "pyproject.toml", tmp_path / "use.py"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert (
        '"MeasureSettings" has no attribute "epochz"' in done.stdout
        and '"CompareSettings" has no attribute "networks"' in done.stdout
    )


def test_help_at_80_columns_loses_nothing(capsys):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_help(console, argparse.ArgumentParser())
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    words = {word.rstrip(":") for word in text.split()}
    for name, entry in ENTRIES.items():
        short = {word.rstrip(":") for word in entry.metadata["meaning"].split() if len(word) < 12}
        assert {name, *short} <= words


@pytest.mark.parametrize(
    ("word", "mode", "value"),
    [
        ("tune.lr=1e-3,1e-2", "curriculum", [0.001, 0.01]),
        ("tune.lr=1e-3", "curriculum", [0.001]),
        ("statistics=teacher:convnext-tiny", "measure", ["teacher:convnext-tiny"]),
        ("imports=../own/a-b.py,~/c+d.py", "measure", ["../own/a-b.py", "~/c+d.py"]),
        ("arms=null", "curriculum", None),
        ("arms=~", "curriculum", None),
    ],
)
def test_lists_without_brackets(word, mode, value):
    name = word.partition("=")[0].replace(".", "_")
    assert getattr(compose([word], mode), name) == value


def test_a_list_that_is_none_is_told_without_an_example_that_is_none():
    with pytest.raises(UserError) as raised:
        compose(["tune.lr=high"], "curriculum")
    assert "such as" not in str(raised.value) and "expected list of float" in str(raised.value)


def test_a_setting_is_swept_once():
    with pytest.raises(UserError, match="seed is swept twice"):
        compose_sweep(["sweep.seed=0,1", "sweep.seed=2,3"])
