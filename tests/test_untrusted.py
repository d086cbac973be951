"""What comes from others: names that mean something to a terminal, a page or a table, links, archives, and no pickle."""

import ast
import hashlib
import io
import os
import pickle
import re
import tarfile
import threading
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image
from torchvision.datasets import CIFAR10, voc

import train
from lab.compose import compose
from lab.data import load
from lab.errors import UserError
from metrics import read_image

ROOT = Path(__file__).parents[1]
PACKAGES = ("agreement", "curricula", "lab", "metrics")
HOSTILE = ["<img src=x onerror=alert(1)>", "[bold]x[", "[.nothing]", "=cmd|' !A0", "@sum", "```\n# x", "$\\frac{$", "\x1b[31mred"]  # fmt: skip


class Planted:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def folder_of(root: Path, names: list[str], images: int = 6) -> Path:
    for part in ("train", "test"):
        for c, name in enumerate(names):
            (root / part / name).mkdir(parents=True)
            for i in range(images):
                pixels = np.random.default_rng(i).integers(0, 256, (32, 32), np.uint8) // (c + 1)
                Image.fromarray(pixels).save(root / part / name / f"=1+{i}.png")
    return root


def refused(capsys, *words: str) -> str:
    """The one line with which the program ends."""
    assert train.main(["--mode", "measure", "data=folder", "resize=null", "crop=null", "batch_size=2", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("train.py: ") and told.count("\n") == 1 and told.rstrip("\n").isprintable()
    return told


# names


@pytest.mark.slow
def test_names_of_classes_and_files_mean_nothing(place, capsys, tmp_path):
    """A whole measurement with its figures, report, tables and notes in MLflow."""
    root = folder_of(tmp_path / "set", HOSTILE)
    (root / "train" / HOSTILE[1] / "[bad.png").write_text("no image")
    recipe = ["network=lenet5", "networks=1", "epochs=2", "batch_size=16", "device=cpu", "statistics=[gradient]"]  # fmt: skip
    words = ["data=folder", f"root={root}", "resize=null", "crop=null", "skip_bad_images=true", *recipe]
    assert train.main(["--mode", "measure", *words]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "1 unreadable image left out" in said.out and "\x1b[31m" not in said.out

    assert train.main(["--mode", "export", f"to={tmp_path / '[out'}"]) == 0
    assert "[out" in capsys.readouterr().out.replace("\n", "")
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        table = read(tmp_path / "[out" / f"scores{suffix}")
        assert set(table["label"]) == set(HOSTILE)  # as they are, so that they can be matched
        assert f"{HOSTILE[3]}/=1+0.png" in set(table["id"])
    assert "<img src=x" not in (tmp_path / "[out/report.html").read_text()
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    (run,) = [run for run in client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.phase = 'measure'") if "mlflow.parentRunId" not in run.data.tags]  # fmt: skip
    assert run.info.status == "FINISHED"


def test_what_steers_a_terminal_is_not_printed(tmp_path, capsys):
    root = folder_of(tmp_path / "set", ["a", "b"])
    for part in ("train", "test"):
        (root / part / "\x1b]0;title\x07\n").mkdir()
    assert "a class without images" in refused(capsys, f"root={root}")


def test_names_that_are_no_text_are_refused_before_training(tmp_path, capsys):
    """They would fail when the report is written."""
    root = folder_of(tmp_path / "set", ["a", "b"])
    (root / "train/a/=1+0.png").rename(root / "train/a" / os.fsdecode(b"caf\xe9.png"))
    assert "rename the file" in refused(capsys, f"root={root}")


def test_an_image_bomb_is_one_line(tmp_path, capsys, monkeypatch):
    """Pillow's warning of it is not printed beside."""
    root = folder_of(tmp_path / "set", ["a", "b"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    assert "1024 pixels" in refused(capsys, f"root={root}").replace("32 x 32", "1024")


# links and what is no file


def test_links_are_followed_and_what_cannot_be_read_to_an_end_is_passed_over(tmp_path):
    root = folder_of(tmp_path / "set", ["a", "b"], images=3)
    (tmp_path / "elsewhere.png").write_bytes((root / "train/a/=1+1.png").read_bytes())
    folder = root / "train/a"
    (folder / "linked.png").symlink_to(tmp_path / "elsewhere.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    (folder / "zeros.png").symlink_to("/dev/zero")
    (folder / "round").symlink_to(root / "train")
    os.mkfifo(folder / "pipe.png")
    found = []
    words = ["data=folder", f"root={root}", "resize=null", "crop=null", "batch_size=2", f"cache={tmp_path}"]
    reader = threading.Thread(target=lambda: found.append(load(compose(words))), daemon=True)
    reader.start()
    reader.join(60)
    assert [name for name in found[0].train.ids if name.startswith("a/")] == [*(f"a/=1+{i}.png" for i in range(3)), "a/linked.png"]  # fmt: skip


# archives and downloads, which torchvision makes


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    """Write a tar file. Returns its MD5 sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def leading_out() -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo("../planted"), b"x")]


def through_a_link() -> list[tuple[tarfile.TarInfo, bytes]]:
    link = tarfile.TarInfo("inside")
    link.type, link.linkname = tarfile.SYMTYPE, ".."
    return [(link, b""), (tarfile.TarInfo("inside/planted"), b"x")]


@pytest.mark.parametrize("members", [leading_out, through_a_link])
@pytest.mark.parametrize("trusted", [False, True])
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path, monkeypatch, no_network, members, trusted):
    """By its checksum, and were that right, by what it would write."""
    root = tmp_path / "set"
    digest = archive(root / "VOCtrainval_06-Nov-2007.tar", *members())
    if trusted:
        monkeypatch.setitem(voc.DATASET_YEAR_DICT["2007"], "md5", digest)
    with pytest.raises(UserError, match="downloading it failed"):
        load(compose(["data=voc", f"root={root}"]))
    assert not (tmp_path / "planted").exists()


def test_torchvisions_pickles_are_read_only_with_the_published_checksum(tmp_path, no_network):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], "")]:
        (folder / name).write_bytes(pickle.dumps(Planted(tmp_path / "planted")))
    with pytest.raises(UserError, match="downloading it failed"):
        load(compose(["data=cifar10", f"root={tmp_path}"]))
    assert not (tmp_path / "planted").exists()


# what could make objects


def test_no_pickle_is_loaded():
    """Every call that could: numpy's and torch's say that they must not."""
    found = []
    for path in [ROOT / "train.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                call = f"{ast.unparse(node.func.value)}.{node.func.attr}"
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if call == "np.load":
                    assert given.get("allow_pickle") == "False", (path, node.lineno)
                elif call == "torch.load":
                    assert given.get("weights_only") == "True", (path, node.lineno)
                elif re.match(r"(pickle|marshal|shelve|joblib|yaml|OmegaConf)\..*(load|open)|pd\.read_pickle", call):
                    found.append((path.relative_to(ROOT).as_posix(), ast.unparse(node)))
    assert set(found) == {
        ("lab/cluster.py", "pickle.loads(pickled)"),  # from the scheduler that the user named: docs/untrusted.md
        ("lab/compose.py", "OmegaConf.load(path)"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.mkdir [planted]",
        "name: !!python/object/new:os.mkdir [planted]",
        "name: !!python/name:os.mkdir",
        "name: !!python/module:antigravity",
        "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
    ],
)
def test_yaml_makes_no_objects_and_does_not_grow(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lab.compose.PRESETS", tmp_path)
    (tmp_path / "own.yaml").write_text(text)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"own\.yaml"):
        compose(["data=own"])
    (tmp_path / "own.yaml").write_text("epochs: 2\n")
    key, value = text.split(": ", 1)
    assert key != "name" or compose(["data=own", f"name={value}"]).name == value  # nothing but text
    with pytest.raises(UserError):
        compose(["data=own", f"{key.replace('name', 'statistics')}={value}"])
    assert not (tmp_path / "planted").exists() and time.monotonic() - began < 20


def test_a_shown_configuration_is_plain_yaml():
    assert "!!python" not in OmegaConf.to_yaml(compose([]))


def test_pixels_are_read_through_no_program(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    monkeypatch.setattr("subprocess.check_call", lambda *a, **k: pytest.fail("a program was started"))
    path = tmp_path / "photograph.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="is not PNG"):
        read_image(path)
