"""Ranks of pairs by how much alignment changed a metric."""

import pandas as pd


def rank_pairs(changes: pd.DataFrame) -> pd.Series:
    """The rank of every row of `changes` among the pairs of its task, method and metric.

    Ranked by `change_rate`, largest first; ties share the smaller rank (1, 2, 2, 4); a missing
    rate has no rank.
    """
    rates = changes.groupby(["task", "method", "metric"])["change_rate"]
    return rates.rank(method="min", ascending=False).astype("Int64")
