"""Metrics: numbers over the predictions of one model on one task under one method.

To add a metric, write a formula over a tally (or a curve) and add a line to `METRICS`.
"""

import operator
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Literal, TypeVar

import numpy as np

from alignment_calibration.calibration.metrics import curves, formulas, tallies
from alignment_calibration.calibration.metrics.curves import Curve
from alignment_calibration.calibration.metrics.tallies import Settings, Tally
from alignment_calibration.calibration.predictions import Booleans, Floats, Predictions, concatenate
from alignment_calibration.calibration.resampling import Interval

__all__ = ["METRICS", "Comparison", "Metric", "Sample", "Settings", "interval_note", "select"]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Metric:
    """A metric and what is known of it.

    Attributes:
        worse: +1 if a rise is worse, −1 if a fall is worse, 0 if neither is.
        tally: what the questions add up to; None for a curve.
        formula: the metric as a function of the tally's sums.
        curve: the metric as a function of confidence, correctness and weights; else None.
        interval: kind of bootstrap interval, chosen by its coverage in simulation.
        interval_covers: whether that interval was seen to cover at its nominal rate, be the model
            calibrated or not (docs/statistics.md has the figures).
        rate_covers: whether the interval of its change rate was, be the base calibrated or not.
        letters_only: whether it needs the probability mass on the listed letters.
        bounds: least and greatest value it can have, which its interval does not leave.
    """

    worse: Literal[-1, 0, 1]
    tally: Tally | None = None
    formula: Callable[[Floats], Floats] | None = None
    curve: Curve | None = None
    interval: Interval = "percentile"
    interval_covers: bool = True
    rate_covers: bool = True
    letters_only: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)


def _mean(number: str, worse: Literal[-1, 0, 1], letters_only: bool = False) -> Metric:
    tally = tallies.of_questions(operator.attrgetter(number))
    return Metric(worse, tally, formulas.mean, letters_only=letters_only)


def _error(tally: Tally, formula: Callable[[Floats], Floats]) -> Metric:
    return Metric(
        1,
        tally,
        formula,
        interval="hull",
        interval_covers=False,
        rate_covers=False,
        bounds=(0, 1),
    )


def _brier_part(formula: Callable[[Floats], Floats], worse: Literal[-1, 0, 1]) -> Metric:
    tally = tallies.class_equal_width
    # Of the three only the reliability can be next to 0, where a rate has no end.
    return Metric(worse, tally, formula, interval="basic", rate_covers=worse != 1)


OVERCONFIDENCE = tallies.of_questions(
    operator.attrgetter("confidence"), operator.attrgetter("correct")
)

METRICS: dict[str, Metric] = {
    "accuracy": _mean("correct", worse=-1),
    "confidence": _mean("confidence", worse=0),
    "overconfidence": Metric(0, OVERCONFIDENCE, formulas.mean_difference, rate_covers=False),
    "ece": _error(tallies.top_equal_width, formulas.top_label_error),
    "ece_equal_mass": _error(tallies.top_equal_mass, formulas.top_label_error),
    "ece_debiased": _error(tallies.top_equal_width, formulas.top_label_debiased),
    "smooth_ece": _error(tallies.residual_waves, formulas.smooth_ece),
    "mce": _error(tallies.top_equal_width, formulas.top_label_maximum),
    "sce": _error(tallies.class_equal_width, formulas.class_wise_error),
    "sce_ovr": _error(tallies.class_equal_width, formulas.one_vs_rest_error),
    "ace": _error(tallies.class_equal_mass, formulas.class_wise_error),
    "tace": _error(tallies.class_equal_mass_above, formulas.class_wise_error_above),
    "brier": _mean("squared_error", worse=1),
    "brier_reliability": _brier_part(formulas.brier_reliability, worse=1),
    "brier_resolution": _brier_part(formulas.brier_resolution, worse=-1),
    "brier_uncertainty": _brier_part(formulas.brier_uncertainty, worse=0),
    "nll": _mean("log_loss", worse=1),
    "auroc": Metric(-1, curve=curves.auroc),
    "aurc": Metric(1, curve=curves.aurc),
    "letter_mass": _mean("letter_mass", worse=0, letters_only=True),
}


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


def select(names: Iterable[str]) -> dict[str, Metric]:
    """The metrics of these names, in the registry's order."""
    wanted = set(names)
    return {name: metric for name, metric in METRICS.items() if name in wanted}


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, those of equal values averaged. (SciPy's would cost every job its import.)"""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[group])


def interval_note(names: Iterable[str], *, rates: bool = False) -> str:
    """What to say wherever intervals of these metrics, or of their change rates, are shown."""
    indicative = [
        name
        for name in names
        if name in METRICS
        and not (METRICS[name].rate_covers if rates else METRICS[name].interval_covers)
    ]
    note = "In brackets: 95 % interval."
    if indicative:
        note += (
            f" Those of {', '.join(indicative)} are indicative only: in simulation they hold the "
            "truth less often than that (docs/statistics.md)."
        )
    return note


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
