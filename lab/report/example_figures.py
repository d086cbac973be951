"""Examples that networks agree on early, late or never, with what each network got right: figure 1 of the paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from agreement import agreed, learned_epoch
from lab.report.figures import BLUE, ORANGE
from metrics.images import check_image

GROUP, SIDE, STRIP = 3.3, 0.8, 2.2  # inches: a column of examples, and in it an image and a strip
LONGEST = 36  # characters of a caption that fit above a strip

# what a cell of a strip can say, from light to dark so that it reads in grey
STATES = {
    "wrong": "#FFFFFF",
    "right": "#B3D9F2",
    "all wrong, the same way": ORANGE,
    "all right: agreed on": BLUE,
}


def typical_examples(correct: np.ndarray, number: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Indices of up to `number` examples that networks agree on early, late and never, from `correct` (K, T, N).

    Drawn by chance, not picked: *learned early* from the tenth of the learned examples that all networks have right for
    good the soonest, *learned late* from the tenth that they learn last, *never agreed on* from those that they did not
    all have right in any epoch. What ties at the border of a tenth belongs to it, and to the early ones where it could be
    either; a group that nothing belongs to is empty.
    """
    learned, ever = learned_epoch(correct), agreed(correct).any(axis=0)
    known = np.sort(learned[np.isfinite(learned)])
    soonest, last = (known[len(known) // 10], known[-1 - len(known) // 10]) if len(known) else (0, np.inf)
    early = learned <= soonest
    late = (learned >= last) & np.isfinite(learned) & ~early
    members = {"learned early": early, "learned late": late, "never agreed on": ~ever}
    random = np.random.default_rng(seed)
    return {name: random.permutation(np.flatnonzero(chosen))[:number] for name, chosen in members.items()}


def examples_figure(
    groups: Mapping[str, Sequence[int] | np.ndarray],
    images: Any,
    correct: np.ndarray,
    alike: np.ndarray,
    captions: Sequence[str],
    title: str,
) -> Figure:
    """Images in a column per group, each beside a strip of its networks (rows) over the epochs: right or wrong.

    groups: name to indices of examples, as from `typical_examples`. images: uint8 (H, W[, 3]) by index. correct: boolean
    (K, T, N). alike: boolean (T, N), whether all networks are wrong in the same way, as from
    `agreement.same_wrong_class`. captions: (N,), an example's class, say.
    """
    rows = max(1, *(len(chosen) for chosen in groups.values()))
    width, height = GROUP * len(groups), rows + 1.25
    figure = Figure(figsize=(width, height), dpi=150)
    figure.suppressComposite = True  # an SVG keeps image by image
    # a single one, in inches from the top left: a pair for each example takes seconds
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.text(width / 2, 0.2, title, fontsize=11, ha="center")
    for g, (name, chosen) in enumerate(groups.items()):
        left = GROUP * g + 0.08
        beside = left + SIDE + 0.1  # where strips begin
        axes.text(left, 0.42, name if len(chosen) else f"{name}: none", fontsize=10)
        for row, n in enumerate(chosen):
            top = row + 0.65
            caption = captions[n] if len(captions[n]) <= LONGEST else captions[n][: LONGEST - 1] + "…"
            axes.text(beside, top - 0.04, caption, fontsize=8)
            draw_image(axes, images[n], left, top)
            draw_strip(axes, states(correct[:, :, n], alike[:, n]), beside, top)
        if len(chosen):
            label_epochs(axes, correct.shape[1], beside, top + SIDE)
    axes.set(xlim=(0, width), ylim=(height, 0))
    patches = [Patch(facecolor=colour, edgecolor="black", linewidth=0.5, label=name) for name, colour in STATES.items()]
    figure.legend(
        handles=patches,
        title="a row per network, a column per epoch",
        loc="lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
        title_fontsize=9,
    )
    return figure


def states(right: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Index into STATES of every network and epoch of an example: right (K, T) and alike (T,) to int (K, T)."""
    return np.where(right.all(axis=0), 3, np.where(alike, 2, right))


def draw_image(axes: Axes, image: np.ndarray, left: float, top: float) -> None:
    """A uint8 image (H, W) or (H, W, 3) as large as fits into the square that begins there. Raises ValueError for what is none."""
    check_image(image)
    high, wide = SIDE * np.array(image.shape[:2]) / max(image.shape[:2])
    across, down = left + (SIDE - wide) / 2, top + (SIDE - high) / 2
    place = (across, across + wide, down + high, down)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=place)
    axes.add_patch(Rectangle((across, down), wide, high, fill=False, linewidth=0.8))


def draw_strip(axes: Axes, cells: np.ndarray, left: float, top: float) -> None:
    """A row per network and a column per epoch, from `states` (K, T), beginning there."""
    networks = len(cells)
    axes.imshow(
        cells,
        cmap=ListedColormap(list(STATES.values())),
        vmin=0,
        vmax=len(STATES) - 1,
        interpolation="none",  # keeps the cells as they are in an SVG
        aspect="auto",
        extent=(left, left + STRIP, top + SIDE, top),
    )
    lines = top + SIDE * np.arange(1, networks) / networks
    axes.hlines(lines, left, left + STRIP, color="#CCCCCC", linewidth=0.6)
    axes.add_patch(Rectangle((left, top), STRIP, SIDE, fill=False, linewidth=0.8))


def label_epochs(axes: Axes, last: int, left: float, below: float) -> None:
    """Under a strip: the first and the last epoch at the middle of their cells, and what they are."""
    if last > 1:
        for epoch in (1, last):
            middle = left + STRIP * (epoch - 0.5) / last
            axes.vlines(middle, below, below + 0.03, color="black", linewidth=0.8)
            axes.text(middle, below + 0.06, str(epoch), fontsize=8, ha="center", va="top")
    axes.text(left + STRIP / 2, below + 0.06, "epoch", fontsize=8, ha="center", va="top")
