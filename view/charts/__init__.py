"""Charts: a page's words make the Vega-Lite, signals make its rows.

A specification and its alt text follow from what is written on a page: which chart, which axes, which symbol, how high.
Sizes, numbers, limits, ticks and the names of lines are all in the rows. So the browser gets the same specification
whatever knob is turned, keeps its picture and moves the marks; a new one would make it build the picture anew, which
takes several times as long and flashes.

    rows = charts.curve.rows(loss, x="step", colour="arm", log=True)
    specification = charts.curve.specification(names=("loss",), x="step", colour="arm", log=True)

The first two rows of every table are no marks but its frame: the lower and the upper ends of the axes and of the colours,
and the names along an axis that has no numbers.

chart    what the three kinds have in common
lines, maps, columns    `curve`, `heat` and `bars`: the rows, and the layers that draw them
frame    rows: limits, names and thinning
vega     specifications: layers and axes
"""

from view.charts.chart import Chart, Entry, table
from view.charts.columns import bars
from view.charts.frame import distinct, thin
from view.charts.lines import curve
from view.charts.maps import heat, side_by_side

__all__ = ["Chart", "Entry", "bars", "curve", "distinct", "heat", "side_by_side", "table", "thin"]
