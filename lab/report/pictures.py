"""Pictures made of images: typical examples with what networks got right of them, and what the statistics see.

Each is a chart of Altair like those of `plots`, laid out in pixels: images, boxes and words at given places.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from PIL import Image

from agreement import agreed, learned_epoch, learning_time
from lab.report.plots.style import BLUE, INK, ORANGE, Layers
from metrics import dct, entropy, entropy_map, frequency, segment_map
from metrics.images import check_image

SIDE, STRIP, COLUMN, ROW = 80, 220, 330, 100  # pixels of an image, a strip beside it, and both with their margins
LONGEST = 36  # characters of a caption that fit above a strip
PANEL, GAP = 200, 24  # pixels of a statistic's map and between two
# what a cell of a strip can say, from light to dark so that it reads in grey
STATES = {"wrong": "#FFFFFF", "right": "#B3D9F2", "all wrong, the same way": ORANGE, "all right: agreed on": BLUE}
CIVIDIS = "002051 0d346b 31476e 575c6e 737277 8b8878 aca176 d2c065 fdea45"
Box = dict[str, Any]


def typical_examples(correct: np.ndarray, number: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Indices of up to `number` examples that networks agree on early, late and never, from `correct` (K, T, N).

    Drawn by chance, not picked: of those that all networks have right in the end, *learned early* from the tenth with the
    least learning time, *learned late* from the tenth with the most; *never agreed on* from those that they did not
    all have right in any epoch. What ties at the border of a tenth belongs to it, and to the early ones where it could be
    either; a group that nothing belongs to is empty.
    """
    learned, ever = learning_time(correct), agreed(correct).any(axis=0)
    in_the_end = np.isfinite(learned_epoch(correct))
    known = np.sort(learned[in_the_end])
    soonest, last = (known[len(known) // 10], known[-1 - len(known) // 10]) if len(known) else (0, np.inf)
    early = in_the_end & (learned <= soonest)
    late = in_the_end & (learned >= last) & ~early
    members = {"learned early": early, "learned late": late, "never agreed on": ~ever}
    random = np.random.default_rng(seed)
    return {name: random.permutation(np.flatnonzero(chosen))[:number] for name, chosen in members.items()}


def examples(
    groups: Mapping[str, Sequence[int] | np.ndarray],
    images: Sequence[np.ndarray],
    correct: np.ndarray,
    same_wrong: np.ndarray,
    captions: Sequence[str],
) -> Layers:
    """Images in a column per group, each beside a strip of its networks (rows) over the epochs: figure 1 of the paper.

    groups: name to indices of examples, as from `typical_examples`. images: uint8 (H, W[, 3]) by index. correct: boolean
    (K, T, N). same_wrong: boolean (T, N), as from `agreement.same_wrong_class`. captions: (N,), an example's class, say.
    """
    networks, epochs, _ = correct.shape
    pictures, cells, frames, words = [], [], [], []
    for g, (name, chosen) in enumerate(groups.items()):
        left, beside = COLUMN * g + 8, COLUMN * g + SIDE + 18
        words.append(text(left, 8, name if len(chosen) else f"{name}: none", size=13))
        for row, n in enumerate(chosen):
            top = ROW * row + 38
            caption = captions[n] if len(captions[n]) <= LONGEST else captions[n][: LONGEST - 1] + "…"
            words.append(text(beside, top - 8, caption))
            pictures.append(image_in(images[n], left, top, SIDE))
            seen = states(correct[:, :, n], same_wrong[:, n])
            width, height = STRIP / epochs, SIDE / networks
            cells += [
                box(beside + t * width, top + k * height, width, height, state=list(STATES)[seen[k, t]])
                for k in range(networks)
                for t in range(epochs)
            ]
            frames += [box(beside, top + k * height, STRIP, height) for k in range(networks)]
        if len(chosen):
            ends = {1: STRIP / epochs / 2, epochs: STRIP - STRIP / epochs / 2} if epochs > 1 else {}
            below = {str(epoch): at for epoch, at in ends.items()} | {"epoch": STRIP / 2}
            words += [text(beside + at, top + SIDE + 10, word, align="center") for word, at in below.items()]
    size = COLUMN * len(groups), ROW * max(1, *map(len, groups.values())) + 50
    legend = alt.Legend(title="a row per network, a column per epoch", titleLimit=400, symbolType="square", symbolStrokeColor=INK, symbolStrokeWidth=0.5)  # fmt: skip
    colour = alt.Color(
        field="state",
        type="nominal",
        legend=legend,
        scale=alt.Scale(domain=list(STATES), range=list(STATES.values())),
    )
    return placed(size, pictures, words, boxes(cells, size).encode(color=colour), boxes(frames, size, stroke="#BBBBBB"))


def states(right: np.ndarray, same_wrong: np.ndarray) -> np.ndarray:
    """Index into STATES of every network and epoch of an example: right (K, T) and same_wrong (T,) to int (K, T)."""
    return np.where(right.all(axis=0), 3, np.where(same_wrong, 2, right))


def maps(images: Mapping[str, np.ndarray]) -> Layers:
    """A row per image: its segments, local entropy and DCT coefficients, each with the number that comes of it.

    images: what to call an image ("easy", "hard") to uint8 (H, W[, 3]). Rows share the colours of a column, so that they
    can be compared. Figures 3, 10 and 11 of the paper. Raises ValueError for what is no image.
    """
    seen = {
        "local entropy (bits)": {name: entropy_map(image) for name, image in images.items()},
        "DCT coefficients, log10(1 + |c|)": {name: np.log10(1 + np.abs(dct(image))) for name, image in images.items()},
    }
    lefts = [24 + (PANEL + GAP) * i for i in range(2 + len(seen))]
    words = [text(left, 8, heading, size=13) for left, heading in zip(lefts, ("image", "segments", *seen), strict=True)]
    pictures, top = [], 24.0
    # a few extremes, such as the DCT's mean, would take all contrast from the rest
    bounds = [np.percentile(np.concatenate([each.ravel() for each in found.values()]), (0.5, 99.5)) for found in seen.values()]  # fmt: skip
    for name, image in images.items():
        check_image(image)
        segments = segment_map(image)
        numbers = (f"{image.shape[1]} × {image.shape[0]} pixels", f"{segments.max() + 1:,} segment{'s' * bool(segments.max())}",
                   f"mean {entropy(image):.2f} bits", f"{frequency(image):.1f} % important")  # fmt: skip
        height = PANEL * image.shape[0] / image.shape[1]
        pictures += [box(lefts[0], top, PANEL, height, url=address(image, PANEL))]
        pictures += [box(lefts[1], top, PANEL, height, url=address(outlined(image, segments), 2 * PANEL))]
        for left, found, (low, high) in zip(lefts[2:], seen.values(), bounds, strict=True):
            part = (
                found[name].shape[1] / image.shape[1]
            )  # a window's entropy stands at its centre, which leaves a margin
            down = found[name].shape[0] / image.shape[0]
            place = (left + PANEL * (1 - part) / 2, top + height * (1 - down) / 2, PANEL * part, height * down)
            pictures.append(box(*place, url=address(cividis(found[name], low, high), PANEL)))
        words += [text(left + PANEL / 2, top + height + 10, each, align="center") for left, each in zip(lefts, numbers, strict=True)]  # fmt: skip
        words.append(text(10, top + height / 2, name, align="center", angle=270))
        top += height + 36
    ramp = address(cividis(np.linspace(0, 1, 256)[None], 0, 1), 256)
    for left, (low, high) in zip(lefts[2:], bounds, strict=True):
        pictures.append(box(left, top, PANEL, 10, url=ramp))
        ends = {"left": (left, low), "right": (left + PANEL, high)}
        words += [text(at, top + 20, f"{value:.3g}", align=align) for align, (at, value) in ends.items()]
    return placed((lefts[-1] + PANEL + 8, top + 32), pictures, words)


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


def cividis(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values (H, W) in the colours of cividis, uint8 (H, W, 3), the darkest at `low` and the lightest at `high`."""
    colours = np.array([list(bytes.fromhex(colour)) for colour in CIVIDIS.split()])
    at = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * (len(colours) - 1)
    return np.stack([np.interp(at, range(len(colours)), channel) for channel in colours.T], axis=-1).astype(np.uint8)


def address(image: np.ndarray, side: int) -> str:
    """A data: address of a uint8 image (H, W[, 3]); small ones are enlarged pixel by pixel."""
    check_image(image)
    picture = Image.fromarray(image)
    times = max(1, -(-2 * side // max(picture.size)))
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((3 * side, 3 * side))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def image_in(image: np.ndarray, left: float, top: float, side: float) -> Box:
    """An image as large as fits into the square that begins there."""
    high, wide = side * np.array(image.shape[:2]) / max(image.shape[:2])
    return box(left + (side - wide) / 2, top + (side - high) / 2, wide, high, url=address(image, int(side)))


def box(left: float, top: float, width: float, height: float, **more: str) -> Box:
    return {"x": left, "y": top, "x2": left + width, "y2": top + height, **more}


def text(x: float, y: float, words: str, size: int = 11, align: str = "left", angle: int = 0) -> Box:
    return {"x": x, "y": y, "words": words, "size": size, "align": align, "angle": angle}


def across(size: tuple[float, float]) -> dict[str, Any]:
    """The channels x and y in pixels from the top left."""
    x, y = (
        alt.Scale(domain=[0, side], nice=False, reverse=down) for side, down in zip(size, (False, True), strict=True)
    )
    return {
        "x": alt.X(field="x", type="quantitative", axis=None, scale=x),
        "y": alt.Y(field="y", type="quantitative", axis=None, scale=y),
    }


def boxes(places: Sequence[Box], size: tuple[float, float], **mark: Any) -> alt.Chart:
    chart = alt.Chart(alt.InlineData(values=list(places)))
    mark = {"filled": "stroke" not in mark, "strokeWidth": 0.6, **mark}
    return chart.mark_rect(**mark).encode(**across(size), x2=alt.X2(field="x2"), y2=alt.Y2(field="y2"))


def placed(size: tuple[float, float], pictures: Sequence[Box], words: Sequence[Box], *others: alt.Chart) -> Layers:
    """A chart of a size in pixels: images and words at their places, and other layers over the images."""
    at = across(size)
    middle = [each | {"x": (each["x"] + each["x2"]) / 2, "y": (each["y"] + each["y2"]) / 2} for each in pictures]
    layers = [
        alt.Chart(alt.InlineData(values=[each]))
        .mark_image(width=each["x2"] - pictures[i]["x"], height=each["y2"] - pictures[i]["y"], aspect=False)
        .encode(**at, url=alt.Url(field="url", type="nominal"))
        for i, each in enumerate(middle)
    ]
    written = [
        alt.Chart(alt.InlineData(values=[each]))
        .mark_text(align=each["align"], angle=each["angle"], fontSize=each["size"], color=INK, baseline="middle")
        .encode(**at, text=alt.Text(field="words", type="nominal"))
        for each in words
    ]
    return alt.layer(*layers, boxes(pictures, size, stroke=INK), *others, *written).properties(
        width=size[0], height=size[1]
    )
