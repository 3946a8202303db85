"""What alignment did, over all pairs and tasks: the first thing to read."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS, interval_note
from alignment_calibration.calibration.resampling import significant
from alignment_calibration.report.tables.cells import (
    in_order,
    primary_first,
    primary_note,
    value_cell,
)
from alignment_calibration.report.tables.table import MISSING, Bold, Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS


def table(effects: pd.DataFrame, primary: Primary) -> Table:
    """The mean change of every metric under every method, and how many pairs and tasks worsen.

    Args:
        effects: rows of EFFECTS.
        primary: the analysis that stands first.
    """
    rows = {(row["metric"], row["method"]): row for row in effects.to_dict("records")}
    names = in_order(effects["metric"], [primary.metric, *METRICS])
    section = Section(
        caption="Mean change from base to aligned model over pairs and tasks, in percentage points "
        "unless in nats.",
        align=("l", "l", "r", "r", "r"),
        header=("metric", "method", "mean change", "pairs worse", "tasks worse"),
        rows=tuple(
            (
                f"{metric} (nats)" if METRICS[metric].unit == "nats" else metric,
                method,
                _mean(row),
                _share(row["pairs_worse"], row["pairs"]),
                _share(row["tasks_worse"], row["tasks"]),
            )
            for metric in names
            for method in in_order(effects["method"], [primary.method, *METHODS])
            if (metric, method) in rows
            for row in [rows[metric, method]]
        ),
    )
    notes = [
        *primary_note(effects, primary),
        interval_note(names),
        "Bold: the interval leaves out 0 (each by itself, without correction). It is that of the "
        "mean over all pairs like these, of which the study has few"
        + (
            "; with one pair, it speaks of that pair's questions only."
            if effects["pairs"].max() == 1
            else "."
        ),
        "Pairs, or tasks, worsen by the sign of their mean less its estimated bias.",
    ]
    data = primary_first(effects, primary)
    return Table("What alignment did over all pairs and tasks", data, (section,), tuple(notes))


def _mean(row: Mapping[Hashable, Any]) -> str:
    text = value_cell(
        str(row["metric"]),
        row["mean_change"],
        row["ci_low"],
        row["ci_high"],
        row["mean_debiased"],
    )
    return Bold(text) if significant(row["p_value"]) else text


def _share(worse: int, of: int) -> str:
    """How many are worse, of how many; nothing for metrics without a worse side."""
    return MISSING if pd.isna(worse) else f"{worse} of {of}"
