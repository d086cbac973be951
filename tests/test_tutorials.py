"""What docs/tutorials tell a reader to type runs, in the order in which it stands there, from an empty folder."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
QUICK = {"measure": ["epochs=2", "networks=2"], "curriculum": ["epochs=1", "seeds=2"]}
STEP = re.compile(r"```python\n(.*?)```|^    learnorder (.*?)$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path, place):
    """In a process of its own: MLflow remembers the store that a tutorial names."""
    steps = STEP.findall(path.read_text("utf-8"))
    assert len(steps) >= 2
    script = ["import train"]
    for code, words in steps:
        typed = shlex.split(words)
        quick = QUICK.get(typed[1], []) if typed else []
        script.append(textwrap.dedent(code) if code else f"assert train.main({[*typed, *quick]}) == 0")
    text = "if __name__ == '__main__':\n" + textwrap.indent("\n".join(script), "    ")
    (place / "steps.py").write_text(text, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "steps.py"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    if path.stem == "wrong-labels":
        found = re.search(r"(\d+) of the 50 most doubtful labels are wrong", done.stdout)
        assert found and int(found[1]) >= 44


def test_every_tutorial_is_listed():
    listed = re.findall(r"\]\(tutorials/(.*?)\)", (TUTORIALS[0].parents[1] / "index.md").read_text("utf-8"))
    assert sorted(listed) == [path.name for path in TUTORIALS]
