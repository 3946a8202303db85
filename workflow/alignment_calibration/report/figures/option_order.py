"""The prior of the letters of base and aligned model, a small multiple per task."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import ALIGNED, BASE

COLUMNS = 4

#: Colour, mark and shift to the side of each stage.
_LOOKS = {BASE: (style.BASE_COLOUR, "o", -0.12), ALIGNED: (style.ALIGNED_COLOUR, "^", 0.12)}


def draw(priors: pd.DataFrame) -> Figure:
    """Priors in percent by letter, with intervals; a dotted line where all letters are equal.

    Args:
        priors: rows of OPTION_ORDER, of one pair.
    """
    tasks = sorted(priors["task"].unique(), key=str.casefold)
    if not tasks:
        return style.in_words("No task of this study lists its options under letters.")
    columns = min(COLUMNS, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    with style.styled():
        width = style.TWO_COLUMNS if columns > 2 else style.ONE_COLUMN
        figure = Figure(figsize=(width, 1.6 * lines + 0.5), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, task in zip(grid.flat, tasks, strict=False):
            rows = priors[priors["task"] == task]
            for stage, (colour, shape, shift) in _LOOKS.items():
                low, value, high = (
                    100 * rows[f"{stage}{end}"].to_numpy() for end in ("_ci_low", "", "_ci_high")
                )
                place = np.arange(len(rows)) + shift
                axes.vlines(place, low, high, color=colour, linewidth=0.7)
                axes.plot(place, value, linestyle="none", marker=shape, color=colour)
            axes.axhline(100 / len(rows), color=style.GREY, linewidth=0.6, linestyle=":", zorder=0)
            axes.set_xticks(range(len(rows)), rows["letter"])
            axes.set(title=style.task_name(task), xlim=(-0.5, len(rows) - 0.5))
            axes.set_ylim(bottom=0)
            axes.locator_params(axis="y", nbins=5)
        for axes in list(grid.flat)[len(tasks) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("prior (%)")
        style.legend_beneath(
            figure,
            [
                *(
                    Line2D([], [], linestyle="none", marker=shape, color=colour, label=stage)
                    for stage, (colour, shape, _) in _LOOKS.items()
                ),
                Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="all equal"),
            ],
        )
    return figure


def numbers(priors: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this pair, by task: the letter each model likes best."""
    return {
        "tasks": [
            {"task": style.task_name(str(task)), "letters": len(rows)}
            | {
                stage: {
                    "letter": str(rows["letter"].iloc[int(rows[stage].argmax())]),
                    "prior": 100 * float(rows[stage].max()),
                }
                for stage in (BASE, ALIGNED)
            }
            for task, rows in priors.groupby("task")
        ]
    }
