"""The registry of metrics is whole: what it says of each holds on simulated models."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest

from alignment_calibration.calibration.metrics.registry import METRICS, Unit
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from tests.support.simulation import SETTINGS, simulate, softmax

LETTERS = np.linspace(0.1, 1, 400)


def models():
    """Calibrated, over- and under-confident, certain, hardly better than chance, of all sizes."""
    for temperature in (1.0, 0.3, 3.0, 0.001):
        yield simulate(1, 400, temperature)
    random = np.random.default_rng(2)
    yield fixed_options(softmax(random.normal(size=(400, 3))), random.integers(3, size=400))
    options = random.integers(2, 6, 400)
    logits = np.where(np.arange(5) < options[:, None], 4 * random.normal(size=(400, 5)), -np.inf)
    yield Predictions(softmax(logits), options, random.integers(0, options))


@pytest.fixture(scope="module", params=list(models()), ids=len)
def sample(request):
    whole = dataclasses.replace(request.param, letter_mass=LETTERS)
    return Sample(whole, METRICS, SETTINGS)


def test_every_metric_has_a_label_of_its_own_a_unit_and_one_way_to_be_computed():
    labels = [metric.label for metric in METRICS.values()]
    assert all(labels)
    assert len(set(labels)) == len(labels)
    for name, metric in METRICS.items():
        assert metric.unit in get_args(Unit), name
        assert metric.worse in (-1, 0, 1), name
        assert (metric.curve is None) != (metric.tally is None), name
        assert (metric.tally is None) == (metric.formula is None), name
        assert metric.rebinned is None or metric.binning is not None, name
        assert metric.gaps is None or metric.binning is not None, name


def test_values_and_resamples_keep_the_bounds(sample):
    weights = np.random.default_rng(0).multinomial(400, [1 / 400] * 400, 50).astype(np.float32)
    values, resampled = sample.values(), sample.resampled(weights)
    assert values.keys() == resampled.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        low, high = metric.bounds
        assert low < high, name
        for found in (values[name], *resampled[name]):
            assert np.isnan(found) or low - 1e-6 <= found <= high + 1e-6, name


def test_a_damaged_model_is_worse_on_the_side_that_is_said_to_be():
    """The answers to every third question guessed, and everything with too much confidence."""
    good = simulate(3, 3000)
    random = np.random.default_rng(4)
    guessed = random.random(3000) < 1 / 3
    logits = np.where(
        guessed[:, None], 2 * random.normal(size=(3000, 4)), np.log(good.probabilities)
    )
    bad = fixed_options(softmax(logits / 0.5), good.gold)
    before, after = (Sample(p, METRICS, SETTINGS).values() for p in (good, bad))
    for name, value in before.items():
        if METRICS[name].worse:
            assert (after[name] - value) * METRICS[name].worse > 0, name
    assert METRICS["confidence"].worse == METRICS["brier_uncertainty"].worse == 0


def test_shares_of_the_questions_add_up_to_the_metric(sample):
    values, shares = sample.values(), sample.shares()
    means = {"accuracy", "confidence", "overconfidence", "brier", "nll", "letter_mass"}
    assert shares.keys() == means | {"ece", "ece_equal_mass", "sce", "sce_ovr", "ace", "tace"}
    for name, of_questions in shares.items():
        assert of_questions.shape == (400,)
        assert of_questions.sum() == pytest.approx(values[name], abs=1e-12), name


def test_gaps_of_the_questions_add_up_to_the_error_bin_by_bin(sample):
    values = sample.values()
    plain = {"ece_debiased": "ece"}  # the same gaps, of which a bias is taken away
    with_gaps = {name: metric for name, metric in METRICS.items() if metric.gaps is not None}
    assert {"ece", "ece_debiased", "sce", "sce_ovr", "ace", "tace"} < with_gaps.keys()
    for name, metric in with_gaps.items():
        columns = sample.tallies[metric.tally]
        assert metric.gaps is not None
        gaps = metric.gaps.of_questions(columns)
        assert gaps.shape == columns.bins.shape
        of_bins = np.zeros(np.prod(columns.shape[1:]))
        np.add.at(of_bins, columns.bins, gaps)
        error = np.abs(of_bins).sum() / columns.total()[0].sum()
        assert error == pytest.approx(values[plain.get(name, name)], abs=1e-12), name


def test_the_two_binnings_of_a_metric_are_of_two_kinds():
    """In equal-mass bins every count is nearly the same, in equal-width bins none needs to be."""
    p = simulate(5, 1000, 0.5)
    of_kind: dict[str, set[Any]] = {"equal_width": set(), "equal_mass": set()}
    for metric in METRICS.values():
        for binning, tally in metric.binnings.items():
            if binning is not None:
                of_kind[binning].add(tally)
    for tally in of_kind["equal_mass"]:
        counts = tally(p, SETTINGS, p).total()[0]
        assert np.ptp(counts) <= 1
    for tally in of_kind["equal_width"]:
        counts = tally(p, SETTINGS, p).total()[0]
        assert np.ptp(counts) > 100
