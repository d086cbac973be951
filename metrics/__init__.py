"""Statistics of images, and of examples within their data set: one file each, one table of them per data set.

A statistic of an image is a plain function: a uint8 image (H, W) or (H, W, 3) in, a float out. One of examples takes all
images and labels, and a seed and a progress as ``shallow`` does, and returns a difficulty (N,): lower is easier. To add
one, write the function, decorate it with ``version(1)`` and put it in ``STATISTICS`` or ``EXAMPLE_STATISTICS``; the table,
its cache and everything built on them take it from there.
"""

from metrics.colour import colourfulness as colourfulness
from metrics.edges import boundary_map as boundary_map
from metrics.edges import edges as edges
from metrics.entropy import entropy as entropy
from metrics.entropy import entropy_map as entropy_map
from metrics.frequency import dct as dct
from metrics.frequency import frequencies as frequencies
from metrics.frequency import frequency as frequency
from metrics.frequency import important_coefficients as important_coefficients
from metrics.gradient import gradient as gradient
from metrics.images import luminance as luminance
from metrics.images import read_image as read_image
from metrics.light import brightness as brightness
from metrics.light import contrast as contrast
from metrics.segments import segment_map as segment_map
from metrics.segments import segments as segments
from metrics.shallow import clusters as clusters
from metrics.shallow import difficulty_by_features as difficulty_by_features
from metrics.shallow import neighbours as neighbours
from metrics.shallow import shallow as shallow
from metrics.shallow import shallow_fast as shallow_fast
from metrics.shallow import shallow_loss as shallow_loss
from metrics.shallow import typicality as typicality
from metrics.sharpness import sharpness as sharpness
from metrics.size import height as height
from metrics.size import width as width
from metrics.table import statistics_table as statistics_table
from metrics.versions import ExampleStatistic, Statistic
from metrics.versions import version as version

STATISTICS: dict[str, Statistic] = {
    "entropy": entropy,
    "frequency": frequency,
    "segments": segments,
    "edges": edges,
    "gradient": gradient,
    "brightness": brightness,
    "contrast": contrast,
    "colourfulness": colourfulness,
    "sharpness": sharpness,
    "height": height,
    "width": width,
}
EXAMPLE_STATISTICS: dict[str, ExampleStatistic] = {
    "shallow": shallow,
    "shallow:fast": shallow_fast,
    "shallow:loss": shallow_loss,
    "neighbours": neighbours,
    "typicality": typicality,
}
