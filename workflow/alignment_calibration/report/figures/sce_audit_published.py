"""The SCE recovered from the published changes, against its closed form."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from alignment_calibration.report.figures import sce_audit, style


def draw(audit: pd.DataFrame) -> Figure:
    """Recovered SCE against max(accuracy, mean confidence), with the rounding's range.

    Args:
        audit: rows of PUBLISHED_AUDIT.
    """
    rows = audit.dropna(subset=["accuracy", "confidence", "sce_recovered"])
    if rows.empty:
        return style.in_words("No SCE can be recovered from these changes.")
    with style.styled():
        figure = Figure(figsize=(style.ONE_COLUMN, 3.1), layout="constrained")
        axes = figure.subplots()
        for method, mark in style.method_marks().items():
            of_method = rows[rows["method"] == method]
            larger = of_method[["accuracy", "confidence"]].max(axis=1)
            axes.vlines(
                larger,
                of_method["sce_low"],
                of_method["sce_high"],
                color=mark.colour,
                linewidth=0.4,
            )
            sce_audit.points(axes, larger, of_method["sce_recovered"], mark)
        sce_audit.closed_form_lines(axes, rows["options"])
        axes.set(xlabel=sce_audit.LARGER, ylabel="SCE, recovered from change / rate")
        sce_audit.whole_range(axes)
        style.legend_beneath(figure, sce_audit.handles(rows["method"]))
    return figure


def numbers(audit: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of the published numbers."""
    rows = audit.dropna(subset=["sce_recovered", "sce_closed_form"])
    gap = (rows["sce_recovered"] - rows["sce_closed_form"]).abs()
    return {"marks": len(rows), "gap_median": float(gap.median()), "gap_mean": float(gap.mean())}
