"""Calibration error before and after temperature scaling, of base and aligned models."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import METHODS

METRIC = "ece"

_STAGES = {"base": (style.BASE_COLOUR, "o"), "aligned": (style.ALIGNED_COLOUR, "^")}
_VARIANTS = {"temperature": ("0.15", "s"), "daca": ("#009E73", "x")}


def draw(scaled: pd.DataFrame) -> Figure:
    """Two lines of panels, one column per method: ECE, and its change, before and after.

    Args:
        scaled: rows of REMEDY_EFFECTS; a point per pair and task.
    """
    rows = scaled[scaled["metric"] == METRIC]
    if rows.empty:
        return style.in_words("ECE is not among the metrics of this study: nothing was scaled.")
    methods = [method for method in METHODS if (rows["method"] == method).any()]
    variants = [variant for variant in _VARIANTS if (rows["remedy"] == variant).any()]
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        figure = Figure(figsize=(width, 4.6), layout="constrained")
        grid = figure.subplots(2, len(methods), squeeze=False)
        for column, method in enumerate(methods):
            of_method = rows[rows["method"] == method]
            fitted = of_method[of_method["remedy"] == "temperature"]
            top, bottom = grid[:, column]
            for stage, (colour, shape) in _STAGES.items():
                _points(top, fitted, f"{stage}_before", f"{stage}_after", colour, shape)
            for variant in variants:
                colour, shape = _VARIANTS[variant]
                of_variant = of_method[of_method["remedy"] == variant]
                _points(bottom, of_variant, "change_before", "change_after", colour, shape)
            _frame(top, "ECE", len(methods))
            _frame(bottom, "change of ECE", len(methods))
            top.set_title(style.method_name(method))
        for axes in grid[:, 1:].flat:
            axes.set_ylabel("")
        names = {
            "temperature": "change, each model scaled",
            "daca": "change, aligned scaled by base",
        }
        style.legend_beneath(
            figure,
            [
                *(_handle(stage, *look) for stage, look in _STAGES.items()),
                *(_handle(names[variant], *_VARIANTS[variant]) for variant in variants),
            ],
        )
    return figure


def numbers(scaled: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run, by method."""
    rows = scaled[(scaled["metric"] == METRIC) & (scaled["remedy"] == "temperature")]
    columns = ["base_before", "base_after", "aligned_before", "aligned_after"]
    return {
        "methods": [
            {"method": style.method_name(str(method)), "contrasts": len(of_method)}
            | {name: 100 * float(of_method[name].mean()) for name in columns}
            | {"aligned_temperature": float(of_method["aligned_temperature"].median())}
            | {"base_temperature": float(of_method["base_temperature"].median())}
            for method, of_method in rows.groupby("method")
        ]
    }


def _points(
    axes: Axes, rows: pd.DataFrame, before: str, after: str, colour: Any, shape: str
) -> None:
    axes.plot(
        100 * rows[before],
        100 * rows[after],
        linestyle="none",
        marker=shape,
        color=colour,
        markerfacecolor="none",
        markeredgewidth=0.7,
    )


def _handle(label: str, colour: Any, shape: str) -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=shape, color=colour, markerfacecolor="none", label=label
    )


def _frame(axes: Axes, name: str, columns: int) -> None:
    """The same range on both axes, the line of no effect, zero lines of changes."""
    low = min(0.0, *axes.get_xlim(), *axes.get_ylim())
    high = max(0.0, *axes.get_xlim(), *axes.get_ylim())
    axes.plot([low, high], [low, high], color=style.GREY, linewidth=0.6, linestyle="--", zorder=0)
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    between = " " if columns < 4 else "\n"  # a narrow panel holds it in two lines
    axes.set(xlabel=f"{name}{between}before scaling (%)", ylabel=f"{name} after (%)")
    axes.locator_params(nbins=5)
