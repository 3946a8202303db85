"""What each stage of training did, and whether a metric goes one way over the stages."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS, interval_note
from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.report.tables.cells import (
    in_order,
    primary_first,
    primary_note,
    value_cell,
)
from alignment_calibration.report.tables.table import MISSING, Bold, Section, Table
from alignment_calibration.study.ladders import shown_pair
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

KEYS = ["task", "method", "metric"]


def table(trends: pd.DataFrame, steps: pd.DataFrame, primary: Primary) -> Table:
    """A section per ladder and metric: the changes of its steps, and the trend.

    Args:
        trends: rows of TRENDS.
        steps: rows of CHANGES, of steps.
        primary: the analysis that stands first.
    """
    changes = {
        (row["pair"], *(row[key] for key in KEYS)): _cell(
            row, row["change"], row["aligned_debiased"] - row["base_debiased"],
            row["change_ci_low"], row["change_ci_high"],
        )
        for row in steps.to_dict("records")
    }  # fmt: skip
    sections = []
    names = in_order(trends["metric"], [primary.metric, *METRICS])
    for ladder in in_order(trends["ladder"]):
        of_ladder = [
            pair for pair in dict.fromkeys(steps["pair"])
            if shown_pair(pair).startswith(f"{ladder}: ")
        ]  # fmt: skip
        for metric in names:
            rows = trends[(trends["ladder"] == ladder) & (trends["metric"] == metric)]
            unit = "nats" if METRICS[metric].unit == "nats" else "percentage points"
            sections.append(
                Section(
                    caption=f"{ladder}: change of {metric} in each step, and per stage, in {unit}.",
                    align=("l", "l", *("r" for _ in of_ladder), "r"),
                    header=(
                        "task",
                        "method",
                        *(shown_pair(pair).removeprefix(f"{ladder}: ") for pair in of_ladder),
                        "trend",
                    ),
                    rows=tuple(
                        (
                            row["task"],
                            row["method"],
                            *(
                                changes.get((pair, *(row[key] for key in KEYS)), MISSING)
                                for pair in of_ladder
                            ),
                            _cell(
                                row, row["trend"], row["debiased"], row["ci_low"], row["ci_high"]
                            ),
                        )
                        for method in in_order(rows["method"], [primary.method, *METHODS])
                        for row in rows[rows["method"] == method].to_dict("records")
                    ),
                )
            )
    notes = (
        *primary_note(trends, primary),
        interval_note(names),
        "Trend: slope of the line fitted to the values of all stages. A metric that rises and "
        "falls again may have none.",
        f"Bold: differs from 0 at a false discovery rate of {SIGNIFICANCE:.0%}, steps over the "
        "steps of the metric and method, trends over its trends.",
        "The steps of a ladder add up to its whole, which stands with the pairs.",
    )
    data = primary_first(trends, primary)
    return Table("What each stage of training did", data, tuple(sections), notes)


def _cell(
    row: Mapping[Hashable, Any], value: float, debiased: float, low: float, high: float
) -> str:
    text = value_cell(str(row["metric"]), value, low, high, debiased)
    return Bold(text) if row["q_value"] < SIGNIFICANCE else text
