"""A study's change rates beside the published ones, where both have the same pair and task."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from alignment_calibration.report.tables import (
    MISSING,
    Section,
    Table,
    in_order,
    percent,
    rate_cell,
)
from alignment_calibration.study.vocabulary import METHODS

KEYS = ["pair", "task", "method", "metric"]
INTERVAL = ["rate_ci_low", "rate_ci_high"]

#: Fewer pairs than this have no rank correlation.
LEAST_PAIRS = 3


def compare(changes: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Reproduced and published change rates of every pair, task, method and metric of either.

    Pairs and tasks are the same if they are called the same. Metrics that were not published are
    left out.

    Returns:
        Columns pair, task, method, metric, published_rate, rate, rate_ci_low, rate_ci_high,
        difference (rate − published_rate), same_sign, and left_out: why a row has no difference,
        empty if it has one.
    """
    ours = changes.loc[
        changes["metric"].isin(published["metric"]), [*KEYS, "change_rate", *INTERVAL]
    ]
    theirs = published[[*KEYS, "change_rate"]]
    both = theirs.rename(columns={"change_rate": "published_rate"}).merge(
        ours.rename(columns={"change_rate": "rate"}), on=KEYS, how="outer", indicator="found_in"
    )
    both["difference"] = both["rate"] - both["published_rate"]
    known = both["difference"].notna()
    same = np.sign(both["rate"]) == np.sign(both["published_rate"])
    both["same_sign"] = same.astype("boolean").where(known)
    both["left_out"] = ""
    both.loc[both["found_in"] == "left_only", "left_out"] = "not in this study"
    both.loc[both["found_in"] == "right_only", "left_out"] = "not published"
    both.loc[(both["found_in"] == "both") & ~known, "left_out"] = "no rate: a base of 0"
    columns = [*KEYS, "published_rate", "rate", *INTERVAL, "difference", "same_sign", "left_out"]
    return both[columns].sort_values(KEYS, ignore_index=True)


def summarise(compared: pd.DataFrame) -> pd.DataFrame:
    """Agreement over pairs by metric, task and method.

    Returns:
        Columns metric, task, method, pairs, same_sign (how many), mean_difference (absolute) and
        rank_correlation (Spearman's, over at least three pairs; NaN if one side is constant).
    """
    rows = []
    shared = compared[compared["left_out"] == ""]
    for key, cell in shared.groupby(["metric", "task", "method"]):
        correlation = np.nan
        varies = cell["rate"].nunique() > 1 and cell["published_rate"].nunique() > 1
        if len(cell) >= LEAST_PAIRS and varies:
            correlation = spearmanr(cell["rate"], cell["published_rate"]).statistic
        same, difference = cell["same_sign"].sum(), cell["difference"].abs().mean()
        rows.append((*key, len(cell), same, difference, correlation))
    columns = ["pairs", "same_sign", "mean_difference", "rank_correlation"]
    return pd.DataFrame(rows, columns=["metric", "task", "method", *columns])


def comparison_table(changes: pd.DataFrame, published: pd.DataFrame) -> Table:
    """The comparison, with what it leaves out; a study that shares nothing is told so."""
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
                rate_cell(row["rate"], row["rate_ci_low"], row["rate_ci_high"], np.nan),
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
    """What is missing on either side: pairs, tasks, … as a whole by name, other cells by number."""
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
            named.append(f"{len(rows)} rates of other cells (named in the CSV)")
        notes.append(f"Left out, {reason}: {'; '.join(named)}.")
    return notes
