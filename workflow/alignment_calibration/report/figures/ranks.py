"""Rank of each pair on each task, shaded by how sure the rank is."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from alignment_calibration.report.figures import style
from alignment_calibration.study.vocabulary import METHODS

METRICS = ("ece", "sce_ovr")

#: Inches across that panels have beside the names of pairs and the key of the shades.
_PANELS = 4.4
#: Most tasks of one method that are shown at the width of one column.
_FEW = 8

#: From white to a middle blue, on which black numbers can still be read.
_SHADES = ListedColormap(sns.color_palette("Blues", 256)[:150])


def draw(changes: pd.DataFrame, probabilities: pd.DataFrame | None) -> Figure:
    """A heat map per metric and method: pairs downwards, tasks across, the rank in each field.

    Args:
        changes: rows of CHANGES, with the ranks of the change rates.
        probabilities: rows of RANK_PROBABILITIES, which give the shade; without them, the shade
            repeats the rank.
    """
    ranked = _ranked(changes, probabilities)
    if ranked["pair"].nunique() < 2:
        return style.in_words("Fewer than two pairs have change rates: there is nothing to rank.")
    metrics = [metric for metric in METRICS if (ranked["metric"] == metric).any()]
    methods = [method for method in METHODS if (ranked["method"] == method).any()]
    tasks = sorted(ranked["task"].unique(), key=str.casefold)
    pairs = list(ranked.groupby("pair")["rank"].mean().sort_values(kind="stable").index)
    with style.styled():
        lines, columns = len(metrics), len(methods)
        height = 0.13 * max(len(pairs), 3) + 0.4
        fits = columns == 1 and len(tasks) <= _FEW
        size = (style.ONE_COLUMN if fits else style.TWO_COLUMNS, lines * height + 1.0)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes_line, metric in zip(grid, metrics, strict=True):
            for axes, method in zip(axes_line, methods, strict=True):
                shown = ranked[(ranked["metric"] == metric) & (ranked["method"] == method)]
                if shown.empty:
                    axes.set_visible(False)
                    continue
                name = style.metric_name(metric)
                if columns > 4:
                    name = name.replace(" (", "\n(")
                how = style.in_lines(style.method_name(method), _PANELS / columns)
                axes.set_title(f"{name}\n{how}")
                _draw_panel(axes, shown, pairs, tasks)
            style.first_shown(axes_line).tick_params(labelleft=True)
        for axes in (style.first_shown(column[::-1]) for column in grid.T):
            axes.tick_params(labelbottom=True)
            axes.set_xticks(
                np.arange(len(tasks)) + 0.5,
                [style.task_name(task) for task in tasks],
                rotation=90,
            )
        if probabilities is not None:
            shades = ScalarMappable(Normalize(0, 1), _SHADES)
            bar = figure.colorbar(shades, ax=grid, shrink=0.8, aspect=30, pad=0.02)
            bar.set_label("bootstrap probability of this rank")
            bar.outline.set_visible(False)
    return figure


def numbers(changes: pd.DataFrame, probabilities: pd.DataFrame | None) -> dict[str, Any]:
    """What the caption says of this run."""
    ranked = _ranked(changes, probabilities)
    first = []
    for metric, method in itertools.product(METRICS, METHODS):
        of_panel = ranked[(ranked["metric"] == metric) & (ranked["method"] == method)]
        counts = of_panel.loc[of_panel["rank"] == 1, "pair"].value_counts()
        if not counts.empty:
            first.append(
                {
                    "metric": style.metric_name(metric),
                    "method": style.method_name(method),
                    "pair": counts.index[0],
                    "tasks": int(counts.iloc[0]),
                    "of": of_panel["task"].nunique(),
                }
            )
    return {
        "pairs": ranked["pair"].nunique(),
        "tasks": ranked["task"].nunique(),
        "first": first,
        "sure": None if probabilities is None else 100 * float((ranked["shade"] >= 0.95).mean()),
    }


def _ranked(changes: pd.DataFrame, probabilities: pd.DataFrame | None) -> pd.DataFrame:
    """Ranked rows of the metrics shown, with a shade: the probability of the observed rank."""
    ranked = changes[changes["metric"].isin(METRICS) & changes["rank"].notna()]
    if probabilities is None:
        last = ranked.groupby(["task", "method", "metric"])["rank"].transform("max")
        return ranked.assign(shade=(last - ranked["rank"]) / (last - 1).clip(lower=1))
    keys = ["task", "method", "metric", "pair", "rank"]
    merged: pd.DataFrame = ranked.merge(probabilities[[*keys, "probability"]], "left", on=keys)
    return merged.rename(columns={"probability": "shade"}).fillna({"shade": 0.0})


def _draw_panel(axes: Axes, rows: pd.DataFrame, pairs: list[str], tasks: list[str]) -> None:
    by = {"index": "pair", "columns": "task"}
    ranks = rows.pivot(**by, values="rank").reindex(index=pairs, columns=tasks)
    shade = rows.pivot(**by, values="shade").reindex(index=pairs, columns=tasks)
    sns.heatmap(
        shade.astype(float).fillna(0.0),
        mask=ranks.isna(),
        annot=ranks.astype(object).where(ranks.notna(), ""),
        fmt="",
        annot_kws={"size": 6, "color": "black"},
        cmap=_SHADES,
        vmin=0,
        vmax=1,
        cbar=False,
        linewidths=0.4,
        linecolor="0.85",
        ax=axes,
    )
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0)
    axes.set_yticks(np.arange(len(pairs)) + 0.5, pairs, rotation=0)
