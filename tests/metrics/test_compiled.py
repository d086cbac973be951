"""Compiled functions: numba keeps them between runs, and compiles them anew only when their own file changes."""

import ast
from pathlib import Path

import pytest

import metrics

FILES = [path for path in sorted(Path(metrics.__file__).parent.rglob("*.py")) if "@njit" in path.read_text()]


def taken_from_other_files(source: str) -> set[str]:
    """What compiled functions name of what the file imports from this package: numba keeps copies of it."""
    nodes = list(ast.walk(ast.parse(source)))
    ours = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("metrics")]
    imported = {alias.asname or alias.name for node in ours for alias in node.names}
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    compiled = [each for each in functions if any("njit" in ast.unparse(mark) for mark in each.decorator_list)]
    return imported & {node.id for each in compiled for node in ast.walk(each) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_compiled_function_names_anything_of_another_file(path):
    assert taken_from_other_files(path.read_text()) == set()


def test_a_compiled_function_that_does_is_found():
    source = "from metrics.a import b, c\n@njit(cache=True)\ndef d(x):\n    return b(x)\ndef e(x):\n    return c(x)"
    assert taken_from_other_files(source) == {"b"}
    assert len(FILES) == 7
