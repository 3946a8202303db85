"""The published ranks, checked."""

import pandas as pd

from alignment_calibration.reference.published import CONTRAST, compare_ranks
from alignment_calibration.report.tables.table import Section, Table


def table(published: pd.DataFrame) -> Table:
    """Published ranks beside the ranks of the published rates; for people, where they differ.

    Args:
        published: as from `read_published`.
    """
    data = compare_ranks(published)
    differing = data[~data["agrees"]]
    section = Section(
        caption="Published ranks that are not the rank of the published rate.",
        align=(*("l",) * 4, *("r",) * 3),
        header=("pair", "task", "method", "metric", "rate (%)", "published", "computed"),
        rows=tuple(
            (
                *(row[name] for name in (*CONTRAST, "metric")),
                f"{100 * row['change_rate']:.2f}",
                str(row["published_rank"]),
                str(row["rank"]),
            )
            for row in differing.to_dict("records")
        ),
    )
    note = (
        f"{data['agrees'].sum()} of {len(data)} published ranks are those of the published rates."
    )
    return Table("Published ranks", data, (section,), (note,))
