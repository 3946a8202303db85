"""Accuracy and calibration told apart: how much of each change is another calibration map."""

import numpy as np
import pandas as pd

from alignment_calibration.report.tables.cells import in_order, value_cell
from alignment_calibration.report.tables.table import MISSING, Section, Table
from alignment_calibration.study.vocabulary import METHODS

PARTS = ("whole", "map", "confidences", "unshared")
KEYS = ["metric", "method", "task", "pair"]


def table(parts: pd.DataFrame) -> Table:
    """The parts of every change, a section per metric and method.

    Args:
        parts: rows of MAP_PARTS.
    """
    texts = {
        (*(row[key] for key in KEYS), row["part"]): value_cell(
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
        for metric in in_order(parts["metric"])
        for method in in_order(parts["method"], METHODS)
    )
    notes = [
        "map: at equal confidences the model is right more or less often. confidences: it is more "
        "or less sure, on the same map. unshared: what confidences add that one model hardly uses. "
        "The three add up to the whole.",
        *(opposite(metric, rows) for metric, rows in parts.groupby("metric")),
        "In brackets: 95 % interval; where it leaves out the change, the change less its estimated "
        "bias is shown as well (debiased). With a few hundred questions bins cannot be cut into "
        "slices, and the map part of sce holds some of the rest: its intervals are indicative "
        "there (docs/statistics.md).",
    ]
    return Table("Accuracy and calibration told apart", parts, sections, tuple(notes))


def opposite(metric: object, parts: pd.DataFrame) -> str:
    """How often the whole and the map part of a metric's changes speak against each other."""
    signs = {}
    for part in ("whole", "map"):
        rows = parts[parts["part"] == part].set_index(KEYS[1:])
        sign = np.sign(rows["debiased"])
        signs[part] = sign, sign.where((rows["ci_low"] > 0) | (rows["ci_high"] < 0), 0)
    (whole, found_whole), (of_map, found_map) = signs["whole"], signs["map"]
    return (
        f"{metric}: in {int((whole * of_map < 0).sum())} of {len(whole)} contrasts the whole and "
        "the map part, less their estimated bias, have opposite signs, in "
        f"{int((found_whole * found_map < 0).sum())} of them with intervals that leave out 0; the "
        f"whole is found in {int((found_whole != 0).sum())}, the map part in "
        f"{int((found_map != 0).sum())}."
    )
