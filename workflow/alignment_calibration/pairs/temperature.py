"""Temperatures: one number that makes a model more or less sure, and two ways to find it.

A temperature T > 1 flattens a model's probabilities over the options of a question, T < 1 sharpens
them: p^(1/T), normalised (Guo et al. 2017).
"""

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from alignment_calibration.calibration.estimates import LEVEL, contributions
from alignment_calibration.calibration.predictions import Answers, Floats, Predictions

#: Temperatures are looked for from its inverse to it. A model that should be ever sharper (all
#: answers right) or flatter (worse than chance) ends at a bound.
LARGEST = 100.0


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: the temperature; NaN where there was nothing to fit it to.
        log_error: standard error of its logarithm, for another sample of questions; NaN where there
            is none, as at the bounds of the search.
        degrees: degrees of freedom of Student's t; None where questions are drawn one by one:
            the normal distribution.
    """

    value: float
    log_error: float = math.nan
    degrees: int | None = None

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The confidence interval; NaN where there is none."""
        tail = 0.5 + level / 2
        quantile = ndtri(tail) if self.degrees is None else stdtrit(self.degrees, tail)
        reach = float(quantile) * self.log_error
        return self.value * math.exp(-reach), self.value * math.exp(reach)


def fit_temperature(predictions: Predictions, targets: Floats) -> Temperature:
    """The temperature at which the predictions have the least cross-entropy to the targets.

    The cross-entropy is convex in β = 1/T, so the zero of its derivative Σ_i ψ_i(β) is found by
    bracketing. Its error is that of an M-estimator: √(Σ ψ²) / Σ ψ' (Huber 1967).

    Args:
        predictions: of N questions.
        targets: shape (N, K), each row summing to 1: the right options (then this minimises the
            negative log-likelihood), or another model's probabilities.
    """
    logs = predictions.log_probabilities
    wanted = (targets * logs).sum(axis=1)

    def expected(inverse: float) -> tuple[Floats, Floats]:
        """Mean and mean square of the log-probabilities at a temperature, shape (N,) each."""
        tempered = predictions.with_scores(logs * inverse).probabilities
        return (tempered * logs).sum(axis=1), (tempered * logs**2).sum(axis=1)

    def slope(inverse: float) -> float:
        # Derivative by 1/T: the expected log-probability less that under the targets.
        return float((expected(inverse)[0] - wanted).sum())

    low, high = 1 / LARGEST, LARGEST
    if slope(low) >= 0:
        return Temperature(LARGEST)
    if slope(high) <= 0:
        return Temperature(1 / LARGEST)
    inverse = float(brentq(slope, low, high, xtol=1e-6))
    mean, square = expected(inverse)
    curvature = float((square - mean**2).sum())
    added = contributions(mean - wanted, predictions.drawing)
    error = len(predictions) * math.sqrt(float(added @ added)) / curvature / inverse
    degrees = None if predictions.drawing is None else added.size - 1
    return Temperature(1 / inverse, error, degrees)


def at_temperature(predictions: Predictions, temperature: float | Floats) -> Predictions:
    """The predictions at one temperature, or at one of each question (shape (N,))."""
    inverse = np.broadcast_to(1 / np.asarray(temperature), len(predictions))[:, None]
    return predictions.with_scores(predictions.log_probabilities * inverse)


def calibrate_by_answers(answers: Answers) -> tuple[Predictions, Temperature]:
    """Predictions at the temperature that fits the right answers, by cross-fitting in two folds.

    Each fold, drawn by a hash of the question's id, is put at the temperature of the other, so that
    no question's own answer decides its temperature.

    Returns:
        The predictions, and the geometric mean of the two temperatures.
    """
    predictions = answers.predictions
    in_first = np.array([_in_first_fold(name) for name in answers.question_ids])
    if in_first.all() or not in_first.any():  # a handful of questions: no second fold
        temperature = fit_temperature(predictions, predictions.one_hot_gold)
        return at_temperature(predictions, temperature.value), temperature
    folds = (predictions.subset(fold) for fold in (in_first, ~in_first))
    first, second = (fit_temperature(fold, fold.one_hot_gold) for fold in folds)
    calibrated = at_temperature(predictions, np.where(in_first, second.value, first.value))
    mean = Temperature(
        math.sqrt(first.value * second.value), math.hypot(first.log_error, second.log_error) / 2
    )
    if predictions.drawing is not None and math.isfinite(mean.log_error):
        # Groups have questions in both folds, whose errors so go together. That of the mean is, to
        # first order, the error of one fit to all questions.
        whole = fit_temperature(predictions, predictions.one_hot_gold)
        mean = replace(whole, value=mean.value)
    return calibrated, mean


def calibrate_by_base(base: Predictions, aligned: Predictions) -> tuple[Predictions, Temperature]:
    """Aligned predictions at the temperature that fits the base model's confidence, without labels.

    Fitted to the base model's probabilities on the questions where both models choose the same
    option: disagreement-aware alignment (DACA; Luo et al. 2025, arXiv 2505.16690), for which
    questions where they differ would ask for too large a temperature.

    Returns:
        The predictions and the temperature; NaN and unchanged if the models agree nowhere.
    """
    agree = np.asarray(base.predicted == aligned.predicted)
    if not agree.any():
        return aligned, Temperature(math.nan)
    temperature = fit_temperature(aligned.subset(agree), base.probabilities[agree])
    return at_temperature(aligned, temperature.value), temperature


def _in_first_fold(question_id: str) -> bool:
    return hashlib.sha256(question_id.encode()).digest()[0] % 2 == 0
