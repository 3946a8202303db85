"""Which questions the changes come from: where the models agree, and who was right."""

import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.report.tables.cells import (
    in_order,
    primary_first,
    primary_note,
    value_cell,
)
from alignment_calibration.report.tables.table import Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

#: The splits and their parts, in the order of the columns.
SPLITS = {
    "agreement": ("agree", "disagree"),
    "correctness": ("both_right", "only_base_right", "only_aligned_right", "both_wrong"),
}
KEYS = ["metric", "method", "task", "pair"]


def table(decomposition: pd.DataFrame, primary: Primary) -> Table:
    """The parts of every change, a section per metric, method and split.

    Args:
        decomposition: rows of DECOMPOSITION.
        primary: the analysis that stands first.
    """
    texts = {
        (*(row[key] for key in KEYS), row["split"], row["part"]): value_cell(
            row["metric"], row["change"], row["ci_low"], row["ci_high"], row["debiased"]
        )
        for row in decomposition.to_dict("records")
    }
    sections = tuple(
        Section(
            caption=f"Change of {metric} under {method} by {split}, in "
            + ("nats." if METRICS[metric].unit == "nats" else "percentage points."),
            align=("l", "l", *("r" for _ in parts)),
            header=("task", "pair", *(part.replace("_", " ") for part in parts)),
            rows=tuple(
                (task, pair, *(texts[metric, method, task, pair, split, part] for part in parts))
                for task, pair in sorted({key[2:4] for key in texts if key[:2] == (metric, method)})
            ),
        )
        for metric in in_order(decomposition["metric"], [primary.metric, *METRICS])
        for method in in_order(decomposition["method"], [primary.method, *METHODS])
        if any(key[:2] == (metric, method) for key in texts)
        for split, parts in SPLITS.items()
    )
    notes = (
        *primary_note(decomposition, primary),
        "Parts of a split add up to the change. In brackets: 95 % interval. A question adds to an "
        "error with the sign of its bin's gap: where few questions leave that sign open, a part "
        "may count with either, and its interval is wide (docs/statistics.md). Where the interval "
        "leaves out the part, that less its estimated bias is shown as well (debiased).",
    )
    data = primary_first(decomposition, primary)
    return Table("Which questions the changes come from", data, sections, notes)
