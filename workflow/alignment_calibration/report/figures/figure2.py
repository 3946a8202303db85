"""The paper's Figure 2: change rates of ECE and of SCE as its published numbers measure it."""

from functools import partial

from alignment_calibration.report.figures import change_rates

PANELS = (
    ("ece", "continuation_sum"),
    ("sce_ovr", "continuation_sum"),
    ("sce_ovr", "continuation_min"),
    ("sce_ovr", "choice"),
)

draw = partial(change_rates.draw, panels=PANELS)
numbers = partial(change_rates.numbers, panels=PANELS)
