import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula import PACING, check_counts

WU = ["log", "exp", "step", "linear", "quadratic", "root"]
HACOHEN = ["fixed_exponential", "varied_exponential", "single_step"]
every = pytest.mark.parametrize("name", PACING)
fractions = st.floats(0.001, 1)
lengths = st.integers(1, 5000)


def test_there_are_these_nine():
    assert sorted(PACING) == sorted(WU + HACOHEN)


@every
@given(T=lengths, N=st.integers(1, 10**7), a=st.floats(0.001, 3), b=fractions)
def test_never_falls_from_b_to_all_examples_at_aT(name, T, N, a, b):
    steps = np.arange(math.ceil(a * T) + 2)
    counts = PACING[name](steps, T, N, a=a, b=b)
    assert counts.dtype == np.int64 and counts.shape == steps.shape
    assert counts[0] == max(round(b * N), 1)  # at least one example, nearest to bN
    assert (np.diff(counts) >= 0).all()
    assert (counts[steps >= a * T] == N).all()
    assert PACING[name](a * T, T, N, a=a, b=b) == N
    assert counts.min() >= 1 and counts.max() == N


@pytest.mark.parametrize("name", WU)
def test_by_default_the_functions_of_wu_begin_with_a_fifth_and_have_all_in_after_four_fifths(name):
    counts = PACING[name](np.array([0, 79, 80]), 100, 1000)
    assert counts[0] == 200 and counts[1] < 1000 and counts[2] == 1000


@pytest.mark.parametrize("name", HACOHEN)
@given(T=lengths, N=st.integers(1, 10**6), start=fractions)
def test_by_default_the_parameters_of_hacohen_do_not_depend_on_the_length_of_training(name, T, N, start):
    steps = np.arange(1000)
    counts = PACING[name](steps, T, N, start=start)
    assert (counts == PACING[name](steps, T + 1, N, start=start)).all()
    assert (np.diff(counts) >= 0).all() and counts.min() >= 1 and counts.max() <= N


@every
@given(t=st.integers(0, 200), b=fractions)
def test_a_step_alone_is_an_int_and_the_same_as_within_an_array(name, t, b):
    alone = PACING[name](t, 100, 1234, a=0.7, b=b)
    assert type(alone) is int
    within = PACING[name](np.full((2, 3), t), 100, 1234, a=0.7, b=b)
    assert within.shape == (2, 3)
    # the array forms of exp and log may differ in the last bit
    assert np.abs(within - alone).max() <= (name in ("exp", "log"))


# N = 1000, B = 200, aT = 50: at t = 0, 12.5, 25, 50
@pytest.mark.parametrize(
    "name, expected",
    [
        ("linear", [200, 400, 600, 1000]),
        ("quadratic", [200, 250, 400, 1000]),
        ("root", [200, 600, 200 + 800 / math.sqrt(2), 1000]),
        ("step", [200, 200, 200, 1000]),
        # (e^2.5 - 1) / (e^10 - 1) = 0.000508, (e^5 - 1) / (e^10 - 1) = 0.006693
        ("exp", [200, 200.41, 205.35, 1000]),
        # 1 + ln(1/4) / 10 = 0.861371, 1 + ln(1/2) / 10 = 0.930685
        ("log", [200, 889.12, 944.56, 1000]),
    ],
)
def test_by_hand_wu(name, expected):
    counts = PACING[name](np.array([0, 12.5, 25, 50]), 100, 1000, a=0.5, b=0.2)
    assert counts.tolist() == [round(count) for count in expected]


def test_by_hand_hacohen_and_weinshall():
    # 2500 examples: 4 %, times 1.9 every 100 steps: 100, 190, 361, 685.9, 1303.21, 2476.1, all
    fixed = PACING["fixed_exponential"](np.array([0, 99, 100, 200, 300, 400, 500, 599, 600, 10**6]), 7, 2500)
    assert fixed.tolist() == [100, 100, 190, 361, 686, 1303, 2476, 2476, 2500, 2500]
    single = PACING["single_step"](np.array([0, 99, 100, 10**6]), 7, 2500)
    assert single.tolist() == [100, 100, 2500, 2500]
    # lengths 30, 10, 10, ...: ends at 30, 40, 50, 60, 70, 80
    varied = PACING["varied_exponential"](np.array([0, 29, 30, 39, 40, 79, 80]), 7, 2500, step_lengths=[30, 10])
    assert varied.tolist() == [100, 100, 190, 190, 361, 2476, 2500]
    # by default 100, 190, 361, ...: ends at 100, 290, 651, ...
    varied = PACING["varied_exponential"](np.array([99, 100, 289, 290, 650, 651]), 7, 2500)
    assert varied.tolist() == [100, 190, 190, 361, 361, 686]


