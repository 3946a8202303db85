"""Binned calibration errors as estimates: debiased, and with bounds of the bias that is left.

A binned error Σ_b |ḡ_b| adds up absolute values of means over questions. Where a true gap is small
against the standard error s_b of its mean, the absolute value is too large on average: by s_b r(t)
where the true gap is t standard errors. So s_b r(t_b), t_b the gap seen in standard errors, is
taken off. What bias remains is s_b ρ(t), which no data tell, since t is known to within a few units
only: it is bounded over all t within κ of t_b.

Mean excess r and remaining bias ρ of a normal mean have closed forms. With m(t) = E|N(t, 1)|:
r(t) = m(t) − t = 2φ(t) − 2tΦ(−t). Since |N(x, 1)| with x from N(t, 1) is |N(t, 2)|, E r(|x|) =
√2 m(t/√2) − m(t), and so ρ(t) = r(t) − E r(|x|) = 2r(t) − √2 r(t/√2).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

from alignment_calibration.calibration.drawing import Drawing
from alignment_calibration.calibration.estimates import Estimate, contributions
from alignment_calibration.calibration.metrics.gaps import Gaps
from alignment_calibration.calibration.metrics.tallies import COUNT, Columns
from alignment_calibration.calibration.predictions import Booleans, Floats, Integers

#: How many standard errors the true gap of a bin may lie from the one seen.
KAPPA = 2.0

#: Share of samples in which no bin that is taken for one of known sign has the other.
SIGNS = 0.99

#: Where ρ is smallest: 2Φ(−t) = Φ(−t/√2).
LOWEST = 1.4032812


@dataclass(frozen=True)
class AddedGaps:
    """The signed gaps that N questions add to the C bins of an L1 error.

    The error is Σ_c |mean over questions of the gaps added to bin c|.

    Attributes:
        bins: shape (N, S); the bin of each of a question's slots.
        unscaled: shape (N, S); observed − expected of the slots that are kept, else 0.
        expected: shape (N, S); the probability told in the slots that are kept, else 0.
        kept: shape (N, S); 1 where the slot counts, 0 where it has no option or is left out.
        scale: shape (C,); weight of the bin's class over the share of questions that it keeps.
        kept_share: shape (C,); that share.
        class_bins: number of bins of each class: C is a multiple of it.
        drawing: how the questions were drawn; None for one by one.
    """

    bins: Integers
    unscaled: Floats
    expected: Floats
    kept: Floats
    scale: Floats
    kept_share: Floats
    class_bins: int
    drawing: Drawing | None = None

    @cached_property
    def gaps(self) -> Floats:
        """Shape (N, S): what the slots add to the gaps of their bins."""
        return np.asarray(self.unscaled * self.scale[self.bins])

    @cached_property
    def mean_gaps(self) -> Floats:
        """Shape (C,): the gaps of the bins, of which the error adds up the absolute values."""
        return self.means(self.gaps)

    @cached_property
    def variances(self) -> Floats:
        """Shape (C,): N − 1 times those of `mean_gaps`, with one prediction more."""
        return self.covariances(np.ones(1, dtype=bool))

    def covariances(self, rows: Booleans) -> Floats:
        """N − 1 times the covariances of `mean_gaps` and what some questions add to them, with one
        prediction more, which is in the part as often as the others of its bin: shape (C,).

        Args:
            rows: shape (N,) or (1,); the questions of the part.
        """
        inside = rows[:, None]
        part = self.gaps * inside
        share = self.means(self.kept * inside) / np.maximum(
            self.means(self.kept), 1 / len(self.bins)
        )
        if self.drawing is None:
            products = self.mean_gaps * self.means(part) / self.kept_share
            found = self.means(self.gaps * part) - products
        else:
            whole, of_part = (
                self.drawing.units(self._spread_out(added)) for added in (self.gaps, part)
            )
            found = (whole * of_part).sum(axis=0) * (len(self.bins) - 1)
        return np.asarray(found + self.scale**2 * self.one_more() * share)

    def _spread_out(self, added: Floats) -> Floats:
        """What each question adds to the error of the mean of each bin, shape (N, C): a ratio of
        means, linearised.
        """
        questions = np.arange(len(added))[:, None]
        influence = np.zeros((len(added), self.scale.size))
        influence[questions, self.bins] = added
        kept = np.zeros((len(added), self.scale.size // self.class_bins))
        kept[questions, self.bins // self.class_bins] = self.kept
        expected = self.means(added) / self.kept_share
        return np.asarray(influence - np.repeat(kept, self.class_bins, axis=1) * expected)

    def means(self, values: Floats) -> Floats:
        """Means over questions of what the slots add to each bin: (N, S) to (C,)."""
        sums = np.bincount(self.bins.ravel(), values.ravel(), minlength=self.scale.size)
        return np.asarray(sums / len(self.bins))

    def one_more(self) -> Floats:
        """What one more prediction would add to the mean square of each bin's gaps if its model
        were calibrated, shape (C,).

        A few labels may all be the same, as where hardly an answer is wrong: this keeps their gap
        from passing for certain. Of many it is next to nothing.
        """
        told = self.means(self.expected) / np.maximum(self.means(self.kept), 1 / len(self.bins))
        return np.asarray(told * (1 - told) / len(self.bins))

    def influence(self, added: Floats, terms: Floats) -> Floats:
        """What each question adds to a sum over bins whose classes are divided by what they keep.

        Args:
            added: shape (N, S); what the slots add to the numerators.
            terms: shape (C,); the addends of the sum, which fall as more questions are kept.

        Returns:
            Shape (N,); a ratio of means, linearised.
        """
        of_class = terms.reshape(-1, self.class_bins).sum(axis=1)
        per_kept = np.repeat(of_class, self.class_bins) / self.kept_share
        return np.asarray((added - per_kept[self.bins] * self.kept).sum(axis=1))


def added_gaps(columns: Columns, gaps: Gaps, drawing: Drawing | None = None) -> AddedGaps:
    """The gaps that the questions of a tally add to the bins of an error.

    A class may keep some of its bins only (where it has a threshold): those of a weight above 0.
    """
    count = len(columns.bins)
    sums = columns.total()
    bins = sums.shape[1:]
    weights = np.broadcast_to(gaps.weights(sums[None])[0], bins)
    is_kept = weights > 0
    of_class = (sums[COUNT] * is_kept).sum(axis=-1, keepdims=True)
    kept_share = np.broadcast_to(np.maximum(of_class, 1) / count, bins)
    kept = columns.fields[COUNT] * is_kept.ravel()[columns.bins]
    return AddedGaps(
        columns.bins,
        (columns.fields[gaps.observed] - columns.fields[gaps.expected]) * kept,
        columns.fields[gaps.expected] * kept,
        kept,
        weights.ravel() * count / sums[COUNT].sum(),
        kept_share.ravel(),
        bins[-1],
        drawing,
    )


def estimate(
    columns: Columns, gaps: Gaps, kappa: float = KAPPA, drawing: Drawing | None = None
) -> Estimate:
    """The estimate of an L1 error, in probabilities.

    Args:
        columns: of the error's tally.
        gaps: which fields they lie between.
        kappa: how many standard errors the true gap of a bin may lie from the one seen.
        drawing: how the questions were drawn; None for one by one.
    """
    of = added_gaps(columns, gaps, drawing)
    added, means = of.gaps, of.mean_gaps
    spreads = np.sqrt(np.maximum(of.variances, 0) / (len(added) - 1))
    absolute = np.abs(means)
    influence = of.influence(np.sign(means)[of.bins] * added, absolute)
    value = float(absolute.sum())
    taken_off, low, high = bias_of(np.ones_like(means), absolute, spreads, kappa)
    debiased = value - taken_off
    # The error is not negative: what the bias leaves possible reaches at least to 0.
    contributed = contributions(influence, drawing)
    return Estimate(value, debiased, min(low, debiased), high, contributed)


def estimate_share(of: AddedGaps, rows: Booleans, kappa: float = KAPPA) -> Estimate:
    """The estimate of what some of the questions add to an L1 error, in probabilities.

    A bin's gap is that of its questions in the part and of the others, x + y; they add x to |x + y|
    with the sign of the whole. Let x = R + β(x + y), β the slope of its regression, so that R has
    no error in common with the whole. Then β|x + y| has β times the bias of the bin; and R has the
    sign of the whole, which is known only if the whole is far enough from 0. Where it is not, R may
    count with either sign.

    Args:
        of: what all questions add.
        rows: shape (N,); the questions of the part.
        kappa: how many standard errors the true gap of a bin may lie from the one seen.
    """
    added, inside = of.gaps, rows[:, None]
    means, variances = of.mean_gaps, of.variances
    part = of.means(added * inside)
    known = variances > 0
    slopes = np.divide(of.covariances(rows), variances, out=np.zeros_like(part), where=known)
    spreads = np.sqrt(np.maximum(variances, 0) / (len(added) - 1))
    signs, absolute = np.sign(means), np.abs(means)
    taken_off, low, high = bias_of(slopes, absolute, spreads, kappa)
    rest = signs * part - slopes * absolute
    far = ndtri(1 - (1 - SIGNS) / (2 * max(int(known.sum()), 1)))
    if_turned = 2 * rest[known & (absolute <= far * spreads)]
    value = float(signs @ part)
    return Estimate(
        value,
        value - taken_off,
        low + float(np.minimum(if_turned, 0).sum()),
        high + float(np.maximum(if_turned, 0).sum()),
        contributions(of.influence(signs[of.bins] * added * inside, signs * part), of.drawing),
    )


def bias_of(
    coefficients: Floats, absolute: Floats, spreads: Floats, kappa: float = KAPPA
) -> tuple[float, float, float]:
    """The bias of Σ_c coefficient_c |mean_c|.

    Args:
        coefficients: shape (C,), of either sign.
        absolute: shape (C,); absolute values of the means.
        spreads: shape (C,); standard errors of the means; a mean without adds no bias.
        kappa: how many standard errors a true mean may lie from the one seen.

    Returns:
        What is to be taken off, and the least and the greatest bias that then remains.
    """
    known = spreads > 0
    t, scale = absolute[known] / spreads[known], coefficients[known] * spreads[known]
    ends = np.stack([scale * rho for rho in remaining_bias_bounds(t, kappa)])
    low, high = (float(end.sum()) for end in (ends.min(axis=0), ends.max(axis=0)))
    return float(scale @ excess(t)), low, high


def excess(t: Floats) -> Floats:
    """r(t): by how much |N(t, 1)| exceeds t ≥ 0 on average."""
    return np.asarray(np.exp(-(t**2) / 2) * np.sqrt(2 / np.pi) - 2 * t * ndtr(-t))


def remaining_bias(t: Floats) -> Floats:
    """ρ(t): the bias of |x| − r(|x|), x from N(t, 1), as an estimate of t ≥ 0."""
    return np.asarray(2 * excess(t) - np.sqrt(2) * excess(t / np.sqrt(2)))


def remaining_bias_bounds(t: Floats, kappa: float = KAPPA) -> tuple[Floats, Floats]:
    """Least and greatest ρ within κ of t; ρ falls up to `LOWEST` and rises from there on."""
    nearest, farthest = np.maximum(t - kappa, 0), t + kappa
    at_ends = remaining_bias(nearest), remaining_bias(farthest)
    lowest = remaining_bias(np.clip(LOWEST, nearest, farthest))
    return lowest, np.maximum(*at_ends)
