"""The step `temperature`: how much of a change does one number, the temperature, take back?

A temperature T > 1 flattens a model's probabilities over the options of a question, T < 1 sharpens
them: p^(1/T), normalised (Guo et al. 2017).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import (
    Answers,
    Booleans,
    Floats,
    Predictions,
    read_pair,
)
from alignment_calibration.contract.pairs import TEMPERATURE
from alignment_calibration.study.settings import Settings

#: Temperatures are looked for from its inverse to it. A model that should be ever sharper (all
#: answers right) or flatter (worse than chance) ends at a bound.
LARGEST = 100.0


def fit_temperature(predictions: Predictions, targets: Floats) -> float:
    """The temperature at which the predictions have the least cross-entropy to the targets.

    The cross-entropy is convex in 1/T, so the zero of its derivative is found by bracketing.

    Args:
        predictions: of N questions.
        targets: shape (N, K), each row summing to 1: the right options (then this minimises the
            negative log-likelihood), or another model's probabilities.
    """
    logs = _log_probabilities(predictions)
    wanted = (targets * logs).sum()

    def slope(inverse: float) -> float:
        # Derivative by 1/T: the expected log-probability less that under the targets.
        return float((_tempered(logs, inverse, predictions.has_option) * logs).sum() - wanted)

    low, high = 1 / LARGEST, LARGEST
    if slope(low) >= 0:
        return LARGEST
    if slope(high) <= 0:
        return 1 / LARGEST
    return float(1 / brentq(slope, low, high, xtol=1e-6))


def at_temperature(predictions: Predictions, temperature: float | Floats) -> Predictions:
    """The predictions at one temperature, or at one of each question (shape (N,))."""
    inverse = np.broadcast_to(1 / np.asarray(temperature), len(predictions))[:, None]
    logs = _log_probabilities(predictions)
    return predictions.with_probabilities(_tempered(logs, inverse, predictions.has_option))


def calibrate_by_answers(answers: Answers) -> tuple[Predictions, float]:
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
        return at_temperature(predictions, temperature), temperature
    of_first, of_second = (_fit_on(predictions, fold) for fold in (in_first, ~in_first))
    calibrated = at_temperature(predictions, np.where(in_first, of_second, of_first))
    return calibrated, float(np.sqrt(of_first * of_second))


def calibrate_by_base(base: Predictions, aligned: Predictions) -> tuple[Predictions, float]:
    """Aligned predictions at the temperature that fits the base model's confidence, without labels.

    Fitted to the base model's probabilities on the questions where both models choose the same
    option: disagreement-aware alignment (DACA; Luo et al. 2025, arXiv 2505.16690), for which
    questions where they differ would ask for too large a temperature.

    Returns:
        The predictions and the temperature; NaN and unchanged if the models agree nowhere.
    """
    agree = np.asarray(base.predicted == aligned.predicted)
    if not agree.any():
        return aligned, np.nan
    temperature = fit_temperature(_rows(aligned, agree), base.probabilities[agree])
    return at_temperature(aligned, temperature), temperature


def temperature_effects(
    pair: str,
    base: Mapping[str, str | Path],
    aligned: Mapping[str, str | Path],
    metrics: Sequence[str],
    settings: Settings,
) -> pd.DataFrame:
    """Metrics of one pair before and after their temperatures.

    Args:
        pair: slug.
        base, aligned: confidences file of each task.
        metrics: names in the registry.
        settings: of the binned metrics.

    Returns:
        Rows of the TEMPERATURE contract.

    Raises:
        UserError: if the models did not answer the same questions, or a file is damaged.
    """
    chosen = select(metrics)
    rows = []
    for task in base:
        for method, (of_base, of_aligned) in read_pair(base[task], aligned[task]).items():
            before = [answers.predictions for answers in (of_base, of_aligned)]
            by_answers = [calibrate_by_answers(answers) for answers in (of_base, of_aligned)]
            variants = {
                "nll": by_answers,
                "daca": [(before[0], 1.0), calibrate_by_base(before[0], before[1])],
            }
            values_before = [Sample(p, chosen, settings).values() for p in before]
            for variant, after in variants.items():
                values_after = [Sample(p, chosen, settings).values() for p, _ in after]
                for metric in values_before[0]:
                    rows.append(
                        {
                            "pair": pair,
                            "task": task,
                            "method": method,
                            "variant": variant,
                            "metric": metric,
                            "base_temperature": after[0][1],
                            "aligned_temperature": after[1][1],
                            "base_before": values_before[0][metric],
                            "base_after": values_after[0][metric],
                            "aligned_before": values_before[1][metric],
                            "aligned_after": values_after[1][metric],
                            "n": len(before[0]),
                        }
                    )
        print(f"{task}: temperatures fitted")
    frame = pd.DataFrame(rows)
    frame["change_before"] = frame["aligned_before"] - frame["base_before"]
    frame["change_after"] = frame["aligned_after"] - frame["base_after"]
    # A metric that no temperature touches, as accuracy, differs by rounding at most.
    changed = frame["change_before"].where(frame["change_before"].abs() > 1e-12)
    frame["removed"] = 1 - frame["change_after"] / changed
    keys = ["task", "method", "variant", "metric"]
    return frame.sort_values(keys).reindex(columns=TEMPERATURE.names)


def _log_probabilities(predictions: Predictions) -> Floats:
    """Log-probabilities; the smallest positive number stands for one that underflowed, and 0 (to be
    ignored) for an option that a question does not have.
    """
    smallest = np.finfo(np.float64).tiny
    logs = np.log(np.maximum(predictions.probabilities, smallest))
    return np.where(predictions.has_option, logs, 0.0)


def _tempered(logs: Floats, inverse: float | Floats, has_option: Booleans) -> Floats:
    """softmax(logs · inverse) over the options that each question has."""
    scaled = np.where(has_option, logs * inverse, -np.inf)
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _fit_on(predictions: Predictions, rows: Booleans) -> float:
    fold = _rows(predictions, rows)
    return fit_temperature(fold, fold.one_hot_gold)


def _rows(predictions: Predictions, rows: Booleans) -> Predictions:
    """Some of the questions, without their letter mass."""
    return Predictions(
        predictions.probabilities[rows], predictions.options[rows], predictions.gold[rows]
    )


def _in_first_fold(question_id: str) -> bool:
    return hashlib.sha256(question_id.encode()).digest()[0] % 2 == 0
