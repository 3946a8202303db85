"""The changes of many pairs by task: how they are spread, and which is the largest."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import METHODS

METRICS = ("ece", "sce_ovr", "sce", "accuracy")

#: Fewest values that have a median and quartiles drawn; fewer are seen one by one.
FEWEST = 5

#: Panels side by side in which a name can be read.
_NAMED = 3
#: Height in inches of a task, and of a panel's heading and labels.
_LINE, _AROUND = 0.21, 0.5


def draw(changes: pd.DataFrame) -> Figure:
    """A line of panels per metric, a panel per method: the pairs as points, tasks downwards.

    Args:
        changes: rows of CHANGES.
    """
    rows = changes[changes["metric"].isin(METRICS) & changes["change"].notna()]
    if rows.empty:
        return style.in_words("No task has a calibration error: there are no changes to show.")
    metrics = [metric for metric in METRICS if (rows["metric"] == metric).any()]
    methods = [method for method in METHODS if (rows["method"] == method).any()]
    tasks = sorted(rows["task"].unique(), key=str.casefold)
    with style.styled():
        height = len(metrics) * (_LINE * len(tasks) + _AROUND)
        size = (style.TWO_COLUMNS, min(height, style.PAGE_HEIGHT))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(metrics), len(methods), squeeze=False, sharey=True)
        for line, metric in zip(grid, metrics, strict=True):
            for axes, method in zip(line, methods, strict=True):
                shown = rows[(rows["metric"] == metric) & (rows["method"] == method)]
                if shown.empty:
                    style.say(axes, "not in this study")
                named = len(methods) <= _NAMED and height <= style.PAGE_HEIGHT
                _draw_panel(axes, shown, tasks, named)
                axes.set_title(f"{style.metric_name(metric)}\n{style.method_name(method)}")
        for axes in grid[-1]:
            axes.set_xlabel("change (points)")
    return figure


def numbers(changes: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run, by metric and method; changes in percentage points."""
    rows = changes[changes["metric"].isin(METRICS) & changes["change"].notna()]
    panels = []
    for metric in METRICS:
        for method in METHODS:
            shown = rows[(rows["metric"] == metric) & (rows["method"] == method)]
            if shown.empty:
                continue
            largest = shown.iloc[int(shown["change"].abs().argmax())]
            low, median, high = 100 * np.quantile(shown["change"], [0.05, 0.5, 0.95])
            panels.append(
                {"metric": style.metric_name(metric), "method": style.method_name(method)}
                | {"contrasts": len(shown), "rises": int((shown["change"] > 0).sum())}
                | {"low": low, "median": median, "high": high}
                | {"largest": 100 * float(largest["change"]), "pair": str(largest["pair"])}
                | {"task": style.task_name(str(largest["task"]))}
            )
    return {"pairs": rows["pair"].nunique(), "panels": panels}


def _draw_panel(axes: Axes, rows: pd.DataFrame, tasks: list[str], named: bool) -> None:
    """Points with median and quartiles; the change farthest from 0 by name if `named`."""
    axes.axvline(0, color="0.3", linewidth=0.6, zorder=1)
    for place, task in enumerate(tasks):
        of_task = rows[rows["task"] == task]
        change = 100 * of_task["change"].to_numpy(dtype=float)
        if not change.size:
            continue
        places = draw_points(axes, change, place)
        if named:
            farthest = int(np.abs(change).argmax())
            name = str(of_task["pair"].iloc[farthest])
            _name_point(axes, change[farthest], places[farthest], place, name)
    axes.set_yticks(range(len(tasks)), [style.task_name(task) for task in tasks])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(tasks) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=5)


def draw_points(axes: Axes, values: Floats, place: float) -> Floats:
    """One value per pair about a line of a panel, over them median and quartiles if there are
    enough of them; gives where each stands.
    """
    # Golden steps lay neighbours in size far apart, without chance.
    places = place + 0.4 * (np.argsort(np.argsort(values)) * 0.618034 % 1 - 0.5)
    axes.plot(
        values, places, linestyle="none", marker=".", markersize=3,
        color=style.BASE_COLOUR, alpha=min(1, 100 / len(values)), markeredgewidth=0, zorder=2,
    )  # fmt: skip
    if len(values) >= FEWEST:
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.hlines(place, low, high, color="0.1", linewidth=1.0, zorder=3)
        axes.plot(median, place, marker="|", markersize=7, color="0.1", zorder=3)
    return np.asarray(places)


def _name_point(axes: Axes, value: float, at: float, place: float, name: str) -> None:
    """Ring a point and write its name above its line, towards the middle of the panel."""
    axes.plot(
        value, at, marker="o", markersize=3.4, color=style.ALIGNED_COLOUR,
        markerfacecolor="none", markeredgewidth=0.7, zorder=4,
    )  # fmt: skip
    towards, side = (-1, "right") if value > 0 else (1, "left")
    axes.annotate(
        name, (value, place), xytext=(3 * towards, 3.5), textcoords="offset points", fontsize=6,
        ha=side, va="baseline", color=style.ALIGNED_COLOUR, zorder=4,
        path_effects=[withStroke(linewidth=1.5, foreground="white")],
    )  # fmt: skip
