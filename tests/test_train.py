"""The command line: what it shows, and that whatever is wrong is told in one line with exit status 2."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image

import train
from lab.compose import compose
from lab.errors import UserError
from lab.settings import ENTRIES, plain

ROOT = Path(__file__).parents[1]


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> Path:
    """An empty current folder; nothing wrong with the input may leave anything in it but the cache of decoded images."""
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def images(tmp_path) -> Path:
    root = tmp_path / "images"
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(4):
                Image.fromarray(draw.integers(256, size=(32, 32), dtype=np.uint8)).save(folder / f"{i}.png")
    return root


def line_of(capsys, *words: str) -> str:
    """The one line that the program writes to standard error as it ends with status 2."""
    try:
        status = train.main(list(words))
    except SystemExit as end:
        status = end.code
    output = capsys.readouterr()
    assert status == 2
    assert output.err.startswith("train.py: ") and output.err.endswith("\n")
    assert output.err.count("\n") == 1, output.err
    assert output.out == ""
    return output.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["epochz=3"], ["'epochz'", "epochs"]),
        (["epochs=many"], ["epochs=many", "int"]),
        (["epochs=0"], ["epochs=0", "at least 1"]),
        (["optimizer=sdg"], ["optimizer=sdg", "sgd"]),
        (["lr=-1"], ["lr=-1", "above 0"]),
        (["lr=nan"], ["lr=nan", "above 0"]),
        (["data=mnist5k"], ["data=mnist5k", "called digits now"]),
        (["epochs"], ["'epochs'", "key=value"]),
        (["measure"], ["measure is a mode", "--mode measure"]),
        (["data=digits", "root=/my/images"], ["root=/my/images", "data=digits does not read it", "data=folder"]),
        (["root=/my/images"], ["/my/images", "no such folder"]),
        (["test_sample=b"], ["test_sample=b", "data=kth_tips2b reads it"]),
        (["network=lenet4"], ["lenet4", "lenet5"]),
        (["network=[]"], ["network=[]"]),
        (["statistics=[entropie]"], ["entropie", "entropy"]),
        (["crop=64"], ["crop=64", "32"]),
        (["batch_size=5000"], ["batch_size=5000", "4000"]),
        (["name=${nothing}"], ["name", "nothing"]),
        (["--mode", "measur"], ["measur", "measure"]),
        (["--mod"], ["--mod"]),
        (["--verbose"], ["--verbose"]),
        (["--epochs", "5"], ["--epochs", "key=value, without dashes"]),
    ],
)  # fmt: skip
def test_wrong_words(nowhere, capsys, words, told):
    line = line_of(capsys, *words)
    for part in told:
        assert part in line
    assert list(nowhere.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(nowhere, capsys):
    assert "device=cuda: torch sees no GPU here" in line_of(capsys, "device=cuda")
    assert list(nowhere.iterdir()) == []


def missing_folder(root: Path) -> str:
    root.rename(root.with_name("elsewhere"))
    return "there is no such folder"


def empty_folder(root: Path) -> str:
    (root / "train").rename(root.with_name("train"))
    return "train: there is no such folder"


def class_without_images(root: Path) -> str:
    for path in (root / "train" / "dog").iterdir():
        path.unlink()
    return "dog: a class without images"


def other_labels(root: Path) -> str:
    (root / "test" / "dog").rename(root / "test" / "hound")
    return "test lacks dog, which train has; train lacks hound, which test has"


def truncated_image(root: Path) -> str:
    path = root / "train" / "cat" / "2.png"
    path.write_bytes(path.read_bytes()[:-300])
    return str(path)


def no_image(root: Path) -> str:
    path = root / "test" / "cat" / "2.png"
    path.write_text("# not\n# an image")
    return str(path)


def different_sizes(root: Path) -> str:
    Image.new("L", (32, 40)).save(root / "train" / "cat" / "2.png")
    return "resize= and crop="


@pytest.mark.parametrize(
    "spoil",
    [missing_folder, empty_folder, class_without_images, other_labels, truncated_image, no_image, different_sizes],
)
def test_a_folder_that_is_wrong(nowhere, images, capsys, spoil):
    told = spoil(images)
    words = ["data=folder", "resize=null", "crop=null", "network=lenet5", "batch_size=4", f"root={images}"]
    assert told in line_of(capsys, *words)
    assert {path.name for path in nowhere.iterdir()} <= {"cache"}


def test_images_too_small_for_the_network(nowhere, images, capsys):
    words = ["data=folder", "resize=16", "crop=16", "network=lenet5", "batch_size=4", f"root={images}"]
    assert "lenet5 needs images of at least 32 pixels, these have 16" in line_of(capsys, *words)
    assert {path.name for path in nowhere.iterdir()} == {"cache"}


def test_debug_shows_the_traceback(nowhere):
    with pytest.raises(UserError, match="there is no setting 'epochz'"):
        train.main(["--debug", "epochz=3"])


def test_an_unexpected_error_is_not_swallowed(nowhere, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("a mistake of the program")

    monkeypatch.setattr("lab.measure.measure", broken)
    with pytest.raises(ZeroDivisionError):
        train.main([])


def test_ctrl_c_ends_with_130_and_a_word_on_what_next(nowhere, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.measure.measure", interrupted)
    assert train.main([]) == 130
    assert capsys.readouterr().err.strip() == "interrupted; the same command continues where this one stopped"


def test_the_end_of_its_terminal_stops_it(nowhere):
    """SIGHUP, in a process of its own: while the program runs."""
    code = "import os, signal, time, lab.command as c; c.run = lambda *_: (os.kill(os.getpid(), signal.SIGHUP), time.sleep(60)); c.program()"
    done = subprocess.run([sys.executable, "-c", code], cwd=nowhere, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 128 + signal.SIGHUP
    assert done.stderr == "stopped by SIGHUP; the same command continues where this one stopped\n"


def test_print_config_shows_the_composed_configuration_and_does_nothing_else(nowhere, capsys):
    assert train.main(["--print-config", "data=cifar10", "epochs=7", "network=[lenet5,vgg16]"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert shown == OmegaConf.create(plain(compose(["data=cifar10", "epochs=7", "network=[lenet5,vgg16]"])))
    assert shown.epochs == 7 and shown.network == ["lenet5", "vgg16"] and shown.batch_size == 128
    assert list(nowhere.iterdir()) == []


def test_print_config_of_a_sweep_shows_each_of_its_configurations(nowhere, capsys):
    assert train.main(["--print-config", "sweep.batch_size=16,32"]) == 0
    shown = capsys.readouterr().out
    assert [each["batch_size"] for each in yaml.safe_load_all(shown)] == [16, 32] and "# batch_size=16" in shown


def test_help_lists_every_setting_and_imports_nothing_large():
    """In a process of its own: the real thing, in a narrow terminal, without torch."""
    code = "import sys, train; status = train.main(['--help']); print(status, sorted({'torch', 'mlflow', 'numba'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={"COLUMNS": "100", "PATH": ""}
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0 []"
    first_words = [line.split()[0] for line in done.stdout.splitlines() if line.split()]
    for key in ENTRIES:
        assert key in first_words
    for option in ("--mode", "--print-config", "--debug", "data=digits"):
        assert option in done.stdout


def test_the_program_as_a_script(nowhere):
    done = subprocess.run([sys.executable, ROOT / "train.py", "epochz=3"], cwd=nowhere, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("train.py: there is no setting 'epochz'") and done.stderr.count("\n") == 1


def test_help_that_is_cut_off_ends_quietly(nowhere):
    done = subprocess.run(
        f"'{sys.executable}' '{ROOT / 'train.py'}' --help | head -n 1",
        shell=True,
        cwd=nowhere,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage:") and done.stderr == ""


def test_help_that_is_piped_breaks_no_words(nowhere):
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", "--help"],
        cwd=nowhere,
        capture_output=True,
        text=True,
        env={"COLUMNS": "80", "PATH": ""},
    )
    table = done.stdout[done.stdout.index("settings  ") :]
    assert max(map(len, table.splitlines())) > 100 and "…" not in table
    assert all(word in table for word in ("fixed_exponential", "skip_bad_images", "torchvision.models"))
