"""Panels of change rates by task, one mark per pair: the form of the paper's Figures 1 and 2."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from alignment_calibration.calibration.resampling import significant
from alignment_calibration.pairs.changes import debiased_rates
from alignment_calibration.report.figures import style

#: A panel shows one metric under one method.
Panel = tuple[str, str]

#: Rates beyond this many percent are drawn on a logarithmic scale, where there are any.
_LINEAR_TO = 100.0
_LOGARITHMIC_FROM = 400.0

#: Panels that fit in one or two lines; more stand in lines of four.
_MOST_IN_TWO_LINES = 8

#: Height in inches of a panel's heading, tick labels and axis label.
_AROUND = 0.85


def draw(changes: pd.DataFrame, panels: Sequence[Panel]) -> Figure:
    """Change rates in percent by task, a panel for each metric and method.

    Args:
        changes: rows of CHANGES; intervals may be missing.
        panels: metric and method of each panel.
    """
    rows = _rows_of(changes, panels)
    if rows.empty:
        wanted = "; ".join(f"{metric} under {method}" for metric, method in panels)
        return style.in_words(f"No change rates to show: this study has no {wanted}.")
    tasks = sorted(rows["task"].unique(), key=str.casefold)
    marks = style.pair_marks(rows["pair"])
    # One kind of scale for all panels, or their distances would not compare.
    logarithmic = bool((_drawn(rows).abs() >= _LOGARITHMIC_FROM).any(axis=None))
    measured = set(zip(rows["metric"], rows["method"], strict=True))
    shown = [panel for panel in panels if panel in measured]
    missing = [panel for panel in panels if panel not in measured]
    with style.styled():
        height = max(0.5, len(tasks) * (0.09 + max(0.12, 0.029 * len(marks))))
        tall = 2 * height > style.PAGE_HEIGHT - 2
        columns = len(shown) if len(shown) < 4 or tall else math.ceil(len(shown) / 2)
        columns = columns if len(shown) <= _MOST_IN_TWO_LINES else 4
        lines = math.ceil(len(shown) / columns)
        width = style.TWO_COLUMNS if columns > 1 else style.ONE_COLUMN
        words = _not_shown(missing, width)
        legend = 0.16 * math.ceil(len(marks) / (4 if columns > 1 else 2))
        legend += 0.13 * len(words)
        height = min(height, (style.PAGE_HEIGHT - legend) / lines - _AROUND)
        size = (width, lines * (height + _AROUND) + legend)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False).flat
        for axes, (metric, method) in zip(grid, shown, strict=False):
            of_panel = rows[(rows["metric"] == metric) & (rows["method"] == method)]
            _draw_panel(axes, of_panel, tasks, marks, columns, logarithmic)
            name = style.metric_name(metric)
            if columns > 4:
                name = style.in_lines(name, width / columns - 0.2)
            how = style.in_lines(style.method_name(method), width / columns - 0.2)
            axes.set_title(f"{name}\n{how}")
        for axes in list(grid)[len(shown) :]:
            axes.set_axis_off()
        if words:
            figure.suptitle("\n".join(words), fontsize=6.5, color=style.GREY)
        style.pair_legend(figure, marks)
    return figure


def _not_shown(missing: Sequence[Panel], width: float) -> list[str]:
    """In lines of words, the panels for which the study has no numbers."""
    if not missing:
        return []
    methods: dict[str, list[str]] = {}
    for metric, method in missing:
        methods.setdefault(style.metric_name(metric), []).append(style.method_name(method))
    parts = [f"{metric} under {'; '.join(names)}" for metric, names in methods.items()]
    return textwrap.wrap(f"Not in this study: {'. '.join(parts)}.", int(16 * width))


def numbers(changes: pd.DataFrame, panels: Sequence[Panel]) -> dict[str, Any]:
    """What the caption says of this run, panel by panel."""
    rows = _rows_of(changes, panels)
    return {
        "pairs": rows["pair"].nunique(),
        "tasks": rows["task"].nunique(),
        "intervals": bool(rows["rate_ci_low"].notna().any()),
        "unbounded": int((rows["rate_ci_low"].notna() & rows["rate_ci_high"].isna()).sum()),
        "left_out": int(_is_outside(rows).sum()),
        "panels": [
            _panel_numbers(rows[(rows["metric"] == metric) & (rows["method"] == method)])
            | {"metric": style.metric_name(metric), "method": style.method_name(method)}
            for metric, method in panels
        ],
    }


def _rows_of(changes: pd.DataFrame, panels: Sequence[Panel]) -> pd.DataFrame:
    """The rows that have a rate and belong to one of the panels."""
    keys = pd.MultiIndex.from_frame(changes[["metric", "method"]])
    return changes[keys.isin(panels) & changes["change_rate"].notna()]


def _panel_numbers(rows: pd.DataFrame) -> dict[str, Any]:
    """Numbers of one panel; `contrasts` is 0 where it shows nothing."""
    if rows.empty:
        return {"contrasts": 0}
    largest = rows.iloc[int(rows["change_rate"].argmax())]
    return {
        "contrasts": len(rows),
        "rises": int((rows["change_rate"] > 0).sum()),
        "significant": int(significant(rows["q_value"]).sum()),
        "median": 100 * rows["change_rate"].median(),
        "largest": 100 * largest["change_rate"],
        "largest_pair": largest["pair"],
        "largest_task": style.task_name(largest["task"]),
    }


def _draw_panel(
    axes: Axes,
    rows: pd.DataFrame,
    tasks: Sequence[str],
    marks: Mapping[str, style.Mark],
    columns: int,
    logarithmic: bool,
) -> None:
    """Marks and intervals of one panel: tasks downwards, pairs side by side within a task.

    An interval without upper end is an arrow that leaves the panel. Where an interval leaves out
    its rate, a stroke marks that of the errors less their estimated bias.
    """
    rows = rows.assign(debiased=_outside(rows))
    _scale(axes, _drawn(rows), columns, logarithmic)
    right = axes.get_xlim()[1]
    for i in range(0, len(tasks), 2):
        axes.axhspan(i - 0.5, i + 0.5, color="0.955", linewidth=0, zorder=0)
    axes.axvline(0, color="0.3", linewidth=0.6, zorder=1)
    position = {task: i for i, task in enumerate(tasks)}
    offsets = np.linspace(-0.4, 0.4, len(marks) + 2)[1:-1]
    for offset, (pair, mark) in zip(offsets, marks.items(), strict=True):
        of_pair = rows[rows["pair"] == pair]
        y = np.array([position[task] for task in of_pair["task"]], dtype=float) + offset
        axes.plot(
            100 * of_pair["change_rate"],
            y,
            linestyle="none",
            zorder=3,
            **mark.settings,
        )
        low, high = 100 * of_pair["rate_ci_low"], 100 * of_pair["rate_ci_high"]
        axes.hlines(y, low, high.fillna(right), color=mark.colour, linewidth=0.7, zorder=2)
        strokes: dict[str, Any] = {"linestyle": "none", "color": mark.colour, "zorder": 2}
        arrows = y[(low.notna() & high.isna()).to_numpy()]
        if arrows.size:
            at_edge = np.full(arrows.size, right)
            axes.plot(at_edge, arrows, marker=">", markersize=2.5, clip_on=False, **strokes)
        outside = of_pair["debiased"].notna().to_numpy()
        if outside.any():
            axes.plot(
                100 * of_pair["debiased"][outside],
                y[outside],
                marker="|",
                markersize=5,
                **strokes,
            )
    axes.set_yticks(range(len(tasks)), [style.task_name(task) for task in tasks])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(tasks) - 0.5, -0.5)


def _drawn(rows: pd.DataFrame) -> pd.DataFrame:
    """All that is drawn of rates, in percent."""
    drawn = rows[["change_rate", "rate_ci_low", "rate_ci_high"]]
    return 100 * drawn.assign(debiased=_outside(rows)).astype(float)


def _outside(rows: pd.DataFrame) -> "pd.Series[float]":
    """The debiased rate where the interval leaves out the rate, else NaN."""
    return debiased_rates(rows).where(_is_outside(rows))


def _is_outside(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Where the interval leaves out the rate."""
    rate = rows["change_rate"]
    return (rate < rows["rate_ci_low"]) | (rate > rows["rate_ci_high"])


