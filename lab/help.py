"""`--help`: every setting with its meaning, type and default."""

from dataclasses import fields
from typing import Any

from omegaconf import OmegaConf
from rich.markup import escape
from rich.table import Table

from lab.settings import CURRICULUM_ONLY, MEASURE_ONLY, PRESETS, Configuration, plain, type_of

WIDTH = 120  # of the table, at least, where there is no terminal


def print_help(console: Any, parser: Any) -> None:
    print(parser.format_help())
    table = Table(title="settings", title_justify="left", box=None, pad_edge=False)
    for name in ("key", "type", "default", "meaning"):
        table.add_column(name, overflow="fold")
    default = OmegaConf.structured(Configuration)
    for entry in fields(Configuration):
        value = plain(default)[entry.name]
        shown = (
            "null"
            if value is None
            else str(value).lower()
            if isinstance(value, bool)
            else f"[{','.join(value)}]"
            if isinstance(value, list)
            else str(value)
        )
        choices = f": {', '.join(entry.metadata['choices'])}" if entry.metadata["choices"] else ""
        meaning = entry.metadata["meaning"] + choices
        for mode, own in (("measure", MEASURE_ONLY), ("curriculum", CURRICULUM_ONLY)):
            meaning += f" (--mode {mode})" if entry.name in own else ""
        table.add_row(entry.name, type_of(entry.name), escape(shown), escape(meaning))
    console.print(table, width=None if console.is_terminal else max(console.width, WIDTH))
    print(
        f"\nPresets change these defaults for a data set: {', '.join(sorted(f'data={path.stem}' for path in PRESETS.glob('*.yaml')))} (see conf/)."
    )
