"""A study's change rates beside the published ones, where both have the same pair and task."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from alignment_calibration.pairs.changes import debiased_rates

KEYS = ["pair", "task", "method", "metric"]
INTERVAL = ["rate_ci_low", "rate_ci_high"]

#: Fewer pairs than this have no rank correlation.
LEAST_PAIRS = 3


def compare(changes: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Reproduced and published change rates of every pair, task, method and metric of either.

    Pairs and tasks are the same if they are called the same. Metrics that were not published are
    left out.

    Returns:
        Columns pair, task, method, metric, published_rate, rate, debiased (the rate of
        the values less their estimated bias), rate_ci_low, rate_ci_high, difference (rate −
        published_rate), same_sign, and left_out: why a row has no difference,
        empty if it has one.
    """
    ours = changes.assign(debiased=debiased_rates(changes)).loc[
        changes["metric"].isin(published["metric"]), [*KEYS, "change_rate", "debiased", *INTERVAL]
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
    columns = [
        *KEYS,
        "published_rate",
        "rate",
        "debiased",
        *INTERVAL,
        "difference",
        "same_sign",
        "left_out",
    ]
    return both[columns].sort_values(KEYS, ignore_index=True)


def summarise(compared: pd.DataFrame) -> pd.DataFrame:
    """Agreement over pairs by metric, task and method.

    Returns:
        Columns metric, task, method, pairs, same_sign (how many), mean_difference (absolute) and
        rank_correlation (Spearman's, over at least three pairs; NaN if one side is constant).
    """
    rows = []
    shared = compared[compared["left_out"] == ""]
    for key, pairs in shared.groupby(["metric", "task", "method"]):
        correlation = np.nan
        varies = pairs["rate"].nunique() > 1 and pairs["published_rate"].nunique() > 1
        if len(pairs) >= LEAST_PAIRS and varies:
            correlation = spearmanr(pairs["rate"], pairs["published_rate"]).statistic
        same, difference = pairs["same_sign"].sum(), pairs["difference"].abs().mean()
        rows.append((*key, len(pairs), same, difference, correlation))
    columns = ["pairs", "same_sign", "mean_difference", "rank_correlation"]
    return pd.DataFrame(rows, columns=["metric", "task", "method", *columns])
