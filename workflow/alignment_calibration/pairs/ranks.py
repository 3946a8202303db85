"""Ranks of pairs by how much alignment changed a metric, and how sure the ranks are."""

import itertools
import math

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.calibration.resampling import generator, permutation_p_value
from alignment_calibration.contract.calibration import MEASUREMENT
from alignment_calibration.contract.pairs import (
    RANK_AGREEMENT,
    RANK_CORRELATIONS,
    RANK_PROBABILITIES,
)
from alignment_calibration.study.settings import Permuting

#: Between which quantiles the middle 95 % lie.
_MIDDLE = (0.025, 0.975)


def rank_pairs(changes: pd.DataFrame) -> pd.Series:
    """The rank of every row of `changes` among the pairs of its task, method and metric.

    Ranked by `change_rate`, largest first; ties share the smaller rank (1, 2, 2, 4); a missing
    rate has no rank.
    """
    rates = changes.groupby(MEASUREMENT)["change_rate"]
    return rates.rank(method="min", ascending=False).astype("Int64")


def rank_probabilities(replicates: pd.DataFrame) -> pd.DataFrame:
    """How often each pair has each rank when the questions are resampled.

    The pairs answered the same resampled questions, so what they share cancels.

    Args:
        replicates: columns pair, task, method, metric and rate_replicates (shape (R,)). Resamples
            in which a pair has no rate (a base of 0) are left out.

    Returns:
        Rows of the RANK_PROBABILITIES contract: one for every rank that a pair has at least once.
        (Of P pairs each could have P ranks, and of many has few.)
    """
    found = []
    for key, ranked in replicates.groupby(MEASUREMENT, sort=True):
        rates = np.stack(ranked["rate_replicates"].tolist())
        rates = rates[:, np.isfinite(rates).all(axis=0)]
        if rates.size == 0:
            continue
        # Largest first; ties share the smaller rank.
        ranks = rankdata(-rates, method="min", axis=0).astype(np.int64)
        rows = np.arange(len(ranked))[:, None]
        shape = (len(ranked), len(ranked))
        counts = np.bincount((rows * len(ranked) + ranks - 1).ravel(), minlength=math.prod(shape))
        pair, rank = np.nonzero(counts.reshape(shape))
        counted = {
            "pair": ranked["pair"].to_numpy()[pair],
            "rank": rank + 1,
            "probability": counts.reshape(shape)[pair, rank] / rates.shape[1],
        }
        found.append(pd.DataFrame(dict(zip(MEASUREMENT, key, strict=True)) | counted))
    frame = pd.concat(found) if found else pd.DataFrame(columns=RANK_PROBABILITIES.names)
    columns = RANK_PROBABILITIES.names
    return frame.reindex(columns=columns).sort_values([*MEASUREMENT, "pair", "rank"])


def kendall_w(rates: Floats) -> Floats:
    """Kendall's coefficient of concordance of tasks that rank pairs: 0 (none) to 1 (same ranking).

    Kendall & Babington Smith (1939), corrected for ties.

    Args:
        rates: shape (…, tasks, pairs).

    Returns:
        Shape (…); NaN for fewer than two tasks or pairs, or if every task ties all pairs.
    """
    tasks, pairs = rates.shape[-2:]
    if tasks < 2 or pairs < 2:
        return np.full(rates.shape[:-2], np.nan)
    # Over groups of t ties, Σ (t³ − t): every rate counts the square of its group's size.
    first, last = (rankdata(rates, method, axis=-1) for method in ("min", "max"))
    ties = ((last - first + 1) ** 2).sum(axis=(-2, -1)) - tasks * pairs
    most = np.asarray(tasks * (tasks * (pairs**3 - pairs) - ties) / 12)
    missing = np.full(most.shape, np.nan)
    return np.asarray(
        np.divide(_spread(rankdata(rates, axis=-1)), most, out=missing, where=most > 0)
    )


