"""What alignment did over all pairs and tasks: the mean change of every metric and method."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.calibration.metrics.registry import METRICS, of_own_tests
from alignment_calibration.calibration.resampling import significant
from alignment_calibration.report.figures import style
from alignment_calibration.report.tables.cells import in_order
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

#: Height in inches of a line, and most lines: a report's first page shows the figure as a whole.
_LINE = 0.12
_MOST = 32


def draw(effects: pd.DataFrame, universes: pd.DataFrame, primary: Primary) -> Figure:
    """A line per metric and method, with its interval and how many pairs and tasks worsen.

    Of many metrics only the first.

    Args:
        effects: rows of EFFECTS.
        universes: rows of MULTIVERSE, of which the caption speaks.
        primary: the analysis that stands first.
    """
    methods = in_order(effects["method"], [primary.method, *METHODS])
    metrics = _metrics(effects, primary)
    marks = style.method_marks()
    units = [[m for m in metrics if METRICS[m].unit == unit] for unit in ("fraction", "nats")]
    blocks = [block for block in units if block]
    lines = [len(block) * (len(methods) + 1) for block in blocks]
    around = 0.55 * len(blocks) + 0.35 + 0.15 * len(methods) / 2
    with style.styled():
        size = (style.ONE_COLUMN, around + _LINE * sum(lines))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=lines)[:, 0]
        for axes, block in zip(grid, blocks, strict=True):
            rows = effects[effects["metric"].isin(block)]
            _draw_block(axes, rows, block, methods, marks, primary)
        grid[0].set_title("worse: pairs, tasks", loc="right", fontsize=6, color=style.GREY)
        style.legend_beneath(figure, [_handle(method, marks[method]) for method in methods])
    return figure


def numbers(effects: pd.DataFrame, universes: pd.DataFrame, primary: Primary) -> dict[str, Any]:
    """What the caption says of this run: what was found, how sure it is, on what it depends."""
    of_metric = universes[universes["metric"] == primary.metric]
    of_primary = effects[primary.holds(effects)].to_dict("records")
    others = effects[~primary.holds(effects)]
    metrics = in_order(effects["metric"], [primary.metric, *METRICS])
    own = of_own_tests(metrics)
    secondary = others[others["metric"].isin(own)]
    elsewhere = {
        row["method"]: row for row in others[others["metric"] == primary.metric].to_dict("records")
    }
    directed = [
        _worse(row["metric"]) * row["mean_change"]
        for row in secondary.dropna(subset="mean_change").to_dict("records")
        if _worse(row["metric"])
    ]
    return {
        "pairs": int(effects["pairs"].max()),
        "tasks": int(effects["tasks"].max()),
        "shown": len(_metrics(effects, primary)),
        "metrics": effects["metric"].nunique(),
        "metric": style.metric_name(primary.metric),
        "method": style.method_name(primary.method),
        "primary": [_in_words(row) for row in of_primary],
        "elsewhere": [
            {"method": style.method_name(method), "change": _change(elsewhere[method])}
            for method in in_order(elsewhere, METHODS)
        ],
        "secondary": len(secondary),
        "uncounted": [name for name in metrics if name not in own],
        "found": int(significant(secondary["p_value"]).sum()),
        "directed": len(directed),
        "worse": sum(change > 0 for change in directed),
        "universes": int(of_metric["worsening_ci_low"].notna().sum()),
        "rises": int((of_metric["worsening_ci_low"] > 1).sum()),
        "falls": int((of_metric["worsening_ci_high"] < 1).sum()),
    }


def _metrics(effects: pd.DataFrame, primary: Primary) -> list[str]:
    """The metrics that the figure shows."""
    metrics = in_order(effects["metric"], [primary.metric, *METRICS])
    return metrics[: max(1, _MOST // (effects["method"].nunique() + 1))]


def _worse(metric: str) -> int:
    return METRICS[metric].worse


def _in_words(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The primary analysis: the answer, and the numbers that it stands on."""
    direction = _worse(row["metric"])
    found = row["ci_low"] > 0 or row["ci_high"] < 0
    if pd.isna(row["mean_change"]):
        answer = "Not known, since it is undefined on a task"
    elif not found:
        answer = "Not shown"
    elif not direction or direction * (row["ci_low"] + row["ci_high"]) > 0:
        answer = "Yes"
    else:
        answer = "No, better"
    return {
        "answer": answer,
        "found": found,
        "directed": bool(direction) and not pd.isna(row["pairs_worse"]),
        "change": _change(row),
        "interval": not (pd.isna(row["ci_low"]) or pd.isna(row["ci_high"])),
        "low": _change(row, "ci_low"),
        "high": _change(row, "ci_high"),
        "pairs_worse": row["pairs_worse"],
        "tasks_worse": row["tasks_worse"],
    }


def _change(row: Mapping[Any, Any], name: str = "mean_change") -> str:
    """A change with its unit."""
    if pd.isna(row[name]):
        return "undefined"
    if METRICS[row["metric"]].unit == "nats":
        return f"{row[name]:+.3f} nats".replace("-", "−")
    return f"{100 * row[name]:+.1f} points".replace("-", "−")


def _draw_block(
    axes: Axes,
    rows: pd.DataFrame,
    metrics: Sequence[str],
    methods: Sequence[str],
    marks: Mapping[str, style.Mark],
    primary: Primary,
) -> None:
    """The lines of metrics of one unit: metrics downwards, the methods of each side by side."""
    nats = METRICS[metrics[0]].unit == "nats"
    factor = 1 if nats else 100
    step = len(methods) + 1
    by_key = {(row["metric"], row["method"]): row for row in rows.to_dict("records")}
    axes.axvline(0, color="0.3", linewidth=0.6, zorder=1)
    for place, metric in enumerate(metrics):
        if place % 2 == 0:
            axes.axhspan(
                place * step - 1, (place + 1) * step - 1, color="0.955", linewidth=0, zorder=0
            )
        for offset, method in enumerate(methods):
            if (metric, method) not in by_key:
                continue
            row, y = by_key[metric, method], place * step + offset
            mark = marks[method]
            axes.plot(factor * row["mean_change"], y, zorder=3, **mark.settings)
            wide = 1.6 if (metric, method) == (primary.metric, primary.method) else 0.7
            low, high = factor * row["ci_low"], factor * row["ci_high"]
            axes.hlines(y, low, high, color=mark.colour, linewidth=wide, zorder=2)
            if not low <= factor * row["mean_change"] <= high:
                debiased = factor * row["mean_debiased"]
                axes.plot(debiased, y, marker="|", color=mark.colour, markersize=4, zorder=2)
            if not pd.isna(row["pairs_worse"]):
                text = f"{row['pairs_worse']}/{row['pairs']}, {row['tasks_worse']}/{row['tasks']}"
                axes.annotate(
                    text,
                    (1, y),
                    xycoords=("axes fraction", "data"),
                    xytext=(2, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=6,
                )
    axes.set_ylim(len(metrics) * step - 1, -1)
    middle = (len(methods) - 1) / 2
    axes.set_yticks(
        [place * step + middle for place in range(len(metrics))],
        [style.metric_name(metric).replace(" (", "\n(") for metric in metrics],
    )
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("mean change (nats)" if nats else "mean change (percentage points)")


def _handle(method: str, mark: style.Mark) -> Line2D:
    return Line2D([], [], label=style.method_name(method), **mark.settings)
