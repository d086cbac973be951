"""The edge statistic: where its time goes, how reliable it is, how well it agrees with the authors' own code.

    OPENBLAS_NUM_THREADS=1 uv run benchmarks/edges.py [--root data] [--images 200]
        [--reference edges.csv] [--maps edge_maps.npz] [--sheet docs/figures/edges-sheet.png]

``--root`` holds the folders ``cifar10``, ``imagenette`` and ``VOCdevkit``; without them, pieces of the photographs that
scikit-image carries are timed instead, and the rest is left out. ``--reference`` is a table with a column ``image`` of
paths below ``--root`` and the columns ``mean``, ``run1``, ``run2``, ... of sums that the authors' code gave; ``--maps``
is a numpy archive of maps of its runs, named ``<image>#run1`` and so on, which ``--sheet`` draws beside ours.

Times are processor time, the best of several rounds, of compiled code.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skimage.data
from PIL import Image
from scipy.stats import spearmanr

from lab.data.digits import mnist
from metrics import boundary_map, edges, gradient
from metrics.edges import default_draws
from metrics.edges._affinity import (
    PLACE_OF,
    RADIUS,
    affinities,
    all_pairs,
    feature_levels,
    fit_trees,
    ordered,
    pmi_of_random_pairs,
    predict,
)
from metrics.edges._cuts import _brought_back, _decimated, _smallest, _whitened, eigenvectors
from metrics.edges._features import edge_features
from metrics.edges._strength import oriented_strength

FOLDERS = {"cifar10": "t*/*/*.png", "imagenette": "*/*/*.JPEG", "VOCdevkit": "*/JPEGImages/*.jpg"}
DRAWS = (1, 2, 3, 4, 6, 8)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def sample(root: Path, folder: str, number: int) -> list[np.ndarray]:
    """Random images of a data set, the same in every run; none where it is missing."""
    paths = sorted((root / folder).glob(FOLDERS[folder]))
    chosen = np.random.default_rng(0).permutation(len(paths))[:number]
    return [read(paths[i]) for i in chosen]


def milliseconds(function: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What a function returns, and its processor time, the best of several rounds."""
    best = np.inf
    for _ in range(rounds + 1):  # the first compiles
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return result, 1e3 * float(best)


def stages(image: np.ndarray, rounds: int) -> dict[str, float]:
    """Milliseconds of each stage of one draw, and of what is done once for all draws of an image."""
    took: dict[str, float] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        result, took[name] = milliseconds(function, rounds)
        return result

    state = np.zeros(1, np.uint64)
    features = timed("features (once)", lambda: edge_features(image))
    levels, values = timed("levels (once)", lambda: feature_levels(features))
    _, height, width, _ = features.shape
    flat, levels_of = features[0].reshape(-1, 3), levels[0].reshape(-1, 3)
    drawn = timed(
        "density and PMI of 10,000 pairs, one feature set",
        lambda: pmi_of_random_pairs(flat, height, width, 10_000, state),
    )
    first, second, times, information = drawn
    samples = ordered(levels_of, first, second)
    trees = timed("four trees, one feature set", lambda: fit_trees(samples, times, information, values[0], state))
    _, one, other = all_pairs(height, width)
    pairs = ordered(levels_of, one, other)
    timed(f"PMI of all {one.size:,} pairs, one feature set", lambda: predict(*trees, pairs))
    affinity = timed("all affinities", lambda: affinities(features, levels, values, state))

    def both_decimated() -> list[np.ndarray]:
        kept, way = _decimated(affinity, PLACE_OF, RADIUS)
        return [*_decimated(kept, PLACE_OF, RADIUS), way]

    small, *ways = timed("decimation", both_decimated)
    _, vectors = timed(f"eigenvectors of {small[0].size} pixels", lambda: _smallest(small))
    vectors = vectors.reshape(*small.shape[1:], -1)[..., 1:]
    large = timed("bringing back", lambda: _brought_back(ways[1], _brought_back(ways[0], vectors, RADIUS), RADIUS))
    timed("whitening", lambda: _whitened(large.reshape(height * width, -1)))
    found = eigenvectors(affinity)
    timed("oriented strength", lambda: oriented_strength(*found))
    _, one_draw = milliseconds(lambda: edges(image, 1), rounds)
    _, four_draws = milliseconds(lambda: edges(image, 4), rounds)
    took["ONE DRAW (a third of what three more draws take)"] = (four_draws - one_draw) / 3
    took[f"DEFAULT, {default_draws(*image.shape[:2])} draws with features"] = milliseconds(
        lambda: edges(image), rounds
    )[1]
    return took


def sums(images: list[np.ndarray], draws: int) -> np.ndarray:
    """Sum of each single draw: (images, draws)."""
    return np.array([[edges(image, 1, seed) for seed in range(draws)] for image in images])


def between(columns: np.ndarray) -> float:
    """Mean over pairs of columns of Spearman's correlation."""
    ranked = np.argsort(np.argsort(columns, axis=0), axis=0)
    return float(np.mean(np.corrcoef(ranked.T)[np.triu_indices(columns.shape[1], 1)]))


