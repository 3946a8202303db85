"""Means over pairs, against SciPy and a simulation."""

import numpy as np
import pytest
from scipy import stats

from alignment_calibration.calibration.estimates import Estimate, change, contributions, of_mean
from alignment_calibration.pairs.mean_estimates import mean_over_pairs, shared_variance


def pair(value, influence, low=0.0, high=0.0):
    return Estimate(value, value, low, high, contributions(influence))


def test_pairs_without_errors_in_common_are_a_sample_of_numbers():
    values = np.array([0.1, 0.4, 0.2, 0.35])
    found = mean_over_pairs([pair(value, np.zeros(10)) for value in values])
    expected = stats.ttest_1samp(values, 0)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_more_copies_of_a_pair_say_nothing_new():
    influence = np.random.default_rng(0).normal(size=100)
    one = pair(0.2, influence, -0.01, 0.02)
    for count in (1, 3, 8):
        found = mean_over_pairs([one] * count)
        assert found.standard_error == pytest.approx(one.standard_error)
    assert mean_over_pairs([one]).interval() == pytest.approx(one.interval())


def test_bias_does_not_average_out():
    found = mean_over_pairs([pair(0.2, np.array([-1e-5, 1e-5]), -0.01, 0.02)] * 6)
    assert found.interval() == pytest.approx((0.18, 0.21), abs=1e-3)


def test_pairs_that_agree_by_chance_are_no_surer_than_their_questions():
    influences = np.random.default_rng(0).normal(size=(2, 1, 50))
    apart = [
        np.concatenate(rows)
        for rows in ((influences[0, 0], np.zeros(50)), (np.zeros(50), influences[1, 0]))
    ]
    found = mean_over_pairs([pair(0.2, row) for row in apart])
    assert found.standard_error < 1e-9
    both = Estimate(0.2, 0.2, 0, 0, np.mean([contributions(row) for row in apart], axis=0))
    assert found.interval() == pytest.approx(both.interval())
    assert found.p_value == pytest.approx(both.p_value)


@pytest.mark.parametrize(("pairs", "questions"), [(2, 20), (2, 50), (3, 20)])
def test_interval_of_few_pairs_with_few_questions_holds_the_mean(pairs, questions):
    """Answers of which one in ten flips: the mean accuracy falls by 0.02 (0.6 · 0.1 fall)."""
    random = np.random.default_rng([pairs, questions])
    held = []
    for _ in range(1000):
        base = random.random((pairs, questions)) < 0.6
        aligned = base ^ (random.random((pairs, questions)) < 0.1)
        moved = [change(of_mean(b), of_mean(a)) for b, a in zip(base, aligned, strict=True)]
        low, high = mean_over_pairs(moved).interval()
        held.append(low - 1e-12 <= -0.02 <= high + 1e-12)
    assert np.mean(held) >= 0.93


def test_shared_variance_is_the_mean_covariance_of_two_pairs():
    random = np.random.default_rng(1)
    influences = random.normal(size=(4, 200)) + random.normal(size=200)
    rows = np.stack([contributions(influence) for influence in influences])
    covariance = np.cov(influences) / 200
    expected = covariance[~np.eye(4, dtype=bool)].mean()
    assert shared_variance(rows) == pytest.approx(expected)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_interval_holds_the_mean_of_all_pairs(count):
    random = np.random.default_rng(2)
    held = []
    for _ in range(600):
        common = random.normal(size=50)
        answers = (
            0.3 + random.normal(size=(count, 1)) / 5 + common + random.normal(size=(count, 50))
        )
        low, high = mean_over_pairs([pair(row.mean(), row) for row in answers]).interval()
        held.append(low <= 0.3 <= high)
    assert np.mean(held) >= 0.93
