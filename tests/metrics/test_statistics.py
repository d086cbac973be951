"""What holds for every statistic, and the values that belong to its version."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import STATISTICS, boundary_map, dct, entropy_map, gradient, luminance, segment_map
from metrics.versions import version_of

EDGES = functools.partial(boundary_map, draws=1)
MAPS = [entropy_map, dct, segment_map, EDGES, gradient, luminance]
# (version, value of a photograph of 32 x 32 pixels)
KEPT = {
    "entropy": (1, 6.304144825516069),
    "frequency": (1, 20.1171875),
    "segments": (1, 3.0),
    "edges": (2, 203.72995968430166),
    "gradient": (1, 4.529206655633731),
    "brightness": (1, 125.097493359375),
    "contrast": (1, 27.68831496987829),
    "colourfulness": (1, 57.2474587191647),
    "sharpness": (1, 229.8217444782813),
    "height": (1, 32.0),
    "width": (1, 32.0),
}


@pytest.mark.parametrize("name", list(STATISTICS))
def test_another_value_needs_another_version(photographs, name):
    """Values are kept between runs by version. Where this fails by more than rounding, raise the version."""
    number, value = KEPT[name]
    assert version_of(STATISTICS[name]) == number
    # edges over machines that round differently
    assert STATISTICS[name](photographs[1]) == pytest.approx(value, rel=1e-6 if name == "edges" else 1e-11)


@pytest.mark.parametrize("made", MAPS)
def test_grey_is_three_equal_channels(digits, made):
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for grey in (greys, *digits[:: 30 if made is EDGES else 1]):
        np.testing.assert_array_equal(made(grey), made(np.stack([grey] * 3, axis=2)))


@pytest.mark.parametrize("made", MAPS)
def test_any_memory_layout_and_nothing_is_written(photographs, made):
    image = photographs[1]
    assert not image.flags.c_contiguous
    copy = np.ascontiguousarray(image)
    copy.flags.writeable = False
    expected = made(copy)
    for same in (image, np.asfortranarray(image), image[::-1].copy()[::-1]):
        np.testing.assert_array_equal(made(same), expected)


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 400)),
    values=st.sampled_from([(0,), (255,), (0, 255), (254, 255), (0, 1)]),
    kind=st.sampled_from(["L", "RGB", "tall", "strided"]),
    seed=st.integers(0, 99),
)
def test_every_statistic_is_finite_on_slivers_and_extremes(shape, values, kind, seed):
    image = np.random.default_rng(seed).choice(np.array(values, np.uint8), (*shape, *[3] * (kind == "RGB")))
    image = image.T if kind == "tall" else image[:, ::-2] if kind == "strided" else image
    for name, statistic in STATISTICS.items():
        value = statistic(image)
        assert isinstance(value, float) and np.isfinite(value) and value >= 0, name


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (8, 8), (9, 9), (10, 10), (37, 53), (64, 48)])
@pytest.mark.parametrize("value", [0, 1, 131, 255])
def test_a_constant_image_has_nothing_but_one_segment(shape, value):
    for image in (np.full(shape, value, np.uint8), np.full((*shape, 3), value, np.uint8)):
        found = {name: statistic(image) for name, statistic in STATISTICS.items()}
        assert found.pop("gradient") == pytest.approx(0, abs=1e-12)
        assert found.pop("brightness") == pytest.approx(0.9999 * value)
        assert (found.pop("height"), found.pop("width")) == shape
        assert found == {"entropy": 0, "frequency": 0, "segments": 1, "edges": 0, "contrast": 0, "colourfulness": 0,
                         "sharpness": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), "float64"),
        (np.zeros((4, 4), np.int8), "int8"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((4, 4, 1), np.uint8), r"\(4, 4, 1\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        ([[1, 2]], "list"),
    ],
)
def test_other_arrays_are_refused_and_described(image, message):
    for function in (luminance, *STATISTICS.values()):
        with pytest.raises(ValueError, match=message):
            function(image)
