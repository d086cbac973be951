"""Completion at a shell: what the program answers when the shell asks, as argcomplete asks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.data import DATASETS
from lab.help import values_of

ROOT = Path(__file__).parents[2]


def completed(line: str) -> list[str]:
    """What the words could be that `line` ends with, asked as a shell asks that breaks words at = too."""
    asked = {"_ARGCOMPLETE": "2", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout", "_ARGCOMPLETE_COMP_WORDBREAKS": " =",
             "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}  # fmt: skip
    words = [sys.executable, str(ROOT / "train.py")]
    return subprocess.run(
        words, env={**os.environ, **asked}, capture_output=True, text=True, timeout=300
    ).stdout.split()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("--mode cu", ["curriculum"]),
        ("--mode measure batch", ["batch_size="]),
        ("--mode measure data=ci", ["cifar10"]),
        ("--mode export ru", ["run="]),
        ("--mode measure statistics=[entropy,se", ["\\[entropy,segments"]),
        ("--mode curriculum --metric c_", ["c_score"]),
    ],
)
def test_what_the_shell_is_told(line, found):
    assert completed(f"python train.py {line}") == found


def test_values_are_those_there_are():
    assert values_of("data") == sorted(DATASETS)
    assert values_of("record") == ["during", "after"] and values_of("balance") == ["true", "false"]
    assert values_of("epochs") == [] and values_of("no such") == []
