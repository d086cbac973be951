"""The wheel: what it carries, and that its console script runs from a folder that holds modules of the same names."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = """import torch
from lab.data import DATASETS
from lab.data.digits import digits
from lab.networks import NETWORKS
from metrics import STATISTICS

DATASETS["tens"] = lambda resize: digits(resize)
NETWORKS["flat"] = lambda channels, classes, size: torch.nn.Sequential(
    torch.nn.Flatten(), torch.nn.Linear(channels * size * size, classes)
)
STATISTICS["brightness"] = lambda image: float(image.mean())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the sources, which building would leave files in."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("agreement", "curricula", "lab", "metrics"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    words = ["uv", "build", "--wheel", "--quiet", "--out-dir", folder / "dist", folder / "source"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next((folder / "dist").glob("learnorder-*.whl"))


@pytest.mark.slow
def test_it_carries_presets_templates_and_types_and_no_module_named_train(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (
        ("lab/presets", "*.yaml"),
        ("lab/recipes", "*.yaml"),
        ("lab/report/templates", "*"),
        ("lab/data", "mnist-5000.*"),
    ):
        wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)}
        assert wanted and wanted <= names
    assert {f"{room}/py.typed" for room in ("agreement", "curricula", "lab", "metrics")} <= names
    sources = {p.relative_to(ROOT).as_posix() for room in ("agreement", "curricula", "lab", "metrics") for p in (ROOT / room).rglob("*.py")}  # fmt: skip
    assert sources == {name for name in names if name.endswith(".py")}


@pytest.mark.slow
def test_its_script_runs_where_the_current_folder_has_modules_of_the_same_names(wheel, tmp_path):
    """Unpacked beside a link to what it depends on, as an installer would put it. Settings and a module are the user's own."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    place = tmp_path / "place"
    place.mkdir()
    for name in ("metrics", "training", "conf", "lab", "torch"):
        (place / f"{name}.py").write_text("raise RuntimeError('the wrong module was imported')\n")
    script = place.parent / "learnorder"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(site)!r}); from lab.start import program\nif __name__ == '__main__': program()\n"
    )
    (place / "own.yaml").write_text(
        "data: tens\nnetwork: flat\nepochs: 1\nmeasure:\n  networks: 1\n  statistics: [entropy, brightness]\n"
    )
    (place / "own.py").write_text(OWN)
    words = ["--mode", "measure", "--config", "own.yaml", "--import", "own.py", "--quiet"]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    packages = {"PYTHONPATH": sysconfig.get_path("purelib")}
    done = subprocess.run(
        [sys.executable, "-P", script, *words], cwd=place, env=environment | packages, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (page,) = (place / "mlruns" / "artifacts").rglob("report.html")
    assert "brightness" in page.read_text() and "flat" in page.read_text()


@pytest.mark.slow
def test_the_libraries_alone_say_what_the_program_needs(wheel, tmp_path):
    """An environment that has what the core depends on: here, one in which the packages of the program cannot be found."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    hide = "import sys; from importlib import machinery as m; found = m.PathFinder.find_spec\n"
    hide += (
        "m.PathFinder.find_spec = lambda name, *rest: None if name in ('mlflow', 'omegaconf') else found(name, *rest)\n"
    )
    (tmp_path / "learnorder").write_text(
        f"{hide}sys.path.insert(0, {str(site)!r}); from lab.start import program; program()\n"
    )
    done = subprocess.run([sys.executable, "-P", tmp_path / "learnorder", "--help"], capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == "learnorder: the program also needs mlflow, omegaconf: pip install 'learnorder[lab]'\n"
