"""Figure 2 with both definitions of SCE: one-vs-rest accuracy (the paper's), label frequency."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from alignment_calibration.report.figures import change_rates
from alignment_calibration.study.vocabulary import METHODS


def draw(changes: pd.DataFrame) -> Figure:
    """A line of panels per definition, a panel per method; see `change_rates.draw`."""
    return change_rates.draw(changes, _panels(changes))


def numbers(changes: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run; see `change_rates.numbers`."""
    return change_rates.numbers(changes, _panels(changes))


def _panels(changes: pd.DataFrame) -> list[change_rates.Panel]:
    methods = [method for method in METHODS if (changes["method"] == method).any()]
    return [(metric, method) for metric in ("sce_ovr", "sce") for method in methods]
