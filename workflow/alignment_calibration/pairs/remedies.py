"""The registry of remedies: what can be done about a pair's miscalibration with files on disk.

A remedy takes the predictions of base and aligned model and gives others in their place. To add
one, write such a function and put an entry into `REMEDIES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from alignment_calibration.calibration.metrics.registry import Metric
from alignment_calibration.calibration.predictions import Answers, Predictions
from alignment_calibration.pairs.temperature import (
    Temperature,
    calibrate_by_answers,
    calibrate_by_base,
)
from alignment_calibration.study.vocabulary import CHOICE, METHODS, Method


@dataclass(frozen=True)
class Remedied:
    """Predictions of a pair's models under a remedy.

    Attributes:
        base, aligned: a model that the remedy leaves alone is the same object as before.
        base_temperature, aligned_temperature: where the remedy is one.
    """

    base: Predictions
    aligned: Predictions
    base_temperature: Temperature | None = None
    aligned_temperature: Temperature | None = None


@dataclass(frozen=True)
class Remedy:
    """A remedy and what is known of it.

    Attributes:
        label: what it does, for tables and figures.
        apply: as a function of the base model's answers and the aligned model's.
        suits: whether it has a meaning under a method.
        of_answer: whether it gives confidences to answers alone, so that only metrics that see no
            more (`Metric.of_answer`) have a meaning.
    """

    label: str
    apply: Callable[[Answers, Answers], Remedied]
    suits: Callable[[Method], bool] = lambda method: True
    of_answer: bool = False

    def metrics(self, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
        """Those of some metrics that have a meaning under it."""
        return {
            name: metric
            for name, metric in metrics.items()
            if metric.of_answer or not self.of_answer
        }


def batch_calibrated(predictions: Predictions) -> Predictions:
    """Predictions less what the model says of each option whatever the question is.

    Batch calibration (Zhou et al. 2024, arXiv 2309.17249), all questions being the batch: of the
    log-probability of every option (a letter, so that it is the same class everywhere) the mean
    over the questions that have it is taken away. No labels enter.
    """
    logs, has_option = predictions.log_probabilities, predictions.has_option
    mean = logs.sum(axis=0) / np.maximum(has_option.sum(axis=0), 1)
    return predictions.with_scores(logs - mean)


def with_base_confidence(base: Predictions, aligned: Predictions) -> Predictions:
    """The aligned model's answers with the probabilities that the base model gives them.

    BaseCal (Tan et al. 2026, arXiv 2601.03042), its variant that asks the base model: here the
    answer is an option, of which the base model has been asked already. No labels enter.
    """
    return replace(base, answer=aligned.predicted)


def _temperature(base: Answers, aligned: Answers) -> Remedied:
    (of_base, base_temperature), (of_aligned, aligned_temperature) = map(
        calibrate_by_answers, (base, aligned)
    )
    return Remedied(of_base, of_aligned, base_temperature, aligned_temperature)


def _daca(base: Answers, aligned: Answers) -> Remedied:
    scaled, temperature = calibrate_by_base(base.predictions, aligned.predictions)
    return Remedied(base.predictions, scaled, aligned_temperature=temperature)


def _basecal(base: Answers, aligned: Answers) -> Remedied:
    before = base.predictions, aligned.predictions
    return Remedied(before[0], with_base_confidence(*before))


def _batch(base: Answers, aligned: Answers) -> Remedied:
    return Remedied(batch_calibrated(base.predictions), batch_calibrated(aligned.predictions))


def _is_of_letters(method: Method) -> bool:
    """Whether the options are letters and nothing else, each in the place where it was listed."""
    return method.prompt == CHOICE and method.normalisation == "softmax"


#: Every remedy, by name.
REMEDIES: Final = {
    "temperature": Remedy("each model at the temperature that fits its answers", _temperature),
    "daca": Remedy("aligned model at the temperature that fits the base model", _daca),
    "basecal": Remedy(
        "aligned model's answers with the base model's confidence", _basecal, of_answer=True
    ),
    "batch": Remedy(
        "each model's letters less what it says of them on average", _batch, _is_of_letters
    ),
}


def remedies_of(method: str) -> dict[str, Remedy]:
    """The remedies that have a meaning under a method, by name."""
    return {name: remedy for name, remedy in REMEDIES.items() if remedy.suits(METHODS[method])}
