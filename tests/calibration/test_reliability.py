"""The reliability curve against what is known of the simulated models."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.reliability import bins, curve
from alignment_calibration.study.settings import Resampling
from tests.support.simulation import SETTINGS

RESAMPLING = Resampling(seed=0, resamples=200)


def simulated(accuracy_of, questions, seed=0):
    """Two-option questions whose chosen option is right with probability `accuracy_of(c)`."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, questions)
    right = random.random(questions) < accuracy_of(confidence)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    return fixed_options(probabilities, np.where(right, 0, 1))


@pytest.mark.parametrize(
    "accuracy_of",
    [lambda c: c, lambda c: c**2, lambda c: 0.25 + 0.5 * c],
    ids=["calibrated", "over-confident", "flat"],
)
def test_curve_finds_the_accuracy(accuracy_of):
    found = curve(simulated(accuracy_of, 20_000), "task", RESAMPLING)
    inside = found[found["confidence"].between(0.55, 0.95)]
    assert np.allclose(inside["accuracy"], accuracy_of(inside["confidence"]), atol=0.03)
    assert (found["low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["high"]).all()
    assert found["confidence"].between(0.5, 1).all()


def test_band_covers_the_truth_about_as_often_as_it_says():
    """Pointwise at confidence 0.75, over simulated studies of 400 questions."""
    covered = 0
    for seed in range(100):
        found = curve(simulated(lambda c: c, 400, seed), f"task {seed}", RESAMPLING)
        row = found.iloc[(found["confidence"] - 0.75).abs().argmin()]
        covered += row["low"] <= row["confidence"] <= row["high"]
    assert 86 <= covered <= 99  # 95 % of 100, four standard deviations below


def test_band_narrows_with_more_questions():
    few, many = (
        curve(simulated(lambda c: c, questions, 1), "task", RESAMPLING)
        for questions in (200, 20_000)
    )
    assert (many["high"] - many["low"]).mean() < 0.3 * (few["high"] - few["low"]).mean()


def test_bins_give_the_ece_of_another_library():
    predictions = simulated(lambda c: c**2, 3_000)
    rows = bins(predictions, SETTINGS).dropna()
    share = rows["questions"] / rows["questions"].sum()
    ece = (share * (rows["accuracy"] - rows["confidence"]).abs()).sum()
    theirs = multiclass_calibration_error(
        torch.tensor(predictions.probabilities), torch.tensor(predictions.gold), 2, n_bins=10
    )
    assert ece == pytest.approx(float(theirs), abs=1e-6)


def test_few_questions_give_no_curve_but_bins():
    predictions = simulated(lambda c: c, 5)
    assert curve(predictions, "task", RESAMPLING).empty
    assert bins(predictions, SETTINGS)["questions"].sum() == 5


def test_same_questions_same_curve():
    first, second = (curve(simulated(lambda c: c, 300), "task", RESAMPLING) for _ in range(2))
    assert first.equals(second)
