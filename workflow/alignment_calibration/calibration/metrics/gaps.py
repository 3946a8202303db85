"""Binned errors: sums over bins of the distance between what was observed and what was expected.

The signed gap of a bin is a sum of its questions' gaps, so what is stated here once serves the
error, its split over questions, and whatever else asks for the gaps' bias and variance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from alignment_calibration.calibration.metrics.tallies import (
    CONFIDENCE,
    CORRECT,
    COUNT,
    LABEL,
    ONE_VS_REST,
    PROBABILITY,
    Columns,
)
from alignment_calibration.calibration.predictions import Floats


def _equal(sums: Floats) -> Floats:
    return np.ones(1, sums.dtype)


def above_the_threshold(sums: Floats) -> Floats:
    """Weights of `tallies.class_equal_mass_above`: the first bin of a class does not count, and the
    others stand for the whole class (0 for a class that has nothing in them).
    """
    counts = sums[:, COUNT]
    kept = counts[..., 1:].sum(axis=2, keepdims=True)
    weights = np.repeat(counts.sum(axis=2, keepdims=True) / np.maximum(kept, 1), counts.shape[2], 2)
    weights[..., 0] = 0
    return np.asarray(weights)


@dataclass(frozen=True)
class Gaps:
    """Σ_b w_b |Σ_i (observed_ib − expected_ib)| / Σ_b n_b over the bins of a tally.

    Attributes:
        observed, expected: fields of the tally, as frequencies of the right option and
            probabilities.
        weights: w as a function of the tally's sums, shape (R, bins …) or broadcast to it.
    """

    observed: int
    expected: int
    weights: Callable[[Floats], Floats] = _equal

    def error(self, sums: Floats) -> Floats:
        """The error of sums of shape (R, F, bins …), in probabilities; shape (R,)."""
        gaps = np.abs(sums[:, self.observed] - sums[:, self.expected]) * self.weights(sums)
        bins = tuple(range(1, gaps.ndim))
        return np.asarray(gaps.sum(axis=bins) / sums[:, COUNT].sum(axis=bins))

    def of_questions(self, columns: Columns) -> Floats:
        """The weighted gap w_b (observed_ib − expected_ib) that each question adds to its bins.

        Returns:
            g of shape (N, S), in the bins `columns.bins`: the error is Σ_b |Σ_i g_ib| / Σ_b n_b.
        """
        weights = np.broadcast_to(self.weights(columns.total()[None]), (1, *columns.shape[1:]))
        gaps = columns.fields[self.observed] - columns.fields[self.expected]
        return np.asarray(gaps * weights.ravel()[columns.bins])

    def shares(self, columns: Columns) -> Floats:
        """What each question adds to the error, shape (N,): its gap with the sign of its bin's."""
        sums = columns.total()
        signs = np.sign(sums[self.observed] - sums[self.expected]).ravel()[columns.bins]
        shares = (self.of_questions(columns) * signs).sum(axis=1) / sums[COUNT].sum()
        return np.asarray(shares)


#: Σ_b (n_b/N) |accuracy_b − confidence_b| over bins of confidence: the expected calibration error
#: of Pakdaman Naeini, Cooper & Hauskrecht (2015) and Guo et al. (2017).
TOP_LABEL: Final = Gaps(CORRECT, CONFIDENCE)

#: Σ_k v_k Σ_b (n_bk/N_k) |label frequency − mean probability|, class weights v_k = N_k/ΣN_k.
#: With equal-width bins the static calibration error, with equal-mass bins the adaptive
#: calibration error of Nixon et al. (2019); for K options everywhere v_k = 1/K. (Their formula of
#: the adaptive error weights all bins the same, which is this where N is a multiple of B.)
CLASS_WISE: Final = Gaps(LABEL, PROBABILITY)

#: `CLASS_WISE` over the probabilities above the threshold: the thresholded adaptive error of Nixon
#: et al. (2019).
CLASS_WISE_ABOVE: Final = Gaps(LABEL, PROBABILITY, above_the_threshold)

#: `CLASS_WISE` with one-vs-rest accuracy, freq((ŷ=k) = (y=k)), for the label frequency. Not a
#: calibration error (a perfect model does not score 0), but what the published figures of Oh &
#: Hwang (2024) fit; see docs/statistics.md.
AGAINST_ONE_VS_REST: Final = Gaps(ONE_VS_REST, PROBABILITY)
