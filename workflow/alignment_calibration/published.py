"""The published numbers of the reference study (Oh & Hwang 2024, arXiv 2409.00352)."""

from pathlib import Path

import pandas as pd

from alignment_calibration.contract import CHANGES
from alignment_calibration.errors import UserError
from alignment_calibration.ranks import rank_pairs

#: The tasks of the paper's Table 1.
TABLE_1_TASKS = ("arc_easy", "hellaswag", "medmcqa", "mmlu_humanities", "mmlu_stem", "piqa")


def read_published(path: str | Path) -> pd.DataFrame:
    """The published changes, in the columns of CHANGES, with the ranks as published.

    Raises:
        UserError: if the file has other columns.
    """
    published = pd.read_csv(path, dtype={"rank": "Int64", "n": "Int64"})
    if list(published) != CHANGES.names:
        raise UserError(f"{path}: found columns {list(published)}, expected {CHANGES.names}")
    return published


def published_changes(published: pd.DataFrame) -> pd.DataFrame:
    """The published changes as the step `changes` gives them: ranks computed from the rates."""
    return published.assign(rank=rank_pairs(published))


def table_1(changes: pd.DataFrame) -> pd.DataFrame:
    """The part of the published changes that the paper's Table 1 shows."""
    return changes[
        changes["task"].isin(TABLE_1_TASKS)
        & (changes["method"] == "choice")
        & (changes["metric"] == "sce_ovr")
    ]
