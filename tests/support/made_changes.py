"""Builds tables of changes in the form of the contract, for tests."""

import itertools

import numpy as np
import pandas as pd
from scipy.stats import norm

from alignment_calibration.contract.pairs import CHANGES, ESTIMATES, RATES_BY_METHOD
from alignment_calibration.pairs.ranks import rank_agreement, rank_pairs
from alignment_calibration.study.settings import Permuting
from alignment_calibration.study.vocabulary import METHODS


def make_changes(rates, *, base=0.2, half_width=None, q_value=None, n=200):
    """Changes with the rates of `{(pair, task, method, metric): rate}`.

    With `half_width`, every rate gets an interval of that half width around it.
    """
    rows = []
    for (pair, task, method, metric), rate in rates.items():
        row = dict.fromkeys(CHANGES.names)
        row |= {"pair": pair, "task": task, "method": method, "metric": metric, "n": n}
        if rate is None:
            row |= {"base": 0.0, "aligned": 0.1, "change": 0.1}
        else:
            row |= {"base": base, "aligned": base * (1 + rate), "change": base * rate}
            row["change_rate"] = rate
            if half_width is not None:
                row |= {"rate_ci_low": rate - half_width, "rate_ci_high": rate + half_width}
                row["change_ci_low"] = base * row["rate_ci_low"]
                row["change_ci_high"] = base * row["rate_ci_high"]
                row |= {"base_debiased": row["base"], "aligned_debiased": row["aligned"]}
            row["q_value"] = row["p_value"] = row["p_exchangeable"] = q_value
            row["q_all"] = q_value
        rows.append(row)
    changes = pd.DataFrame(rows, columns=CHANGES.names)
    keys = ["pair", "task", "method", "metric"]
    numbers = [name for name in CHANGES.names if name not in keys]
    changes[numbers] = changes[numbers].apply(pd.to_numeric)
    changes = changes.astype({"n": "Int64", "truncated": "Int64", "ci_covers": "boolean"})
    changes["rank"] = rank_pairs(changes)
    return changes.sort_values(keys, ignore_index=True)


def make_estimates(changes):
    """Estimates of changes without bias, of base models that are known exactly; None without."""
    measured = changes[changes["change_ci_low"].notna()]
    if measured.empty:
        return None
    estimates = measured.reindex(columns=ESTIMATES.names, fill_value=0.0)
    error = (measured["change_ci_high"] - measured["change_ci_low"]) / (2 * 1.96)
    return estimates.assign(aligned_variance=error**2, degrees=measured["n"] - 1)


def errors(changes):
    """Standard errors of the rates."""
    return (changes["rate_ci_high"] - changes["rate_ci_low"]) / (2 * 1.96)


def make_rates_by_method(changes):
    """Tests of rates that have independent normal errors; None without intervals."""
    rows = []
    measured = changes.assign(error=errors(changes)).dropna(subset=["error"])
    for key, group in measured.groupby(["pair", "task", "metric"]):
        by_method = group.set_index("method")
        for first, other in itertools.combinations([m for m in METHODS if m in by_method.index], 2):
            (rate, error), (other_rate, other_error) = (
                by_method.loc[method, ["change_rate", "error"]] for method in (first, other)
            )
            z = (rate - other_rate) / np.hypot(error, other_error)
            rows.append((*key, first, other, rate, other_rate, norm.sf(z), norm.cdf(z)))
    return pd.DataFrame(rows, columns=RATES_BY_METHOD.names) if rows else None


def make_agreement(changes):
    """Agreement of the rankings, with replicates of rates with independent normal errors."""
    error = errors(changes)
    random = np.random.default_rng(0)
    drawn = [
        rate + sd * random.normal(size=300)
        for rate, sd in zip(changes["change_rate"], error, strict=True)
    ]
    replicates = changes.assign(rate_replicates=drawn) if error.notna().any() else None
    return rank_agreement(changes, Permuting(0, 1), replicates)
