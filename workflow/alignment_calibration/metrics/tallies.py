"""Tallies: what each question adds to the sums from which metrics are computed.

A tally is an array of shape (N, F, …): for each of N questions, F fields spread over bins (and
options). The metrics are functions of a tally's sum over questions, so a bootstrap resample is a
weighted sum, all resamples together one matrix product, and a permutation of a pair of models
a difference of tallies. Bins are fixed by a `reference` sample: the observed one.

Equal-width bins are right-closed on [0, 1]; 0 falls in the first. Equal-mass bins are right-closed
at the reference's quantiles; equal values share a bin, so that no order of questions matters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alignment_calibration.predictions import Floats, Integers, Predictions


@dataclass(frozen=True)
class Settings:
    """What the binned metrics leave open.

    Attributes:
        bins: number of bins.
        tace_threshold: probabilities at or below it are left out of `tace`.
    """

    bins: int = 10
    tace_threshold: float = 0.01


Tally = Callable[[Predictions, Settings, Predictions], Floats]

#: Cosine terms of `residual_waves`: kernels down to a bandwidth of about 0.01 are resolved, the
#: width that smooth ECE takes for a calibrated model at some 100,000 questions.
WAVES = 128


def questions(predictions: Predictions, settings: Settings, reference: Predictions) -> Floats:
    """Numbers that are averaged over questions.

    Returns:
        Shape (N, 6): 1, correct, confidence, Brier score (sum of squares over options, 0 to 2),
        negative log-likelihood of the right option (nats), letter mass (0 where there is none).
    """
    p = predictions
    brier = ((p.probabilities - p.one_hot_gold) ** 2).sum(axis=1)
    # The smallest positive number stands for a probability that underflowed: at most 708 nats.
    nll = -np.log(np.maximum(p.gold_probability, np.finfo(np.float64).tiny))
    letter_mass = np.zeros(len(p)) if p.letter_mass is None else p.letter_mass
    return np.stack([np.ones(len(p)), p.correct, p.confidence, brier, nll, letter_mass], axis=1)


def top_equal_width(predictions: Predictions, settings: Settings, reference: Predictions) -> Floats:
    """Shape (N, 3, B): count, confidence, correct in equal-width bins of confidence."""
    return _top(predictions, _equal_width_edges(settings.bins))


def top_equal_mass(predictions: Predictions, settings: Settings, reference: Predictions) -> Floats:
    """Shape (N, 3, B): count, confidence, correct in equal-mass bins of confidence."""
    return _top(predictions, _equal_mass_edges(reference.confidence, settings.bins))


def class_equal_width(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Floats:
    """Shape (N, 4, K, B): count, probability, label, one-vs-rest accuracy in equal-width bins of
    each option's probability; nothing where a question has no such option.
    """
    edges = _equal_width_edges(settings.bins)
    return _by_class(predictions, [edges] * predictions.probabilities.shape[1])


def class_equal_mass(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Floats:
    """Shape (N, 4, K, B): as `class_equal_width`, in equal-mass bins of each option."""
    return _by_class(predictions, _class_edges(reference, settings.bins))


def class_equal_mass_above(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Floats:
    """Shape (N, 4, K, 1 + B): as `class_equal_mass`, with a first bin for the probabilities at or
    below the threshold and B equal-mass bins for those above it.
    """
    threshold = settings.tace_threshold
    edges = [
        np.concatenate([[threshold], edges])
        for edges in _class_edges(reference, settings.bins, above=threshold)
    ]
    return _by_class(predictions, edges)


def residual_waves(predictions: Predictions, settings: Settings, reference: Predictions) -> Floats:
    """Shape (N, 1 + WAVES): 1, and (confidence − correct)·cos(π j confidence) for j = 0, 1, …

    The sums are the cosine coefficients of the residuals as a measure on [0, 1], in which
    smoothing by a Gaussian kernel reflected at 0 and 1 is a product.
    """
    confidence = predictions.confidence
    angle = np.pi * confidence[:, None] * np.arange(WAVES)
    waves = (confidence - predictions.correct)[:, None] * np.cos(angle)
    return np.concatenate([np.ones((len(predictions), 1)), waves], axis=1)


def _equal_width_edges(bins: int) -> Floats:
    """Inner edges of equal-width bins: quotients, so that 0.7 is the upper edge of its bin."""
    return np.arange(1, bins) / bins


def _equal_mass_edges(values: Floats, bins: int) -> Floats:
    """Inner edges of bins of (nearly) equal counts: values of the sample, each the last of its bin.

    Returns:
        Shape (bins − 1,); ends in +inf where there are no values, so that the first bin has all.
    """
    if values.size == 0:
        return np.full(bins - 1, np.inf)
    last = np.ceil(np.arange(1, bins) * values.size / bins).astype(np.int64) - 1
    return np.asarray(np.sort(values)[last])


def _class_edges(reference: Predictions, bins: int, above: float = -np.inf) -> list[Floats]:
    """Equal-mass edges of each option's probabilities that exceed `above`."""
    kept = reference.has_option & (reference.probabilities > above)
    return [
        _equal_mass_edges(column[keep], bins)
        for column, keep in zip(reference.probabilities.T, kept.T, strict=True)
    ]


def _bin(values: Floats, inner_edges: Floats) -> Integers:
    """Index of the right-closed bin of each value."""
    return np.searchsorted(inner_edges, values, side="left")


def _top(predictions: Predictions, inner_edges: Floats) -> Floats:
    rows = np.arange(len(predictions))
    tally = np.zeros((len(predictions), 3, inner_edges.size + 1))
    index = _bin(predictions.confidence, inner_edges)
    tally[rows, 0, index] = 1
    tally[rows, 1, index] = predictions.confidence
    tally[rows, 2, index] = predictions.correct
    return tally


def _by_class(predictions: Predictions, inner_edges: list[Floats]) -> Floats:
    count, options = predictions.probabilities.shape
    tally = np.zeros((count, 4, options, inner_edges[0].size + 1))
    for option, edges in enumerate(inner_edges):
        rows = np.flatnonzero(predictions.has_option[:, option])
        probability = predictions.probabilities[rows, option]
        index = _bin(probability, edges)
        is_gold = predictions.gold[rows] == option
        tally[rows, 0, option, index] = 1
        tally[rows, 1, option, index] = probability
        tally[rows, 2, option, index] = is_gold
        tally[rows, 3, option, index] = (predictions.predicted[rows] == option) == is_gold
    return tally
