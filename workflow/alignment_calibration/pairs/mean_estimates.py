"""Means of estimates over pairs.

A claim about alignment is a claim about pairs, of which a study has few; questions alone, however
many, cannot carry it. The pairs of a study answer the same questions, so their errors of sampling
have a part in common, which no number of pairs averages out and no spread between them shows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignment_calibration.calibration.estimates import LEVEL, Estimate, combined, ends, tail
from alignment_calibration.calibration.predictions import Floats


@dataclass(frozen=True)
class PairMean:
    """The mean of a number over pairs, as an estimate of its mean over all such pairs.

    Attributes:
        of_these: the mean of exactly these pairs, which only their questions make uncertain.
        standard_error: of its debiased number, pairs drawn at random as well as questions; with one
            pair, as of `of_these`.
        degrees: degrees of freedom of Student's t for it.
    """

    of_these: Estimate
    standard_error: float
    degrees: int

    @property
    def value(self) -> float:
        """Mean of the numbers as reported."""
        return self.of_these.value

    @property
    def debiased(self) -> float:
        """The same less the part of their bias that can be estimated."""
        return self.of_these.debiased

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The confidence interval: every value that the bias leaves possible, ± t · error.

        The wider of that of all such pairs and that of these: the pairs of a small study may have
        the same number by chance, and a mean of all pairs is never surer than one of some.
        """
        return ends(self.of_these.low, self.of_these.high, self._errors, level)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the mean is 0; `interval` is its inverse."""
        distance = max(self.of_these.low, -self.of_these.high)
        larger = np.fmax(*(tail(distance, error, degrees) for error, degrees in self._errors))
        return float(np.minimum(1, 2 * larger))

    @property
    def _errors(self) -> tuple[tuple[float, int], tuple[float, int]]:
        """Standard errors and degrees of freedom: of all such pairs, and of these."""
        of_these = self.of_these.standard_error, self.of_these.contributions.size - 1
        return (self.standard_error, self.degrees), of_these


def mean_over_pairs(estimates: Sequence[Estimate]) -> PairMean:
    """The mean over n pairs, ± t_{n−1} √(s²/n + shared), and never surer than that of these pairs.

    s² is the variance between the pairs' debiased numbers. It holds the spread of the pairs
    themselves and of those errors of sampling that each has alone; `shared` is the mean covariance
    of two pairs' errors, the variance that all have in common (not below 0). With one pair the
    interval is that of the pair.

    Args:
        estimates: of the pairs, contributions of the same questions in the same order (as
            `estimates.mean_over_tasks` lays them out).
    """
    count = len(estimates)
    of_these = combined(estimates, [1 / count] * count)
    if count == 1:
        return PairMean(of_these, of_these.standard_error, of_these.contributions.size - 1)
    between = float(np.var([estimate.debiased for estimate in estimates], ddof=1))
    shared = shared_variance(np.stack([estimate.contributions for estimate in estimates]))
    return PairMean(of_these, math.sqrt(between / count + max(shared, 0.0)), count - 1)


def shared_variance(contributions: Floats) -> float:
    """The mean covariance of the errors of two of n pairs, contributions of shape (n, N)."""
    count = len(contributions)
    together = contributions.sum(axis=0)
    own = float(np.einsum("pn,pn->", contributions, contributions))
    return (float(together @ together) - own) / (count * (count - 1))
