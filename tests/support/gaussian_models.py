"""Simulated models whose true calibration error is known: Gaussian features, exact posteriors.

The right option y is uniform over K. A model sees x = d·(1 at y, else 0) + normal noise, of which
softmax(d·x) is the exact posterior: calibrated, with an accuracy that the separation d sets. A
temperature below 1 makes it over-confident, one above 1 under-confident, without a change of its
answers. Models of the same questions share y and part of their noise.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.metrics.gaps import Gaps
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.tallies import CORRECT, LABEL, ONE_VS_REST, Columns
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from tests.support.simulation import SETTINGS, Floats, softmax

#: Share of the noise's variance that models of the same questions have in common.
SHARED = 0.7


@dataclass(frozen=True)
class Model:
    """A model by its accuracy and temperature."""

    accuracy: float
    temperature: float = 1.0


@dataclass(frozen=True)
class Questions:
    """The right options of N questions and the noise that all models share, shape (N, K)."""

    gold: npt.NDArray[np.int64]
    noise: Floats


@lru_cache
def separation(accuracy: float, options: int) -> float:
    """The separation of a model that is right this often."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    return float(brentq(lambda d: weights @ ndtr(points + d) ** (options - 1) - accuracy, 0, 20))


def draw_questions(random: np.random.Generator, count: int, options: int = 4) -> Questions:
    """Questions at random."""
    return Questions(random.integers(options, size=count), random.standard_normal((count, options)))


def posterior(random: np.random.Generator, questions: Questions, accuracy: float) -> Floats:
    """What a calibrated model of this accuracy says of the questions, shape (N, K)."""
    count, options = questions.noise.shape
    own = random.standard_normal((count, options))
    x = np.sqrt(SHARED) * questions.noise + np.sqrt(1 - SHARED) * own
    d = separation(accuracy, options)
    x[np.arange(count), questions.gold] += d
    return softmax(d * x)


def at_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities p^(1/T), normalised."""
    return softmax(np.log(probabilities) / temperature)


def answer(random: np.random.Generator, questions: Questions, model: Model) -> Predictions:
    """A model's predictions of the questions."""
    calibrated = posterior(random, questions, model.accuracy)
    return fixed_options(at_temperature(calibrated, model.temperature), questions.gold)


def errors(
    names: tuple[str, ...], model: Model, options: int = 4, count: int = 200_000
) -> dict[str, float]:
    """True binned errors of a model: over many questions, the exact posterior for the label."""
    random = np.random.default_rng(10**9)
    calibrated = posterior(random, draw_questions(random, count, options), model.accuracy)
    predictions = fixed_options(
        at_temperature(calibrated, model.temperature), np.zeros(count, dtype=np.int64)
    )
    return {name: estimate(*expected(predictions, calibrated, name)).value for name in names}


def tallied(predictions: Predictions, name: str) -> tuple[Columns, Gaps]:
    """The tally of a binned error, and which of its fields the error lies between."""
    metric = METRICS[name]
    assert metric.tally is not None
    assert metric.gaps is not None
    return metric.tally(predictions, SETTINGS, predictions), metric.gaps


def expected(predictions: Predictions, calibrated: Floats, name: str) -> tuple[Columns, Gaps]:
    """As `tallied`, with what is expected of the label in its place."""
    columns, gaps = tallied(predictions, name)
    is_predicted = np.arange(calibrated.shape[1]) == predictions.predicted[:, None]
    if columns.bins.shape[1] == 1:
        columns.fields[CORRECT] = calibrated[is_predicted][:, None]
    else:
        columns.fields[LABEL] = calibrated
        columns.fields[ONE_VS_REST] = np.where(is_predicted, calibrated, 1 - calibrated)
    return columns, gaps
