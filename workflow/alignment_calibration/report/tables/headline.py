"""What alignment did, over all pairs and tasks: the first thing to read."""

import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS, interval_note
from alignment_calibration.calibration.resampling import significant
from alignment_calibration.report.tables.cells import (
    in_order,
    mean_cell,
    primary_first,
    primary_note,
)
from alignment_calibration.report.tables.table import MISSING, Bold, Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS


def table(
    effects: pd.DataFrame, of_pairs: pd.DataFrame, of_parts: pd.DataFrame, primary: Primary
) -> Table:
    """The mean change of every metric under every method, and how many pairs and tasks worsen.

    Then the means of the primary metric pair by pair.

    Args:
        effects: rows of EFFECTS.
        of_pairs: rows of PAIR_EFFECTS.
        of_parts: rows of MAP_EFFECTS.
        primary: the analysis that stands first.
    """
    rows = {(row["metric"], row["method"]): row for row in effects.to_dict("records")}
    of_map = {
        (row["metric"], row["method"]): mean_cell(row)
        for row in of_parts[of_parts["part"] == "map"].to_dict("records")
    }
    names = in_order(effects["metric"], [primary.metric, *METRICS])
    section = Section(
        caption="Mean change from base to aligned model over pairs and tasks, in percentage points "
        "unless in nats.",
        align=("l", "l", "r", "r", "r", "r"),
        header=("metric", "method", "mean change", "of it the map", "pairs worse", "tasks worse"),
        rows=tuple(
            (
                f"{metric} (nats)" if METRICS[metric].unit == "nats" else metric,
                method,
                Bold(mean_cell(row)) if significant(row["p_value"]) else mean_cell(row),
                of_map.get((metric, method), MISSING),
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
        "Bold: the interval leaves out 0 (each by itself, without correction). It "
        + (
            "is that of the mean over all pairs like these, taken for independent: of pairs that "
            "share a base model it is too narrow."
            if effects["pairs"].max() > 1
            else "speaks of the questions of the one pair only."
        ),
        "Pairs, or tasks, worsen by the sign of their mean less its estimated bias.",
        "Of it the map: the part of the mean change of ece and sce that is there at equal "
        "confidences (table map_parts).",
    ]
    data = primary_first(effects, primary)
    sections = (section, _by_pair(of_pairs, primary))
    return Table("What alignment did over all pairs and tasks", data, sections, tuple(notes))


def _by_pair(effects: pd.DataFrame, primary: Primary) -> Section:
    """The mean changes of the primary metric, pair by pair."""
    rows = effects[effects["metric"] == primary.metric]
    methods = in_order(rows["method"], [primary.method, *METHODS])
    texts = {
        (row["pair"], row["method"]): (
            mean_cell(row),
            _share(row["tasks_worse"], row["tasks"]),
        )
        for row in rows.to_dict("records")
    }
    return Section(
        caption=f"Mean change of {primary.metric} over tasks by pair, in "
        f"{'nats' if METRICS[primary.metric].unit == 'nats' else 'percentage points'}.",
        align=("l", *("r" for _ in methods for _ in range(2))),
        header=("pair", *(text for method in methods for text in (method, "tasks worse"))),
        rows=tuple(
            (
                pair,
                *(
                    text
                    for method in methods
                    for text in texts.get((pair, method), (MISSING, MISSING))
                ),
            )
            for pair in in_order(rows["pair"])
        ),
    )


def _share(worse: int, of: int) -> str:
    """How many are worse, of how many; nothing for metrics without a worse side."""
    return MISSING if pd.isna(worse) else f"{worse} of {of}"
