"""Examples that networks agree on early, late or never, with what each network got right: figure 1 of the paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from agreement import agreed, learned_epoch
from metrics.image import check_image
from reports.figures import BLUE, ORANGE

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
    `agreement.mistaken_alike`. captions: (N,), an example's class, say.
    """
    last = correct.shape[1]
    rows = max(1, *(len(chosen) for chosen in groups.values()))
    figure = Figure(
        figsize=(3.3 * len(groups), 1.0 * rows + 1.2), dpi=150, layout=ConstrainedLayoutEngine(wspace=0.01, w_pad=0.03)
    )
    figure.suptitle(title, fontsize=11)
    # an image, its strip, and nothing, which keeps the groups apart; headings have a row of their own above
    widths, heights = [1, 2.4, 0.1] * len(groups), [0.05] + [1] * rows
    cells = figure.add_gridspec(1 + rows, len(widths), width_ratios=widths, height_ratios=heights)
    for g, (name, chosen) in enumerate(groups.items()):
        heading = figure.add_subplot(cells[0, 3 * g])
        heading.set_title(name if len(chosen) else f"{name}: none", fontsize=10, loc="left", pad=0, y=1)
        heading.set_axis_off()
        for row, n in enumerate(chosen, start=1):
            picture, strip = (figure.add_subplot(cells[row, 3 * g + column]) for column in (0, 1))
            show(picture, images[n])
            draw_strip(strip, states(correct[:, :, n], alike[:, n]))
            caption = captions[n] if len(captions[n]) <= LONGEST else captions[n][: LONGEST - 1] + "…"
            strip.set_title(caption, fontsize=8, loc="left", pad=3, y=1)
        if len(chosen):
            strip.set_xticks([1, last] if last > 1 else [])
            strip.set_xlabel("epoch", fontsize=8, labelpad=-6 if last > 1 else None)  # between the numbers
    patches = [Patch(facecolor=colour, edgecolor="black", linewidth=0.5, label=name) for name, colour in STATES.items()]
    figure.legend(
        handles=patches,
        title="a row per network, a column per epoch",
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
        title_fontsize=9,
    )
    return figure


def states(right: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Index into STATES of every network and epoch of an example: right (K, T) and alike (T,) to int (K, T)."""
    return np.where(right.all(axis=0), 3, np.where(alike, 2, right))


def draw_strip(axes: Any, cells: np.ndarray) -> None:
    networks, last = cells.shape
    axes.imshow(
        cells,
        cmap=ListedColormap(list(STATES.values())),
        vmin=0,
        vmax=len(STATES) - 1,
        interpolation="none",  # keeps the cells as they are in an SVG
        aspect="auto",
        extent=(0.5, last + 0.5, networks + 0.5, 0.5),
    )
    axes.hlines(np.arange(1, networks) + 0.5, 0.5, last + 0.5, color="#CCCCCC", linewidth=0.6)
    axes.set(xticks=[], yticks=[])
    axes.tick_params(labelsize=8, length=2)


def show(axes: Any, image: np.ndarray) -> None:
    """Draw a uint8 image (H, W) or (H, W, 3) without axes' numbers. Raises ValueError for what is no image."""
    check_image(image)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
