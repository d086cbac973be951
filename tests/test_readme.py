"""The README does what it says: its Python is run, its commands are understood, its files and pictures are there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import train
from lab.compose import PRESETS
from lab.help import BROWSING
from lab.settings import ENTRIES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = sorted({command.split(",")[0] for command in re.findall(r"(?:python|uv run) train\.py ([^`\n]*)", TEXT)})


@pytest.mark.parametrize("code", PYTHON, ids=[code.split("from ")[-1].split(" ")[0] for code in PYTHON])
def test_its_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_its_sampler_draws_from_the_easiest_first():
    given: dict = {}
    exec(compile(next(code for code in PYTHON if "pacing=" in code), "README.md", "exec"), given)
    sampler = given["sampler"]
    sampler.load_state_dict(sampler.state_dict(0))  # the README's loop has used it up
    batches = [batch.tolist() for batch in sampler.arrays()]
    assert len(batches) == 100 and all(len(batch) == 50 for batch in batches)
    scores = given["scores"]
    # of each class the fifth with the lowest scores, so nearly the lowest fifth of all
    assert scores[batches[0]].mean() < np.quantile(scores, 0.2)
    assert scores[batches[-1]].mean() > np.quantile(scores, 0.3)


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(command, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    if words[words.index("--mode") + 1] in BROWSING:
        assert set(word.split("=")[0] for word in words[2:]) <= {*BROWSING[words[1]], "--json"}
        return
    assert train.main([*(word for word in words if not word.startswith("sweep.")), "--print-config"]) == 0
    assert "epochs:" in capsys.readouterr().out


def test_its_settings_exist():
    known = set(ENTRIES)
    python = (
        "batch_sampler",
        "dim",
        "ids",
        "key",
        "names",
        "batch_size",
        "steps",
        "run",
        "to",
    )  # arguments in its code
    for key, value in re.findall(r"`([a-z_]+)=([^`\s]*)", TEXT) + re.findall(
        r"(?<=[ `])([a-z_]+)=([a-z0-9.\[\],]+)", TEXT
    ):
        assert key in known or key in python, key
        if key == "data":
            assert (PRESETS / f"{value}.yaml").is_file()


def test_its_links_lead_somewhere():
    prose = re.sub(r"```python\n.*?```", "", TEXT, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            assert (ROOT / path).is_file(), target
            headings = [
                re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in ((ROOT / path).read_text().splitlines() if path.endswith(".md") else [])
                if line.startswith("#")
            ]
            assert not anchor or anchor in headings, target


def test_it_is_short():
    assert len(TEXT.splitlines()) < 260


def test_the_python_of_other_documents_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    image = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    for name in ("docs/edges.md", "docs/arms.md", "CONTRIBUTING.md"):
        given = {"image": image}
        for code in re.findall(r"```python\n(.*?)```", Path(name).read_text(), re.DOTALL):
            exec(compile(code, name, "exec"), given)
    assert 1000 < int(capsys.readouterr().out) < 15_000
