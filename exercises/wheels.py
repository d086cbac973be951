"""Install the wheel into fresh environments, without this checkout, and run what a newcomer runs.

    uv run exercises/wheels.py [--python 3.11 3.12 path/to/python3.13]

For every Python, named as uv takes it: the core alone (the libraries' doctests run, and the program says in one line what is missing), then
with the extra `lab` (`--help`, and a measurement of the digits), from a folder that holds modules named as ours. Exit status 1 where anything fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = ("agreement", "curricula", "metrics")
OTHER_FRAMEWORKS = ("agreement.lightning", "agreement.huggingface")  # which the core does not install
DOCTESTS = f"""
import doctest, importlib, pkgutil, sys
failed = tests = 0
for library in {LIBRARIES}:
    package = importlib.import_module(library)
    for found in [package, *pkgutil.walk_packages(package.__path__, library + ".")]:
        name = getattr(found, "name", library)
        if name not in {OTHER_FRAMEWORKS}:
            result = doctest.testmod(importlib.import_module(name))
            failed, tests = failed + result.failed, tests + result.attempted
print(f"{{tests}} lines of doctests", package.__file__)
sys.exit(failed > 0 or tests < 20 or "site-packages" not in package.__file__)
"""
MEASURE = ("--mode", "measure", "epochs=1", "networks=2", "--quiet")


def run(*words: object, place: Path, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The words as a process, without what is set for this checkout."""
    outer = ("PYTHONPATH", "VIRTUAL_ENV", "UV", "MLFLOW_TRACKING_URI", "UV_PROJECT_ENVIRONMENT")
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    if python:
        environment["VIRTUAL_ENV"] = str(python.parents[1])
    return subprocess.run([*map(str, words)], cwd=place, env=environment, capture_output=True, text=True)


def install(what: str, place: Path, python: Path, newest: str) -> None:
    words = ("uv", "pip", "install", "--quiet", "--exclude-newer", newest)
    done = run(*words, what, place=place, python=python)
    if done.returncode:
        raise SystemExit(f"{what} cannot be installed:\n{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13", "3.14"])
    options = parser.parse_args()
    newest = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["exclude-newer"]
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        built = run("uv", "build", "--wheel", "--quiet", "--out-dir", folder / "dist", ROOT, place=folder)
        if built.returncode:
            raise SystemExit(built.stderr)
        wheel = next((folder / "dist").glob("learnorder-*.whl"))
        for number, version in enumerate(options.python):
            place, environment = folder / f"place-{number}", folder / f"environment-{number}"
            place.mkdir()
            for name in ("metrics", "lab", "training", "conf"):
                (place / f"{name}.py").write_text("raise RuntimeError('the wrong module was imported')\n")
            if run("uv", "venv", "--quiet", "--python", version, environment, place=folder).returncode:
                print(f"{version}: uv finds no such Python here, nothing was tried")
                continue
            python, script = environment / "bin" / "python", environment / "bin" / "learnorder"

            def check(what: str, done: subprocess.CompletedProcess[str], right: bool, version: str = version) -> None:
                nonlocal failures
                failures += not right
                print(f"{version}: {what}: {'right' if right else 'WRONG'}", flush=True)
                if not right:
                    print(done.stdout[-2000:], done.stderr[-4000:])

            install(str(wheel), place, python, newest)
            done = run(python, "-P", "-c", DOCTESTS, place=place)
            check("core alone, doctests", done, done.returncode == 0)
            done = run(script, "--help", place=place)
            one_line = done.stderr.count("\n") == 1 and "pip install 'learnorder[lab]'" in done.stderr
            check("core alone, the program", done, done.returncode == 1 and one_line and not done.stdout)
            install(f"{wheel}[lab]", place, python, newest)
            done = run(script, "--help", place=place)
            check("with [lab], --help", done, done.returncode == 0 and "batch_size" in done.stdout)
            done = run(script, *MEASURE, place=place)
            check("with [lab], a measurement", done, done.returncode == 0 and not done.stderr)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
