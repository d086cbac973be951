"""The pictures of images: which examples they take, and what stands beside and below each image."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.report import pictures, plots
from lab.report.pictures import examples, maps, outlined, typical_examples
from metrics import STATISTICS

EARLY, LATE, NEVER = "learned early", "learned late", "never agreed on"


def learned_at(epochs: list[float], last: int) -> np.ndarray:
    """`correct` (2, last, N) of two networks that learn each example in the given epoch and keep it."""
    right = np.arange(1, last + 1)[:, None] >= np.array(epochs)
    return np.stack([right, right])


def test_examples_are_drawn_by_chance_from_the_ends_of_the_order():
    groups = typical_examples(learned_at([*range(1, 101), *[np.inf] * 7], 100), 5)
    assert list(groups) == [EARLY, LATE, NEVER]
    assert all(len(set(chosen.tolist())) == 5 for chosen in groups.values())
    assert set(groups[EARLY]) <= set(range(11)) and set(groups[LATE]) <= set(range(89, 100))
    assert set(groups[NEVER]) <= set(range(100, 107))
    correct = learned_at([1] * 500 + [9] * 500, 10)
    one, again, other = (typical_examples(correct, 5, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one[EARLY], again[EARLY])
    assert set(one[EARLY]) != set(other[EARLY])
    assert max(one[EARLY]) > 20  # not the first of those that tie


def test_groups_that_nothing_belongs_to_are_empty():
    correct = learned_at([1, 2, np.inf], 3)
    correct[:, 1, 2] = True  # agreed on and lost: neither learned nor never agreed on
    groups = typical_examples(correct, 5)
    assert groups[EARLY].tolist() == [0] and groups[LATE].tolist() == [1] and groups[NEVER].tolist() == []
    everything, nothing = (typical_examples(np.full((2, 3, 4), right), 5) for right in (True, False))
    assert sorted(everything[EARLY]) == [0, 1, 2, 3] and not len(everything[LATE]) and not len(everything[NEVER])
    assert sorted(nothing[NEVER]) == [0, 1, 2, 3] and not len(nothing[EARLY]) and not len(nothing[LATE])


def layers_of(chart: Any) -> dict[str, list[dict[str, Any]]]:
    """What a picture consists of, by mark: images, rects, texts, with their places."""
    spec = chart.to_dict()  # Altair checks it
    found: dict[str, list[dict[str, Any]]] = {}
    for layer in spec["layer"]:
        rows = layer["data"].get("values") or spec["datasets"][layer["data"]["name"]]
        found.setdefault(layer["mark"]["type"], []).extend(row | {"mark": layer["mark"]} for row in rows)
    return found


def pixels(address: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
        return np.asarray(image)


def words(chart: Any) -> list[str]:
    return [row["words"] for row in layers_of(chart)["text"]]


@pytest.fixture
def small():
    """Two networks, three epochs, three examples: images, correct, same_wrong."""
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), dtype=np.uint8)
    correct = np.zeros((2, 3, 3), bool)
    correct[:, :, 1] = [[False, True, True], [False, False, True]]
    same_wrong = np.zeros((3, 3), bool)
    same_wrong[0, 1] = same_wrong[1, 2] = True
    return images, correct, same_wrong


def test_images_stand_beside_what_each_network_got_right(small):
    images, correct, same_wrong = small
    chart = examples({"some": [1], "others": [2, 0]}, images, correct, same_wrong, ["cat", "dog", "$owl$"])
    drawn = layers_of(chart)
    states = list(pictures.STATES)
    expected = {"dog": [[2, 1, 3], [2, 0, 3]], "$owl$": [[0, 2, 0], [0, 2, 0]], "cat": [[0, 0, 0], [0, 0, 0]]}
    captions = {row["words"]: row for row in drawn["text"]}
    for (name, cells), picture, n in zip(expected.items(), drawn["image"], (1, 2, 0), strict=True):
        enlarged = pixels(picture["url"])
        times = enlarged.shape[0] // 8
        np.testing.assert_array_equal(enlarged[::times, ::times], images[n])
        assert picture["mark"]["width"] / picture["mark"]["height"] == 10 / 8
        left, top = captions[name]["x"], captions[name]["y"]
        assert picture["x"] + picture["mark"]["width"] / 2 < left and top < picture["y"]
        strip = [row for row in drawn["rect"] if "state" in row and row["x"] >= left and row["x2"] < left + 221 and top < row["y"] < top + 90]  # fmt: skip
        found = sorted(strip, key=lambda row: (row["y"], row["x"]))
        assert [row["state"] for row in found] == [states[cell] for line in cells for cell in line]
    # epochs stand once for each group, under its last strip
    assert sorted(captions) == sorted({"some", "others", *expected, "1", "epoch", "3"})
    assert len(drawn["text"]) == 2 + 3 + 2 * 3


def test_the_states_differ_in_grey():
    colours = [plots.palette()[colour[6:-1]] if colour.startswith("var") else colour for colour in pictures.STATES.values()]  # fmt: skip
    lightness = [np.dot(list(bytes.fromhex(colour[1:])), (0.2989, 0.5870, 0.1140)) for colour in colours]
    assert max(np.diff(lightness)) < -25


@pytest.mark.parametrize("networks, epochs", [(1, 1), (3, 2)])
def test_grey_images_one_epoch_and_empty_groups(networks, epochs, tmp_path):
    correct = np.ones((networks, epochs, 2), bool)
    images = [np.zeros((9, 5), np.uint8), np.full((3, 4), 255, np.uint8)]
    chart = examples({"all": [0, 1], "no": []}, images, correct, ~correct[0], ["x" * 99, "$"])
    plots.save(chart, tmp_path, "examples", "title")
    assert (tmp_path / "examples.svg").read_text().count("<image") == 2
    with Image.open(tmp_path / "examples.png") as image:
        assert (0, 0, 0) in {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}  # the black image
    assert "no: none" in words(chart) and max(map(len, words(chart))) == pictures.LONGEST


def test_what_is_no_image_is_refused(small):
    with pytest.raises(ValueError, match="uint8"):
        examples({"some": [0]}, np.zeros((3, 8, 8)), *small[1:], ["a", "b", "c"])
    with pytest.raises(ValueError, match="uint8"):
        maps({"easy": np.zeros((8, 8))})


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    easy = np.full((30, 41, 3), 200, np.uint8)
    easy[8:20, 10:30] = (20, 60, 90)
    return {"easy": easy, "hard": np.random.default_rng(0).integers(0, 256, (45, 32), dtype=np.uint8)}


def test_maps_of_the_statistics_with_their_numbers(images):
    chart = maps(images)
    found = words(chart)
    assert {"image", "segments", "local entropy (bits)", "DCT coefficients, log10(1 + |c|)", *images} <= set(found)
    for image in images.values():
        assert f"{image.shape[1]} × {image.shape[0]} pixels" in found
        count = int(STATISTICS["segments"](image))
        assert f"{count:,} segment{'s' * (count > 1)}" in found
        assert f"mean {STATISTICS['entropy'](image):.2f} bits" in found
        assert f"{STATISTICS['frequency'](image):.1f} % important" in found


def test_maps_lie_where_they_were_measured(images):
    drawn = layers_of(maps(images))["image"]
    photo, segments, entropy, spectrum = drawn[:4]
    assert photo["mark"]["width"] == segments["mark"]["width"] == spectrum["mark"]["width"] == pictures.PANEL
    assert entropy["mark"]["width"] == pytest.approx(pictures.PANEL * 32 / 41)  # windows of 10 pixels
    assert entropy["mark"]["height"] == pytest.approx(photo["mark"]["height"] * 21 / 30)
    assert entropy["y"] == pytest.approx(photo["y"]) and len(drawn) == 2 * 4 + 2  # two colour bars


def test_maps_go_from_dark_to_light_with_what_they_show():
    painted = pictures.cividis(np.array([[-1.0, 0, 0.5, 1, 2]]), 0, 1)[0].astype(int)
    assert painted[0].tolist() == painted[1].tolist() == [0x00, 0x20, 0x51]
    assert painted[3].tolist() == painted[4].tolist() == [0xFD, 0xEA, 0x45]
    assert painted[1].sum() < painted[2].sum() < painted[3].sum()


def test_segments_are_outlined_in_their_colours():
    image = np.zeros((4, 6), np.uint8)
    image[:, 3:] = 200
    painted = outlined(image, np.array([[0, 0, 0, 1, 1, 1]] * 4))
    times = painted.shape[1] // 6
    assert painted.shape == (4 * times, 6 * times, 3) and painted.dtype == np.uint8 and painted.shape[1] > 400
    assert np.flatnonzero(painted[0, :, 0] == 0).tolist() == [3 * times - 1]
    assert set(painted[:, : 3 * times - 1].ravel()) == {102}  # black, paled
    assert set(painted[:, 3 * times :].ravel()) == {222}


def test_a_constant_image_has_maps(tmp_path):
    chart = maps({"flat": np.full((12, 12, 3), 7, np.uint8)})
    assert {"1 segment", "mean 0.00 bits", "0.0 % important"} <= set(words(chart))
    plots.save(chart, tmp_path, "flat", "$ and _")
    assert len(list(tmp_path.iterdir())) == 2
