"""The picture of figure 1: which examples it takes, and what its strips say about them."""

import warnings
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import ListedColormap, to_rgb

from lab.report import example_figures
from lab.report.example_figures import examples_figure, typical_examples
from lab.report.figures import save

EARLY, LATE, NEVER = "learned early", "learned late", "never agreed on"


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def learned_at(epochs: list[float], last: int) -> np.ndarray:
    """`correct` (2, last, N) of two networks that learn each example in the given epoch and keep it."""
    right = np.arange(1, last + 1)[:, None] >= np.array(epochs)
    return np.stack([right, right])


def test_examples_are_taken_from_the_ends_of_the_order():
    epochs = [*range(1, 101), *[np.inf] * 7]
    groups = typical_examples(learned_at(epochs, 100), 5)
    assert list(groups) == [EARLY, LATE, NEVER]
    assert all(len(set(chosen.tolist())) == 5 for chosen in groups.values())
    assert set(groups[EARLY]) <= set(range(11)) and set(groups[LATE]) <= set(range(89, 100))
    assert set(groups[NEVER]) <= set(range(100, 107))


def test_examples_are_drawn_by_chance_from_a_seed():
    correct = learned_at([1] * 500 + [9] * 500, 10)
    one, again, other = (typical_examples(correct, 5, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one[EARLY], again[EARLY])
    assert set(one[EARLY]) != set(other[EARLY])
    assert max(one[EARLY]) > 20  # not the first of those that tie


def test_agreed_on_and_lost_is_neither_learned_nor_never_agreed_on():
    correct = learned_at([1, 2, np.inf], 3)
    correct[:, 1, 2] = True
    groups = typical_examples(correct, 5)
    assert groups[EARLY].tolist() == [0] and groups[LATE].tolist() == [1] and groups[NEVER].tolist() == []


def test_groups_that_nothing_belongs_to_are_empty():
    everything = typical_examples(np.ones((2, 3, 4), bool), 5)
    assert sorted(everything[EARLY]) == [0, 1, 2, 3] and not len(everything[LATE]) and not len(everything[NEVER])
    nothing = typical_examples(np.zeros((2, 3, 4), bool), 5)
    assert sorted(nothing[NEVER]) == [0, 1, 2, 3] and not len(nothing[EARLY]) and not len(nothing[LATE])


def images_of(figure) -> tuple[list, dict[str, Any]]:
    """The pictures, and the strips by the caption that stands above each."""
    (axes,) = figure.axes
    strips = {}
    for image in [image for image in axes.get_images() if isinstance(image.cmap, ListedColormap) and image.cmap.N == 4]:
        left, _, _, top = image.get_extent()
        (caption,) = [text for text in axes.texts if text.get_position() == pytest.approx((left, top - 0.04))]
        strips[caption.get_text()] = image
    pictures = [image for image in axes.get_images() if image not in strips.values()]
    return pictures, strips


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.fixture
def small():
    """Two networks, three epochs, three examples: images, correct, alike."""
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), dtype=np.uint8)
    correct = np.zeros((2, 3, 3), bool)
    correct[:, :, 1] = [[False, True, True], [False, False, True]]
    alike = np.zeros((3, 3), bool)
    alike[0, 1] = alike[1, 2] = True
    return images, correct, alike


def test_images_stand_beside_what_each_network_got_right(small):
    images, correct, alike = small
    figure = examples_figure({"some": [1], "others": [2, 0]}, images, correct, alike, ["cat", "dog", "$owl$"], "title")
    pictures, strips = images_of(figure)
    assert sorted(strips) == ["$owl$", "cat", "dog"]
    expected = {"dog": [[2, 1, 3], [2, 0, 3]], "$owl$": [[0, 2, 0], [0, 2, 0]], "cat": np.zeros((2, 3))}
    for caption, cells in expected.items():
        np.testing.assert_array_equal(strips[caption].get_array(), cells)
    for found, n in zip(pictures, (1, 2, 0), strict=True):
        np.testing.assert_array_equal(found.get_array(), images[n])
    # beside its strip, as high at most, and in its own proportions
    for found, strip in zip(pictures, (strips["dog"], strips["$owl$"], strips["cat"]), strict=True):
        left, right, bottom, top = found.get_extent()
        assert right <= strip.get_extent()[0] and strip.get_extent()[3] <= top < bottom <= strip.get_extent()[2]
        assert (right - left) / (bottom - top) == pytest.approx(10 / 8)
    # epochs are told once for each group, under its last strip
    assert sorted(words(figure)) == sorted(["title", "some", "others", *strips, *["1", "epoch", "3"] * 2])
    below = [text.get_position()[1] for text in figure.axes[0].texts if text.get_text() == "epoch"]
    assert below == [pytest.approx(strips[name].get_extent()[2] + 0.06) for name in ("dog", "cat")]


def test_the_states_are_what_the_legend_says(small):
    figure = examples_figure({"some": [1]}, *small, ["cat", "dog", "owl"], "title")
    image = images_of(figure)[1]["dog"]
    legend = {text.get_text(): patch.get_facecolor()[:3] for text, patch in zip(figure.legends[0].get_texts(), figure.legends[0].get_patches(), strict=True)}  # fmt: skip
    for state, name in enumerate(["wrong", "right", "all wrong, the same way", "all right: agreed on"]):
        assert image.cmap(image.norm(state))[:3] == pytest.approx(legend[name])


def test_the_states_differ_in_grey():
    lightness = [np.dot(to_rgb(colour), (0.2989, 0.5870, 0.1140)) for colour in example_figures.STATES.values()]
    assert max(np.diff(lightness)) < -0.1


@pytest.mark.parametrize("networks, epochs", [(1, 1), (3, 2)])
def test_grey_images_one_epoch_and_empty_groups(networks, epochs, tmp_path):
    correct = np.ones((networks, epochs, 2), bool)
    images = [np.zeros((9, 5), np.uint8), np.full((3, 4), 255, np.uint8)]
    figure = examples_figure({"all": [0, 1], "no": []}, images, correct, ~correct[0], ["x" * 99, "$"], "")
    save(figure, tmp_path, "examples")
    assert len(list(tmp_path.iterdir())) == 2
    assert "no: none" in words(figure) and max(map(len, words(figure))) == example_figures.LONGEST


def test_what_is_no_image_is_refused(small):
    with pytest.raises(ValueError, match="uint8"):
        examples_figure({"some": [0]}, np.zeros((3, 8, 8)), *small[1:], ["a", "b", "c"], "")


def test_images_stay_apart_in_an_svg(small, tmp_path):
    """Merged into one they would be resampled, and strips blurred."""
    save(examples_figure({"some": [1], "others": [2, 0]}, *small, ["a", "b", "c"], "title"), tmp_path, "examples")
    assert (tmp_path / "examples.svg").read_text().count("<image") == 6
