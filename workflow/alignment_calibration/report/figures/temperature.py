"""Calibration error of base and aligned models as they are, and with every remedy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alignment_calibration.pairs.remedies import REMEDIES, remedies_of
from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import METHODS

METRIC = "ece"

#: Height in inches of a panel.
_PANEL = 1.5
#: Where slopes begin and end in a state (no remedy, or one), which is one wide, and how far they
#: are shifted to the side so that neither mark nor interval hides another.
_ENDS = (-0.24, 0.24)
_SHIFT = 0.18


def draw(scaled: pd.DataFrame) -> Figure:
    """Slopes from base to aligned, as they are and with every remedy; a column per method.

    Tasks or pairs, whichever are more, are the slopes of a panel; the others are lines of panels.

    Args:
        scaled: rows of REMEDY_EFFECTS.
    """
    rows = scaled[scaled["metric"] == METRIC]
    if rows.empty:
        return style.in_words("ECE is not among the metrics of this study: nothing was scaled.")
    methods = [method for method in METHODS if (rows["method"] == method).any()]
    panel, slope = sorted(["pair", "task"], key=lambda key: rows[key].nunique())
    panels = sorted(rows[panel].unique(), key=str.casefold)
    marks = style.pair_marks(rows[slope])
    applied = set(rows["remedy"])
    states = {
        method: ["", *(remedy for remedy in remedies_of(method) if remedy in applied)]
        for method in methods
    }
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        around = 1.0 + 0.16 * (1 + len(marks) // (4 if len(methods) > 1 else 2))
        height = min(_PANEL, (style.PAGE_HEIGHT - around) / len(panels))
        figure = Figure(figsize=(width, around + height * len(panels)), layout="constrained")
        grid = figure.subplots(
            len(panels), len(methods), squeeze=False, sharex="col", sharey=True,
            width_ratios=[len(of_method) for of_method in states.values()],
        )  # fmt: skip
        for line, shown in zip(grid, panels, strict=True):
            for axes, method in zip(line, methods, strict=True):
                of_panel = rows[(rows[panel] == shown) & (rows["method"] == method)]
                _draw_panel(axes, of_panel.set_index(slope), marks, states[method])
            line[0].set_ylabel(style.in_lines(_named(panel, shown), height))
        for axes, method in zip(grid[0], methods, strict=True):
            axes.set_title(style.in_lines(style.method_name(method), width / len(methods)))
        grid[0, 0].set_ylim(bottom=0)
        grid[0, 0].locator_params(axis="y", nbins=4)
        figure.supylabel("ECE (%), base → aligned", fontsize=7)
        style.pair_legend(figure, {_named(slope, key): mark for key, mark in marks.items()})
    return figure


def numbers(scaled: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run: the remedies shown, and by method what scaling mends."""
    of_metric = scaled[scaled["metric"] == METRIC]
    applied = set(of_metric["remedy"])
    rows = of_metric[of_metric["remedy"] == "temperature"]
    columns = ["base_before", "base_after", "aligned_before", "aligned_after"]
    return {
        "remedies": [
            {"name": name, "label": remedy.label}
            for name, remedy in REMEDIES.items()
            if name in applied
        ],
        "methods": [
            {"method": style.method_name(str(method)), "contrasts": len(of_method)}
            | {name: 100 * float(of_method[name].mean()) for name in columns}
            | {"aligned_temperature": float(of_method["aligned_temperature"].median())}
            | {"base_temperature": float(of_method["base_temperature"].median())}
            for method, of_method in rows.groupby("method")
        ],
    }


def _named(key: str, value: str) -> str:
    return style.task_name(value) if key == "task" else value


def _draw_panel(
    axes: Axes, rows: pd.DataFrame, marks: Mapping[str, style.Mark], states: Sequence[str]
) -> None:
    """A slope per state and mark, with the intervals of its ends.

    Args:
        rows: of a panel, by what its slopes are.
        states: remedies, after "" for none.
    """
    shifts = np.linspace(-_SHIFT, _SHIFT, len(marks)) if len(marks) > 1 else [0.0]
    for place, remedy in enumerate(states):
        when = "after" if remedy else "before"
        of_state = rows[rows["remedy"] == (remedy or states[1])]
        if place % 2 == 0:
            axes.axvspan(place - 0.5, place + 0.5, color="0.955", linewidth=0, zorder=0)
        for shift, (key, mark) in zip(shifts, marks.items(), strict=True):
            of_slope = of_state[of_state.index == key]
            if of_slope.empty:
                continue
            value, low, high = (
                100 * of_slope[[f"base_{when}{end}", f"aligned_{when}{end}"]].to_numpy()[0]
                for end in ("", "_ci_low", "_ci_high")
            )
            x = [place + end + shift for end in _ENDS]
            axes.vlines(x, low, high, color=mark.colour, linewidth=0.6, alpha=0.6, zorder=2)
            look = mark.settings | {"markersize": 2.4, "linewidth": 0.8}
            axes.plot(x, value, clip_on=False, zorder=3, **look)
    axes.set_xlim(-0.5, len(states) - 0.5)
    axes.set_xticks(range(len(states)), ["as it is", *states[1:]], rotation=90)
    axes.tick_params(axis="x", length=0)
