"""Image statistics: one file per statistic, one table of them per data set.

A statistic is a plain function: a uint8 image (H, W) or (H, W, 3) in, a float out. To add one, write the function and
put it in ``STATISTICS``; the table, its cache and everything built on them take it from there.
"""

from collections.abc import Callable

import numpy as np

from metrics.edges import boundary_map, edges
from metrics.entropy import entropy, entropy_map
from metrics.frequency import coefficients, dct, frequencies, frequency
from metrics.gradient import gradient
from metrics.images import luminance, read_image
from metrics.segments import segment_map, segments
from metrics.table import statistics_table

STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "entropy": entropy,
    "frequency": frequency,
    "segments": segments,
    "edges": edges,
    "gradient": gradient,
}

__all__ = [
    "STATISTICS",
    "boundary_map",
    "coefficients",
    "dct",
    "edges",
    "entropy",
    "entropy_map",
    "frequencies",
    "frequency",
    "gradient",
    "luminance",
    "read_image",
    "segment_map",
    "segments",
    "statistics_table",
]
