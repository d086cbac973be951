"""Statistics shown on images: every map is that of the image in its row, with its number under it."""

import warnings

import numpy as np
import pytest

from lab.report import map_figures
from lab.report.figures import save
from lab.report.map_figures import maps_figure, outlined
from metrics import STATISTICS, dct, entropy_map


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    easy = np.full((30, 41, 3), 200, np.uint8)
    easy[8:20, 10:30] = (20, 60, 90)
    return {"easy": easy, "hard": random.integers(0, 256, (45, 32), dtype=np.uint8)}


@pytest.fixture(scope="module")
def edge_maps(images) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    halves = {name: tuple(-(-side // 2) for side in image.shape[:2]) for name, image in images.items()}
    return {name: 100 * random.random(shape) for name, shape in reversed(halves.items())}


def rows(figure, columns: int) -> list[list]:
    return [figure.axes[i : i + columns] for i in range(0, 2 * columns, columns)]


def shown(axes) -> np.ndarray:
    return np.asarray(axes.get_images()[0].get_array())


def test_a_row_per_image_with_its_maps(images, edge_maps):
    figure = maps_figure(images, "two images", edge_maps)
    for row, (name, image) in zip(rows(figure, 5), images.items(), strict=True):
        assert row[0].get_ylabel() == name
        np.testing.assert_array_equal(shown(row[0]), image)
        np.testing.assert_array_equal(shown(row[2]), entropy_map(image))
        np.testing.assert_array_equal(shown(row[3]), edge_maps[name])
        np.testing.assert_allclose(shown(row[4]), np.log10(1 + abs(dct(image))))
    headings = [axes.get_title() for axes in figure.axes[:5]]
    assert headings == ["image", "segments", map_figures.ENTROPY, map_figures.EDGES, map_figures.DCT]
    assert figure.get_suptitle() == "two images"


def test_the_numbers_are_the_statistics(images, edge_maps):
    for row, (name, image) in zip(rows(maps_figure(images, "", edge_maps), 5), images.items(), strict=True):
        size, *numbers = (axes.get_xlabel() for axes in row)
        assert size == f"{image.shape[1]} × {image.shape[0]} pixels"
        segments, entropy, edges, frequency = (
            float(text.strip("meansubit% gpor").replace(",", "")) for text in numbers
        )
        assert segments == STATISTICS["segments"](image)
        assert entropy == pytest.approx(STATISTICS["entropy"](image), abs=0.005)
        assert edges == pytest.approx(edge_maps[name].sum(), abs=0.5)
        assert frequency == pytest.approx(STATISTICS["frequency"](image), abs=0.05)


def test_without_edge_maps_there_is_no_such_column(images):
    figure = maps_figure(images, "")
    assert map_figures.EDGES not in [axes.get_title() for axes in figure.axes]
    assert [len(axes.get_images()) for axes in figure.axes[:8]] == [1] * 8


def test_rows_share_their_colours(images, edge_maps):
    first, second = rows(maps_figure(images, "", edge_maps), 5)
    for one, other in zip(first[2:], second[2:], strict=True):
        assert one.get_images()[0].get_clim() == other.get_images()[0].get_clim()


def test_maps_lie_where_they_were_measured(images, edge_maps):
    easy = rows(maps_figure(images, "", edge_maps), 5)[0]
    assert easy[2].get_images()[0].get_extent() == [4.5, 36.5, 25.5, 4.5]  # the first window's centre is at 5
    assert easy[3].get_images()[0].get_extent() == [0, 42, 30, 0]
    for axes in easy[2:]:
        assert axes.get_xlim() == (0, 41) and axes.get_ylim() == (30, 0)


def test_segments_are_outlined_in_their_colours():
    image = np.zeros((4, 6), np.uint8)
    image[:, 3:] = 200
    painted = outlined(image, np.array([[0, 0, 0, 1, 1, 1]] * 4))
    times = painted.shape[1] // 6
    assert painted.shape == (4 * times, 6 * times, 3) and painted.dtype == np.uint8 and painted.shape[1] > 400
    line = painted[0, :, 0] == 0
    assert np.flatnonzero(line).tolist() == [3 * times - 1]
    assert set(painted[:, : 3 * times - 1].ravel()) == {102}  # black, paled
    assert set(painted[:, 3 * times :].ravel()) == {222}


def test_a_constant_image_has_a_figure(tmp_path):
    image = np.full((12, 12, 3), 7, np.uint8)
    figure = maps_figure({"flat": image}, "$ and _", {"flat": np.zeros((6, 6))})
    assert [axes.get_xlabel() for axes in figure.axes[1:5]] == [
        "1 segment",
        "mean 0.00 bits",
        "sum 0",
        "0.0 % important",
    ]
    save(figure, tmp_path, "flat")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        maps_figure({"easy": np.zeros((8, 8))}, "")
