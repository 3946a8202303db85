"""Option order: what letters have by themselves, in base and aligned models."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from alignment_calibration.report.tables.cells import percent
from alignment_calibration.report.tables.table import Section, Table

NUMBERS = ("base", "aligned", "change")


def table(priors: pd.DataFrame) -> Table:
    """The prior of every letter, a section per task.

    Args:
        priors: rows of OPTION_ORDER.
    """
    sections = tuple(
        Section(
            caption=f"Prior of the letters in {task}, in percent.",
            align=("l", "l", *("r" for _ in NUMBERS)),
            header=("pair", "letter", *NUMBERS),
            rows=tuple(
                (str(row["pair"]), str(row["letter"]), *(_cell(row, name) for name in NUMBERS))
                for row in of_task.to_dict("records")
            ),
        )
        for task, of_task in priors.groupby("task")
    )
    notes = (
        "What a model gives each letter whatever option stands beside it, estimated from all "
        "rotations of the options; without a liking for letters all would be equal.",
        "In brackets: 95 % interval, of the change paired over the questions.",
    )
    return Table("Option order: the prior of the letters", priors, sections, notes)


def _cell(row: Mapping[Hashable, Any], name: str) -> str:
    low, high = (percent(row[f"{name}_ci_{end}"], 1) for end in ("low", "high"))
    return f"{percent(row[name], 1)} [{low}, {high}]"
