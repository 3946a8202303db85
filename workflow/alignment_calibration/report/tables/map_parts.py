"""Accuracy and calibration told apart: how much of each change is another calibration map."""

import pandas as pd

from alignment_calibration.pairs.map_parts import CONTRAST, opposite_signs
from alignment_calibration.report.tables.cells import (
    in_order,
    mean_cell,
    primary_first,
    primary_note,
    value_cell,
)
from alignment_calibration.report.tables.table import MISSING, Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

PARTS = ("whole", "map", "confidences", "unshared")


def table(parts: pd.DataFrame, effects: pd.DataFrame, primary: Primary) -> Table:
    """The parts of the mean changes, then those of every change, a section per metric and method.

    Args:
        parts: rows of MAP_PARTS.
        effects: rows of MAP_EFFECTS.
        primary: the analysis that stands first.
    """
    texts = {
        (*(row[key] for key in CONTRAST), row["part"]): value_cell(
            row["metric"], row["change"], row["ci_low"], row["ci_high"], row["debiased"]
        )
        for row in parts.to_dict("records")
    }
    sections = tuple(
        Section(
            caption=f"Change of {metric} under {method} and its parts, in percentage points.",
            align=("l", "l", *("r" for _ in PARTS)),
            header=("task", "pair", *PARTS),
            rows=tuple(
                (task, pair, *(texts.get((metric, method, task, pair, p), MISSING) for p in PARTS))
                for task, pair in sorted({key[2:4] for key in texts if key[:2] == (metric, method)})
            ),
        )
        for metric in in_order(parts["metric"], [primary.metric])
        for method in in_order(parts["method"], [primary.method, *METHODS])
    )
    notes = [
        *primary_note(parts, primary),
        "map: at equal confidences the model is right more or less often. confidences: it is more "
        "or less sure, on the same map. unshared: what confidences add that one model hardly uses. "
        "The three add up to the whole.",
        *(_signs(metric, rows) for metric, rows in parts.groupby("metric")),
        "In brackets: 95 % interval; where it leaves out the change, the change less its estimated "
        "bias is shown as well (debiased). Those of map and confidences reach from none to all of "
        "what is unshared, which could be of either.",
    ]
    sections = (_means(effects, primary), *sections)
    data = primary_first(parts, primary)
    return Table("Accuracy and calibration told apart", data, sections, tuple(notes))


def _signs(metric: object, parts: pd.DataFrame) -> str:
    """How often the whole and the map part of a metric's changes speak against each other."""
    count = opposite_signs(parts)
    return (
        f"{metric}: in {count['opposite']} of {count['contrasts']} contrasts the whole and the map "
        "part, less their estimated bias, have opposite signs, in "
        f"{count['opposite_found']} of them with intervals that leave out 0; the whole is found in "
        f"{count['whole_found']}, the map part in {count['map_found']}."
    )


def _means(effects: pd.DataFrame, primary: Primary) -> Section:
    """The parts of the mean changes."""
    texts = {
        (row["metric"], row["method"], row["part"]): mean_cell(row)
        for row in effects.to_dict("records")
    }
    return Section(
        caption="Mean change over pairs and tasks and its parts, in percentage points.",
        align=("l", "l", *("r" for _ in PARTS)),
        header=("metric", "method", *PARTS),
        rows=tuple(
            (metric, method, *(texts.get((metric, method, part), MISSING) for part in PARTS))
            for metric in in_order(effects["metric"], [primary.metric])
            for method in in_order(effects["method"], [primary.method, *METHODS])
        ),
    )
