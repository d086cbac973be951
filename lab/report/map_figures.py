"""What the statistics see in an image, as a figure made from plain arrays."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metrics import dct, entropy, entropy_map, frequency, segment_map
from metrics.images import check_image

PANEL = 2.3  # inches wide
ENTROPY, EDGES, DCT = "local entropy (bits)", "edge strength", "DCT coefficients, log₁₀(1 + |c|)"


def maps_figure(
    images: Mapping[str, np.ndarray], title: str, edge_maps: Mapping[str, np.ndarray] | None = None
) -> Figure:
    """A row per image: its segments, local entropy, edges and DCT coefficients, each with the number that comes of it.

    images: what to call an image ("easy", "hard") to uint8 (H, W[, 3]). edge_maps: the same names to boundary strengths
    (ceil(H/2), ceil(W/2)); without them there is no such column. Rows share the colours of a column, so that they can be
    compared. Figures 3, 10 and 11 of the paper. Raises ValueError for what is no image.
    """
    maps = {ENTROPY: {name: entropy_map(image) for name, image in images.items()}}
    numbers = {ENTROPY: {name: f"mean {entropy(image):.2f} bits" for name, image in images.items()}}
    if edge_maps is not None:
        maps[EDGES] = {name: edge_maps[name] for name in images}
        numbers[EDGES] = {name: f"sum {edge_maps[name].sum():,.0f}" for name in images}
    maps[DCT] = {name: np.log10(1 + np.abs(dct(image))) for name, image in images.items()}
    numbers[DCT] = {name: f"{frequency(image):.1f} % important" for name, image in images.items()}

    figure, grid, bars = panels(images, ["image", "segments", *maps], title)
    for row, (name, image) in zip(grid, images.items(), strict=True):
        show(row[0], image)
        row[0].set(ylabel=name, xlabel=f"{image.shape[1]} × {image.shape[0]} pixels")
        labels = segment_map(image)
        show(row[1], outlined(image, labels))
        row[1].set_xlabel(f"{labels.max() + 1:,} segment{'s' * bool(labels.max())}")
    for column, bar, (heading, values) in zip(grid.T[2:], bars[2:], maps.items(), strict=True):
        # a few extremes, such as the DCT's mean, would take all contrast from the rest
        low, high = np.percentile(np.concatenate([map_.ravel() for map_ in values.values()]), (0.5, 99.5))
        for axes, (name, map_) in zip(column, values.items(), strict=True):
            height, width = images[name].shape[:2]
            box = extent(heading, map_.shape, height, width)
            drawn = axes.imshow(map_, cmap="cividis", vmin=low, vmax=high, extent=box)
            axes.set(xlim=(0, width), ylim=(height, 0), xlabel=numbers[heading][name])
        figure.colorbar(drawn, cax=bar, orientation="horizontal", extend="both")
    return figure


def panels(images: Mapping[str, np.ndarray], headings: list[str], title: str) -> tuple[Figure, np.ndarray, np.ndarray]:
    """A figure with a row of empty panels per image, as high as the images need, and below them room for colour bars."""
    heights = [image.shape[0] / image.shape[1] for image in images.values()]
    size = (PANEL * len(headings), PANEL * sum(heights) + 0.3 * len(images) + 0.95)
    # 150 dots per inch for the images within an SVG; a PNG is saved at its own
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(images) + 1, len(headings), squeeze=False, height_ratios=[*heights, 0.05])
    for axes in grid[:-1].flat:
        axes.set(xticks=[], yticks=[])
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=10)
    for axes in grid[-1, :2]:
        axes.set_axis_off()
    return figure, grid[:-1], grid[-1]


def extent(heading: str, shape: tuple[int, int], height: int, width: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top edge of a map of that shape within its image, in pixels."""
    if heading == ENTROPY:  # a window's entropy stands at the window's centre, which leaves a margin
        down, across = (height - shape[0]) / 2, (width - shape[1]) / 2
        return across, width - across, height - down, down
    if heading == EDGES:  # of every second pixel; the last may lie half beyond the image
        return 0, 2 * shape[1], 2 * shape[0], 0
    return 0, width, height, 0


def outlined(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Every segment in its mean colour, paled, with dark outlines: uint8 (H', W', 3), enlarged so that lines are fine.

    image: uint8 (H, W[, 3]); labels: int (H, W), segments numbered from 0.
    """
    colour = np.broadcast_to(image.reshape(*labels.shape, -1), (*labels.shape, 3)).reshape(-1, 3)
    sizes = np.bincount(labels.ravel())
    means = np.stack([np.bincount(labels.ravel(), channel) / sizes for channel in colour.T], axis=1)
    times = max(2, 512 // max(labels.shape))
    large = labels.repeat(times, axis=0).repeat(times, axis=1)
    painted = (255 - 0.6 * (255 - means))[large].astype(np.uint8)
    painted[:-1][large[:-1] != large[1:]] = 0
    painted[:, :-1][large[:, :-1] != large[:, 1:]] = 0
    return painted


def show(axes: Axes, image: np.ndarray) -> None:
    """Draw a uint8 image (H, W) or (H, W, 3) without axes' numbers. Raises ValueError for what is no image."""
    check_image(image)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
