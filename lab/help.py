"""`--help`, and what the shell completes on Tab: modes and flags, settings and their values. The latter needs, once per shell,

eval "$(activate-global-python-argcomplete --dest=-)"
"""

import argparse
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.compose import PRESETS
from lab.settings import ENTRIES, MODES, type_of

WIDTH = 140  # of the table, at least, where there is no terminal
RUNS = ("experiment", "file", "arm", "seed", "metric", "baseline", "at", "higher", "filter", "log")
REPORT = ("record", "images", "data", "root", "resize", "test_sample", "statistics", "teacher_weights", "name", "cache")
BROWSING = {  # modes without a preset, and their settings
    "report": REPORT,
    "compare-runs": RUNS,
    "list": (),
    "show": ("run",),
    "export": ("run", "to", "suspects", "public"),
    "ui": ("port",),
}


def print_help(console: Console, parser: argparse.ArgumentParser) -> None:
    print(parser.format_help())
    table = Table(title="settings", title_justify="left", box=None, pad_edge=False)
    for name, least in (("key", 18), ("type", 18), ("default", 15), ("meaning", 20)):
        table.add_column(name, no_wrap=name in ("key", "type"), min_width=least)
    reading: dict[tuple[str, str], list[str]] = {}  # `record` is one setting of each mode
    entries = {(entry.name, entry.metadata["meaning"]): entry for kind in MODES.values() for entry in fields(kind)}
    for mode, kind in MODES.items():
        for entry in fields(kind):
            reading.setdefault((entry.name, entry.metadata["meaning"]), []).append(mode)
    for (name, meaning), modes in reading.items():
        entry, default = entries[name, meaning], getattr(MODES[modes[0]](), name)
        shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else default
        shown = f"[{', '.join(shown)}]" if isinstance(shown, list) else str(shown)
        choices = f": {', '.join(entry.metadata['choices'])}" if entry.metadata["choices"] else ""
        only = f" (--mode {', '.join(modes)})" if len(modes) < len(MODES) else ""
        table.add_row(name, type_of(entry.type), escape(shown), escape(meaning + choices + only))
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    console.print(table)
    presets = ", ".join(sorted(f"data={path.stem}" for path in PRESETS.glob("*.yaml")))
    print(f"\nPresets change these defaults for a data set: {presets} (see lab/presets/).")


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks for completions, and exit; the shell says so in the environment."""
    import argcomplete

    for action in parser._actions:
        if action.dest == "settings":
            action.completer = settings  # type: ignore[attr-defined]
        if action.dest == "metric":
            action.completer = lambda prefix, **_: listed("", "metric", prefix)  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def settings(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The `key=value` words that begin so, or the keys."""
    key, equals, value = prefix.partition("=")
    if equals:
        return listed(f"{key}=", key.removeprefix("sweep."), value)
    mode = parsed_args.mode
    return [f"{name}=" for name in (BROWSING[mode] if mode in BROWSING else MODES[mode].__dataclass_fields__)]


def listed(before: str, key: str, value: str) -> list[str]:
    """Words for every value that a setting can have in the place of the last one of a list, or of a sum."""
    start = max(value.rfind(mark) for mark in "[,+") + 1
    return [before + value[:start] + known for known in values_of(key)]


def values_of(key: str) -> list[str]:
    """The values of a setting that have names; none of those that are numbers or paths."""
    if key == "data":
        return sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if key not in ENTRIES:
        return []
    about = ENTRIES[key].metadata
    return [*about["choices"], *about["known"]] or ["true", "false"] * (ENTRIES[key].type is bool)
