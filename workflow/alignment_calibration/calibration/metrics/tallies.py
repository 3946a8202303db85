"""Tallies: what each question adds to the sums from which metrics are computed.

A tally has fields (a count, a confidence, …) that each question adds to one or more bins (of its
confidence, or of each option's probability). The metrics are functions of the sums over questions,
so a bootstrap resample is a weighted sum, all resamples together one matrix product, and a
permutation of a pair of models a difference of tallies. Bins are fixed by a `reference` sample: the
observed one.

Equal-width bins are right-closed on [0, 1]; 0 falls in the first. Equal-mass bins are right-closed
at the reference's quantiles; equal values share a bin, so that no order of questions matters.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alignment_calibration.calibration.predictions import Booleans, Floats, Integers, Predictions
from alignment_calibration.study.settings import Settings

#: Fields of the tallies of confidence.
COUNT, CONFIDENCE, CORRECT = range(3)
#: Fields of the tallies of each option's probability, after the count.
PROBABILITY, LABEL, ONE_VS_REST = range(1, 4)


@dataclass(frozen=True)
class Columns:
    """What each of N questions adds to the sums of a tally with F fields.

    Attributes:
        bins: shape (N, S); the bins to which a question adds, different ones in its S slots.
        fields: shape (F, N, S); what it adds to each field there.
        shape: of the sums: F, then how the bins are laid out.
    """

    bins: Integers
    fields: Floats
    shape: tuple[int, ...]

    def total(self) -> Floats:
        """Sums over all questions, of `shape`."""
        bins = math.prod(self.shape[1:])
        if bins == 1:
            return np.asarray(self.fields.sum(axis=(1, 2)).reshape(self.shape))
        sums = np.empty((len(self.fields), bins))
        for number, field in enumerate(self.fields):
            sums[number] = np.bincount(self.bins.ravel(), field.ravel(), minlength=bins)
        return sums.reshape(self.shape)

    def dense(self) -> Floats:
        """A row for each question: shape (N, F · bins), in the layout of the flattened sums."""
        count = len(self.bins)
        rows = np.zeros((count, len(self.fields), math.prod(self.shape[1:])))
        for number, field in enumerate(self.fields):
            rows[np.arange(count)[:, None], number, self.bins] = field
        return rows.reshape(count, -1)


Tally = Callable[[Predictions, Settings, Predictions], Columns]

#: Cosine terms of `residual_waves`: kernels down to a bandwidth of about 0.01 are resolved, the
#: width that smooth ECE takes for a calibrated model at some 100,000 questions.
WAVES = 128


def of_questions(*numbers: Callable[[Predictions], Floats | Booleans]) -> Tally:
    """A tally of numbers that are averaged over questions.

    Its sums have shape (1 + numbers,): the number of questions, then the sum of each number.
    """

    def tally(predictions: Predictions, settings: Settings, reference: Predictions) -> Columns:
        fields = [np.ones(len(predictions)), *(number(predictions) for number in numbers)]
        return _one_bin(np.stack(fields).astype(np.float64, copy=False))

    return tally


def top_equal_width(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Columns:
    """Sums of shape (3, B): count, confidence, correct in equal-width bins of confidence."""
    return _top(predictions, _equal_width_edges(settings.bins))


def top_equal_mass(predictions: Predictions, settings: Settings, reference: Predictions) -> Columns:
    """Sums of shape (3, B): count, confidence, correct in equal-mass bins of confidence."""
    return _top(predictions, _equal_mass_edges(reference.confidence, settings.bins))


def class_equal_width(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Columns:
    """Sums of shape (4, K, B): count, probability, label, one-vs-rest accuracy in equal-width bins
    of each option's probability; nothing where a question has no such option.
    """
    edges = _equal_width_edges(settings.bins)
    return _by_class(predictions, [edges] * predictions.probabilities.shape[1])


def class_equal_mass(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Columns:
    """Sums of shape (4, K, B): as `class_equal_width`, in equal-mass bins of each option."""
    return _by_class(predictions, _class_edges(reference, settings.bins))


def class_equal_mass_above(
    predictions: Predictions, settings: Settings, reference: Predictions
) -> Columns:
    """Sums of shape (4, K, 1 + B): as `class_equal_mass`, with a first bin for the probabilities at
    or below the threshold and B equal-mass bins for those above it.
    """
    threshold = settings.tace_threshold
    edges = [
        np.concatenate([[threshold], edges])
        for edges in _class_edges(reference, settings.bins, above=threshold)
    ]
    return _by_class(predictions, edges)


def residual_waves(predictions: Predictions, settings: Settings, reference: Predictions) -> Columns:
    """Sums of shape (1 + WAVES,): of 1, and of (confidence − correct)·cos(π j confidence) for
    j = 0, 1, …

    The sums are the cosine coefficients of the residuals as a measure on [0, 1], in which
    smoothing by a Gaussian kernel reflected at 0 and 1 is a product.
    """
    confidence = predictions.confidence
    angle = np.pi * np.arange(WAVES)[:, None] * confidence
    waves = (confidence - predictions.correct) * np.cos(angle)
    return _one_bin(np.concatenate([np.ones((1, len(predictions))), waves]))


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


def _one_bin(fields: Floats) -> Columns:
    """Fields of shape (F, N) that all questions add to the same sums."""
    bins = np.zeros((fields.shape[1], 1), dtype=np.int64)
    return Columns(bins, fields[:, :, None], (len(fields),))


def _top(predictions: Predictions, inner_edges: Floats) -> Columns:
    confidence = predictions.confidence
    fields = np.stack([np.ones(len(predictions)), confidence, predictions.correct])
    bins = _bin(confidence, inner_edges)[:, None]
    return Columns(bins, fields[:, :, None], (3, inner_edges.size + 1))


def _by_class(predictions: Predictions, inner_edges: list[Floats]) -> Columns:
    count, options = predictions.probabilities.shape
    of_option = inner_edges[0].size + 1
    option = np.arange(options)
    bins = np.empty((count, options), dtype=np.int64)
    for k, edges in enumerate(inner_edges):
        bins[:, k] = k * of_option + _bin(predictions.probabilities[:, k], edges)
    is_gold = predictions.gold[:, None] == option
    agrees = (predictions.predicted[:, None] == option) == is_gold
    # A missing option has no probability and is never gold; only count and agreement need a mask.
    has_option = predictions.has_option
    fields = np.stack([has_option, predictions.probabilities, is_gold, agrees & has_option])
    return Columns(bins, fields, (4, options, of_option))
