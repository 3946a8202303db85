"""Accuracy and calibration told apart: how much of a change is another calibration map.

A binned error is Σ_c W_c |γ_c|, W_c the share of the predictions in bin c and γ_c their mean gap.
It changes if the gaps do (at the same confidence, the model is right more or less often: another
*map* from confidence to accuracy), or if other *confidences* are given (a model that is right more
often gives higher ones, on the same map). The change splits exactly (Kitagawa 1955):

    Σ_c (|γ_c'| − |γ_c|) (W_c' + W_c)/2    map
    Σ_c (W_c' − W_c) (|γ_c'| + |γ_c|)/2    confidences

over the bins that both models use, plus what the other bins add, which one of them hardly uses.

Within a wide bin, too, one model may give higher confidences than the other (in that from 0.9 to 1
above all), and with them have another mean gap on the same map. So the sums run over *slices* of
the bins, cut at medians of their confidences, with the slice's gap, signed as its bin's, for |γ|.
Only whole bins are taken as absolute values, so slices add no bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignment_calibration.calibration.bias_aware import KAPPA, AddedGaps, added_gaps, bias_of
from alignment_calibration.calibration.drawing import Drawing
from alignment_calibration.calibration.estimates import Estimate, combined, contributions
from alignment_calibration.calibration.metrics.gaps import Gaps
from alignment_calibration.calibration.metrics.tallies import Columns
from alignment_calibration.calibration.predictions import Floats, Integers

#: Fewest predictions of each model in a slice whose gaps are compared.
FEWEST = 10
#: How often a bin may be halved.
DEPTH = 5
#: Least share of one model's predictions of a slice in the other's.
OVERLAP = 0.05


@dataclass(frozen=True)
class Split:
    """The parts of a change of a binned error, in probabilities; their values add up to it.

    Attributes:
        map: what another calibration map changes: the change at equal confidences.
        confidences: what other confidences change on the same map.
        unshared: what slices add that one model hardly uses: it has fewer than `FEWEST` predictions
            there, or than `OVERLAP` times the other's.
        unshared_share: share of the two models' predictions in those slices, 0 to 1.
    """

    map: Estimate
    confidences: Estimate
    unshared: Estimate
    unshared_share: float

    def with_unshared(self, part: Estimate) -> Estimate:
        """A part if all that the models do not share were of it.

        How much of that is another map, and how much other confidences, cannot be seen: few
        questions leave much of a change there. An interval that is to hold the part that more
        questions would show reaches from none to all of it.
        """
        return combined((part, self.unshared), (1, 1))


def split(
    base: Columns,
    aligned: Columns,
    gaps: Gaps,
    kappa: float = KAPPA,
    drawing: Drawing | None = None,
) -> Split:
    """Split the change of an L1 error.

    Args:
        base, aligned: of the error's tally, the same questions in the same order and *the same
            bins*: equal-mass ones are those of both models' predictions together.
        gaps: which fields of the tally they lie between.
        kappa: how many standard errors the true gap of a bin may lie from the one seen.
        drawing: how the questions were drawn; None for one by one.
    """
    of = [added_gaps(columns, gaps, drawing) for columns in (base, aligned)]
    slices, bin_of = _slices(of)
    models = [_slice(*of_model, bin_of) for of_model in zip(of, slices, strict=True)]
    before, after = models
    fewer = np.minimum(before.predictions, after.predictions)
    more = np.maximum(before.predictions, after.predictions)
    shared = fewer >= np.maximum(FEWEST, OVERLAP * more)
    mean_weight = np.where(shared, (after.weight + before.weight) / 2, 0)
    half_shift = np.where(shared, (after.weight - before.weight) / 2, 0)
    half_difference = np.where(shared, (after.gap - before.gap) / 2, 0)
    mean_gap = np.where(shared, (after.gap + before.gap) / 2, 0)
    weights = [np.where(shared, 0, model.weight) for model in models]
    other_gaps = [np.where(shared, 0, model.gap) for model in models]
    # Each part with its derivatives by the gaps, then by the weights, of base and aligned model.
    return Split(
        _part(models, (-mean_weight, mean_weight), (half_difference, half_difference), kappa),
        _part(models, (half_shift, half_shift), (-mean_gap, mean_gap), kappa),
        _part(models, (-weights[0], weights[1]), (-other_gaps[0], other_gaps[1]), kappa),
        float(np.sum(weights) / 2),
    )


def _slices(of: Sequence[AddedGaps]) -> tuple[list[Integers], Integers]:
    """The slice of each slot of base and aligned model, and the bin of each slice.

    Slots that do not count are in a slice and a bin of their own, the last.
    """
    slices = [np.empty_like(model.bins) for model in of]
    bin_of: list[int] = []
    for bin_ in range(of[0].scale.size):
        inside = [(model.bins == bin_) & (model.kept > 0) for model in of]
        values = [model.expected[chosen] for model, chosen in zip(of, inside, strict=True)]
        base, aligned = map(np.sort, values)
        edges = _edges(base, aligned, DEPTH)
        for number, chosen, told in zip(slices, inside, values, strict=True):
            number[chosen] = len(bin_of) + np.searchsorted(edges, told)
        bin_of += [bin_] * (len(edges) + 1)
    for number, model in zip(slices, of, strict=True):
        number[model.kept == 0] = len(bin_of)
    return slices, np.array([*bin_of, of[0].scale.size])


def _edges(base: Floats, aligned: Floats, depth: int) -> list[float]:
    """Right-closed inner edges of slices of two models' sorted confidences: medians of the one with
    fewer, as long as each model has `FEWEST` on either side.
    """
    fewer = min(base, aligned, key=len)
    if depth == 0 or fewer.size < 2 * FEWEST:
        return []
    edge = float(fewer[(fewer.size - 1) // 2])
    cuts = [int(np.searchsorted(told, edge, side="right")) for told in (base, aligned)]
    left = base[: cuts[0]], aligned[: cuts[1]]
    right = base[cuts[0] :], aligned[cuts[1] :]
    if min(part.size for part in (*left, *right)) < FEWEST:
        return []
    return [*_edges(*left, depth - 1), edge, *_edges(*right, depth - 1)]


@dataclass(frozen=True)
class _Sliced:
    """One model's gaps by slice.

    Attributes:
        of: what each question adds.
        slices: shape (N, S); the slice of each of a question's slots.
        bins: shape (s,); the bin of each slice.
        predictions: shape (s,); number in the slice.
        weight: shape (s,); share of the error's predictions.
        gap: shape (s,); mean gap with the sign of its bin's: positive, but for noise.
        variance: shape (s,); of the mean gap, if questions are drawn one by one.
        one_more: shape (s,); how much of that one prediction more adds (`AddedGaps.one_more`).
        sign: shape (s,); of the bin's gap.
    """

    of: AddedGaps
    slices: Integers
    bins: Integers
    predictions: Floats
    weight: Floats
    gap: Floats
    variance: Floats
    one_more: Floats
    sign: Floats

    def by_bin(self, values: Floats) -> Floats:
        """Sums over the slices of each bin."""
        return np.asarray(np.bincount(self.bins, values), dtype=np.float64)

    def by_question(self, coefficients: Floats) -> Floats:
        """What each slot adds to the error of Σ coefficient · gap, shape (N, S)."""
        share = np.maximum(self.predictions, 1) / len(self.slices)
        residuals = self.of.unscaled * self.sign[self.slices] - self.gap[self.slices] * self.of.kept
        # As in a sample variance: residuals are too small by what the mean takes.
        correction = np.sqrt(self.predictions / np.maximum(self.predictions - 1, 1))
        return np.asarray((coefficients * correction / share)[self.slices] * residuals)

    def covariances(self, first: Floats, second: Floats) -> Floats:
        """Of Σ first · gap and Σ second · gap over the slices of each bin."""
        if self.of.drawing is None:
            return self.by_bin(first * second * self.variance)
        questions = np.arange(len(self.slices))[:, None]
        units = []
        for coefficients in (first, second):
            added = np.zeros((len(self.slices), self.bins[-1] + 1))
            np.add.at(added, (questions, self.bins[self.slices]), self.by_question(coefficients))
            units.append(self.of.drawing.units(added))
        return np.asarray(
            (units[0] * units[1]).sum(axis=0) + self.by_bin(first * second * self.one_more)
        )


def _slice(of: AddedGaps, slices: Integers, bins: Integers) -> _Sliced:
    def sums(values: Floats) -> Floats:
        added = np.bincount(slices.ravel(), values.ravel(), minlength=bins.size)
        return np.asarray(added, dtype=np.float64)

    predictions = sums(of.kept)
    once = np.maximum(predictions, 1)
    gap = sums(of.unscaled) / once
    squares = np.maximum(sums(of.unscaled**2) / once - gap**2, 0)
    expected = sums(of.expected) / once
    one_more = expected * (1 - expected) / once**2
    weight = predictions * np.append(of.scale, 0)[bins] / len(of.bins)
    sign = np.sign(np.bincount(bins, weight * gap))[bins]
    variance = squares / once + one_more
    return _Sliced(of, slices, bins, predictions, weight, sign * gap, variance, one_more, sign)


def _part(
    models: Sequence[_Sliced],
    by_gap: tuple[Floats, Floats],
    by_weight: tuple[Floats, Floats],
    kappa: float,
) -> Estimate:
    """Σ over both models and all slices of by_gap · gap.

    A slice's gap has the sign of its bin's ḡ_b, so its bias is that of |ḡ_b| times the coefficient
    of its regression on ḡ_b.

    Args:
        models: base and aligned.
        by_gap: derivatives of the sum by the models' gaps.
        by_weight: derivatives of the sum by the models' weights.
    """
    value = taken_off = bias_low = bias_high = 0.0
    influence = np.zeros(len(models[0].slices))
    for model, of_gap, of_weight in zip(models, by_gap, by_weight, strict=True):
        value += float(of_gap @ model.gap)
        variance = model.covariances(model.weight, model.weight)
        covariance = model.covariances(of_gap, model.weight)
        slope = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 0)
        absolute = np.abs(model.by_bin(model.weight * model.gap))
        bias = bias_of(slope, absolute, np.sqrt(variance), kappa)
        taken_off, bias_low, bias_high = np.add((taken_off, bias_low, bias_high), bias)
        influence += _influence(model, of_gap, of_weight)
    contributed = contributions(influence, models[0].of.drawing)
    return Estimate(value, value - taken_off, float(bias_low), float(bias_high), contributed)


def _influence(model: _Sliced, by_gap: Floats, by_weight: Floats) -> Floats:
    """What each question adds to the error of a sum of which these are the derivatives."""
    of, slices = model.of, model.slices
    scale = np.append(of.scale, 0)[model.bins]
    terms = model.by_bin(by_weight * model.weight)[:-1]
    of_weights = of.influence((by_weight * scale)[slices] * of.kept, terms)
    return np.asarray(model.by_question(by_gap).sum(axis=1) + of_weights)
