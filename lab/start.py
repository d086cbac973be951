# PYTHON_ARGCOMPLETE_OK
"""The door of the program: it says what is missing where only the libraries are installed."""

import sys
from importlib.util import find_spec
from typing import NoReturn

PACKAGES = ("torchvision", "mlflow", "jinja2", "altair", "vl_convert", "omegaconf", "rich", "argcomplete")


def check_installed() -> None:
    """End the program with one line where a package of the extra `lab` is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        sys.exit(f"learnorder: the program also needs {', '.join(missing)}: pip install 'learnorder[lab]'")


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these words, those of the command line by default. Returns the exit status."""
    check_installed()
    from lab.command import main

    return main(arguments)


def program() -> NoReturn:
    """The program as a command: signals stop it, and its exit status is that of `main`."""
    check_installed()
    from lab.command import program

    program()
