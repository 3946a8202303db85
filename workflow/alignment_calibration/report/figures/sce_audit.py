"""What the published SCE measures: SCE by both definitions against accuracy and confidence."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.calibration.sce_audit import closed_form
from alignment_calibration.report.figures import style

LARGER = "max(accuracy, mean confidence)"


def draw(audit: pd.DataFrame) -> Figure:
    """SCE by one-vs-rest accuracy, with its closed form as lines, and by label frequency.

    Args:
        audit: rows of SCE_AUDIT; a point per model, task and method.
    """
    if audit.empty:
        return style.in_words("No model was measured: there is no SCE to audit.")
    larger = audit[["accuracy", "confidence"]].max(axis=1)
    with style.styled():
        figure = Figure(figsize=(style.TWO_COLUMNS, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, metric in ((left, "sce_ovr"), (right, "sce")):
            for method, mark in style.method_marks().items():
                of_method = audit["method"] == method
                intervals(axes, larger[of_method], audit[of_method], metric, mark)
                points(axes, larger[of_method], audit.loc[of_method, metric], mark)
            axes.set(title=style.metric_name(metric), xlabel=LARGER)
        closed_form_lines(left, audit["options"])
        left.set(ylabel="calibration error")
        whole_range(left)
        style.legend_beneath(figure, handles(audit["method"]))
    return figure


def numbers(audit: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run."""
    larger = audit[["accuracy", "confidence"]].max(axis=1)
    gap = (audit["sce_ovr"] - audit["closed_form"]).abs()
    return {
        "marks": len(audit),
        "gap_median": float(gap.median()),
        "correlation": {
            metric: float(larger.corr(audit[metric], method="spearman")) if len(audit) > 2 else None
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


def points(axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", mark: style.Mark) -> None:
    """Open marks without lines."""
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=mark.shape,
        color=mark.colour,
        markerfacecolor="none",
        zorder=2,
        markeredgewidth=0.7,
    )


def intervals(
    axes: Axes, x: "pd.Series[float]", rows: pd.DataFrame, metric: str, mark: style.Mark
) -> None:
    """Thin lines from the lower to the upper end."""
    low, high = rows[f"{metric}_ci_low"], rows[f"{metric}_ci_high"]
    axes.vlines(x, low, high, color=mark.colour, linewidth=0.4, alpha=0.6, zorder=1.5)


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
        Line2D([], [], color="0.3", linewidth=0.7, linestyle="--", label="(K − 3 + 2·max) / K"),
    ]
