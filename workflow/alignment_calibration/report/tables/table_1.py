"""The paper's Table 1, recomputed from the published change rates."""

import pandas as pd

from alignment_calibration.reference.published import table_1
from alignment_calibration.report.tables import ranks
from alignment_calibration.report.tables.table import Table


def table(changes: pd.DataFrame) -> Table:
    """The ranks of the tasks, method and metric that the paper's Table 1 shows.

    Args:
        changes: rows of CHANGES, of the published study.
    """
    return ranks.table(table_1(changes))
