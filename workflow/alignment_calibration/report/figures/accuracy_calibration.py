"""Change in accuracy against change in calibration error: is there a trade-off?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import METHODS

METRICS = ("ece", "sce_ovr", "sce")

#: Fewest points whose rank correlation is worth printing.
_FEWEST = 5


def draw(changes: pd.DataFrame) -> Figure:
    """A panel per calibration error and method, a point per pair and task.

    Args:
        changes: rows of CHANGES; intervals may be missing.
    """
    points = _points(changes)
    if points.empty:
        return style.in_words(
            "No task has both accuracy and a calibration error: there is no trade-off to show."
        )
    metrics = [metric for metric in METRICS if (points["metric"] == metric).any()]
    methods = [method for method in METHODS if (points["method"] == method).any()]
    marks = style.pair_marks(points["pair"])
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        legend = 0.16 * (1 + len(marks) // 5)
        figure = Figure(figsize=(width, 1.75 * len(metrics) + 0.3 + legend), layout="constrained")
        grid = figure.subplots(len(metrics), len(methods), squeeze=False)
        for axes_line, metric in zip(grid, metrics, strict=True):
            for axes, method in zip(axes_line, methods, strict=True):
                shown = points[(points["metric"] == metric) & (points["method"] == method)]
                if shown.empty:
                    style.say(axes, "not in this study")
                for pair, mark in marks.items():
                    of_pair = shown[shown["pair"] == pair]
                    axes.plot(
                        100 * of_pair["accuracy"],
                        100 * of_pair["change"],
                        linestyle="none",
                        **mark.settings,
                    )
                axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
                axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
                axes.set_title(_title(shown, method, len(methods)))
                axes.locator_params(nbins=5)
            axes_line[0].set_ylabel(f"change of {style.metric_name(metric)}\n(points; up: worse)")
        for axes in grid[-1]:
            axes.set_xlabel("change of accuracy\n(points; right: better)")
        style.pair_legend(figure, marks)
    return figure


def numbers(changes: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run, by error and method."""
    points = _points(changes)
    return {
        "panels": [
            {
                "metric": style.metric_name(str(metric)),
                "method": style.method_name(str(method)),
                "contrasts": len(shown),
                "both": int(((shown["accuracy"] > 0) & (shown["change"] > 0)).sum()),
                "rho": _rank_correlation(shown),
            }
            for (metric, method), shown in points.groupby(["metric", "method"])
        ]
    }


def _points(changes: pd.DataFrame) -> pd.DataFrame:
    """Changes of calibration errors with the `accuracy` change of the same pair, task, method."""
    keys = ["pair", "task", "method"]
    accuracy = changes[changes["metric"] == "accuracy"].set_index(keys)["change"]
    errors = changes[changes["metric"].isin(METRICS)]
    points: pd.DataFrame = errors.join(accuracy.rename("accuracy"), on=keys)
    return points.dropna(subset=["change", "accuracy"])


def _rank_correlation(points: pd.DataFrame) -> float | None:
    """Spearman's ρ over pairs and tasks; None for few points or a constant."""
    if len(points) < _FEWEST or min(points[["accuracy", "change"]].nunique()) < 2:
        return None
    return float(stats.spearmanr(points["accuracy"], points["change"]).statistic)


def _title(points: pd.DataFrame, method: str, columns: int) -> str:
    rho, name = _rank_correlation(points), style.method_name(method)
    if rho is None:
        return name
    between = "   " if columns < 4 else "\n"  # a narrow panel holds the name alone
    return name + between + f"ρ = {rho:+.2f}".replace("-", "−")