def test_with_a_the_steps_of_hacohen_spread_over_aT():
    # b = 1/8, factor 2: three rises, at 20, 40 and 60
    counts = PACING["fixed_exponential"](np.array([19, 20, 39, 40, 59, 60]), 100, 800, a=0.6, b=1 / 8, factor=2)
    assert counts.tolist() == [100, 200, 200, 400, 400, 800]
    # three rises by 5 from 1/125, though log(125)/log(5) > 3 in floats
    counts = PACING["fixed_exponential"](np.array([9, 10, 19, 20, 29, 30]), 100, 1250, a=0.3, b=1 / 125, factor=5)
    assert counts.tolist() == [10, 50, 50, 250, 250, 1250]
    # lengths 1 : 2 : 3 of 60
    counts = PACING["varied_exponential"](
        np.array([9, 10, 29, 30, 59, 60]), 100, 800, a=0.6, b=1 / 8, factor=2, step_lengths=[1, 2, 3]
    )
    assert counts.tolist() == [100, 200, 200, 400, 400, 800]


@given(t=st.integers(0, 1000), start=fractions, factor=st.floats(1.1, 3), length=st.integers(1, 200))
def test_varied_with_equal_lengths_is_fixed(t, start, factor, length):
    fixed = PACING["fixed_exponential"](t, 1, 5000, start=start, factor=factor, step_length=length)
    assert fixed == PACING["varied_exponential"](t, 1, 5000, start=start, factor=factor, step_lengths=[length])


def test_fast_and_slow_beginnings():
    third = [
        PACING[name](20, 100, 10**6, a=0.6, b=0.1) for name in ("log", "root", "linear", "quadratic", "exp", "step")
    ]
    assert third == sorted(third, reverse=True) and len(set(third)) == len(third)


@every
@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"a": 0}, "a, the fraction of the training .* not 0$"),
        ({"a": -0.5}, "not -0.5$"),
        ({"a": math.nan}, "not nan$"),
        ({"a": math.inf}, "not inf$"),
        ({"b": 0}, "the fraction of the examples to begin with, .* not 0$"),
        ({"b": 1.5}, "not 1.5$"),
        ({"b": math.nan}, "not nan$"),
        ({"T": 0}, "T = 0$"),
        ({"T": math.inf}, "T = inf$"),
        ({"N": 0}, "not 0$"),
        ({"N": math.inf}, "not inf$"),
        ({"N": 2.5}, "not 2.5$"),
        ({"t": -1}, "not -1"),
        ({"t": np.array([0, 1, -3, -4])}, "not -3"),
        ({"t": math.nan}, "not nan$"),
    ],
)
def test_bad_values_are_named(name, arguments, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        PACING[name](**({"t": 3, "T": 10, "N": 100, "a": 0.5, "b": 0.5} | arguments))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", HACOHEN)
def test_a_bad_start_is_named(name):
    with pytest.raises(ValueError, match=r"^start, the fraction of the examples to begin with, .* not 2$"):
        PACING[name](3, 10, 100, start=2)


@pytest.mark.parametrize("name", WU)
def test_a_bad_beginning_is_named(name):
    with pytest.raises(ValueError, match=r"^b, the fraction of the examples to begin with, .* not 2$"):
        PACING[name](3, 10, 100, b=2)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("fixed_exponential", {"factor": 1}),
        ("fixed_exponential", {"factor": math.inf}),
        ("fixed_exponential", {"step_length": 0}),
        ("fixed_exponential", {"step_length": math.inf}),
        ("fixed_exponential", {"start": 2}),
        ("varied_exponential", {"step_lengths": [3, -1]}),
        ("varied_exponential", {"step_lengths": []}),
        ("varied_exponential", {"factor": 0.5}),
        ("single_step", {"step_length": -1}),
        ("single_step", {"start": 0}),
    ],
)
def test_bad_parameters_of_hacohen(name, arguments):
    with pytest.raises(ValueError, match=r"(above 0|above 1|^step_lengths must name at least one length)"):
        PACING[name](3, 10, 100, **arguments)


@pytest.mark.parametrize("a", [0.07, 0.14, 0.28, 0.55, 0.56])
@every
def test_all_are_in_from_the_step_meant_whatever_the_rounding(name, a):
    assert PACING[name](round(100 * a), 100, 1000, a=a, b=0.2) == 1000


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (np.linspace(0.2, 1, 5), "returns 0.2 to 1, which look like fractions: it must return numbers of examples, from 1 to N = 1000"),
        ([1, 1], "look like fractions"),
        ([200, np.nan], "returns np.float64(nan), not numbers of examples from 1 to 1000"),
        ([-5, 200], "returns np.int64(-5), not numbers"),
        (["all"], "returns np.str_('all'), not numbers"),
        (None, "returns None, not numbers"),
    ],
)  # fmt: skip
def test_what_a_function_of_ones_own_returns_is_checked_for_its_unit(counts, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        check_counts("mine", counts, 1000)


def test_counts_are_whole_numbers_of_examples():
    assert check_counts("mine", [0, 1.6, 999.5, 2000], 1000).tolist() == [1, 2, 1000, 1000]
    assert check_counts("mine", [1, 1], 1).tolist() == [1, 1]
    assert check_counts("mine", 7, 1000).tolist() == 7
