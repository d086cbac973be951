import numpy as np
import pytest

from curricula import area_under_curve, steps_until

STEPS = np.array([0, 10, 40])


def test_area_by_hand():
    # 10 steps at a mean of 0.25, 30 at 0.75: (2.5 + 22.5) / 40
    assert area_under_curve(STEPS, np.array([0, 0.5, 1.0])) == pytest.approx(0.625)
    curves = np.array([[[0, 0.5, 1.0], [0.3, 0.3, 0.3]]])
    np.testing.assert_allclose(area_under_curve(STEPS, curves), [[0.625, 0.3]])


def test_area_is_the_mean_height_wherever_the_curve_begins_and_however_often_a_line_is_measured():
    line = np.linspace(0.2, 0.8, 7)
    assert area_under_curve(np.arange(100, 107), line) == pytest.approx(0.5)
    uneven = np.array([100, 103, 104, 106])
    assert area_under_curve(uneven, 0.2 + (uneven - 100) * 0.1) == pytest.approx(0.5)


def test_steps_until_by_hand():
    curves = np.array([[0.1, 0.6, 0.5], [0.1, 0.2, 0.3], [0.5, 0.4, 0.9]])
    assert steps_until(STEPS, curves, 0.5).tolist() == [10, np.inf, 0]
    # a threshold for each curve, reached exactly
    assert steps_until(STEPS, curves, np.array([0.7, 0.3, 0.9])).tolist() == [np.inf, 40, 40]
    assert steps_until(STEPS, curves[0], 0.55) == 10


def test_bad_curves():
    with pytest.raises(ValueError, match=r"not shape \(2,\) for steps \(3,\)"):
        area_under_curve(STEPS, np.zeros(2))
    with pytest.raises(ValueError, match="ascend"):
        steps_until(np.array([0, 10, 10]), np.zeros(3), 1)
    with pytest.raises(ValueError, match="at least two"):
        area_under_curve(np.array([1]), np.array([0.5]))
