"""Reliability of base and aligned model: accuracy by confidence, a small multiple per task."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import ALIGNED, BASE, STAGES

COLUMNS = 4

#: Colour, line style and mark of each stage: told apart without colour too.
_LOOKS: dict[str, tuple[Any, Any, str]] = {
    BASE: (style.BASE_COLOUR, "-", "o"),
    ALIGNED: (style.ALIGNED_COLOUR, (0, (4, 1.5)), "^"),
}

#: Height in inches of what is written above and beneath a panel.
_AROUND = 0.65
#: Most of the height of a histogram that its tick may have: a label at the very top would make its
#: panel lower than those beside it.
_HIGHEST_TICK = 0.85
#: Area in square points of the mark of a bin that holds all questions.
_WHOLE = 60.0


def draw(rows: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """Curves with bands and bin means, ECE above, histograms of confidence beneath.

    Args:
        rows: of RELIABILITY, of one pair under one method.
        metrics: rows of ALL_METRICS of that pair and method.
    """
    tasks = sorted(rows["task"].unique(), key=str.casefold)
    if not tasks:
        return style.in_words("No task of this study was read by this method.")
    columns = min(COLUMNS, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    with style.styled():
        width = style.TWO_COLUMNS if columns > 2 else style.ONE_COLUMN
        panel = min(width / columns, 2.2, (style.PAGE_HEIGHT - 0.4) / lines - _AROUND)
        size = (width, lines * (panel + _AROUND) + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(lines, columns)
        for i, task in enumerate(tasks):
            halves = grid[divmod(i, columns)].subgridspec(2, 1, height_ratios=[3, 1], hspace=0.04)
            top = figure.add_subplot(halves[0])
            below = figure.add_subplot(halves[1], sharex=top)
            for stage in STAGES:
                shown = rows[(rows["task"] == task) & (rows["stage"] == stage)]
                _draw_curve(top, shown, stage)
                _draw_ece(top, _ece(metrics, task, stage), stage)
                _draw_histogram(below, shown[shown["part"] == "bin"], stage)
            _frame(top, below, style.task_name(task), leftmost=i % columns == 0)
            below.set_xlabel("confidence")
        style.legend_beneath(
            figure,
            [
                *(
                    Line2D([], [], color=colour, linestyle=line, marker=shape, label=stage)
                    for stage, (colour, line, shape) in _LOOKS.items()
                ),
                Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="calibrated"),
            ],
        )
    return figure


def numbers(rows: pd.DataFrame, metrics: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this pair, by task."""
    return {
        "tasks": [
            {"task": style.task_name(task)}
            | {
                stage: _summary(rows[(rows["task"] == task) & (rows["stage"] == stage)])
                | {"ece": _ece(metrics, task, stage)}
                for stage in STAGES
            }
            for task in sorted(rows["task"].unique(), key=str.casefold)
        ]
    }


def _summary(rows: pd.DataFrame) -> dict[str, float]:
    """Mean confidence and accuracy in percent, from the bins of one model on one task."""
    bins = rows[(rows["part"] == "bin") & (rows["questions"] > 0)]
    share = bins["questions"] / bins["questions"].sum()
    return {
        "questions": int(bins["questions"].sum()),
        "confidence": 100 * float((share * bins["confidence"]).sum()),
        "accuracy": 100 * float((share * bins["accuracy"]).sum()),
    }


def _ece(metrics: pd.DataFrame, task: str, stage: str) -> str:
    """ECE with its interval, in words; empty where the study does not measure it."""
    rows = metrics[
        (metrics["metric"] == "ece") & (metrics["task"] == task) & (metrics["stage"] == stage)
    ]
    if rows.empty:
        return ""
    value, low, high = 100 * rows[["value", "ci_low", "ci_high"]].astype(float).to_numpy()[0]
    return f"{value:.1f} %" + (f" ({low:.1f} to {high:.1f})" if np.isfinite(low) else "")


def _draw_ece(axes: Axes, words: str, stage: str) -> None:
    """Words above a panel, beneath its title: the line of the base model over the other's."""
    if not words:
        return
    text = axes.annotate(
        f"{stage}: ECE {words}", (1, 1), xycoords="axes fraction", color=_LOOKS[stage][0],
        xytext=(0, 10 if stage == BASE else 2.5), textcoords="offset points", fontsize=6,
        ha="right",
    )  # fmt: skip
    text.set_in_layout(False)  # it may begin left of the panel, which is not to shrink for it


def _draw_curve(axes: Axes, rows: pd.DataFrame, stage: str) -> None:
    colour, line, shape = _LOOKS[stage]
    curve = rows[rows["part"] == "curve"]
    # A gap where too few questions lie near is a gap of the line: each run is drawn by itself.
    run = (curve["confidence"].diff() > 0.015).cumsum()
    for _, piece in curve.groupby(run):
        axes.fill_between(
            piece["confidence"], piece["low"], piece["high"], color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(piece["confidence"], piece["accuracy"], color=colour, linestyle=line)
    bins = rows[(rows["part"] == "bin") & (rows["questions"] > 0)]
    axes.scatter(
        bins["confidence"],
        bins["accuracy"],
        s=_WHOLE * bins["questions"] / bins["questions"].sum(),
        marker=shape,
        edgecolors=[colour],
        facecolors="white",
        linewidths=0.6,
        clip_on=False,
        zorder=3,
    )


def _draw_histogram(axes: Axes, bins: pd.DataFrame, stage: str) -> None:
    colour, line, _ = _LOOKS[stage]
    edges = np.append(bins["left"], bins["right"].iloc[-1])
    share = bins["questions"] / bins["questions"].sum()
    if stage == BASE:
        axes.stairs(share, edges, color=colour, alpha=0.3, fill=True, linewidth=0)
    axes.stairs(share, edges, color=colour, linewidth=0.7, linestyle=line)


def _frame(top: Axes, below: Axes, title: str, leftmost: bool) -> None:
    """Both axes from 0 to 1, few ticks, the line of perfect calibration."""
    top.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.6, linestyle=":", zorder=0)
    top.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    top.set_title(title, pad=18 if top.texts else None)
    top.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    top.tick_params(labelbottom=False)
    below.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    highest = below.get_ylim()[1]
    tick = _round(highest)
    below.set_ylim(0, max(highest, tick / _HIGHEST_TICK))
    below.set_yticks([0, tick], ["0", f"{100 * tick:g}"])
    if leftmost:
        top.set_ylabel("accuracy")
        below.set_ylabel("share (%)")


def _round(highest: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that a number reaches."""
    power = 10.0 ** math.floor(math.log10(highest))
    return max(times * power for times in (1, 2, 5) if times * power <= highest)
