"""Accuracy and calibration told apart: how much of a change is another calibration map.

A binned error is Σ_c W_c |γ_c|, W_c the share of the predictions in bin c and γ_c their mean gap.
It changes if the gaps do (at the same confidence, the model is right more or less often: another
*map* from confidence to accuracy), or if other *confidences* are given (a model that is right more
often gives higher ones, on the same map). The change splits exactly (Kitagawa 1955):

    Σ_c (|γ_c'| − |γ_c|) (W_c' + W_c)/2    map
    Σ_c (W_c' − W_c) (|γ_c'| + |γ_c|)/2    confidences

over the bins in which both models have predictions enough for a gap, plus what the other bins add.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignment_calibration.calibration.bias_aware import (
    KAPPA,
    BinnedError,
    Gaps,
    gaps,
    sum_of_absolutes,
)
from alignment_calibration.calibration.estimates import Estimate, contributions
from alignment_calibration.calibration.metrics.tallies import Columns
from alignment_calibration.calibration.predictions import Floats

#: Fewest predictions of each model in a bin whose gaps are compared.
FEWEST = 5


@dataclass(frozen=True)
class Split:
    """The parts of a change of a binned error, in probabilities; their values add up to it.

    Attributes:
        map: what another calibration map changes: the change at equal confidences.
        confidences: what other confidences change on the same map.
        unshared: what bins add in which only one model has `FEWEST` predictions.
        unshared_share: share of the two models' predictions in those bins, 0 to 1.
    """

    map: Estimate
    confidences: Estimate
    unshared: Estimate
    unshared_share: float


def split(base: Columns, aligned: Columns, error: BinnedError, kappa: float = KAPPA) -> Split:
    """Split the change of an L1 error.

    Args:
        base, aligned: of the error's tally, the same questions in the same order and *the same
            bins*: equal-mass ones are those of both models' predictions together.
        error: how it is read from the tally.
        kappa: how many standard errors the true gap of a bin may lie from the one seen.
    """
    models = [_bins(columns, error) for columns in (base, aligned)]
    shared = np.min([model.predictions for model in models], axis=0) >= FEWEST
    of_base, of_aligned = models
    mean_weight = np.where(shared, (of_aligned.weight + of_base.weight) / 2, 0)
    half_shift = np.where(shared, (of_aligned.weight - of_base.weight) / 2, 0)
    half_difference = np.where(shared, (of_aligned.gap - of_base.gap) / 2, 0)
    mean_gap = np.where(shared, (of_aligned.gap + of_base.gap) / 2, 0)
    weights = [np.where(shared, 0, model.weight) for model in models]
    other_gaps = [np.where(shared, 0, model.gap) for model in models]
    # Each part with its derivatives by the gaps, then by the weights, of base and aligned model.
    return Split(
        _sum(models, (-mean_weight, mean_weight), (half_difference, half_difference), kappa),
        _sum(models, (half_shift, half_shift), (-mean_gap, mean_gap), kappa),
        _sum(models, (-weights[0], weights[1]), (-other_gaps[0], other_gaps[1]), kappa),
        float(np.sum(weights) / 2),
    )


@dataclass(frozen=True)
class _Bins:
    """One model's gaps by bin: of shape (C,), but for `of`.

    Attributes:
        of: what each question adds.
        predictions: number in the bin.
        weight: W_c.
        gap: |γ_c|; 0 in an empty bin.
        sign: of γ_c.
        spread: standard error of γ_c.
    """

    of: Gaps
    predictions: Floats
    weight: Floats
    gap: Floats
    sign: Floats
    spread: Floats


def _bins(columns: Columns, error: BinnedError) -> _Bins:
    of = gaps(columns, error)
    count = len(of.cells)
    kept = of.means(of.kept)
    predictions = count * kept
    once = np.maximum(predictions, 1)
    weight = kept * of.scale
    gap = count * of.means(of.unscaled) / once
    squares = count * of.means(of.unscaled**2) / once - gap**2
    # A few labels may all be the same. One more, as it would vary in a calibrated model, keeps
    # their gap from passing for certain.
    share = count * of.means(of.kept * columns.fields[error.expected]) / once
    variance = (once * np.maximum(squares, 0) + share * (1 - share)) / once
    return _Bins(of, predictions, weight, np.abs(gap), np.sign(gap), np.sqrt(variance / once))


def _sum(
    models: Sequence[_Bins],
    by_gap: tuple[Floats, Floats],
    by_weight: tuple[Floats, Floats],
    kappa: float,
) -> Estimate:
    """Σ over both models and all bins of by_gap · |γ_c|.

    Args:
        models: base and aligned.
        by_gap: derivatives of the sum by the models' |γ_c|.
        by_weight: derivatives of the sum by the models' W_c.
    """
    coefficients = np.concatenate(by_gap)
    absolute, spreads = (
        np.concatenate([getattr(model, number) for model in models]) for number in ("gap", "spread")
    )
    debiased, low, high = sum_of_absolutes(coefficients, absolute, spreads, kappa)
    influence = sum(
        _influence(model, *derivatives)
        for model, *derivatives in zip(models, by_gap, by_weight, strict=True)
    )
    return Estimate(
        float(coefficients @ absolute), debiased, low, high, contributions(np.asarray(influence))
    )


def _influence(model: _Bins, by_gap: Floats, by_weight: Floats) -> Floats:
    """What each question adds to the error of a sum of which these are the derivatives."""
    of = model.of
    per_share = np.divide(
        by_gap,
        model.predictions / len(of.cells),
        where=model.predictions > 0,
        out=np.zeros_like(by_gap),
    )
    residuals = of.unscaled - (model.sign * model.gap)[of.cells] * of.kept
    of_gaps = ((per_share * model.sign)[of.cells] * residuals).sum(axis=1)
    of_weights = of.influence((by_weight * of.scale)[of.cells] * of.kept, by_weight * model.weight)
    return np.asarray(of_gaps + of_weights)
