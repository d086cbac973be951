"""Compiled functions that call those of another file: kept between runs, and compiled anew when that file changes."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """``numba.njit(nogil=True, cache=True)``, as a decorator, for functions that call compiled ones of other files.

    numba keeps compiled code as long as the function's own file stays as it is, but that code holds copies of all
    functions that it calls and of their constants. Here it is kept as long as the whole package stays as it is.
    """
    if function is None:
        return lambda function: compiled(function, **options)
    dispatcher = njit(nogil=True, cache=True, **options)(function)
    try:
        index = dispatcher._cache._cache_file
        index._source_stamp = (index._source_stamp, package_digest())
    except AttributeError:  # another numba: rather slow than wrong
        return njit(nogil=True, **options)(function)
    return dispatcher


@cache
def package_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
