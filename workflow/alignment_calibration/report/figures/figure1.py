"""The paper's Figure 1: change rate of ECE by task and pair, by sums and by letters."""

from functools import partial

from alignment_calibration.report.figures import change_rates

PANELS = (("ece", "continuation_sum"), ("ece", "choice"))

draw = partial(change_rates.draw, panels=PANELS)
numbers = partial(change_rates.numbers, panels=PANELS)
