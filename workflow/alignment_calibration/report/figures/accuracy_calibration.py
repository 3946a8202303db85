"""Change in accuracy against change in calibration error: is there a trade-off?"""

import itertools
import math
import string
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
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
#: Inches: height of a panel, and of one where each of a single method is as wide as a column.
_PANEL, _LARGE = 1.85, 2.5

#: Where the letter of a task may stand beside its mark, in points from middle to middle.
_BESIDE = [
    (distance * across, distance * up)
    for distance in (5.5, 8.0)
    for across, up in ((0.7, 0.7), (1, 0), (0, 1), (-1, 0), (0, -1), (-0.7, 0.7), (0.7, -0.7),
                       (-0.7, -0.7))
]  # fmt: skip
#: Size in points of a letter, and half of the width and height that it takes.
_LETTER, _HALF = 6.0, np.array([2.4, 2.9])
#: Points, of a panel, from which on marks are drawn smaller and their intervals fainter.
_MANY = 60

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
    panels = list(itertools.product(metrics, methods))
    columns = len(methods) if len(methods) > 1 else min(2, len(metrics))
    lines = math.ceil(len(panels) / columns)
    with style.styled():
        width = style.TWO_COLUMNS if columns > 1 else style.ONE_COLUMN
        around = 0.5 + 0.16 * (len(marks) + len(letters)) / (4 if columns > 1 else 2)
        wanted = _LARGE if len(methods) == 1 else _PANEL
        height = min(wanted, (style.PAGE_HEIGHT - around) / lines)
        figure = Figure(figsize=(width, around + height * lines), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False)
        drawn = {}
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        for axes, (metric, method) in zip(grid.flat, panels, strict=False):
            shown = points[(points["metric"] == metric) & (points["method"] == method)]
            if shown.empty:
                axes.set_visible(False)
                continue
            _draw_marks(axes, shown, marks)
            axes.set_title(_title(shown, method, columns))
            if method == methods[0]:
                axes.set_ylabel(f"change of {style.metric_name(metric)}\n(points; up: worse)")
            drawn[axes] = shown
        for column in grid.T:
            style.first_shown(column[::-1]).set_xlabel(
                "change of accuracy\n(points; right: better)"
            )
        style.legend_beneath(
            figure,
            [_handle(pair, **mark.settings) for pair, mark in marks.items()],
            [
                _handle(style.task_name(task), **_letter_settings(letter))
                for task, letter in letters.items()
            ],
        )
        figure.draw_without_rendering()  # where a letter has room is known once all has its place
        for axes, shown in drawn.items():
            _write_letters(axes, shown, letters)
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


def _draw_marks(axes: Axes, points: pd.DataFrame, marks: Mapping[str, style.Mark]) -> None:
    """Marks with the intervals of both changes."""
    percent = points.assign(**{column: 100 * points[column] for column in _DRAWN})
    share = min(1.0, _MANY / len(points))
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    for pair, mark in marks.items():
        of_pair = percent[percent["pair"] == pair]
        x, y = of_pair["accuracy"], of_pair["change"]
        thin: dict[str, Any] = {"color": mark.colour, "linewidth": 0.5, "zorder": 1}
        thin["alpha"] = 0.4 * share
        axes.vlines(x, of_pair["change_ci_low"], of_pair["change_ci_high"], **thin)
        axes.hlines(y, of_pair["accuracy_ci_low"], of_pair["accuracy_ci_high"], **thin)
        look = mark.settings | {"markersize": 2.4 + 0.8 * share}
        axes.plot(x, y, linestyle="none", zorder=2, **look)
    axes.locator_params(nbins=4, steps=[1, 2, 5, 10])


def _write_letters(axes: Axes, points: pd.DataFrame, letters: Mapping[str, str]) -> None:
    """The letter of its task beside each mark that leaves room for it, the outermost first."""
    scale = 72 / axes.figure.dpi
    at = scale * axes.transData.transform(100 * points[["accuracy", "change"]].to_numpy())
    low, high = scale * np.asarray(axes.bbox.extents).reshape(2, 2) + [_HALF, -_HALF]
    tasks = points["task"].to_numpy()
    written = np.empty((0, 2))
    far = np.hypot(*((at - np.median(at, axis=0)) / (at.std(axis=0) + 1e-9)).T)
    for place in np.argsort(-far, kind="stable"):
        for beside in _BESIDE:
            middle = at[place] + beside
            if (
                (low <= middle).all()
                and (middle <= high).all()
                and not (np.abs(at - middle) < _HALF + 1.6).all(axis=1).any()
                and not (np.abs(written - middle) < 2 * _HALF).all(axis=1).any()
            ):
                text = axes.annotate(
                    letters[tasks[place]], 100 * points[["accuracy", "change"]].to_numpy()[place],
                    xytext=beside, textcoords="offset points", fontsize=_LETTER, color="0.2",
                    ha="center", va="center",
                )  # fmt: skip
                text.set_in_layout(False)
                written = np.vstack([written, middle])
                break


def _letters(tasks: Iterable[str]) -> dict[str, str]:
    """A letter for each task, sorted by name."""
    names = sorted(set(tasks), key=str.casefold)
    return dict(
        zip(names, itertools.cycle(string.ascii_uppercase + string.ascii_lowercase), strict=False)
    )


def _letter_settings(letter: str) -> dict[str, Any]:
    """Keyword arguments that make a mark of a letter, for the key."""
    return {
        "marker": f"$\\mathrm{{{letter}}}$",
        "markersize": 4.4,
        "color": "0.2",
        "markeredgewidth": 0.1,
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
    name, rho = style.method_name(method), _rank_correlation(points)
    if rho is not None:  # its spaces do not break
        name += f" \u2002ρ\u00a0=\u00a0{rho:+.2f}".replace("-", "−")
    return style.in_lines(name, style.TWO_COLUMNS / max(2, columns) - 0.35)