def reliability(name: str, images: list[np.ndarray], most: int) -> None:
    """Print, for each number of draws, the correlation of two independent means and their difference from the best."""
    values = sums(images, 2 * most)
    best = values.mean()
    spread = np.mean(values.std(axis=1, ddof=1) / values.mean(axis=1))
    print(f"\n{name}, {len(images)} images; one image's draws vary by {spread:.1%}")
    print("draws   reliability   mean against that of all draws")
    for draws in (draws for draws in DRAWS if draws <= most):
        means = values[:, : values.shape[1] // draws * draws].reshape(len(images), -1, draws).mean(axis=2)
        print(f"{draws:5d}{between(means):14.3f}{means[:, 0].mean() / best:18.4f}")


def agreement(table: pd.DataFrame, root: Path) -> None:
    print(
        f"\n{'agreement with the reference':<34}{'images':>7}{'draws':>7}{'Spearman':>10}{'ratio':>8}{'reference with itself':>24}"
    )
    for folder in FOLDERS:
        rows = table[table["image"].str.startswith(folder)]
        images = [read(root / name) for name in rows["image"]]
        if not images:
            continue
        runs = rows.filter(regex=r"^run\d+$").dropna(axis=1).to_numpy()
        mean = rows["mean"].to_numpy()
        usual = default_draws(*images[0].shape[:2])
        values = sums(images, 2 * usual)
        for draws in (usual, 2 * usual):
            ours = values[:, :draws].mean(axis=1)
            print(
                f"{folder:<34}{len(rows):>7}{draws:>7}{spearmanr(ours, mean)[0]:>10.3f}{np.median(ours / mean):>8.3f}"
                f"{between(runs):>12.3f} ({runs.shape[1]} runs)"
            )


def companion(root: Path, number: int) -> None:
    print(f"\n{'gradient in place of edges':<34}{'images':>7}{'Spearman':>10}{'of values per pixel':>22}")
    for folder in FOLDERS:
        images = sample(root, folder, number if folder == "cifar10" else number // 4)
        if not images:
            continue
        pixels = np.array([image.shape[0] * image.shape[1] for image in images])
        ours, quick = np.array([edges(image) for image in images]), np.array([gradient(image) for image in images])
        of_sum, per_pixel = (spearmanr(values, quick)[0] for values in (ours, ours / pixels))
        print(f"{folder:<34}{len(images):>7}{of_sum:>10.3f}{per_pixel:>22.3f}")


def sheet(maps: Path, root: Path, path: Path) -> None:
    """Image, our map and two maps of the reference, in rows, each row of maps in one scale."""
    import matplotlib.pyplot as plt

    kept = np.load(maps, allow_pickle=False)
    names = sorted({name.split("#")[0] for name in kept.files})
    half = (len(names) + 1) // 2
    figure, axes = plt.subplots(half, 8, figsize=(16, 1.75 * half), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for i, name in enumerate(names):
        image = read(root / name)
        row = axes[i % half, 4 * (i // half) : 4 * (i // half) + 4]
        drawn = [boundary_map(image), *(kept[f"{name}#run{run}"].astype(np.float64) for run in (1, 2))]
        top = np.quantile(drawn, 0.998)
        row[0].imshow(image)
        for axis, strength in zip(row[1:], drawn, strict=True):
            axis.imshow(strength, cmap="magma", vmin=0, vmax=top)
        draws = default_draws(*image.shape[:2])
        titles = ("image", f"ours, {draws} draw{'s' if draws > 1 else ''}", "reference, run 1", "reference, run 2")
        for axis, title in zip(row, titles, strict=True):
            axis.set_title(title, fontsize=8)
    figure.savefig(path, dpi=70)
    print(f"\nsheet: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of data sets (default: data)")
    parser.add_argument("--images", type=int, default=200, help="how many images of CIFAR-10 correlations are of")
    parser.add_argument("--reference", type=Path, help="table of sums that the authors' code gave")
    parser.add_argument("--maps", type=Path, help="archive of maps that the authors' code gave")
    parser.add_argument("--sheet", type=Path, help="where to draw our maps beside those")
    parser.add_argument("--parts", default="time,reliability,agreement,gradient,sheet", help="which parts to run")
    options = parser.parse_args()
    parts = options.parts.split(",")
    root = options.root

    if "time" in parts:
        photograph = skimage.data.coffee()
        for height, width in ((32, 32), (224, 224), (375, 500)):
            image = photograph[:height, 50 : 50 + width]
            print(f"\none core, {width}x{height}")
            for name, took in stages(image, 30 if width == 32 else 5).items():
                print(f"  {name:<56}{took:10.2f} ms")
    if "reliability" in parts:
        digits, _ = mnist()
        reliability("MNIST digits, 28x28", list(digits[::50]), 4)
        photographs = sample(root, "imagenette", options.images // 4)
        for side, most in ((32, 6), (40, 6), (48, 6), (64, 4), (96, 2), (128, 2)) if photographs else ():
            size = (side, side)
            small = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in photographs]
            reliability(f"imagenette at {side}x{side}", small, most)
        for folder, number, most in (
            ("cifar10", options.images, 8),
            ("imagenette", options.images // 4, 2),
            ("VOCdevkit", options.images // 8, 1),
        ):
            images = sample(root, folder, number)
            if images:
                reliability(folder, images, most)
    if "agreement" in parts and options.reference:
        agreement(pd.read_csv(options.reference), root)
    if "gradient" in parts:
        companion(root, options.images)
    if "sheet" in parts and options.maps and options.sheet:
        sheet(options.maps, root, options.sheet)


if __name__ == "__main__":
    main()
