"""Means of estimates over pairs.

A claim about alignment is a claim about pairs, of which a study has few; questions alone, however
many, cannot carry it. The pairs of a study answer the same questions, so their errors of sampling
have a part in common, which no number of pairs averages out and no spread between them shows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from alignment_calibration.calibration.estimates import LEVEL, Estimate
from alignment_calibration.calibration.predictions import Floats


@dataclass(frozen=True)
class PairMean:
    """The mean of a number over pairs, as an estimate of its mean over all such pairs.

    Attributes:
        value: mean of the numbers as reported.
        debiased: the same less the part of their bias that can be estimated.
        bias_low, bias_high: bounds of the bias that `debiased` still has.
        standard_error: of `debiased`, pairs drawn at random as well as questions.
        pairs: their number n; with one, the mean speaks of that pair only.
        degrees: degrees of freedom of Student's t.
    """

    value: float
    debiased: float
    bias_low: float
    bias_high: float
    standard_error: float
    pairs: int
    degrees: int

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The confidence interval: every value that the bias leaves possible, ± t · error."""
        reach = float(stdtrit(self.degrees, 0.5 + level / 2)) * self.standard_error
        return self.debiased - self.bias_high - reach, self.debiased - self.bias_low + reach

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the mean is 0; `interval` is its inverse."""
        distance = max(self.debiased - self.bias_high, self.bias_low - self.debiased)
        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * float(stdtr(self.degrees, -distance / self.standard_error)))


def mean_over_pairs(estimates: Sequence[Estimate]) -> PairMean:
    """The mean over n pairs, ± t_{n−1} √(s²/n + shared).

    s² is the variance between the pairs' debiased numbers. It holds the spread of the pairs
    themselves and of those errors of sampling that each has alone; `shared` is the mean covariance
    of two pairs' errors, the variance that all have in common (not below 0). With one pair the
    interval is that of the pair.

    Args:
        estimates: of the pairs, contributions of the same questions in the same order (as
            `estimates.mean_over_tasks` lays them out).
    """
    count = len(estimates)
    value, debiased, bias_low, bias_high = (
        float(np.mean([getattr(estimate, number) for estimate in estimates]))
        for number in ("value", "debiased", "bias_low", "bias_high")
    )
    if count == 1:
        error, degrees = estimates[0].standard_error, estimates[0].contributions.size - 1
    else:
        between = float(np.var([estimate.debiased for estimate in estimates], ddof=1))
        shared = shared_variance(np.stack([estimate.contributions for estimate in estimates]))
        error, degrees = math.sqrt(between / count + max(shared, 0.0)), count - 1
    return PairMean(value, debiased, bias_low, bias_high, error, count, degrees)


def shared_variance(contributions: Floats) -> float:
    """The mean covariance of the errors of two of n pairs, contributions of shape (n, N)."""
    count = len(contributions)
    together = contributions.sum(axis=0)
    own = float(np.einsum("pn,pn->", contributions, contributions))
    return (float(together @ together) - own) / (count * (count - 1))
