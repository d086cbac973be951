"""The version of a statistic's definition: what it has computed is kept between runs until the number is raised."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

Statistic = Callable[[np.ndarray], float]
ExampleStatistic = Callable[..., np.ndarray]  # (images, labels, seed, progress) to (N,)
_S = TypeVar("_S", bound=Callable[..., float | np.ndarray])


def version(number: int) -> Callable[[_S], _S]:
    """Decorate a statistic with the version of its definition, so that ``statistics_table`` keeps its values.

    Parameters
    ----------
    number : raise it with every change that gives some image another value, in the function or in what it calls.

    Examples
    --------
    >>> @version(1)
    ... def brightness(image):
    ...     return float(image.mean())
    >>> version_of(brightness)
    1
    """

    def numbered(statistic: _S) -> _S:
        vars(statistic)["version"] = number
        return statistic

    return numbered


def version_of(statistic: Statistic | ExampleStatistic) -> int | None:
    """The version that a statistic is decorated with; None without one, whose values are not kept between runs."""
    return getattr(statistic, "version", None)
