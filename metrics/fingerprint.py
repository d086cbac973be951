"""A short text that changes with what a function computes: its part of the key under which results are kept."""

import dis
import functools
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))


def fingerprint(function: Callable) -> str | None:
    """Digest of a function's code and of everything of the project that the code refers to.

    This takes in constants, defaults, closures, the functions that it calls (compiled by numba or not) and the
    version of each installed package. Comments do not count.

    Returns
    -------
    64 hexadecimal digits, the same in every process that runs the same code; None where the function refers to an
    object whose content cannot be told (of an own class, an open file, a network, ...), so that a result is not known
    to be still valid later.
    """
    parts: list[bytes] = []
    try:
        _add(function, parts, set())
    except _Unknown:
        return None
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


class _Unknown(Exception):
    """A function refers to something whose content cannot be told."""


def _add(value: Any, parts: list[bytes], seen: set[int]) -> None:
    value = getattr(value, "py_func", value)  # the function that numba compiled
    parts.append(type(value).__name__.encode())
    if isinstance(value, ModuleType):
        _add_module(value, parts, seen)
    elif isinstance(value, np.ufunc | type) or (callable(value) and hasattr(value, "__qualname__")):
        module = getattr(value, "__module__", None) or type(value).__module__
        release = _release(module)
        if release:
            parts.append(f"{module}.{value.__name__}".encode() + release)
        elif isinstance(value, FunctionType):
            _add_function(value, parts, seen)
        else:
            raise _Unknown
    elif isinstance(value, functools.partial):
        _add((value.func, value.args, value.keywords), parts, seen)
    elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        parts += [f"{value.dtype}{value.shape}".encode(), value.tobytes()]
    elif isinstance(value, tuple | list):
        parts.append(str(len(value)).encode())
        for item in value:
            _add(item, parts, seen)
    elif isinstance(value, frozenset | set):
        _add(sorted(value, key=repr), parts, seen)
    elif isinstance(value, dict):
        _add(list(value.items()), parts, seen)
    elif isinstance(value, bool | int | float | complex | str | bytes | slice | Path) or value in (None, ...):
        parts.append(repr(value).encode())
    else:
        raise _Unknown


def _add_module(module: ModuleType, parts: list[bytes], seen: set[int]) -> None:
    """The release of an installed module; the whole source of one of the project, and of those that it draws on."""
    release = _release(module.__name__)
    if release or id(module) in seen:
        parts.append(release)
        return
    seen.add(id(module))
    parts.append(_source(module))
    for _, value in sorted(vars(module).items()):
        of = value if isinstance(value, ModuleType) else sys.modules.get(str(getattr(value, "__module__", None)))
        if of is not None:
            _add_module(of, parts, seen)


def _add_function(function: FunctionType, parts: list[bytes], seen: set[int]) -> None:
    if id(function) in seen:  # it calls itself, perhaps by way of others
        return
    seen.add(id(function))
    closure = [cell.cell_contents for cell in function.__closure__ or ()]
    _add([function.__defaults__, function.__kwdefaults__, closure], parts, seen)
    _add_code(function.__code__, function.__globals__, parts, seen)


def _add_code(code: CodeType, scope: dict[str, Any], parts: list[bytes], seen: set[int]) -> None:
    parts += [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # a function or comprehension within
            _add_code(constant, scope, parts, seen)
        else:
            _add(constant, parts, seen)
    for name in code.co_names:
        if name in scope:
            _add(scope[name], parts, seen)
    instructions = list(dis.get_instructions(code))
    for i, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":  # it follows the dots of a relative import and the names wanted
            level, names = instructions[i - 2].argval, instructions[i - 1].argval
            _add(_imported("." * level + instruction.argval, names, scope), parts, seen)


def _imported(module_name: str, names: tuple[str, ...] | None, scope: dict[str, Any]) -> list[Any]:
    """What ``import module_name`` or ``from module_name import names`` in a function's body brings in."""
    try:
        module = importlib.import_module(importlib.util.resolve_name(module_name, scope.get("__package__")))
        return [getattr(module, name) for name in names] if names else [module]
    except (ImportError, AttributeError) as error:
        raise _Unknown from error


def _release(module_name: str) -> bytes:
    """Name and version of the installed package to which a module belongs; empty for one of the project itself."""
    name = module_name.partition(".")[0]
    if name in sys.stdlib_module_names:
        return sys.version.encode()
    package = sys.modules.get(name)
    version = getattr(package, "__version__", None)
    installed = (getattr(package, "__file__", None) or "").startswith(_INSTALLED)
    return f"{name} {version}".encode() if installed and version else b""


def _source(module: ModuleType) -> bytes:
    path = getattr(module, "__file__", None)
    if path is None:
        raise _Unknown
    return Path(path).read_bytes()
