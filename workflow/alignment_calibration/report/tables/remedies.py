"""What remedies make of the aligned models' errors, and of the changes from base to aligned."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.pairs.remedies import REMEDIES
from alignment_calibration.report.tables.cells import (
    in_order,
    percent,
    primary_first,
    primary_note,
    value_cell,
)
from alignment_calibration.report.tables.table import MISSING, Bold, Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

#: Metrics that are shown; the CSV has all.
SHOWN = ("ece", "sce")

_OF_TEMPERATURE = (
    "temperature: that of the least log loss and not of the least ECE or SCE: where a few extreme "
    "log-probabilities decide it, it can make a model under-confident, so that these rise."
)


def table(effects: pd.DataFrame, primary: Primary) -> Table:
    """Errors and changes before and after every remedy, a section per metric, method and remedy.

    Args:
        effects: rows of REMEDY_EFFECTS.
        primary: the analysis that stands first.
    """
    shown = effects[effects["metric"].isin(SHOWN)]
    groups = dict(iter(shown.groupby(["metric", "method", "remedy"])))
    sections = tuple(
        Section(
            caption=f"{metric} under {method}, {name}: {REMEDIES[name].label}; in "
            "percent, changes in percentage points.",
            align=("l", "l", *("r" for _ in range(5))),
            header=("task", "pair", "aligned", "what changes", "change before", "after", "removed"),
            rows=tuple(_row(row) for row in groups[metric, method, name].to_dict("records")),
        )
        for metric in in_order(shown["metric"], [primary.metric, *SHOWN])
        for method in in_order(shown["method"], [primary.method, *METHODS])
        for name in REMEDIES
        if (metric, method, name) in groups
    )
    notes = (
        *primary_note(shown, primary),
        "aligned: the aligned model as it is; what changes: with the remedy, less without, bold "
        f"where that differs from zero (each by itself, at {SIGNIFICANCE:.0%}). change: aligned − "
        "base. removed: share of the change that is gone, shown where the change is found; above "
        "100 it has turned round.",
        *([_OF_TEMPERATURE] if "temperature" in set(shown["remedy"]) else []),
        "In brackets: 95 % interval, of the predictions as remedied; where it leaves out the "
        "number, that less its estimated bias is shown as well (debiased).",
    )
    return Table("Remedies", primary_first(effects, primary), sections, notes)


def _row(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    effect = _cell(row, "aligned_effect")
    found = row["aligned_effect_ci_low"] > 0 or row["aligned_effect_ci_high"] < 0
    return (
        row["task"],
        row["pair"],
        _cell(row, "aligned_before"),
        Bold(effect) if found else effect,
        _cell(row, "change_before"),
        _cell(row, "change_after"),
        _removed(row),
    )


def _cell(row: Mapping[Hashable, Any], name: str) -> str:
    parts = ("", "_ci_low", "_ci_high", "_debiased")
    return value_cell(row["metric"], *(row[f"{name}{part}"] for part in parts))


def _removed(row: Mapping[Hashable, Any]) -> str:
    ends = [row[f"removed{part}"] for part in ("", "_ci_low", "_ci_high")]
    if pd.isna(ends[0]):
        return MISSING
    value, low, high = (percent(end, 0) for end in ends)
    return f"{value} [{low}, {high}]"
