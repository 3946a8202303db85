"""Pairs by change rate: the form of the reference study's Table 1."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alignment_calibration.report.tables.cells import in_order, primary_note
from alignment_calibration.report.tables.table import MISSING, Section, Table, paragraph
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS

#: Different rankings side by side; further ones stand below.
COLUMNS = 4

Ranking = dict[int | None, list[str]]
TasksAndRanking = tuple[list[str], Ranking]


def table(
    changes: pd.DataFrame,
    agreement: pd.DataFrame | None = None,
    correlations: pd.DataFrame | None = None,
    primary: Primary | None = None,
) -> Table:
    """Pairs by change rate, largest first; tasks with the same ranking share a column.

    A section per metric and method; pairs of one rank share a field; pairs without a rate stand in
    the last row. The last section tells how alike the tasks' rankings are.

    Args:
        changes: rows of CHANGES.
        agreement, correlations: rows of RANK_AGREEMENT and RANK_CORRELATIONS; None without that
            section.
        primary: the analysis that stands first; None where there is but one.
    """
    metrics, methods = _first(primary)
    records: list[dict[str, object]] = []
    sections = []
    blocks = dict(list(changes.groupby(["metric", "method"])))
    for metric in in_order(changes["metric"], metrics):
        for method in in_order(changes["method"], methods):
            if (metric, method) not in blocks:
                continue
            columns = shared_rankings(blocks[metric, method])
            records.extend(
                {"metric": metric, "method": method, "tasks": " ".join(tasks)}
                | {"rank": rank, "pair": pair}
                for tasks, ranking in columns
                for rank in _ranks(columns)
                for pair in ranking.get(rank, ())
            )
            caption = f"Pairs by change rate of {metric} under {method}, largest first."
            sections += [
                _rank_section(caption, columns[start : start + COLUMNS])
                for start in range(0, len(columns), COLUMNS)
            ]
    data = pd.DataFrame(records, columns=["metric", "method", "tasks", "rank", "pair"])
    data["rank"] = data["rank"].astype("Int64")
    notes = primary_note(data, primary) if primary else []
    notes += ["Tasks with the same ranking share a column. Pairs of equal rate share a rank."]
    if agreement is not None and correlations is not None:
        sections.append(_agreement(agreement, correlations, primary))
        notes.append(
            "Kendall's W: 1 where all tasks rank the pairs the same way; in brackets its 95 % "
            "interval, from rankings on resampled questions; p: of so much agreement among random "
            "rankings. Kendall's τ-b of two tasks: the median, and the least and largest, over all "
            "two tasks."
        )
    return Table("Ranks of the pairs by change rate", data, tuple(sections), tuple(notes))


def _first(primary: Primary | None) -> tuple[list[str], list[str]]:
    """The order of metrics and of methods, where others come after these."""
    return ([primary.metric], [primary.method, *METHODS]) if primary else ([], [*METHODS])


def _agreement(
    agreement: pd.DataFrame, correlations: pd.DataFrame, primary: Primary | None
) -> Section:
    """How alike the tasks' rankings of the pairs are, by metric and method."""
    metrics, methods = _first(primary)
    by_key = {(row["metric"], row["method"]): row for row in agreement.to_dict("records")}
    taus = {
        key: (rows["kendall_tau"].min(), rows["kendall_tau"].median(), rows["kendall_tau"].max())
        for key, rows in correlations.groupby(["metric", "method"])
    }
    rows = []
    for metric in in_order(agreement["metric"], metrics):
        for method in in_order(agreement["method"], methods):
            if (metric, method) not in by_key:
                continue
            row = by_key[metric, method]
            least, median, most = taus.get((metric, method), (np.nan,) * 3)
            rows.append(
                (
                    *(metric, method, str(row["tasks"]), str(row["pairs"])),
                    _with_ends(row["kendall_w"], row["ci_low"], row["ci_high"]),
                    MISSING if pd.isna(row["p_value"]) else f"{row['p_value']:.4f}",
                    _with_ends(median, least, most),
                )
            )
    return Section(
        caption="How alike the tasks rank the pairs.",
        align=("l", "l", "r", "r", "r", "r", "r"),
        header=("metric", "method", "tasks", "pairs", "Kendall's W", "p", "τ-b of two tasks"),
        rows=tuple(rows),
    )


def _with_ends(number: float, low: float, high: float) -> str:
    """A number between −1 and 1 with what it lies between."""
    if pd.isna(number):
        return MISSING
    text, *ends = (f"{value:.2f}".replace("-", "−") for value in (number, low, high))
    return text if pd.isna(low) else f"{text} [{ends[0]}, {ends[1]}]"


def _rank_section(caption: str, columns: Sequence[TasksAndRanking]) -> Section:
    width = paragraph(0.75 / len(columns))
    return Section(
        caption=caption,
        align=("r", *(width for _ in columns)),
        header=("rank", *(", ".join(tasks) for tasks, _ in columns)),
        rows=tuple(
            (
                MISSING if rank is None else str(rank),
                *(", ".join(ranking.get(rank, ())) for _, ranking in columns),
            )
            for rank in _ranks(columns)
        ),
    )


def _ranks(columns: Sequence[TasksAndRanking]) -> list[int | None]:
    """All ranks that pairs can have, then None if some pair has none."""
    pairs = max(sum(map(len, ranking.values())) for _, ranking in columns)
    unranked = any(None in ranking for _, ranking in columns)
    return [*range(1, pairs + 1), *([None] if unranked else [])]


def shared_rankings(changes: pd.DataFrame) -> list[TasksAndRanking]:
    """The different rankings within one method and metric, each with the tasks that have it.

    The ranking of most tasks comes first, then by the tasks' names. A ranking maps rank to pairs
    (sorted by name); pairs without a rate are under None.
    """
    tasks_of: dict[tuple[tuple[str, int | None], ...], list[str]] = {}
    for task, group in changes.groupby("task"):
        rank_of = zip(group["pair"], group["rank"], strict=True)
        key = sorted((pair, None if pd.isna(rank) else int(rank)) for pair, rank in rank_of)
        tasks_of.setdefault(tuple(key), []).append(str(task))
    columns = []
    for ranks, tasks in sorted(tasks_of.items(), key=lambda item: (-len(item[1]), item[1])):
        ranking: Ranking = {}
        for pair, rank in ranks:
            ranking.setdefault(rank, []).append(pair)
        columns.append((tasks, ranking))
    return columns
