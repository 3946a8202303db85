"""What the published SCE measures: SCE by both definitions against accuracy and confidence."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.calibration.sce_audit import closed_form
from alignment_calibration.report.figures import style
from alignment_calibration.report.tables.cells import in_order
from alignment_calibration.study.vocabulary import METHODS

LARGER = "max(accuracy, mean confidence)"

#: Inches: height of a panel, and of title, axis label and key.
_PANEL = 1.6
_AROUND = 0.65
#: Marks of a panel from which on they are drawn smaller and their intervals fainter.
_MANY = 60


def draw(audit: pd.DataFrame) -> Figure:
    """SCE by one-vs-rest accuracy, with its closed form, over that by label frequency.

    Args:
        audit: rows of SCE_AUDIT; a panel per method, a mark per model and task.
    """
    if audit.empty:
        return style.in_words("No model was measured: there is no SCE to audit.")
    methods = in_order(audit["method"], METHODS)
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        figure = Figure(figsize=(width, 2 * _PANEL + _AROUND), layout="constrained")
        grid = figure.subplots(2, len(methods), sharex=True, sharey=True, squeeze=False)
        for line, metric in zip(grid, ("sce_ovr", "sce"), strict=True):
            for axes, method in zip(line, methods, strict=True):
                rows, mark = audit[audit["method"] == method], style.method_marks()[method]
                larger = rows[["accuracy", "confidence"]].max(axis=1)
                share = min(1.0, _MANY / len(rows))
                axes.vlines(
                    larger, rows[f"{metric}_ci_low"], rows[f"{metric}_ci_high"],
                    color=mark.colour, linewidth=0.4, alpha=0.6 * share, zorder=1.5,
                )  # fmt: skip
                points(axes, larger, rows[metric], mark, size=1.4 + 1.8 * share)
                if metric == "sce_ovr":
                    closed_form_lines(axes, rows["options"])
            line[0].set_ylabel(style.metric_name(metric).replace(" (", "\n("))
        for (top, bottom), method in zip(grid.T, methods, strict=True):
            top.set_title(style.in_lines(style.method_name(method), width / len(methods)))
            bottom.set_xlabel(style.in_lines(LARGER, width / len(methods) - 0.3))
        whole_range(grid[0, 0])
        style.legend_beneath(figure, [_closed_form_handle()])
    return figure


def numbers(audit: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run."""
    predicted = audit["closed_form"]
    gap = (audit["sce_ovr"] - predicted).abs()
    return {
        "marks": len(audit),
        "gap_median": float(gap.median()),
        # Of the closed form, and not of the larger of accuracy and confidence: options may differ.
        "correlation": {
            metric: (
                float(predicted.corr(audit[metric], method="spearman")) if len(audit) > 2 else None
            )
            for metric in ("sce_ovr", "sce")
        },
    }


def closed_form_lines(axes: Axes, options: "pd.Series[float]") -> None:
    """The closed form for each number of options, labelled at the right end."""
    for count in sorted({int(k) for k in np.rint(options.dropna())}):
        x = np.array([1 / count, 1.0])
        y = closed_form(np.full(2, count), x, x)
        axes.plot(x, y, color="0.3", linewidth=0.7, linestyle="--", zorder=1)
        axes.annotate(
            f"{count} options",
            (x.mean(), y.mean()),
            xytext=(-1, 4),
            textcoords="offset points",
            fontsize=6,
            color="0.3",
            ha="right",
        )


def whole_range(axes: Axes) -> None:
    """Fractions from 0 to 1 on both axes, with room for marks at the ends."""
    ticks, names = [0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"]
    axes.set(xlim=(-0.02, 1.04), ylim=(-0.02, 1.04))
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)


def points(
    axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", mark: style.Mark, size: float = 3.2
) -> None:
    """Open marks, of some points in size, without lines."""
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=mark.shape,
        color=mark.colour,
        markerfacecolor="none",
        markersize=size,
        zorder=2,
        markeredgewidth=0.7 * size / 3.2,
    )


def handles(methods: "pd.Series[str]") -> list[Line2D]:
    """Key of the methods that occur, and of the closed form."""
    present = set(methods)
    return [
        *(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=mark.shape,
                color=mark.colour,
                markerfacecolor="none",
                label=style.method_name(method),
            )
            for method, mark in style.method_marks().items()
            if method in present
        ),
        _closed_form_handle(),
    ]


def _closed_form_handle() -> Line2D:
    return Line2D([], [], color="0.3", linewidth=0.7, linestyle="--", label="(K − 3 + 2·max) / K")
