"""Numbers that sum up a curve of evaluations over training steps."""

import numpy as np


def area_under_curve(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean height of a curve from its first to its last step, in the unit of `values`: area by trapezoids over width.

    steps: (E,), ascending, at least two. values: (..., E). Returns (...,), a float for one curve. Raises ValueError for
    other shapes or steps that do not ascend.

    >>> float(area_under_curve(np.array([0, 10, 20]), np.array([0.0, 1.0, 1.0])))
    0.75
    """
    steps, values = _check(steps, values)
    if len(steps) < 2:
        raise ValueError("an area needs at least two evaluations, not 1")
    areas = np.diff(steps) * (values[..., 1:] + values[..., :-1]) / 2
    return areas.sum(axis=-1) / (steps[-1] - steps[0])


def steps_until(steps: np.ndarray, values: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """The first of `steps` at which a curve is at or above the threshold; `inf` where it never is.

    steps: (E,), ascending. values: (..., E). threshold: one for all curves, or (...,). Returns float64 (...,). No
    interpolation: between two evaluations nothing was measured.

    >>> float(steps_until(np.array([100, 200, 300]), np.array([0.5, 0.7, 0.6]), 0.6))
    200.0
    """
    steps, values = _check(steps, values)
    reached = values >= np.asarray(threshold)[..., None]
    return np.where(reached.any(axis=-1), steps[reached.argmax(axis=-1)], np.inf)


def _check(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    if steps.ndim != 1 or len(steps) == 0 or values.shape[-1:] != steps.shape:
        raise ValueError(f"values must have one column per step, not shape {values.shape} for steps {steps.shape}")
    if not (np.diff(steps) > 0).all():
        raise ValueError(f"steps must ascend, not {steps.tolist()}")
    return steps, values
