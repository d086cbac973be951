"""The plots, each a pure function from arrays to a chart of Altair: interactive in the page, and saved as PNG and SVG.

Vega-Lite because it adds 0.9 MB to the page (Bokeh 1.3 MB, Plotly 4.8 MB), draws SVG that prints sharply and that screen
readers find a description in, and takes colours from the page's style sheet, which knows light and dark. Names of
statistics, classes and measurements are values in the data, never fields: Vega-Lite reads dots and brackets in a field.
"""

from lab.report.plots.arms import alike as alike
from lab.report.plots.arms import arms as arms
from lab.report.plots.arms import drawn as drawn
from lab.report.plots.arms import effects as effects
from lab.report.plots.arms import pacing as pacing
from lab.report.plots.curves import agreement as agreement
from lab.report.plots.curves import kinds as kinds
from lab.report.plots.curves import mistakes as mistakes
from lab.report.plots.curves import reach_of as reach_of
from lab.report.plots.curves import shown as shown
from lab.report.plots.curves import statistic as statistic
from lab.report.plots.curves import sweep as sweep
from lab.report.plots.examples import cartography as cartography
from lab.report.plots.examples import histogram as histogram
from lab.report.plots.examples import order as order
from lab.report.plots.examples import scores as scores
from lab.report.plots.files import arm_colours as arm_colours
from lab.report.plots.files import for_page as for_page
from lab.report.plots.files import palette as palette
from lab.report.plots.files import plot_script as plot_script
from lab.report.plots.files import save as save
from lab.report.plots.style import LABELS as LABELS
from lab.report.plots.style import under as under
