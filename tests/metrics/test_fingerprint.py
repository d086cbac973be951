"""A fingerprint changes with what a function computes, and only then."""

import functools
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from metrics import STATISTICS
from metrics.fingerprint import fingerprint

ROOT = Path(__file__).parents[2]


def defined(source: str, name: str = "statistic"):
    """A function made from source code, as a user might write it in a file or notebook."""
    scope = {"np": np, "math": math, "njit": njit, "functools": functools, "__name__": "written_by_a_user"}
    exec(textwrap.dedent(source), scope)
    return scope[name]


BASE = """
    LEVEL = 3
    TABLE = np.arange(5)
    def part(image, power=2):
        return float(image.mean()) ** power
    def statistic(image):
        return sum(part(image) * LEVEL for _ in range(2)) + TABLE[1]
"""


def test_the_same_code_has_the_same_fingerprint_whatever_its_comments():
    commented = BASE.replace("LEVEL = 3", "LEVEL = 3  # a comment")
    assert fingerprint(defined(BASE)) == fingerprint(defined(commented)) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LEVEL = 3", "LEVEL = 4"),  # a constant of the file
        ("LEVEL = 3", "LEVEL = 3.0"),
        ("np.arange(5)", "np.arange(1, 6)"),  # an array
        ("range(2)", "range(3)"),  # a constant in the code
        ("+ TABLE", "- TABLE"),  # an operation
        ("power=2", "power=3"),  # a default of a function that is called
        ("image.mean()", "image.max()"),  # the code of a function that is called
        ("return float", "import math; return float"),  # an import on call
    ],
)
def test_any_change_is_noticed(old, new):
    changed = BASE.replace(old, new)
    assert changed != BASE
    assert fingerprint(defined(changed)) != fingerprint(defined(BASE))


def test_closures_partials_and_compiled_functions():
    def scaled(factor):
        return lambda image: factor * image.mean()

    assert fingerprint(scaled(2)) == fingerprint(scaled(2)) != fingerprint(scaled(3))

    def power(image, exponent):
        return image.mean() ** exponent

    squared, cubed = (functools.partial(power, exponent=exponent) for exponent in (2, 3))
    assert fingerprint(squared) == fingerprint(functools.partial(power, exponent=2)) != fingerprint(cubed)

    compiled = "@njit\ndef kernel(x):\n    return x + 1\ndef statistic(image):\n    return kernel(image.mean())"
    assert fingerprint(defined(compiled)) == fingerprint(defined(compiled))
    assert fingerprint(defined(compiled)) != fingerprint(defined(compiled.replace("+ 1", "+ 2")))


def test_a_function_imported_on_call_is_followed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for constant in (1, 10):
        (tmp_path / "own_code.py").write_text(f"def part(image):\n    return {constant}")
        sys.modules.pop("own_code", None)
        found.add(fingerprint(defined("def statistic(image):\n    from own_code import part\n    return part(image)")))
        found.add(fingerprint(defined("def statistic(image):\n    import own_code\n    return own_code.part(image)")))
    assert len(found) == 4 and None not in found


def test_what_cannot_be_told_has_no_fingerprint(tmp_path):
    class Network:
        def __call__(self, image):
            return 0.0

    network = Network()
    assert fingerprint(network) is None
    assert fingerprint(lambda image: network(image)) is None
    assert fingerprint(defined("def statistic(image):\n    import no_such_module")) is None
    with (tmp_path / "open.txt").open("w") as file:
        assert fingerprint(lambda image: file.tell()) is None


def test_a_function_that_calls_itself_ends():
    source = "def statistic(n):\n    return 1 if n == 0 else statistic(n - 1) + 1"
    assert fingerprint(defined(source)) == fingerprint(defined(source)) is not None


def test_every_statistic_has_its_own_in_every_process():
    here = {name: fingerprint(function) for name, function in STATISTICS.items()}
    assert None not in here.values() and len(set(here.values())) == len(here)
    code = (
        "from metrics import STATISTICS; from metrics.fingerprint import fingerprint;"
        "print({name: fingerprint(function) for name, function in STATISTICS.items()})"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here)


def test_a_statistic_depends_on_its_compiled_code(monkeypatch):
    from metrics import _entropy_kernel as sliding_entropy

    before = fingerprint(STATISTICS["entropy"])
    monkeypatch.setattr(sliding_entropy, "_ONE", 2.0**51)
    assert fingerprint(STATISTICS["entropy"]) != before


def test_it_follows_the_modules_of_a_project(tmp_path):
    """A statistic that calls `one.f`, which uses another module, and `whole.part.g` of a package."""
    (tmp_path / "whole").mkdir()
    sources = {
        "one.py": "from two import level\ndef f(image): return level() * 3",
        "two.py": "def level(): return 3",
        "whole/__init__.py": "",
        "whole/part.py": "def g(image): return 3",
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    code = "import one, whole.part; from metrics.fingerprint import fingerprint; print(fingerprint(lambda i: one.f(i) + whole.part.g(i)))"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}

    def printed() -> str:
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout

    seen = [printed(), printed()]
    assert len(seen[0].strip()) == 64 and seen[0] == seen[1]
    for changed in ("one.py", "two.py", "whole/part.py"):
        (tmp_path / changed).write_text(sources[changed].replace("3", "4"))
        seen.append(printed())
    assert len(set(seen)) == 4
