"""Change rates with their intervals."""

import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS, rate_interval_note
from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.pairs.changes import debiased_rates
from alignment_calibration.report.tables.cells import (
    in_order,
    percent,
    primary_first,
    primary_note,
    rate_cell,
)
from alignment_calibration.report.tables.table import MISSING, Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

#: Methods side by side; further ones stand below.
COLUMNS = 8


def table(changes: pd.DataFrame, primary: Primary) -> Table:
    """A section per metric, a column per method; those of the primary analysis first.

    Args:
        changes: rows of CHANGES.
        primary: the analysis that stands first.
    """
    methods = in_order(changes["method"], [primary.method, *METHODS])
    texts = {
        (row["metric"], row["task"], row["pair"], row["method"]): rate_cell(
            row["change_rate"],
            row["rate_ci_low"],
            row["rate_ci_high"],
            row["q_value"],
            row["debiased"],
        )
        for row in changes.assign(debiased=debiased_rates(changes)).to_dict("records")
    }
    sections = []
    for metric in in_order(changes["metric"], [primary.metric]):
        rows = changes.loc[changes["metric"] == metric, ["task", "pair"]].drop_duplicates()
        keys = sorted(rows.itertuples(index=False, name=None))
        sections += [
            Section(
                caption=f"Change rate of {metric} from base to aligned model, in percent.",
                align=("l", "l", *("r" for _ in block)),
                header=("task", "pair", *block),
                rows=tuple(
                    (*key, *(texts.get((metric, *key, method), MISSING) for method in block))
                    for key in keys
                ),
            )
            for start in range(0, len(methods), COLUMNS)
            for block in [methods[start : start + COLUMNS]]
        ]
    notes = [*primary_note(changes, primary), "Change rate: (aligned − base) / base."]
    if changes["rate_ci_low"].notna().any():
        notes.append(rate_interval_note(in_order(changes["metric"])))
    if changes["q_value"].notna().any():
        notes.append(
            "Bold: the change differs from zero, by the test that its interval is the inverse of, "
            f"at a false discovery rate of {SIGNIFICANCE:.0%} over the contrasts of the metric and "
            "method."
        )
    known = changes.dropna(subset="mde")
    if not known.empty:
        notes.append(
            "Smallest change that four of five such samples would show (mde; of every contrast in "
            f"the CSV), median over contrasts: {', '.join(_smallest(known, primary))}."
        )
    return Table("Change rates", primary_first(changes, primary), tuple(sections), tuple(notes))


def _smallest(changes: pd.DataFrame, primary: Primary) -> list[str]:
    """Median mde of each metric, in its unit."""
    medians = changes.groupby("metric")["mde"].median()
    return [
        f"{metric} {medians[metric]:.3f} nats"
        if METRICS[metric].unit == "nats"
        else f"{metric} {percent(medians[metric])} points"
        for metric in in_order(changes["metric"], [primary.metric])
    ]
