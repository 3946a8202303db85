"""Metrics by stage of training: what SFT, preferences and rewards do, one after the other."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.report.figures import style
from alignment_calibration.report.tables.cells import in_order
from alignment_calibration.study.vocabulary import METHODS

#: Inches: of a line of panels, of title and axis labels.
_PANEL = 1.2
_MARGIN = 0.55
#: Most metrics shown; of more, those that come first in the registry.
_MOST = 6
#: Stages by which two ladders lie apart, and all of them together at most.
_APART = 0.08
_SPREAD = 0.6


def draw(stages: pd.DataFrame) -> Figure:
    """A panel per metric and method, a line per ladder.

    Args:
        stages: rows of LADDER_STAGES.
    """
    stages = stages[stages["value"].notna()]
    metrics = in_order(stages["metric"], METRICS)[:_MOST]
    stages = stages[stages["metric"].isin(metrics)]
    methods = in_order(stages["method"], METHODS)
    marks = style.pair_marks(stages["ladder"])
    models = models_of(stages)
    apart = min(_APART, _SPREAD / max(len(marks) - 1, 1))
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        # One ladder has its models' names on the axis, several have theirs in the legend.
        names = next(iter(models.values())) if len(models) == 1 else None
        beneath = 0.05 * max(map(len, names)) if names else 0.16 * (1 + len(marks))
        height = min(_PANEL * len(metrics) + _MARGIN + beneath, style.PAGE_HEIGHT)
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(len(metrics), len(methods), squeeze=False, sharex=True)
        for line, metric in zip(grid, metrics, strict=True):
            percent = METRICS[metric].unit != "nats"
            for axes, method in zip(line, methods, strict=True):
                shown = stages[(stages["metric"] == metric) & (stages["method"] == method)]
                if shown.empty:
                    axes.set_visible(False)
                    continue
                for number, (ladder, mark) in enumerate(marks.items()):
                    of_ladder = shown[shown["ladder"] == ladder].sort_values("number")
                    # Beside each other, so that intervals of one stage do not cover each other.
                    places = of_ladder["number"] + apart * (number - (len(marks) - 1) / 2)
                    scale = 100 if percent else 1
                    axes.plot(places, scale * of_ladder["value"], **mark.settings)
                    axes.vlines(
                        places,
                        scale * of_ladder["ci_low"],
                        scale * of_ladder["ci_high"],
                        color=mark.colour,
                        linewidth=0.7,
                    )
                axes.set_xticks(np.arange(int(stages["number"].max()) + 1), names)
                axes.margins(x=0.15)
                axes.locator_params(axis="y", nbins=4)
            unit = "%" if percent else "nats"
            style.first_shown(line).set_ylabel(f"{style.metric_name(metric)} ({unit})")
        for column, method in zip(grid.T, methods, strict=True):
            style.first_shown(column).set_title(style.method_name(method))
            lowest = style.first_shown(column[::-1])
            lowest.set_xlabel("" if names else "stage of training")
            lowest.tick_params(axis="x", labelbottom=True, labelrotation=90 if names else 0)
        if not names:
            style.legend_beneath(
                figure,
                [
                    Line2D([], [], label=f"{name}: {' → '.join(models[name])}", **mark.settings)
                    for name, mark in marks.items()
                ],
            )
    return figure


def models_of(stages: pd.DataFrame) -> dict[str, list[str]]:
    """The models of each ladder, in the order of training."""
    return {
        str(name): list(dict.fromkeys(rows.sort_values("number")["model"]))
        for name, rows in stages.groupby("ladder")
    }


def numbers(stages: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run: the models of each ladder, the metrics shown."""
    metrics = stages.loc[stages["value"].notna(), "metric"].nunique()
    return {
        "metrics": metrics,
        "shown": min(metrics, _MOST),
        "ladders": [{"name": name, "models": models} for name, models in models_of(stages).items()],
    }
