"""Raw letters: how much of each change is the letter mass, how much the split among letters."""

import pandas as pd

from alignment_calibration.report.tables.cells import in_order, value_cell
from alignment_calibration.report.tables.table import MISSING, Section, Table

PARTS = ("whole", "answer", "format")


def table(parts: pd.DataFrame) -> Table:
    """The parts of every change under `choice_raw`, a section per metric.

    Args:
        parts: rows of LETTER_PARTS.
    """
    texts = {
        (row["metric"], row["task"], row["pair"], row["part"]): value_cell(
            row["metric"], row["change"], row["ci_low"], row["ci_high"], row["debiased"]
        )
        for row in parts.to_dict("records")
    }
    sections = tuple(
        Section(
            caption=f"Change of {metric} under choice_raw and its parts, in percentage points "
            "unless in nats.",
            align=("l", "l", *("r" for _ in PARTS)),
            header=("task", "pair", *PARTS),
            rows=tuple(
                (task, pair, *(texts.get((metric, task, pair, p), MISSING) for p in PARTS))
                for task, pair in sorted({key[1:3] for key in texts if key[0] == metric})
            ),
        )
        for metric in in_order(parts["metric"])
    )
    notes = (
        "answer: another split of the probability among the listed letters. format: another share "
        "of it on the listed letters at all, the letter mass. Each is the mean over both orders of "
        "changing the two; they add up to the whole.",
        "In brackets: 95 % interval, paired over the questions; where it leaves out the change, "
        "the change less its estimated bias is shown as well (debiased).",
    )
    return Table("Raw letters: answer and format", parts, sections, notes)
