"""The primary analysis of many pairs: by lineage (pairs of one base), and the largest named."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.report.figures import style
from alignment_calibration.report.figures.distribution import FEWEST, draw_points
from alignment_calibration.report.registry import MOST_PAIRS
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import BASE

#: Height in inches of a line, and of a panel's heading and labels.
_LINE, _AROUND = 0.15, 0.55

_OTHERS, _ALL = "other pairs", "all pairs"


def draw(effects: pd.DataFrame, metrics: pd.DataFrame, primary: Primary) -> Figure:
    """Mean changes over tasks: above a line of points per lineage, beneath the largest by name.

    Args:
        effects: rows of PAIR_EFFECTS.
        metrics: rows of ALL_METRICS, which tell the base model of every pair.
        primary: the analysis shown.
    """
    rows = _rows_of(effects, metrics, primary)
    if rows.empty:
        return style.in_words("The primary analysis has no changes: there is nothing to show.")
    lineages = list(rows.groupby("lineage")["change"].median().sort_values().index[::-1])
    largest = _largest(rows)
    nats = METRICS[primary.metric].unit == "nats"
    with style.styled():
        lines = [len(lineages), len(largest)]
        size = (1.5 * style.ONE_COLUMN, _LINE * sum(lines) + 2 * _AROUND)
        figure = Figure(figsize=size, layout="constrained")
        above, beneath = figure.subplots(2, 1, sharex=True, height_ratios=lines)
        for place, lineage in enumerate(lineages):
            of_lineage = rows.loc[rows["lineage"] == lineage, "change"]
            draw_points(above, of_lineage.to_numpy(dtype=float), place)
        sizes = rows["lineage"].value_counts()
        _frame(above, [f"{lineage} ({sizes[lineage]})" for lineage in lineages])
        above.set_title("by base model (pairs)" if lineages != [_ALL] else "")
        above.tick_params(labelbottom=True)
        places = np.arange(len(largest))
        beneath.hlines(places, largest["low"], largest["high"], color="0.5", linewidth=0.7)
        beneath.plot(
            largest["change"], places, linestyle="none", marker="o", color=style.ALIGNED_COLOUR
        )
        _frame(beneath, list(largest["pair"]))
        beneath.set_title(f"the {len(largest)} largest, 95 % intervals")
        unit = "nats" if nats else "points"
        name = f"{style.metric_name(primary.metric)}, {style.method_name(primary.method)}"
        beneath.set_xlabel(f"mean change over tasks ({unit}): {name}")
    return figure


def numbers(effects: pd.DataFrame, metrics: pd.DataFrame, primary: Primary) -> dict[str, Any]:
    """What the caption says of this run; changes in percentage points, or in nats."""
    rows = _rows_of(effects, metrics, primary)
    return {
        "pairs": len(rows),
        "most": MOST_PAIRS,
        "fewest": FEWEST,
        "metric": style.metric_name(primary.metric),
        "method": style.method_name(primary.method),
        "unit": "nats" if METRICS[primary.metric].unit == "nats" else "points",
        "rises": int((rows["change"] > 0).sum()),
        "lineages": rows.loc[~rows["lineage"].isin([_OTHERS, _ALL]), "lineage"].nunique(),
    }


def _rows_of(effects: pd.DataFrame, metrics: pd.DataFrame, primary: Primary) -> pd.DataFrame:
    """The pairs' mean changes (`change`, `low`, `high`) with the `lineage` of each.

    Lineages are the base models of several pairs, at most MOST_PAIRS of them: those of most pairs.
    """
    rows: pd.DataFrame = effects[primary.holds(effects)].dropna(subset="mean_change")
    factor = 1 if METRICS[primary.metric].unit == "nats" else 100
    ends = {"change": "mean_change", "low": "ci_low", "high": "ci_high"}
    rows = rows.assign(**{name: factor * rows[column] for name, column in ends.items()})
    bases = metrics[metrics["stage"] == BASE].drop_duplicates("pair").set_index("pair")["model"]
    base = rows["pair"].map(bases)
    sizes = base.value_counts()
    several = sizes[sizes > 1].sort_index().sort_values(ascending=False, kind="stable")
    kept = several.index[:MOST_PAIRS]
    rows["lineage"] = base.where(base.isin(kept), _OTHERS if len(kept) else _ALL)
    return rows


def _largest(rows: pd.DataFrame) -> pd.DataFrame:
    """The MOST_PAIRS changes farthest from 0, from the largest rise down."""
    far = rows["change"].abs().sort_values(ascending=False, kind="stable").index[:MOST_PAIRS]
    return rows.loc[far].sort_values("change", ascending=False, kind="stable")


def _frame(axes: Axes, names: list[str]) -> None:
    axes.axvline(0, color="0.3", linewidth=0.6, zorder=1)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
