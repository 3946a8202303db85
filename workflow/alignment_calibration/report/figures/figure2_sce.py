"""Figure 2 with both readings of SCE: one-vs-rest accuracy (the paper's) and label frequency."""

from functools import partial

from alignment_calibration.report.figures import change_rates

METHODS = ("continuation_sum", "continuation_min", "choice")
PANELS = tuple((metric, method) for metric in ("sce_ovr", "sce") for method in METHODS)

draw = partial(change_rates.draw, panels=PANELS)
numbers = partial(change_rates.numbers, panels=PANELS)