def _scale(axes: Axes, percent: pd.DataFrame, columns: int, logarithmic: bool) -> None:
    """Ticks in percent, and, where the scale turns logarithmic, a dotted line.

    Args:
        logarithmic: whether rates beyond ±100 % are on a logarithmic scale.
    """
    low, high = min(0.0, float(percent.min().min())), max(0.0, float(percent.max().max()))
    axes.set_xlabel("change rate (%)")
    if not logarithmic or max(-low, high) <= _LINEAR_TO:
        margin = 0.06 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(3 if columns > 3 else 5))
        axes.xaxis.set_major_formatter(FuncFormatter(_signed))
        return
    axes.set_xscale("symlog", linthresh=_LINEAR_TO)
    axes.set_xlim(1.25 * low - 15, 1.25 * high + 15)
    left, right = axes.get_xlim()
    reach = max(-left, right)
    decades = [10.0**k for k in range(2, 12) if 10.0**k <= reach]
    if len(decades) == 1:  # one tick tells nothing of a logarithmic scale
        near = reach < _LOGARITHMIC_FROM and columns < 3  # in narrow panels it has no room
        decades.append(2 * _LINEAR_TO if near else _LOGARITHMIC_FROM)
    every = math.ceil(len(decades) / (1 if columns > 3 else 2 if columns == 3 else 3))
    ticks = [0.0, *decades[::every], *(-decade for decade in decades[::every])]
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if left <= t <= right]))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(_signed))
    for turn in (-_LINEAR_TO, _LINEAR_TO):
        if left < turn < right:
            axes.axvline(turn, color="0.5", linewidth=0.6, linestyle=":", zorder=1)
    narrow = "rate (%), log\nbeyond ±100"
    axes.set_xlabel(narrow if columns > 4 else "change rate (%),\nlogarithmic beyond ±100")


def _signed(value: float, _: int) -> str:
    """A tick's label: a sign before every number but zero."""
    number = f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.4g}"
    return number.replace("-", "−") if value else "0"
