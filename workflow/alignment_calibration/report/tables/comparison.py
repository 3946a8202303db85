"""A study's change rates beside the published ones."""

import numpy as np
import pandas as pd

from alignment_calibration.reference.against_published import compare, summarise
from alignment_calibration.report.tables.cells import in_order, percent, rate_cell
from alignment_calibration.report.tables.table import MISSING, Section, Table
from alignment_calibration.study.vocabulary import METHODS


def table(changes: pd.DataFrame, published: pd.DataFrame) -> Table:
    """The comparison, with what it leaves out; a study that shares nothing is told so.

    Args:
        changes: rows of CHANGES.
        published: as from `read_published`.
    """
    compared = compare(changes, published)
    shared = compared[compared["left_out"] == ""]
    notes = [_shared_note(shared), *_left_out_notes(compared)]
    title = "Comparison with the published change rates"
    if shared.empty:
        return Table(title, compared, (), tuple(notes))
    summary = summarise(compared)
    sections = [
        Section(
            caption="Agreement with the published change rates, over pairs: how many have the same "
            "sign, the mean absolute difference in percentage points, Spearman's rank correlation.",
            align=("l", "l", "l", "r", "r", "r", "r"),
            header=("metric", "task", "method", "pairs", "same sign", "difference", "correlation"),
            rows=tuple(
                (
                    *(row[name] for name in ("metric", "task", "method")),
                    str(row["pairs"]),
                    str(row["same_sign"]),
                    percent(row["mean_difference"]),
                    _correlation(row["rank_correlation"]),
                )
                for row in summary.to_dict("records")
            ),
        )
    ]
    for metric in in_order(shared["metric"]):
        for method in in_order(shared["method"], METHODS):
            rows = shared[(shared["metric"] == metric) & (shared["method"] == method)]
            sections.append(_rates_section(metric, method, rows))
    return Table(
        title, compared, tuple(section for section in sections if section.rows), tuple(notes)
    )


def _rates_section(metric: str, method: str, shared: pd.DataFrame) -> Section:
    return Section(
        caption=f"Change rates of {metric} under {method}, in percent: published, of this study, "
        "and their difference in percentage points.",
        align=("l", "l", "r", "r", "r", "l"),
        header=("task", "pair", "published", "this study", "difference", "same sign"),
        rows=tuple(
            (
                row["task"],
                row["pair"],
                percent(row["published_rate"], sign=True),
                rate_cell(
                    row["rate"], row["rate_ci_low"], row["rate_ci_high"], debiased=row["debiased"]
                ),
                percent(row["difference"], sign=True),
                "yes" if row["same_sign"] else "no",
            )
            for row in shared.sort_values(["task", "pair"]).to_dict("records")
        ),
    )


def _correlation(value: float) -> str:
    return MISSING if np.isnan(value) else f"{value:.2f}".replace("-", "−")


def _shared_note(shared: pd.DataFrame) -> str:
    if shared.empty:
        return "This study and the published one have no pair and task in common."
    pairs, tasks = in_order(shared["pair"]), in_order(shared["task"])
    return (
        f"{len(shared)} rates are compared, of {len(pairs)} pairs ({', '.join(pairs)}) "
        f"on {len(tasks)} tasks ({', '.join(tasks)})."
    )


def _left_out_notes(compared: pd.DataFrame) -> list[str]:
    """What is missing on either side: pairs, tasks, … as a whole by name, others by number."""
    notes = []
    for reason in ("not in this study", "not published", "no rate: a base of 0"):
        rows = compared[compared["left_out"] == reason]
        if rows.empty:
            continue
        others = compared[compared["left_out"] != reason]
        named = []
        for key in ("pair", "task", "method", "metric"):
            names = [name for name in in_order(rows[key]) if name not in set(others[key])]
            if names:
                named.append(f"{key} {', '.join(names)}")
                rows = rows[~rows[key].isin(names)]
        if len(rows):
            named.append(f"{len(rows)} other rates (named in the CSV)")
        notes.append(f"Left out, {reason}: {'; '.join(named)}.")
    return notes
