"""The values behind the published changes."""

import numpy as np
import pandas as pd

from alignment_calibration.reference.published import recover
from alignment_calibration.report.tables.table import MISSING, Section, Table
from alignment_calibration.study.vocabulary import STAGES


def table(changes: pd.DataFrame) -> Table:
    """The recovered values with their rounding intervals, a section per metric and method.

    Args:
        changes: rows of CHANGES, of the published study.
    """
    recovered = recover(changes)
    sections = tuple(
        Section(
            caption=f"{metric} under {method}, with the interval that rounding leaves open.",
            align=("l", "l", "r", "r"),
            header=("task", "pair", *STAGES),
            rows=tuple(
                (
                    *map(str, key),
                    *(_field(rows[rows["stage"] == stage]) for stage in STAGES),
                )
                for key, rows in block.groupby(["task", "pair"])
            ),
        )
        for (metric, method), block in recovered.groupby(["metric", "method"])
    )
    return Table("Values recovered from the published changes", recovered, sections)


def _field(rows: pd.DataFrame) -> str:
    [(value, low, high)] = rows[["value", "low", "high"]].to_numpy(dtype=np.float64)
    if np.isnan(value):
        return MISSING
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
