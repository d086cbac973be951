"""What the program inherits from where it is started: notebooks, job systems, containers and users set it, and it changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INHERITED = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # of a notebook's kernel, which is not installed here
    "WORLD_SIZE": "2",  # of Kubernetes
    "RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29533",
    "FORCE_COLOR": "1",
    "COLUMNS": "40",
    "TERM": "dumb",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
    "DATABRICKS_RUNTIME_VERSION": "15",
}


@pytest.mark.slow
def test_a_measurement_is_the_same_whatever_is_inherited(tmp_path):
    """The folder for temporary files has a path too long for a socket, as job systems name them."""
    place, temporary = tmp_path / "place", tmp_path / "/".join(["job" * 10] * 4)
    place.mkdir()
    temporary.mkdir(parents=True)
    (place / "matplotlibrc").write_text("text.usetex: True\n")
    words = ["networks=2", "epochs=1", "statistics=frequency", "device=cpu"]
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", "--mode", "measure", *words],
        cwd=place, env=os.environ | INHERITED | {"TMPDIR": str(temporary)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    (summary,) = (place / "mlruns").rglob("summary.txt")
    text = summary.read_text("utf-8")
    assert "Do the networks learn the same examples?" in text and "\x1b" not in text
    assert 70 < max(map(len, text.splitlines())) <= 80
    assert (summary.parent / "figures/train-agreement.png").stat().st_size > 10_000
