"""Modules of one's own, which add to DATASETS, NETWORKS, STATISTICS, PACING or SCORES: `--import my.py`."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from lab.errors import UserError


def import_own(names: Iterable[str]) -> None:
    """Import each of these files, or modules by name, once in a process. Raises UserError in one line where one fails."""
    for name in names:
        path = Path(name).expanduser()
        known = f"own:{path.absolute()}"
        if name.endswith(".py") and not path.is_file():
            raise UserError(f"--import {name}: there is no such file")
        if known in sys.modules:
            continue
        try:
            if not name.endswith(".py"):
                importlib.import_module(name)
                continue
            spec = importlib.util.spec_from_file_location(known, path)
            assert spec and spec.loader  # it is a .py
            sys.modules[known] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[known])
        except UserError:
            raise
        except Exception as error:  # whatever the module raises
            sys.modules.pop(known, None)
            raise UserError(f"--import {name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
