"""What the trainings of a comparison gave: read from their folders, tabulated, logged; and pacing functions drawn."""

from typing import Any

import numpy as np

from curricula import PACING


def pacing_curve(config: Any, names: list[str], steps: int, examples: int) -> tuple[np.ndarray, dict, int]:
    """Steps, the prefix sizes of the named pacing functions at them, and the number of examples."""
    t = np.unique(np.linspace(0, steps, 400).astype(int))
    given = {key: config[key] for key in ("a", "b") if config[key] is not None}
    return t, {name: PACING[name](t, steps, examples, **given) for name in names}, examples


def show_pacing(config: Any, console: Any) -> None:
    """Draw all pacing functions with the configured a and b into pacing.png, and print them at a few steps."""
    from rich import box
    from rich.table import Table

    from lab.report import curriculum_figures

    steps, examples = 1000, 10000
    t, sizes, _ = pacing_curve(config, list(PACING), steps, examples)
    table = Table(
        box=box.SIMPLE_HEAD, title="per cent of the order drawn from, by part of the training", title_justify="left"
    )
    table.add_column("pacing")
    parts = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
    for part in parts:
        table.add_column(f"{part:.0%}", justify="right")
    for name, count in sizes.items():
        table.add_row(name, *(f"{100 * count[np.searchsorted(t, part * steps)] / examples:.0f}" for part in parts))
    console.print(table)
    figure = curriculum_figures.pacing_figure(t, sizes, examples, "pacing functions, 1,000 steps")
    figure.savefig("pacing.png", dpi=130)
    console.print("drawn in pacing.png")
