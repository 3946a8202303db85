"""Tests of change rates: against any number, and of one method's against another's."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import Estimate, tail
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.contract.pairs import RATES_BY_METHOD
from alignment_calibration.study.vocabulary import METHODS


def one_sided(contrasts: pd.DataFrame, rate: float) -> tuple[Floats, Floats]:
    """p-values of change rates that are not above, and not below, a rate.

    Those of aligned − (1 + rate) · base (`estimates.change`), which needs no division.

    Args:
        contrasts: columns of CHANGES and of ESTIMATES.
        rate: as a fraction.

    Returns:
        Two arrays, NaN where there are no estimates or nothing varies: small where the rate is
        above, and where it is below.
    """
    factor = 1 + rate
    debiased = contrasts["aligned_debiased"] - factor * contrasts["base_debiased"]
    low = debiased - contrasts["aligned_bias_high"] + factor * contrasts["base_bias_low"]
    high = debiased - contrasts["aligned_bias_low"] + factor * contrasts["base_bias_high"]
    variance = (
        contrasts["aligned_variance"]
        - 2 * factor * contrasts["covariance"]
        + factor**2 * contrasts["base_variance"]
    ).clip(lower=0)
    degrees = contrasts["degrees"].to_numpy(dtype=np.float64, na_value=np.nan)
    above, below = (
        tail(distance.to_numpy(dtype=np.float64), np.sqrt(variance.to_numpy()), degrees)
        for distance in (low, -high)
    )
    return above, below


def rates_by_method(changes: pd.DataFrame) -> pd.DataFrame:
    """Of every pair, task and metric, the rate under one method against that under another.

    Args:
        changes: as `changes.read_changes` gives them.

    Returns:
        Rows of the RATES_BY_METHOD contract: for every two methods in the order of METHODS, of
        metrics that have an estimate and are not negative.
    """
    found = []
    known = [metric for metric, entry in METRICS.items() if entry.has_rate_interval]
    estimated = changes[changes["base_estimate"].notna() & changes["metric"].isin(known)]
    for key, rows in estimated.groupby(["pair", "task", "metric"], sort=True):
        by_method = {str(row.method): row for row in rows.itertuples()}
        present = [method for method in METHODS if method in by_method]
        for methods in itertools.combinations(present, 2):
            first, other = (by_method[method] for method in methods)
            above = rate_excess(_models(first), _models(other))
            rates = first.change_rate, other.change_rate
            found.append((*key, *methods, *rates, above.p_above(), above.p_below()))
    return pd.DataFrame(found, columns=RATES_BY_METHOD.names)


def rate_excess(first: tuple[Estimate, Estimate], other: tuple[Estimate, Estimate]) -> Estimate:
    """A number that is above 0 where the first change rate is above the other, below 0 where below.

    For bases and aligned models that are not negative: aligned₁·base₂ − aligned₂·base₁, which needs
    no division by a base that may be 0. Its bias is bounded by what the bias of the four leaves
    possible, its error by the first derivatives. The errors of questions are added question by
    question if both had as many, and else taken for independent.

    Args:
        first, other: base and aligned model.
    """
    (base, aligned), (other_base, other_aligned) = first, other
    of_first = other_base.debiased * aligned.contributions
    of_first = of_first - other_aligned.debiased * base.contributions
    of_other = aligned.debiased * other_base.contributions
    of_other = of_other - base.debiased * other_aligned.contributions
    debiased = aligned.debiased * other_base.debiased - other_aligned.debiased * base.debiased
    low = _least(aligned) * _least(other_base) - _most(other_aligned) * _most(base)
    high = _most(aligned) * _most(other_base) - _least(other_aligned) * _least(base)
    return Estimate(
        aligned.value * other_base.value - other_aligned.value * base.value,
        debiased,
        debiased - high,
        debiased - low,
        of_first + of_other
        if of_first.size == of_other.size
        else np.concatenate([of_first, of_other]),
    )


def _models(row: Any) -> tuple[Estimate, Estimate]:
    return row.base_estimate, row.aligned_estimate


def _least(estimate: Estimate) -> float:
    return max(estimate.low, 0.0)


def _most(estimate: Estimate) -> float:
    return max(estimate.high, 0.0)
