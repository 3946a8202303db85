"""Binned errors as estimates: against the metrics, Monte Carlo, the jackknife and simulations."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

from alignment_calibration.calibration.bias_aware import (
    KAPPA,
    bias_of,
    estimate,
    excess,
    remaining_bias,
    remaining_bias_bounds,
)
from alignment_calibration.calibration.estimates import change, rate_interval
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from tests.support.gaussian_models import Model, answer, draw_questions, errors, tallied
from tests.support.simulation import SETTINGS, simulate


def estimated(predictions, name):
    return estimate(*tallied(predictions, name))


#: Sums of absolute gaps; of `ece_debiased` too the gaps are those of `ece`.
BINNED_ERRORS = [name for name, metric in METRICS.items() if metric.gaps]


def ragged(seed=0, questions=400):
    """Questions of three to five options."""
    random = np.random.default_rng(seed)
    options = random.integers(3, 6, size=questions)
    weights = random.random((questions, 5)) * (np.arange(5) < options[:, None])
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    return Predictions(probabilities, options, random.integers(0, options))


# The value


@pytest.mark.parametrize("name", [name for name in BINNED_ERRORS if name != "ece_debiased"])
@pytest.mark.parametrize("predictions", [simulate(temperature=0.6), ragged()])
def test_value_is_that_of_the_metric(name, predictions):
    expected = Sample(predictions, {name: METRICS[name]}, SETTINGS).values()[name]
    assert estimated(predictions, name).value == pytest.approx(expected, abs=1e-12)


# The bias of an absolute value


@pytest.mark.parametrize("t", [0, 0.3, 1, 2, 3])
def test_excess_and_remaining_bias_agree_with_monte_carlo(t):
    random = np.random.default_rng(0)
    drawn = np.abs(random.normal(t, 1, size=1_000_000))
    assert excess(np.array([t])) == pytest.approx(drawn.mean() - t, abs=4e-3)
    debiased = drawn - excess(drawn)
    assert remaining_bias(np.array([t])) == pytest.approx(debiased.mean() - t, abs=5e-3)


def test_bounds_are_the_ends_of_the_bias_within_kappa():
    t = np.linspace(0, 8, 41)
    low, high = remaining_bias_bounds(t)
    for number, least, greatest in zip(t, low, high, strict=True):
        near = remaining_bias(np.linspace(max(number - KAPPA, 0), number + KAPPA, 4001))
        assert least == pytest.approx(near.min(), abs=1e-6)
        assert greatest == pytest.approx(near.max(), abs=1e-6)


def test_bias_of_a_negative_coefficient_has_its_bounds_the_other_way_round():
    means, spreads = np.array([0.1, 0.02]), np.array([0.05, 0.05])
    taken, low, high = bias_of(np.ones(2), means, spreads)
    assert bias_of(-np.ones(2), means, spreads) == pytest.approx((-taken, -high, -low))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("name", ["ece", "sce", "ace"])
def test_bias_lies_within_its_bounds(name, temperature):
    # Direct simulation: the mean of the debiased error less the truth, against the mean bounds.
    model = Model(0.6, temperature)
    truth = errors((name,), model)[name]
    drawn = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        found = estimated(answer(random, draw_questions(random, 300), model), name)
        drawn.append((found.value, found.debiased, found.bias_low, found.bias_high))
    value, debiased, low, high = np.mean(drawn, axis=0)
    # Within κ = 2 errors lie the true gaps of 95 % of the bins.
    slack = 0.05 * (high - low) + 2 * np.std(drawn, axis=0)[1] / np.sqrt(200)
    assert low - slack <= debiased - truth <= high + slack
    assert abs(debiased - truth) < abs(value - truth)


# By hand


def test_one_bin_by_hand():
    # Four answers of confidence 0.8, two of them right: gaps 0.2, 0.2, −0.8, −0.8.
    probabilities = np.tile([0.8, 0.2], (4, 1))
    found = estimated(fixed_options(probabilities, np.array([0, 0, 1, 1])), "ece")
    assert found.value == pytest.approx(0.3)
    assert found.standard_error == pytest.approx(np.sqrt(0.25 / 3))
    # Four squared deviations of 0.25, and one of a calibrated answer, 0.8 · 0.2.
    spread = np.sqrt((4 * 0.25 + 0.16) / (4 * 3))
    t = 0.3 / spread
    expected = spread * (2 * norm.pdf(t) - 2 * t * norm.cdf(-t))
    assert found.debiased == pytest.approx(0.3 - expected)


def test_certain_and_right_answers_have_neither_error_nor_bias():
    probabilities = np.tile([1.0, 0.0], (5, 1))
    found = estimated(fixed_options(probabilities, np.zeros(5, dtype=np.int64)), "sce")
    assert (found.value, found.debiased, found.interval()) == (0, 0, (0, 0))


# What each question adds


@pytest.mark.parametrize("name", ["ece", "sce", "sce_ovr", "tace"])
def test_standard_error_is_that_of_the_jackknife(name):
    # Of fixed bins, in none of which a question turns the sign; the class that a threshold thins
    # out is a ratio of two means.
    p = simulate(seed=4, questions=2000, temperature=0.5)
    metric = METRICS[name]
    assert metric.tally is not None
    assert metric.formula is not None
    assert metric.gaps is not None
    columns = metric.tally(p, dataclasses.replace(SETTINGS, bins=3), p)
    without = (columns.total().ravel() - columns.dense()).reshape(-1, *columns.shape)
    left_out = metric.formula(without)
    expected = np.sqrt((len(p) - 1) * np.var(left_out))
    assert estimate(columns, metric.gaps).standard_error == pytest.approx(expected, rel=0.02)


def test_contributions_of_a_task_sum_to_0():
    for name in BINNED_ERRORS:
        assert estimated(ragged(), name).contributions.sum() == pytest.approx(0, abs=1e-12)


# Pairs


@pytest.mark.parametrize("name", BINNED_ERRORS)
def test_models_that_are_the_same_have_not_changed(name):
    for temperature in (0.5, 1):
        found = estimated(simulate(questions=300, temperature=temperature), name)
        low, high = change(found, found).interval()
        assert low <= 0 <= high
        assert low == -high
        rate_low, rate_high = rate_interval(found, found)
        assert rate_low <= 0
        assert np.isnan(rate_high) or rate_high >= 0


def test_intervals_hold_the_truth_where_the_base_is_calibrated():
    # What the percentile bootstrap misses in nine cases of ten (docs/statistics.md).
    models = Model(0.61), Model(0.66, 0.6)
    for name in ("ece", "sce"):
        true = [errors((name,), model)[name] for model in models]
        held = []
        for seed in range(150):
            random = np.random.default_rng(seed)
            asked = draw_questions(random, 500)
            base, aligned = (estimated(answer(random, asked, model), name) for model in models)
            low, high = change(base, aligned).interval()
            rate_low, rate_high = rate_interval(base, aligned)
            # The true rate is infinite.
            held.append((low <= true[1] - true[0] <= high, np.isnan(rate_high) and rate_low > -1))
        assert np.mean(held, axis=0)[0] >= 0.93
