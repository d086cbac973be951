"""Compiled functions: kept between runs by numba, which compiles them anew only when their own file changes."""

import ast
from pathlib import Path

import pytest

import metrics

FILES = sorted(Path(metrics.__file__).parent.rglob("*.py"))


def names_from_other_files(source: str) -> set[str]:
    """What compiled functions name of what a file imports, but of numpy and math: numba keeps copies of it."""
    tree = ast.parse(source)
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    compiled = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(each) for each in node.decorator_list)
    ]
    used = {node.id for function in compiled for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}  # fmt: skip
    return used & imported - {"np", "math"}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_compiled_function_names_anything_of_another_file(path):
    assert names_from_other_files(path.read_text()) == set()


def test_a_compiled_function_that_does_would_be_found():
    source = "from a import b, c\nfrom numba import njit\n@njit(cache=True)\ndef d(x):\n    return b(x)\ndef e(x):\n    return c(x)"
    assert names_from_other_files(source) == {"b"}
    assert sum("@njit" in path.read_text() for path in FILES) == 6
