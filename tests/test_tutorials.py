"""What docs/tutorials tell a reader to type runs, in the order in which it stands there, from an empty folder."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

import train

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md"))
QUICK = {"measure": ["epochs=2", "networks=2"], "curriculum": ["epochs=1", "seeds=2"]}
STEP = re.compile(r"```python\n(.*?)```|^    learnorder (.*?)$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path, place, capsys):
    given: dict = {"__name__": path.stem}
    steps = STEP.findall(path.read_text("utf-8"))
    assert len(steps) >= 2
    for code, words in steps:
        if code:
            exec(compile(textwrap.dedent(code), str(path), "exec"), given)
            continue
        typed = shlex.split(words)
        assert train.main([*typed, *QUICK.get(typed[1], []), *(["--quiet"] if typed[1] in QUICK else [])]) == 0
    if path.stem == "wrong-labels":
        assert "47 of the 50 most doubtful labels are wrong" in capsys.readouterr().out


def test_every_tutorial_is_listed():
    listed = re.findall(r"\]\(tutorials/(.*?)\)", (TUTORIALS[0].parents[1] / "index.md").read_text("utf-8"))
    assert sorted(listed) == [path.name for path in TUTORIALS]
