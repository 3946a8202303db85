"""What the published SCE measures."""

import pandas as pd

from alignment_calibration.reference.published import (
    CONTRAST,
    RESOLUTION,
    errors_of_definitions,
)
from alignment_calibration.report.tables.table import Section, Table
from alignment_calibration.study.vocabulary import STAGES


def table(audit: pd.DataFrame, changes: pd.DataFrame) -> Table:
    """The audited values, and for people how far each definition of SCE is from them.

    Args:
        audit: rows of PUBLISHED_AUDIT.
        changes: rows of CHANGES, of the published study: what the values were recovered from.
    """
    errors = errors_of_definitions(audit)
    section = Section(
        caption="Absolute difference between the recovered SCE and what a definition comes to.",
        align=("l", "l", "r", "r", "r", "r"),
        header=("definition", "confidence", "values", "median", "mean", "largest"),
        rows=tuple(
            (
                row["definition"],
                "accuracy ± ECE, better sign" if row["sign"] == "better" else "accuracy + ECE",
                str(row["values"]),
                *(f"{row[name]:.3f}" for name in ("median", "mean", "largest")),
            )
            for row in errors.to_dict("records")
        ),
    )
    values = len(STAGES) * len(changes[CONTRAST].drop_duplicates())
    notes = (
        f"{len(audit)} of {values} values (pair × task × method × stage); of the others, rounding "
        f"leaves accuracy, ECE or SCE open by more than ± {RESOLUTION}.",
    )
    return Table("What the published SCE measures", audit, (section,), notes)
