"""A sample of questions, prepared for metrics over any weighting of it.

Tally, sums, formula: a resample is a weighted sum of the tally's rows, so all resamples together
are one matrix product, and a permutation of a pair of models a difference of tallies.
"""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import Estimate, of_mean
from alignment_calibration.calibration.metrics.registry import Metric
from alignment_calibration.calibration.metrics.tallies import Tally
from alignment_calibration.calibration.predictions import Booleans, Floats, Predictions, concatenate
from alignment_calibration.study.settings import Settings

Name = TypeVar("Name", bound=Hashable)


class Sample(Generic[Name]):
    """Predictions prepared for metrics over any weighting of their questions.

    Args:
        predictions: of N questions.
        metrics: by name; those that do not apply are left out.
        settings: bins and thresholds.
        reference: the predictions that fix equal-mass bins; `predictions` themselves by default.
    """

    def __init__(
        self,
        predictions: Predictions,
        metrics: Mapping[Name, Metric],
        settings: Settings,
        reference: Predictions | None = None,
    ) -> None:
        self.predictions = predictions
        self.metrics = {
            name: metric
            for name, metric in metrics.items()
            if not metric.letters_only or predictions.letter_mass is not None
        }
        self.tallies = {
            tally: tally(predictions, settings, reference or predictions)
            for tally in dict.fromkeys(metric.tally for metric in self.metrics.values())
            if tally is not None
        }

    @cached_property
    def _rows(self) -> dict[Tally, Floats]:
        return {
            tally: columns.dense().astype(np.float32) for tally, columns in self.tallies.items()
        }

    def values(self) -> dict[Name, float]:
        """The metrics of the sample as it is, in double precision."""
        sums = {tally: columns.total()[None] for tally, columns in self.tallies.items()}
        weights = np.ones((1, len(self.predictions)))
        confidence, correct = self.predictions.confidence, self.predictions.correct
        return {
            name: float(_value(metric, sums, confidence, correct, weights)[0])
            for name, metric in self.metrics.items()
        }

    def shares(self) -> dict[Name, Floats]:
        """What each question adds to each metric that is such a sum: shape (N,), by metric."""
        return {
            name: metric.shares(self.tallies[metric.tally])
            for name, metric in self.metrics.items()
            if metric.tally is not None and metric.shares is not None
        }

    def estimates(self) -> dict[Name, Estimate]:
        """The metrics that come with an estimate: `registry.Metric.is_estimated`."""
        values, shares, drawing = self.values(), self.shares(), self.predictions.drawing
        return {
            name: replace(
                estimate(self.tallies[metric.tally], metric.gaps, drawing=drawing)
                if metric.gaps is not None
                else of_mean(shares[name] * len(self.predictions), drawing),
                value=values[name],
            )
            for name, metric in self.metrics.items()
            if metric.tally is not None and metric.is_estimated
        }

    def resampled(self, weights: Floats) -> dict[Name, Floats]:
        """The metrics under weights of shape (R, N), each of shape (R,), in single precision."""
        sums = {
            tally: (weights @ rows).reshape(-1, *self.tallies[tally].shape)
            for tally, rows in self._rows.items()
        }
        confidence, correct = self.predictions.confidence, self.predictions.correct
        return {
            name: _value(metric, sums, confidence, correct, weights)
            for name, metric in self.metrics.items()
        }


class Comparison(Generic[Name]):
    """Base and aligned predictions of the same questions, prepared for swaps between them.

    Equal-mass bins are those of both models' probabilities together, so that a swap leaves them.
    Curves, which see only the order of confidences, are swapped as ranks within each model, so that
    two models that differ by a temperature count as equal (Venkatraman & Begg 1996).

    Args:
        base: predictions of N questions.
        aligned: predictions of the same questions in the same order.
        metrics: by name; those that do not apply are left out.
        settings: bins and thresholds.
    """

    def __init__(
        self,
        base: Predictions,
        aligned: Predictions,
        metrics: Mapping[Name, Metric],
        settings: Settings,
    ) -> None:
        sample = Sample(concatenate(base, aligned), metrics, settings)
        self.metrics = sample.metrics
        self._correct = sample.predictions.correct
        self._ranks = np.concatenate([_ranks(base.confidence), _ranks(aligned.confidence)])
        count = len(base)
        self._base_sums, self._total, self._differences = {}, {}, {}
        for tally, columns in sample.tallies.items():
            rows = columns.dense()
            self._base_sums[tally] = rows[:count].sum(axis=0)
            self._total[tally] = columns.total()
            self._differences[tally] = (rows[count:] - rows[:count]).astype(np.float32)

    def swapped(self, swaps: Floats) -> tuple[dict[Name, Floats], dict[Name, Floats]]:
        """Each metric of base and of aligned model after swapping predictions between them.

        Args:
            swaps: shape (R, N); 1 where a question's predictions are swapped, else 0.

        Returns:
            Arrays of shape (R,), of base and of aligned model.
        """
        base_sums = {
            tally: (self._base_sums[tally] + swaps @ rows).reshape(-1, *self._total[tally].shape)
            for tally, rows in self._differences.items()
        }
        aligned_sums = {tally: self._total[tally] - sums for tally, sums in base_sums.items()}
        base_weights = aligned_weights = swaps
        if any(metric.curve for metric in self.metrics.values()):
            base_weights = np.concatenate([1 - swaps, swaps], axis=1)
            aligned_weights = np.concatenate([swaps, 1 - swaps], axis=1)
        base, aligned = (
            {
                name: _value(metric, sums, self._ranks, self._correct, weights)
                for name, metric in self.metrics.items()
            }
            for sums, weights in ((base_sums, base_weights), (aligned_sums, aligned_weights))
        )
        return base, aligned


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, those of equal values averaged. (SciPy's would cost every job its import.)"""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[group])


def _value(
    metric: Metric,
    sums: Mapping[Tally, Floats],
    confidence: Floats,
    correct: Booleans,
    weights: Floats,
) -> Floats:
    if metric.curve is not None:
        return metric.curve(confidence, correct, weights)
    assert metric.tally is not None
    assert metric.formula is not None
    return metric.formula(sums[metric.tally])
