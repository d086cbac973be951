"""The code of docs/own_loop.md runs as it stands."""

import re
from pathlib import Path

import pytest
import torch

from agreement import LearningRecord

TEXT = (Path(__file__).parents[2] / "docs/own_loop.md").read_text()
SECTIONS = (section.partition("\n") for section in TEXT.split("\n## ")[1:])
BLOCKS = {
    title: code[0] for title, _, text in SECTIONS if (code := re.findall(r"```python\n(.*?)```", text, re.DOTALL))
}
NEEDED = {"Lightning": "lightning", "Hugging Face": "transformers", "accelerate": "accelerate"}


def run(title, monkeypatch, folder):
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    given: dict = {"__name__": "own_loop"}
    exec(compile(BLOCKS[title], "docs/own_loop.md", "exec"), given)
    return given


def test_every_block_is_run():
    tested = {"Three lines", "With the index of every example", "StatefulDataLoader", *NEEDED}
    assert set(BLOCKS) == tested and TEXT.count("```python") == len(tested)


def test_three_lines(tmp_path, monkeypatch, capsys):
    given = run("Three lines", monkeypatch, tmp_path)
    assert given["correct"].shape == (3, 10, 300)
    assert len(given["loader"]) == len(list(given["loader"])) == 15
    assert "entropy" in capsys.readouterr().out


def test_with_the_index(tmp_path, monkeypatch):
    run("With the index of every example", monkeypatch, tmp_path)
    assert LearningRecord(tmp_path / "record").correct("train").shape == (1, 2, 300)


@pytest.mark.parametrize("title", NEEDED)
def test_frameworks(tmp_path, monkeypatch, title):
    pytest.importorskip(NEEDED[title])
    given = run(title, monkeypatch, tmp_path)
    assert LearningRecord(tmp_path / "record").epochs == 2
    assert given["sampler"].step == given["sampler"].steps


def test_stateful_loaders(tmp_path, monkeypatch):
    pytest.importorskip("torchdata.stateful_dataloader")
    given = run("StatefulDataLoader", monkeypatch, tmp_path)
    assert len(list(given["loader"])) == 15
