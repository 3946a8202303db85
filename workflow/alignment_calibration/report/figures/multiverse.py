"""The specification curve: what alignment did, under every way of measuring calibration."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from alignment_calibration.report.figures import style

#: What a specification is made of, in the order of the rows below the curve.
CHOICES = ("metric", "bins", "binning", "reading")

#: Room at either end of the columns, in parts of their width: half a column of hundreds is narrower
#: than half a mark.
_ROOM = 0.005

_WORSE, _BETTER, _UNDECIDED = style.ALIGNED_COLOUR, style.BASE_COLOUR, "0.87"


def draw(universes: pd.DataFrame) -> Figure:
    """Effects with their intervals, sorted, and shares of contrasts, over a matrix of what each is.

    Args:
        universes: rows of MULTIVERSE.
    """
    ordered = _ordered(universes)
    if ordered.empty:
        return style.in_words("There is no specification to show.")
    options = [
        (choice, option)
        for choice in CHOICES
        for option in sorted(ordered[choice].dropna().unique())
    ]
    with style.styled():
        # Shares are unknown of a metric without test: if of all, they have no panel.
        tested = ordered["worse"].notna()
        heights = [1.9, *([0.8] if tested.any() else []), 0.115 * len(options)]
        figure = Figure(figsize=(style.TWO_COLUMNS, sum(heights) + 0.4), layout="constrained")
        top, *middle, bottom = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _draw_effects(top, ordered)
        for axes in middle:
            _draw_shares(axes, ordered)
        _draw_matrix(bottom, ordered, options)
        room = 0.5 + _ROOM * len(ordered)
        top.set_xlim(-room, len(ordered) - 1 + room)  # and with it the panels below
        figure.align_ylabels([top, *middle])
        style.legend_beneath(
            figure,
            [
                _effect_handle(has_intervals=bool(ordered["worsening_ci_low"].notna().any())),
                *(_share_handles(untested=not tested.all()) if middle else ()),
            ],
        )
    return figure


def _effect_handle(has_intervals: bool) -> Line2D:
    label = "effect, 95 % interval" if has_intervals else "effect"
    return Line2D([], [], color="0.1", marker=".", linewidth=0.6 * has_intervals, label=label)


def _share_handles(untested: bool) -> list[Patch]:
    handles = [
        Patch(color=_WORSE, label="significantly worse"),
        Patch(color=_UNDECIDED, label="undecided"),
        Patch(color=_BETTER, hatch="////", fill=False, label="significantly better"),
    ]
    if untested:
        handles.append(Patch(facecolor="white", edgecolor="0.6", linewidth=0.5, label="no test"))
    return handles


def numbers(universes: pd.DataFrame) -> dict[str, Any]:
    """What the caption says of this run."""
    ordered = _ordered(universes)

    def named(row: pd.Series) -> dict[str, Any]:
        parts = [_name(choice, row[choice]) for choice in CHOICES if pd.notna(row[choice])]
        return {"name": ", ".join(parts), "factor": float(row["worsening"])}

    return {
        "universes": len(ordered),
        "intervals": bool(ordered["worsening_ci_low"].notna().any()),
        "tested": bool(ordered["worse"].notna().any()),
        "undefined": len(universes) - len(ordered),
        "contrasts": int(ordered["contrasts"].max()),
        "rises": int((ordered["worsening_ci_low"] > 1).sum()),
        "falls": int((ordered["worsening_ci_high"] < 1).sum()),
        "mostly_worse": int((ordered["worse"] > 0.5).sum()),
        "mostly_better": int((ordered["better"] > 0.5).sum()),
        "most": named(ordered.iloc[-1]),
        "least": named(ordered.iloc[0]),
    }


def _ordered(universes: pd.DataFrame) -> pd.DataFrame:
    """Universes that have an effect, from the most improved to the most worsened."""
    return universes.dropna(subset="worsening").sort_values(
        ["worsening", "worse", *CHOICES], ignore_index=True
    )


def _draw_effects(axes: Axes, ordered: pd.DataFrame) -> None:
    x = np.arange(len(ordered))
    low, high = ordered["worsening_ci_low"], ordered["worsening_ci_high"]
    axes.axhline(1, color=style.GREY, linewidth=0.6)
    axes.vlines(x, low, high, color="0.6", linewidth=0.7)
    axes.plot(x, ordered["worsening"], linestyle="none", marker=".", color="0.1", markersize=2.2)
    # An interval of few pairs may span powers of ten; the effects themselves must stay legible.
    span = 2 * np.abs(np.log(ordered["worsening"])).max() + np.log(1.5)
    axes.set_yscale("log", base=2)
    axes.set_ylim(
        max(float(np.exp(-span)), 0.9 * low.min(skipna=True)) if low.notna().any() else None,
        min(float(np.exp(span)), 1.1 * high.max(skipna=True)) if high.notna().any() else None,
    )
    axes.yaxis.set_major_formatter("×{x:g}")
    axes.set_ylabel("error of aligned models ÷\nthat of base models")
    axes.text(
        0.005, 0.98, "above ×1: worse after alignment", transform=axes.transAxes, va="top",
        color=style.GREY,
    )  # fmt: skip


def _draw_shares(axes: Axes, ordered: pd.DataFrame) -> None:
    x = np.arange(len(ordered))
    worse = 100 * ordered["worse"].to_numpy()
    better = 100 * ordered["better"].to_numpy()
    rest = 100 * ordered["undecided"].to_numpy()
    axes.bar(x, rest, 1, bottom=worse, color=_UNDECIDED, linewidth=0)
    axes.bar(x, worse, 1, color=_WORSE, linewidth=0)
    axes.bar(
        x, better, 1, bottom=worse + rest, fill=False, hatch="////", edgecolor=_BETTER, linewidth=0
    )
    axes.set(ylim=(0, 100), yticks=(0, 50, 100), ylabel="share of\npairs × tasks (%)")


def _draw_matrix(axes: Axes, ordered: pd.DataFrame, options: list[tuple[str, Any]]) -> None:
    y = 0.0
    ticks: list[float] = []
    for i, (choice, option) in enumerate(options):
        if i and choice != options[i - 1][0]:
            y += 0.6
        where = np.flatnonzero((ordered[choice] == option).fillna(False).to_numpy(dtype=bool))
        axes.vlines(where, y - 0.36, y + 0.36, color="0.25", linewidth=0.9)
        ticks.append(y)
        y += 1
    axes.set_yticks(ticks, [_name(choice, option) for choice, option in options])
    axes.set_ylim(y - 0.4, -0.6)
    axes.set_xlabel(f"{len(ordered)} specifications, sorted by the effect")
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)


def _name(choice: str, option: Any) -> str:
    """One choice of a specification in words that say what they are of."""
    if choice == "metric":
        return style.metric_name(option)
    words = str(option).replace("_", " ")
    return {"bins": f"{words} bins", "binning": f"bins of {words}"}.get(
        choice, f"{choice}: {words}"
    )
