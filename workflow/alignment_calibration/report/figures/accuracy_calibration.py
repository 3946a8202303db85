"""Change in accuracy against change in calibration error: is there a trade-off?"""

import itertools
import string
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from scipy import stats

from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import METHODS

METRICS = ("ece", "sce_ovr", "sce")

#: Columns of CHANGES of accuracy, by their names beside those of an error.
_OF_ACCURACY = {
    "change": "accuracy",
    "change_ci_low": "accuracy_ci_low",
    "change_ci_high": "accuracy_ci_high",
}
_DRAWN = [*_OF_ACCURACY, *_OF_ACCURACY.values()]
#: Inches: height of a panel, and of a mark's letter to its right and above it.
_PANEL = 1.85
_BESIDE = (0.045, 0.035)

#: Fewest points whose rank correlation is worth printing.
_FEWEST = 5


def draw(changes: pd.DataFrame) -> Figure:
    """A panel per calibration error and method, a mark per pair and task, with its intervals.

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
    letters = _letters(points["task"])
    with style.styled():
        width = style.TWO_COLUMNS if len(methods) > 1 else style.ONE_COLUMN
        around = 0.5 + 0.16 * (len(marks) + len(letters)) / (4 if len(methods) > 1 else 2)
        height = min(_PANEL, (style.PAGE_HEIGHT - around) / len(metrics))
        figure = Figure(figsize=(width, around + height * len(metrics)), layout="constrained")
        grid = figure.subplots(len(metrics), len(methods), squeeze=False)
        for axes_line, metric in zip(grid, metrics, strict=True):
            for axes, method in zip(axes_line, methods, strict=True):
                shown = points[(points["metric"] == metric) & (points["method"] == method)]
                if shown.empty:
                    axes.set_visible(False)
                    continue
                _draw_panel(axes, shown, marks, letters)
                axes.set_title(_title(shown, method, len(methods)))
            style.first_shown(axes_line).set_ylabel(
                f"change of {style.metric_name(metric)}\n(points; up: worse)"
            )
        whole = "change of accuracy\n(points; right: better)"
        for column in grid.T:
            style.first_shown(column[::-1]).set_xlabel(
                whole if len(methods) < 5 else "accuracy (points)"  # all that a narrow panel holds
            )
        style.legend_beneath(
            figure,
            [
                *(_handle(pair, **mark.settings) for pair, mark in marks.items()),
                *(
                    _handle(style.task_name(task), **_letter_settings(letter))
                    for task, letter in letters.items()
                ),
            ],
        )
    return figure


def numbers(changes: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run, by error and method."""
    points = _points(changes)
    return {
        "intervals": bool(points["change_ci_low"].notna().any()),
        "panels": [
            {
                "metric": style.metric_name(str(metric)),
                "method": style.method_name(str(method)),
                "contrasts": len(shown),
                "both": int(((shown["accuracy"] > 0) & (shown["change"] > 0)).sum()),
                "rho": _rank_correlation(shown),
            }
            for (metric, method), shown in points.groupby(["metric", "method"])
        ],
    }


def _draw_panel(
    axes: Axes, points: pd.DataFrame, marks: Mapping[str, style.Mark], letters: Mapping[str, str]
) -> None:
    """Marks with the intervals of both changes, the letter of the task beside each."""
    percent = points.assign(**{column: 100 * points[column] for column in _DRAWN})
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    for pair, mark in marks.items():
        of_pair = percent[percent["pair"] == pair]
        x, y = of_pair["accuracy"], of_pair["change"]
        thin: dict[str, Any] = {"color": mark.colour, "linewidth": 0.5, "alpha": 0.4, "zorder": 1}
        axes.vlines(x, of_pair["change_ci_low"], of_pair["change_ci_high"], **thin)
        axes.hlines(y, of_pair["accuracy_ci_low"], of_pair["accuracy_ci_high"], **thin)
        axes.plot(x, y, linestyle="none", zorder=2, **mark.settings)
    beside = axes.transData + ScaledTranslation(*_BESIDE, axes.figure.dpi_scale_trans)
    for task, letter in letters.items():
        of_task = percent[percent["task"] == task]
        look = _letter_settings(letter)
        axes.plot(
            of_task["accuracy"], of_task["change"], linestyle="none", transform=beside, zorder=3,
            **look,
        )  # fmt: skip
    axes.locator_params(nbins=4, steps=[1, 2, 5, 10])


def _letters(tasks: Iterable[str]) -> dict[str, str]:
    """A letter for each task, sorted by name."""
    names = sorted(set(tasks), key=str.casefold)
    return dict(
        zip(names, itertools.cycle(string.ascii_uppercase + string.ascii_lowercase), strict=False)
    )


def _letter_settings(letter: str) -> dict[str, Any]:
    """Keyword arguments that make a mark of a letter: as texts they would not be clipped."""
    return {
        "marker": f"$\\mathrm{{{letter}}}$",
        "markersize": 3.2,
        "color": "0.2",
        "markeredgewidth": 0.15,
    }


def _handle(label: str, **look: Any) -> Line2D:
    return Line2D([], [], linestyle="none", label=label, **look)


def _points(changes: pd.DataFrame) -> pd.DataFrame:
    """Changes of calibration errors with the `accuracy` change of the same pair, task, method."""
    keys = ["pair", "task", "method"]
    accuracy = changes[changes["metric"] == "accuracy"].set_index(keys)[list(_OF_ACCURACY)]
    errors = changes[changes["metric"].isin(METRICS)]
    points: pd.DataFrame = errors.join(accuracy.rename(columns=_OF_ACCURACY), on=keys)
    return points.dropna(subset=["change", "accuracy"])


def _rank_correlation(points: pd.DataFrame) -> float | None:
    """Spearman's ρ over pairs and tasks; None for few points or a constant."""
    if len(points) < _FEWEST or min(points[["accuracy", "change"]].nunique()) < 2:
        return None
    return float(stats.spearmanr(points["accuracy"], points["change"]).statistic)


def _title(points: pd.DataFrame, method: str, columns: int) -> str:
    rho = _rank_correlation(points)
    name = style.in_lines(style.method_name(method), style.TWO_COLUMNS / columns - 0.35)
    if rho is None:
        return name
    between = "   " if columns < 4 else "\n"  # a narrow panel holds the name alone
    return name + between + f"ρ = {rho:+.2f}".replace("-", "−")
