"""Overlays show every curve they are given, each in a style of its own."""

import warnings

import numpy as np
import pytest

from lab.report.figures import save
from lab.report.overlay_figures import columns, kinds_figure, mistakes_figure, styles, sweep_figure


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def curves(*names: str) -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    measured = ("agreement", "lower_bound", "accuracy", "false_positive_agreement", "loss")
    return {name: {key: 0.5 * random.random(5 + i) for key in measured} for i, name in enumerate(names)}


def drawn(axes) -> list[np.ndarray]:
    return [line.get_xydata() for line in axes.get_lines()]


def assert_curve(data: np.ndarray, curve: np.ndarray) -> None:
    np.testing.assert_array_equal(data[:, 0], 1 + np.arange(len(curve)))
    np.testing.assert_allclose(data[:, 1], 100 * curve)


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_sweep_of_different_lengths():
    given = curves("batch_size=32", "batch_size=512")
    figure = sweep_figure(given, "lenet5 on mnist5k")
    left, right = figure.axes
    expected = [curve[key] for curve in given.values() for key in ("agreement", "lower_bound")]
    for data, curve in zip(drawn(left), expected, strict=True):
        assert_curve(data, curve)
    for data, curve in zip(drawn(right), given.values(), strict=True):
        assert_curve(data, curve["accuracy"])
    assert legend(figure) == list(given) and figure.get_suptitle() == "lenet5 on mnist5k"
    assert left.get_xlim() == right.get_xlim() == (1, 6) and left.get_ylim() == right.get_ylim() == (0, 100)
    assert "agreement" in left.get_title() and "accuracy" in right.get_title()
    for agreement, bound, accuracy in zip(
        left.get_lines()[::2], left.get_lines()[1::2], right.get_lines(), strict=True
    ):
        assert agreement.get_color() == bound.get_color() == accuracy.get_color()
        assert agreement.get_linewidth() > bound.get_linewidth()


def test_kinds_beside_the_whole():
    agreed = {"frontal": np.array([0.1, 0.2]), 4.0: np.array([0.3, 0.5])}
    figure = kinds_figure(agreed, np.array([0.2, 0.3]), "illumination", "kth_tips2b")
    (axes,) = figure.axes
    for data, curve in zip(drawn(axes), ([0.2, 0.3], *agreed.values()), strict=True):
        assert_curve(data, np.array(curve))
    assert legend(figure) == ["all examples", "frontal", "4.0"]
    assert figure.legends[0].get_title().get_text() == "illumination"
    assert axes.get_xlabel() == "epoch" and "%" in axes.get_ylabel()


def test_mistakes_of_both_splits():
    given = curves("train", "test")
    left, right = mistakes_figure(given, "title").axes
    for data, curve in zip(drawn(left), given.values(), strict=True):
        assert_curve(data, curve["false_positive_agreement"])
    for data, curve in zip(drawn(right), given.values(), strict=True):
        assert_curve(data, curve["accuracy"])
    assert legend(left.figure) == ["train set", "test set"]
    highest = 100 * max(curve["false_positive_agreement"].max() for curve in given.values())
    assert left.get_ylim()[0] == 0 and highest < left.get_ylim()[1] < 1.2 * highest
    assert right.get_ylim() == (0, 100)


def test_mistakes_that_are_never_shared(tmp_path):
    one = {"accuracy": np.ones(1), "false_positive_agreement": np.zeros(1)}
    figure = mistakes_figure({"train": one, "test": one}, "perfect")
    assert figure.axes[0].get_ylim() == (0, 1)
    save(figure, tmp_path, "mistakes")
    assert len(list(tmp_path.iterdir())) == 2


def test_styles_differ_by_dash_and_by_colour():
    assert len({str(style["linestyle"]) for style in styles(7)}) == 7  # told apart without colour
    assert len({style["color"] for style in styles(8)}) == 8
    assert len({(style["color"], str(style["linestyle"])) for style in styles(56)}) == 56


@pytest.mark.parametrize("number, length", [(1, 1), (5, 13), (9, 7), (4, 40), (2, 90)])
def test_a_legend_fits_under_its_figure(number, length):
    names = [str(i).ljust(length, "o") for i in range(number)]
    figure = sweep_figure(curves(*names), "")
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().width < figure.bbox.width


def test_a_legend_has_even_rows():
    assert columns(["all examples", "ambient", "frontal", "side", "top"], 6.4) == 3  # of at most four
    assert columns(["all examples", "frontal", "left", "right"], 6.4) == 4
    assert columns(["x" * 500, "y"], 6.4) == 1
