"""Resampling and tests, against SciPy, by property, and in simulation."""

import numpy as np
import pytest
from scipy import stats

from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Comparison, Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.resampling import (
    benjamini_hochberg,
    bootstrap_p_value,
    bootstrap_weights,
    interval,
    permutation_p_value,
    swaps,
)
from alignment_calibration.pairs.permutation_test import permutation_p_values
from alignment_calibration.study.settings import Permuting, Resampling
from tests.support.simulation import SETTINGS, simulate_exchangeable_pair, simulate_pair


def stacked(blocks):
    return np.concatenate(list(blocks))


def test_a_resample_has_as_many_questions_as_the_sample():
    weights = stacked(bootstrap_weights("piqa", 50, Resampling(0, 2000)))
    assert weights.shape == (2000, 50)
    assert (weights.sum(axis=1) == 50).all()
    # Counts are multinomial: mean 1, variance 1 − 1/N.
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.03)


@pytest.mark.parametrize("kind", ["percentile", "basic", "hull"])
def test_resamples_that_all_have_one_number_tell_of_no_error(kind):
    """As those of a single question do; but that a change is 0 for models alike can be said."""
    for number in (-1.0, 0.3):
        drawn = np.full(100, number, dtype=np.float32)
        assert np.isnan(
            [*interval(number, drawn, kind), bootstrap_p_value(number, drawn, kind)]
        ).all()
    alike = np.zeros(100)
    assert interval(0.0, alike, kind) == (0, 0)
    assert bootstrap_p_value(0.0, alike, kind) == 1


def test_resamples_follow_from_seed_and_task_alone():
    first = stacked(bootstrap_weights("piqa", 30, Resampling(0, 20)))
    assert np.array_equal(first, stacked(bootstrap_weights("piqa", 30, Resampling(0, 20))))
    assert not np.array_equal(first, stacked(bootstrap_weights("sciq", 30, Resampling(0, 20))))
    assert not np.array_equal(first, stacked(bootstrap_weights("piqa", 30, Resampling(1, 20))))


def test_questions_are_swapped_half_of_the_time():
    drawn = stacked(swaps("piqa", 100, Permuting(0, 1000)))
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("kind", "method"), [("percentile", "percentile"), ("basic", "basic")])
def test_intervals_agree_with_scipy(kind, method):
    random = np.random.default_rng(0)
    sample = random.exponential(size=80)
    expected = stats.bootstrap((sample,), np.mean, method=method, rng=1, n_resamples=2000)
    replicates = expected.bootstrap_distribution
    found = interval(sample.mean(), replicates, kind)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=1e-9)


def test_the_hull_holds_both_intervals():
    replicates = np.random.default_rng(0).normal(0.1, 1, size=500)
    both = [interval(0.0, replicates, kind) for kind in ("percentile", "basic")]
    low, high = interval(0.0, replicates, "hull")
    assert (low, high) == (min(ends[0] for ends in both), max(ends[1] for ends in both))


def test_no_interval_where_a_resample_leaves_the_metric_undefined():
    assert np.isnan(interval(0.5, np.array([0.4, np.nan, 0.6]), "percentile")).all()


def test_q_values_agree_with_scipy():
    p_values = np.random.default_rng(0).uniform(size=40) ** 3
    expected = stats.false_discovery_control(p_values)
    assert benjamini_hochberg(p_values) == pytest.approx(expected)
    with_gap = benjamini_hochberg(np.append(p_values, np.nan))
    assert np.isnan(with_gap[-1])
    assert with_gap[:-1] == pytest.approx(expected)


def test_p_values_count_the_sample_itself():
    assert permutation_p_value(3.0, np.array([0.0, -1.0, 2.0, -3.0])) == pytest.approx(2 / 5)
    assert permutation_p_value(3.0, np.zeros(999)) == pytest.approx(1 / 1000)
    assert permutation_p_value(0.0, np.zeros(999)) == 1
    assert np.isnan(permutation_p_value(np.nan, np.zeros(9)))
    assert permutation_p_value(3.0, np.array([np.nan, 0.0, 0.0])) == pytest.approx(2 / 4)


