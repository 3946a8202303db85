"""Calibration error of base and aligned models as they are, and with every remedy."""

from collections.abc import Hashable, Mapping, Sequence
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
#: The part of a state's width (one: no remedy, or one of them) that its slopes share, and the part
#: of its share that a slope takes, so that neither mark nor interval hides another.
_SHARED, _RUN = 0.9, 0.5
#: Points: size of a mark, and the least that a slope may have across at the width of one column.
_MARK, _LEAST = 2.6, 3.0
#: Inches across that the name of a panel takes if it is not written upwards.
_NAME = 0.8


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
    number = len(marks) * sum(map(len, states.values()))
    with style.styled():
        fits = len(methods) == 1 and _room(style.ONE_COLUMN, number) >= _LEAST
        width = style.ONE_COLUMN if fits else style.TWO_COLUMNS
        around = 1.0 + 0.16 * (1 + len(marks) // (2 if fits else 4))
        height = min(_PANEL, (style.PAGE_HEIGHT - around) / len(panels))
        upwards = max(style.length(_named(panel, each)) for each in panels) < height - 0.25
        size = min(_MARK, 0.9 * _room(width, number))
        figure = Figure(figsize=(width, around + height * len(panels)), layout="constrained")
        grid = figure.subplots(
            len(panels), len(methods), squeeze=False, sharex="col", sharey=True,
            width_ratios=[len(of_method) for of_method in states.values()],
        )  # fmt: skip
        for line, shown in zip(grid, panels, strict=True):
            for axes, method in zip(line, methods, strict=True):
                of_panel = rows[(rows[panel] == shown) & (rows["method"] == method)]
                of_slopes = of_panel.set_index([slope, "remedy"]).to_dict("index")
                _draw_panel(axes, of_slopes, marks, states[method], size)
            line[0].set_ylabel(
                _named(panel, shown) if upwards else style.in_lines(_named(panel, shown), _NAME),
                **({} if upwards else {"rotation": 0, "ha": "right", "va": "center"}),
            )
        for axes, method in zip(grid[0], methods, strict=True):
            axes.set_title(style.in_lines(style.method_name(method), width / len(methods)))
        grid[0, 0].set_ylim(bottom=0)
        grid[0, 0].locator_params(axis="y", nbins=4)
        figure.supylabel("ECE (%), base → aligned", fontsize=7)
        style.pair_legend(figure, {_named(slope, key): mark for key, mark in marks.items()})
    return figure


def _room(width: float, slopes: int) -> float:
    """Points across that a slope has beside others, in a figure of some inches."""
    return 72 * (width - _NAME) * _SHARED / slopes


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
            | {"rises": int((of_method["aligned_effect"] > 0).sum())}
            | {"found_rises": int((of_method["aligned_effect_ci_low"] > 0).sum())}
            for method, of_method in rows.groupby("method")
        ],
    }


def _named(key: str, value: str) -> str:
    return style.task_name(value) if key == "task" else value


def _draw_panel(
    axes: Axes,
    rows: Mapping[Hashable, Mapping[Hashable, float]],
    marks: Mapping[str, style.Mark],
    states: Sequence[str],
    size: float,
) -> None:
    """A slope per state, from the base model to the mark of the aligned one, with their intervals.

    Args:
        rows: of a panel, by what its slopes are and remedy.
        states: remedies, after "" for none.
        size: of a mark, in points.
    """
    slot = _SHARED / len(marks)
    shifts = slot * (np.arange(len(marks)) - (len(marks) - 1) / 2)
    for place in range(0, len(states), 2):
        axes.axvspan(place - 0.5, place + 0.5, color="0.955", linewidth=0, zorder=0)
    for shift, (key, mark) in zip(shifts, marks.items(), strict=True):
        # As it is, a model is in the row of any remedy.
        shown = [(n, (key, remedy or states[1]), remedy) for n, remedy in enumerate(states)]
        shown = [state for state in shown if state[1] in rows]
        if not shown:
            continue
        value, low, high = (
            100 * np.array([_ends(rows[row], remedy, end) for _, row, remedy in shown])
            for end in ("", "_ci_low", "_ci_high")
        )
        x = [[place + shift + slot * _RUN * side for side in (-0.5, 0.5)] for place, *_ in shown]
        axes.vlines(
            np.ravel(x), low.ravel(), high.ravel(),
            color=mark.colour, linewidth=0.5, alpha=0.5, zorder=2,
        )  # fmt: skip
        # One line for all states, with gaps: drawing takes as long as there are things to draw.
        look = mark.settings | {"markersize": size, "linewidth": 0.7, "markevery": (1, 3)}
        gap = np.full((len(shown), 1), np.nan)
        slopes = (np.hstack([of_states, gap]).ravel() for of_states in (x, value))
        axes.plot(*slopes, clip_on=False, zorder=3, **look)
    axes.set_xlim(-0.5, len(states) - 0.5)
    axes.set_xticks(range(len(states)), ["as it is", *states[1:]], rotation=90)
    axes.tick_params(axis="x", length=0)


def _ends(row: Mapping[Hashable, float], remedy: str, end: str) -> list[float]:
    """What a slope shows of the base and of the aligned model.

    Args:
        remedy: empty for none.
        end: of the column: empty for the error itself.
    """
    when = "after" if remedy else "before"
    return [row[f"{stage}_{when}{end}"] for stage in ("base", "aligned")]