def w_interval(rates: Floats, drawn: Floats) -> tuple[float, float]:
    """95 % interval of Kendall's W from replicates of the rates, on resampled questions.

    Noise makes rankings differ, so W is too low, and that of the replicates lower still. How much
    is not known from them where noise is large, so the ends are cautious: from the lower to the
    upper end of the percentile and the basic bootstrap interval, and up to W of the most alike
    rankings among the likely ones: each rank as near to the pair's mean rank as the middle 95 % of
    its replicates allow.

    Args:
        rates: shape (tasks, pairs).
        drawn: replicates, shape (R, tasks, pairs).

    Returns:
        The ends; NaN without replicates.
    """
    w, replicates = float(kendall_w(rates)), kendall_w(drawn)
    replicates = replicates[np.isfinite(replicates)]
    if replicates.size == 0:
        return np.nan, np.nan
    low, high = map(float, np.quantile(replicates, _MIDDLE))
    likely = np.quantile(rankdata(drawn, axis=-1), _MIDDLE, axis=0)
    alike = float(kendall_w(np.clip(rankdata(rates, axis=-1).mean(axis=0), *likely)))
    if np.isnan(alike):  # no rank is told from another
        alike = 1.0
    return max(0.0, min(low, 2 * w - high)), min(1.0, max(high, 2 * w - low, alike))


def kendall_tau(first: Floats, second: Floats) -> float:
    """Kendall's τ-b between two orders of the same pairs, corrected for ties (Kendall 1945).

    Args:
        first, second: rates of shape (pairs,).

    Returns:
        NaN if either ties all pairs.
    """
    one, other = (np.sign(rates[:, None] - rates) for rates in (first, second))
    agreeing, untied, other_untied = (
        (signs.sum() / 2) for signs in (one * other, one**2, other**2)
    )
    with np.errstate(invalid="ignore"):
        return float(agreeing / np.sqrt(untied) / np.sqrt(other_untied))


def _spread(ranks: Floats) -> Floats:
    """Sum of squares of the pairs' rank sums about their mean, of ranks (…, tasks, pairs)."""
    sums = ranks.sum(axis=-2)
    return np.asarray(((sums - sums.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1))


def rank_agreement(
    changes: pd.DataFrame, permuting: Permuting, replicates: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Do the tasks rank the pairs alike? Kendall's W over tasks, for every method and metric.

    The p-value is the share of random rankings, drawn for each task by itself, that agree as well.
    Pairs without a rate on one of the tasks are left out.

    Args:
        changes: rows of CHANGES.
        permuting: of the random rankings.
        replicates: as `rank_probabilities` takes them; None where there are none, and so no
            intervals.

    Returns:
        Rows of the RANK_AGREEMENT contract.
    """
    found = []
    for (method, metric), family in changes.groupby(["method", "metric"], sort=True):
        table = _table(family)
        rates = table.to_numpy(dtype=np.float64)
        w, p_value, ends = float(kendall_w(rates)), np.nan, (np.nan, np.nan)
        if np.isfinite(w):
            # W is this spread over one that no permutation changes.
            ranks = rankdata(rates, axis=-1)
            copies = np.broadcast_to(ranks, (permuting.permutations, *ranks.shape))
            random = generator(permuting.seed, f"{method} {metric}", "rank agreement")
            shuffled = _spread(random.permuted(copies, axis=-1))
            p_value = permutation_p_value(float(_spread(ranks)), shuffled)
            if replicates is not None:
                chosen = (replicates["method"] == method) & (replicates["metric"] == metric)
                ends = w_interval(rates, _drawn(replicates[chosen], table))
        found.append((method, metric, *rates.shape, w, *ends, p_value))
    return pd.DataFrame(found, columns=RANK_AGREEMENT.names)


def rank_correlations(changes: pd.DataFrame) -> pd.DataFrame:
    """Kendall's τ-b between every two tasks' rankings of the pairs.

    Returns:
        Rows of the RANK_CORRELATIONS contract; no τ where a task ties all pairs.
    """
    found = []
    for (method, metric), family in changes.groupby(["method", "metric"], sort=True):
        table = _table(family)
        for task, other in itertools.combinations(table.index, 2):
            tau = kendall_tau(table.loc[task].to_numpy(), table.loc[other].to_numpy())
            found.append((method, metric, task, other, table.shape[1], tau))
    return pd.DataFrame(found, columns=RANK_CORRELATIONS.names)


def _drawn(replicates: pd.DataFrame, table: pd.DataFrame) -> Floats:
    """Replicates of the rates in `table` (tasks × pairs), shape (R, tasks, pairs); resamples in
    which a pair has no rate are left out.
    """
    by_key = replicates.set_index(["task", "pair"])["rate_replicates"]
    drawn = np.stack([[by_key[task, pair] for pair in table.columns] for task in table.index])
    return np.asarray(drawn[:, :, np.isfinite(drawn).all(axis=(0, 1))].transpose(2, 0, 1))


def _table(family: pd.DataFrame) -> pd.DataFrame:
    """Rates of one method and metric, a row per task, a column per pair that has them all."""
    table = family.pivot(index="task", columns="pair", values="change_rate")
    return table.dropna(axis="columns")