def test_one_cell_of_seventy_can_be_significant_at_the_default_number_of_permutations():
    p_values = np.array([1 / 2001, *np.linspace(0.1, 1, 69)])
    assert benjamini_hochberg(p_values)[0] < 0.05


def test_a_swap_of_predictions_is_a_swap_of_predictions():
    # Against the long way: build the swapped models and measure them.
    base, aligned = simulate_pair(np.random.default_rng(3), 60, 1.0, 0.5)
    metrics = select(["accuracy", "ece", "sce", "sce_ovr", "brier", "nll", "mce", "smooth_ece"])
    swap = np.random.default_rng(4).integers(2, size=60).astype(np.float32)
    rows = swap.astype(bool)[:, None]
    swapped = [
        fixed_options(np.where(rows, ours, theirs), base.gold)
        for theirs, ours in [
            (base.probabilities, aligned.probabilities),
            (aligned.probabilities, base.probabilities),
        ]
    ]
    before, after = (Sample(p, metrics, SETTINGS).values() for p in swapped)
    found = Comparison(base, aligned, metrics, SETTINGS).swapped(swap[None])
    for name in metrics:
        for of_stage, wanted in zip(found, (before, after), strict=True):
            assert of_stage[name][0] == pytest.approx(wanted[name], abs=1e-5), name


TESTED = ["accuracy", "ece", "ece_equal_mass", "sce", "sce_ovr", "smooth_ece", "brier", "auroc"]


def test_the_permutation_test_keeps_its_size():
    rejected = dict.fromkeys(TESTED, 0)
    for trial in range(300):
        pair = simulate_exchangeable_pair(np.random.default_rng(trial), 120)
        tested = permutation_p_values(*pair, select(TESTED), SETTINGS, "task", Permuting(trial, 99))
        for name, p_value in tested.items():
            rejected[name] += p_value <= 0.05
    # Binomial(300, 0.05) exceeds 29 less than once in 2,000 times. (Accuracy, being discrete,
    # rejects less.)
    for name, count in rejected.items():
        assert count <= 29, name
    assert sum(rejected.values()) >= 60


def test_the_permutation_test_finds_a_lowered_temperature():
    pair = simulate_pair(np.random.default_rng(0), 300, 1.0, 0.5, noise=0)
    tested = permutation_p_values(*pair, select(TESTED), SETTINGS, "task", Permuting(0, 199))
    for name in ("ece", "ece_equal_mass", "sce", "smooth_ece", "brier"):
        assert tested[name] == pytest.approx(1 / 200), name
    # Neither the answers nor the order of the confidences changed much.
    assert tested["accuracy"] == 1


def coverage(metric, kind, temperatures, trials, questions=200, resamples=400):
    """How often the interval of a change holds the change of the whole population."""
    metrics = select([metric])
    whole = simulate_pair(np.random.default_rng(10**6), 300_000, *temperatures)
    of_base, of_aligned = (Sample(p, metrics, SETTINGS).values()[metric] for p in whole)
    held = 0
    for trial in range(trials):
        pair = simulate_pair(np.random.default_rng(trial), questions, *temperatures)
        samples = [Sample(p, metrics, SETTINGS) for p in pair]
        base, aligned = (sample.values()[metric] for sample in samples)
        weights = stacked(bootstrap_weights("task", questions, Resampling(trial, resamples)))
        before, after = (sample.resampled(weights)[metric] for sample in samples)
        low, high = interval(aligned - base, after - before, kind)
        held += low <= of_aligned - of_base <= high
    return held / trials


@pytest.mark.parametrize("metric", ["accuracy", "brier", "nll"])
def test_intervals_of_means_cover_at_their_rate(metric):
    # Within 3.5 standard errors of 0.95 at 300 trials, and one point for 200 questions being few.
    assert coverage(metric, "percentile", (1.0, 0.7), 300) == pytest.approx(0.95, abs=0.055)


def test_the_interval_of_ece_covers_as_documented():
    # docs/statistics.md: a percentile interval misses most changes from a calibrated base.
    assert coverage("ece", "percentile", (1.0, 0.6), 150) < 0.65
    assert coverage("ece", "hull", (1.0, 0.6), 150) > 0.75
    assert coverage("ece", "hull", (0.7, 0.5), 150) > 0.9
