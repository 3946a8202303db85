"""Accuracy and calibration told apart: the parts of every change against the whole of it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.pairs.map_parts import CONTRAST, opposite_signs
from alignment_calibration.report.figures import style
from alignment_calibration.report.tables.cells import in_order
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

#: Colour and shape of the parts that are shown.
PARTS: dict[str, tuple[Any, str]] = {
    "map": (style.BASE_COLOUR, "o"),
    "confidences": (style.ALIGNED_COLOUR, "^"),
}
_NAMES = {"map": "another calibration map", "confidences": "other confidences"}


def draw(parts: pd.DataFrame, effects: pd.DataFrame, primary: Primary) -> Figure:
    """A line of panels per metric, a panel per method; a mark of each part per contrast.

    Args:
        parts: rows of MAP_PARTS.
        effects: rows of MAP_EFFECTS: their means, drawn large.
        primary: the analysis that stands first.
    """
    metrics = in_order(parts["metric"], [primary.metric])
    methods = in_order(parts["method"], [primary.method, *METHODS])
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        figure = Figure(figsize=(width, 1.9 * len(metrics) + 0.5), layout="constrained")
        grid = figure.subplots(len(metrics), len(methods), squeeze=False)
        for axes_line, metric in zip(grid, metrics, strict=True):
            for axes, method in zip(axes_line, methods, strict=True):
                shown, means = (
                    rows[(rows["metric"] == metric) & (rows["method"] == method)]
                    for rows in (parts, effects)
                )
                if shown.empty:
                    axes.set_visible(False)
                    continue
                _draw_panel(axes, shown, means)
                axes.set_title(style.method_name(method))
                axes.locator_params(nbins=4)
            name = style.metric_name(metric)
            style.first_shown(axes_line).set_ylabel(f"part of the change of\n{name} (points)")
        for column in grid.T:
            axes = style.first_shown(column[::-1])
            axes.set_xlabel("whole (points)" if len(methods) > 4 else "whole change (points)")
        handles = [_handle(_NAMES[part], *look) for part, look in PARTS.items()]
        mean = _handle("mean over pairs and tasks", style.GREY, "o")
        mean.set(markerfacecolor=style.GREY, markersize=6)
        style.legend_beneath(figure, [*handles, mean])
    return figure


def numbers(parts: pd.DataFrame, effects: pd.DataFrame, primary: Primary) -> dict[str, Any]:
    """What the caption says of this run, by metric and method."""
    panels = []
    for metric in in_order(parts["metric"], [primary.metric]):
        for method in in_order(parts["method"], [primary.method, *METHODS]):
            rows = parts[(parts["metric"] == metric) & (parts["method"] == method)]
            means = effects[(effects["metric"] == metric) & (effects["method"] == method)]
            if rows.empty:
                continue
            by_part = means.set_index("part")
            panels.append(
                {"metric": style.metric_name(metric), "method": style.method_name(method)}
                | {part: _points(by_part.loc[[part]]) for part in ("whole", "map", "confidences")}
                | opposite_signs(rows)
            )
    return {"panels": panels}


def _points(mean: pd.DataFrame) -> dict[str, float]:
    """A mean and its interval in percentage points, of one row."""
    return {name: 100 * float(mean[name].iloc[0]) for name in ("mean_change", "ci_low", "ci_high")}


def _draw_panel(axes: Axes, parts: pd.DataFrame, means: pd.DataFrame) -> None:
    """Parts against the whole: on the dashed line a part is all of the change."""
    whole = parts[parts["part"] == "whole"].set_index(CONTRAST)["change"]
    for part, (colour, shape) in PARTS.items():
        rows = parts[parts["part"] == part].set_index(CONTRAST).reindex(whole.index)
        axes.vlines(
            100 * whole, 100 * rows["ci_low"], 100 * rows["ci_high"],
            color=colour, linewidth=0.4, alpha=0.5, zorder=1,
        )  # fmt: skip
        axes.plot(
            100 * whole, 100 * rows["change"], linestyle="none", marker=shape, color=colour,
            markerfacecolor="white", markeredgewidth=0.7, zorder=2,
        )  # fmt: skip
    by_part = means.set_index("part")[["mean_change", "ci_low", "ci_high"]] * 100
    left, right = 100 * min(0.0, whole.min()), 100 * max(0.0, whole.max())
    margin = 0.06 * (right - left) or 1.0
    aside = 0.2 * margin  # so that neither interval hides the other
    for x, (part, (colour, shape)) in zip(
        by_part["mean_change"]["whole"] + np.array([-aside, aside]), PARTS.items(), strict=True
    ):
        row = by_part.loc[part]
        axes.vlines(x, row["ci_low"], row["ci_high"], color=colour, linewidth=1.8, zorder=3)
        axes.plot(
            x, row["mean_change"], marker=shape, color=colour, markersize=6,
            markeredgecolor="white", zorder=4,
        )  # fmt: skip
    axes.axline((0, 0), slope=1, color=style.GREY, linewidth=0.6, linestyle="--", zorder=0)
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set_xlim(left - margin, right + margin)


def _handle(label: str, colour: Any, shape: str) -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=shape, color=colour, markerfacecolor="white", label=label
    )
