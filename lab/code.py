"""A digest of the code that a result depends on, so that what other code gave is not taken for it."""

import hashlib
import inspect
import sys
import uuid
from collections.abc import Iterable
from typing import Any

VERSIONED = ("torch", "torchvision")  # their versions say more than a single file of theirs


def code_digest(parts: Iterable[Any]) -> str:
    """A digest of the modules that define functions and classes: of their source, of torch and torchvision the version.

    Where the source of one is not to be had, the digest is a new one every time. What a module imports does not count.
    """
    digest = hashlib.sha256()
    named = {(part.__module__ if inspect.isroutine(part) or inspect.isclass(part) else "") for part in parts}
    for name in sorted(named):
        room = name.partition(".")[0]
        try:
            source = sys.modules[room].__version__ if room in VERSIONED else inspect.getsource(sys.modules[name])
        except (KeyError, OSError, TypeError):  # a partial, a builtin, a cell of a notebook
            source = uuid.uuid4().hex
        digest.update(f"{name} {len(source)} {source}".encode())
    return digest.hexdigest()[:32]
