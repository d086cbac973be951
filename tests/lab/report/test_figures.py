"""Figures: they show the data they are given, say what it is in which unit, and are written as PNG and SVG."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lab.report import figures

EPOCHS = 12
TIME = np.arange(1, EPOCHS + 1)
AGREEMENT = np.linspace(0.05, 0.9, EPOCHS)
LOWER = np.maximum(AGREEMENT - 0.3, 0)
CHANCE = AGREEMENT**2
ACCURACY = np.linspace(0.3, 0.95, EPOCHS)
DEVIATION = np.linspace(0.05, 0.01, EPOCHS)
CURVE = np.linspace(4, 6, EPOCHS)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def lines(axes) -> dict[str, np.ndarray]:
    """Data (N, 2) of the labelled lines."""
    return {line.get_label(): line.get_xydata() for line in axes.get_lines() if not line.get_label().startswith("_")}


def line_like(axes, part: str) -> np.ndarray:
    (found,) = [data for label, data in lines(axes).items() if part in label]
    return found


def legend(figure: Figure) -> str:
    return "; ".join(text.get_text() for text in figure.legends[0].get_texts())


def bands(axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lower and upper edge of each shaded band, over the epochs."""
    found = []
    for collection in axes.collections:
        points = collection.get_paths()[0].vertices
        inside = [points[np.isclose(points[:, 0], t), 1] for t in TIME]
        found.append((np.array([p.min() for p in inside]), np.array([p.max() for p in inside])))
    return found


def assert_agreement_is_drawn(axes) -> None:
    agreement = line_like(axes, "agreement")
    np.testing.assert_allclose(agreement, np.stack([TIME, 100 * AGREEMENT], axis=1))
    np.testing.assert_allclose(line_like(axes, "accuracy")[:, 1], 100 * ACCURACY)
    gap, deviation = bands(axes)
    np.testing.assert_allclose(gap, [100 * LOWER, 100 * AGREEMENT], atol=1e-9)
    np.testing.assert_allclose(deviation, [100 * (ACCURACY - DEVIATION), 100 * (ACCURACY + DEVIATION)])
    assert axes.get_xlabel() == "epoch" and axes.get_ylabel() == "per cent"
    assert axes.get_ylim() == (0, 100) and axes.get_xlim() == (1, EPOCHS)


def test_the_agreement_figure():
    figure = figures.agreement_figure(AGREEMENT, LOWER, CHANCE, ACCURACY, DEVIATION, "lenet5 on mnist5k")
    (axes,) = figure.axes
    assert axes.get_title() == "lenet5 on mnist5k"
    assert_agreement_is_drawn(axes)
    np.testing.assert_allclose(line_like(axes, "chance"), np.stack([TIME, 100 * CHANCE], axis=1))
    for text in ("agreement", "lower bound", "chance", "accuracy"):
        assert text in legend(figure)
    styles = {line.get_linestyle() for line in axes.get_lines()}
    assert len(styles) == 3  # told apart without colour


@pytest.mark.parametrize("name", [*figures.LABELS, "a statistic of the user's"])
def test_the_statistic_figure(name):
    figure = figures.statistic_figure(AGREEMENT, LOWER, ACCURACY, DEVIATION, CURVE, 5.5, name, "lenet5 on mnist5k")
    axes, second = figure.axes
    assert_agreement_is_drawn(axes)
    (curve,) = [data for data in lines(second).values() if len(data) == EPOCHS]
    shown = (TIME >= 5) & (AGREEMENT > 0.2)
    assert 0 < shown.sum() < EPOCHS
    np.testing.assert_array_equal(curve[:, 0], TIME)
    np.testing.assert_array_equal(curve[:, 1], np.where(shown, CURVE, np.nan))
    (everywhere,) = [data for data in lines(second).values() if len(data) == 2]
    assert set(everywhere[:, 1]) == {5.5}
    assert second.get_ylabel() == figures.LABELS.get(name, name)
    assert name.split()[0] in legend(figure) and "accuracy" in legend(figure)


def test_labels_name_units():
    assert "bits" in figures.LABELS["entropy"] and "%" in figures.LABELS["frequency"]


def test_the_curve_is_hidden_where_agreement_is_low():
    """The paper shows it where agreement exceeds 20 %, from epoch 5 on."""
    agreement = np.array([0.9] * 6 + [0.2, 0.21])
    figure = figures.statistic_figure(agreement, agreement, agreement, 0 * agreement, np.arange(8.0), 1, "entropy", "")
    (curve,) = [data[:, 1] for data in lines(figure.axes[1]).values() if len(data) == 8]
    np.testing.assert_array_equal(curve, [np.nan] * 4 + [4, 5, np.nan, 7])


def test_the_histogram():
    values = np.concatenate([np.random.default_rng(0).normal(6, 1, 1000), [np.nan] * 7])
    figure = figures.histogram_figure(values, "entropy", "mnist5k")
    (axes,) = figure.axes
    assert sum(patch.get_height() for patch in axes.patches) == 1000
    edges = [patch.get_x() for patch in axes.patches]
    assert min(edges) == pytest.approx(np.nanmin(values))
    assert axes.patches[-1].get_x() + axes.patches[-1].get_width() == pytest.approx(np.nanmax(values))
    assert axes.get_xlabel() == figures.LABELS["entropy"] and axes.get_ylabel() == "examples"


def test_one_epoch_and_curves_without_numbers(tmp_path):
    one = np.array([0.5])
    figures.save(figures.agreement_figure(one, one, one, one, 0 * one, "one"), tmp_path, "one")
    nothing = np.full(EPOCHS, np.nan)
    without = figures.statistic_figure(0 * AGREEMENT, LOWER, ACCURACY, DEVIATION, nothing, np.nan, "entropy", "")
    assert "where agreed on" not in legend(without)  # no line, no entry
    figures.save(without, tmp_path, "none")
    figures.save(figures.histogram_figure(np.ones(10), "segments", "all equal"), tmp_path, "equal")
    figures.save(figures.histogram_figure(np.full(3, np.nan), "segments", "no values"), tmp_path, "no-values")
    assert len(list(tmp_path.iterdir())) == 8


def drawn(folder: Path) -> dict[str, bytes]:
    figure = figures.statistic_figure(
        AGREEMENT, LOWER, ACCURACY, DEVIATION, CURVE, 5.5, "entropy", "5 × lenet5, $ and _"
    )
    figures.save(figure, folder, "figure")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def test_saved_as_png_and_svg_the_same_each_time(tmp_path):
    one, other = drawn(tmp_path / "a" / "new"), drawn(tmp_path / "b")
    assert sorted(one) == [".png", ".svg"]
    assert one == other
    with Image.open(tmp_path / "b" / "figure.png") as image:
        assert image.size == (832, 624)
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
        colours = {tuple(pixel) for pixel in np.unique(pixels, axis=0).tolist()}
    for colour in (figures.BLUE, figures.VERMILION, figures.ORANGE):
        assert tuple(bytes.fromhex(colour[1:])) in colours
    text = one[".svg"].decode()
    assert text.rstrip().endswith("</svg>") and len(text) > 10_000
