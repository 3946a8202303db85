"""Estimates, against SciPy, hand-worked cases and what their definitions say."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from scipy import stats

from alignment_calibration.calibration.estimates import (
    Estimate,
    at_least,
    change,
    contributions,
    holm,
    mean_over_tasks,
    of_mean,
    rate_interval,
)

numbers = st.floats(0, 1)


def estimate(debiased=0.1, low=-0.02, high=0.03, influence=(0.2, -0.2, 0.1, -0.1)):
    return Estimate(0.12, debiased, low, high, contributions(np.array(influence)))


@st.composite
def pairs_of_estimates(draw):
    """Base and aligned model of the same questions: numbers that are not negative."""
    count = draw(st.integers(3, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shared = random.normal(size=count) * draw(st.floats(0, 1))
    found = []
    for _ in range(2):
        debiased = draw(st.floats(-0.1, 1))
        influence = shared + random.normal(size=count) * draw(st.floats(0, 1))
        low = min(-draw(st.floats(0, 0.1)), debiased)
        high = max(draw(st.floats(0, 0.1)), low)
        found.append(Estimate(debiased, debiased, low, high, contributions(influence)))
    return found


# Means: no bias, so everything is a t-test


def test_interval_and_test_of_a_mean_are_those_of_the_t_test():
    numbers = np.random.default_rng(0).normal(0.1, 1, size=40)
    expected = stats.ttest_1samp(numbers, 0)
    found = of_mean(numbers)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.p_above() == pytest.approx(
        stats.ttest_1samp(numbers, 0, alternative="greater").pvalue
    )
    assert found.p_below() == pytest.approx(
        stats.ttest_1samp(numbers, 0, alternative="less").pvalue
    )


def test_change_of_means_is_the_paired_t_test():
    base, aligned = np.random.default_rng(1).normal(size=(2, 40))
    expected = stats.ttest_rel(aligned, base)
    found = change(of_mean(base), of_mean(aligned))
    assert found.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))
    assert found.p_value == pytest.approx(expected.pvalue)


# Bias


def test_interval_by_hand():
    found = estimate()
    # Influences 0.2, −0.2, 0.1, −0.1 have the variance 0.1/3, their mean a quarter of that.
    error = np.sqrt(0.1 / 3 / 4)
    reach = stats.t.ppf(0.975, 3) * error
    assert found.standard_error == pytest.approx(error)
    assert found.interval() == pytest.approx((0.1 - 0.03 - reach, 0.1 + 0.02 + reach))
    quantiles = stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3)
    assert found.mde == pytest.approx(quantiles * error + 0.05)


def test_power_at_the_smallest_change_that_is_seen():
    # Where the bias is at its worst bound, four of five samples find it.
    count, bias = 100, 0.05
    random = np.random.default_rng(2)
    error = 1 / np.sqrt(count)
    mde = Estimate(0, 0, -bias, bias, contributions(random.normal(size=count))).mde
    found = []
    for _ in range(2000):
        numbers = random.normal(mde - bias, 1, size=count)
        drawn = Estimate(0, numbers.mean(), -bias, bias, contributions(numbers))
        found.append(drawn.interval()[0] > 0)
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)
    assert mde == pytest.approx(2.8 * error + 2 * bias, rel=0.15)


@given(pairs_of_estimates())
@example(
    [  # varies by less than a millionth of itself, but for Student's quantile
        Estimate(0, 0, 0, 0, np.zeros(3)),
        Estimate(1, 1, 0, 0, np.array([3.2e-7, 1.8e-7, -5e-7])),
    ]
)
def test_p_values_and_intervals_agree(pair):
    for found in (change(*pair), *pair):
        low, high = found.interval()
        assert (found.p_value < 0.05 - 1e-9) <= (low > 0 or high < 0)
        assert (low > 1e-9 or high < -1e-9) <= (found.p_value < 0.05)


@pytest.mark.parametrize("numbers", [np.ones(2), np.full(7, 0.1), np.full(500, 0.3, np.float32)])
def test_what_does_not_vary_has_an_unknown_error(numbers):
    found = of_mean(numbers)
    assert not found.varies
    assert np.isnan([*found.interval(), found.p_value, found.p_above(), found.mde]).all()
    assert np.isnan(rate_interval(of_mean(numbers / 2), found)).all()


def test_that_models_which_answer_alike_do_not_differ_can_be_said():
    one = of_mean(np.random.default_rng(0).random(50))
    same = change(one, one)
    assert same.interval() == (0, 0)
    assert same.p_value == 1
    assert np.isnan(same.mde)  # not that any change would be seen


def test_a_single_question_has_no_test():
    found = of_mean(np.array([0.3]))
    assert np.isnan([*found.interval(), found.p_value, found.mde]).all()


# Rates


@given(pairs_of_estimates())
def test_rate_and_change_never_differ_in_sign(pair):
    low, high = change(*pair).interval()
    rate_low, rate_high = rate_interval(*pair)
    if np.isnan(rate_low):
        return
    assert (rate_low > 0) <= (low > 0)
    assert (rate_high < 0) <= (high < 0)
    # The other way round but for rounding in the last digits.
    assert (low > 1e-9) <= (rate_low > 0)
    assert (high < -1e-9) <= (rate_high < 0)


@settings(max_examples=200)
@given(pairs_of_estimates())
def test_rate_interval_is_the_set_of_rates_at_which_the_contrast_may_be_0(pair):
    rates = np.concatenate([np.linspace(-1, 3, 161), [10, 100, 1e4, 1e7]])
    held = []
    for rate in rates:
        low, high = change(pair[0], pair[1], rate).interval()
        held.append(low <= 0 <= high)
    low, high = change(*pair).interval()
    assume(not np.isnan(low))
    fitting = rates[np.array(held)]
    if low > 0:
        fitting = fitting[fitting > 0]
    elif high < 0:
        fitting = fitting[fitting < 0]
    rate_low, rate_high = rate_interval(*pair)
    if fitting.size:
        assert rate_low <= fitting.min() + 1e-6
        assert np.isnan(rate_high) or rate_high >= fitting.max() - 1e-6
    for end in (rate_low, rate_high):
        if -0.999 < end < 1e6 and pair[0].standard_error > 1e-6:
            ends = change(pair[0], pair[1], end).interval()
            assert min(map(abs, ends)) == pytest.approx(0, abs=1e-6 * (1 + abs(end)))


def test_rate_of_nearly_exact_numbers_is_their_rate():
    influence = np.array([1, -1, 1, -1, 1, -1])
    base, aligned = (Estimate(x, x, 0, 0, contributions(influence * x / 1000)) for x in (0.2, 0.25))
    assert rate_interval(base, aligned) == pytest.approx((0.25, 0.25), abs=2e-3)


def test_rate_is_without_bound_where_the_base_may_be_0():
    influence = np.array([1, -1, 1, -1, 1, -1])
    base = Estimate(0.01, 0.01, 0, 0, contributions(influence / 100))
    aligned = Estimate(0.3, 0.3, 0, 0, contributions(influence / 50))
    low, high = rate_interval(base, aligned)
    assert low > 1
    assert np.isnan(high)


def test_rate_of_a_base_without_error_and_of_0_is_missing():
    base, aligned = (Estimate(x, x, 0, 0, np.zeros(5)) for x in (0, 0.3))
    assert np.isnan(rate_interval(base, aligned)).all()


@given(pairs_of_estimates(), st.floats(0.01, 100))
@example(
    [  # the same number, nearly without error
        Estimate(1, 1, 0, 0, np.array([3.11366975e-09, -1.24736243e-08, 9.35995456e-09])),
        Estimate(1, 1, 0, 0, np.zeros(3)),
    ],
    3.0,
)
@example(
    [  # the same number with nearly the same error
        Estimate(1, 1, 0, 0, np.array([-0.03495385, -0.1402146, 0.17516846])),
        Estimate(1, 1, 0, 0, np.array([-0.03495386, -0.14021459, 0.17516845])),
    ],
    3.0,
)
def test_rates_have_no_unit(pair, factor):
    scaled = [
        Estimate(
            *(
                factor * getattr(one, name)
                for name in ("value", "debiased", "bias_low", "bias_high", "contributions")
            )
        )
        for one in pair
    ]
    found = rate_interval(scaled[0], scaled[1])
    assert found == pytest.approx(rate_interval(*pair), nan_ok=True, rel=1e-3)


# Means over tasks


def test_mean_over_tasks_averages_bias_and_adds_variances():
    tasks = {"a": estimate(), "b": estimate(0.3, -0.04, 0.05, (0.5, -0.5)), "c": None}
    measured = {task: one for task, one in tasks.items() if one}
    found = mean_over_tasks(measured, {"a": 4, "c": 3, "b": 2})
    assert found.debiased == pytest.approx(0.2)
    assert (found.bias_low, found.bias_high) == pytest.approx((-0.03, 0.04))
    errors = [one.standard_error for one in measured.values()]
    assert found.standard_error == pytest.approx(np.hypot(*errors) / 2)
    assert found.contributions[4:7].tolist() == [0, 0, 0]


# Holm


def test_holm_by_hand():
    # The p-values of a family of four, and one that is missing.
    adjusted = holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)


@given(st.lists(numbers, min_size=1, max_size=30))
def test_holm_is_never_weaker_than_bonferroni(p_values):
    adjusted = holm(np.array(p_values))
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(len(p_values) * np.array(p_values), 1)).all()


def test_most_are_not_most_by_chance():
    # 20 of 40 hypotheses are false beyond doubt, the others true: not more than half.
    random = np.random.default_rng(0)
    found = []
    for _ in range(1000):
        p_values = np.append(np.zeros(20), random.random(20))
        found.append(at_least(p_values, 21) <= 0.05)
        assert at_least(p_values, 20) == 0
        assert at_least(p_values, 40) == p_values.max()
        assert at_least(p_values[20:], 1) == pytest.approx(min(1, holm(p_values[20:]).min()))
    assert np.mean(found) <= 0.06
