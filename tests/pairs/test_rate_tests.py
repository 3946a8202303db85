"""Tests of rates from what is on file, against estimates question by question."""

import numpy as np
import pandas as pd
import pytest

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.drawing import WholeGroups
from alignment_calibration.calibration.estimates import Estimate, change, of_mean
from alignment_calibration.contract.pairs import ESTIMATES, RATES_BY_METHOD
from alignment_calibration.pairs.changes import estimates_of
from alignment_calibration.pairs.rate_tests import one_sided, rate_excess, rates_by_method
from tests.support.gaussian_models import Model, answer, draw_questions, tallied


@pytest.mark.parametrize("rate", [-0.01, 0.0, 0.8])
@pytest.mark.parametrize("temperatures", [(1.0, 0.6), (0.6, 1.0), (0.7, 0.6)])
@pytest.mark.parametrize("drawing", [None, WholeGroups(np.arange(500) % 8)])
def test_one_sided_tests_are_those_of_the_estimates(rate, temperatures, drawing):
    random = np.random.default_rng(1)
    asked = draw_questions(random, 500)
    base, aligned = (
        estimate(*tallied(answer(random, asked, Model(0.6, t)), "ece"), drawing=drawing)
        for t in temperatures
    )
    changes = pd.DataFrame(
        {
            "pair": ["p", "p"],
            "task": "t",
            "method": "choice",
            "metric": ["ece", "auroc"],
            "n": pd.array([500, 500], dtype="Int64"),
            "base_debiased": [base.debiased, np.nan],
            "aligned_debiased": [aligned.debiased, np.nan],
            "base_estimate": [base, None],
            "aligned_estimate": [aligned, None],
        }
    )
    on_file = estimates_of(changes)
    assert list(on_file) == ESTIMATES.names
    both = changes.merge(on_file, on=["pair", "task", "method", "metric"], how="left")
    above, below = one_sided(both, rate)
    expected = change(base, aligned, rate)
    assert above[0] == pytest.approx(expected.p_above(), rel=1e-9)
    assert below[0] == pytest.approx(expected.p_below(), rel=1e-9)
    assert np.isnan([above[1], below[1]]).all()


def of_means(random, truth, count=300, shared=0.95):
    """Estimates of base and aligned model under two methods, with errors that all four share."""
    common = random.normal(size=count)
    return [
        of_mean(true + np.sqrt(shared) * common + np.sqrt(1 - shared) * random.normal(size=count))
        for true in truth
    ]


def test_equal_rates_are_seldom_told_apart():
    random = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        base, aligned, other_base, other_aligned = of_means(random, [2.0, 3.0, 1.0, 1.5])
        p_values.append(rate_excess((base, aligned), (other_base, other_aligned)).p_above())
    # Binomial(400, 0.05) exceeds 34 once in 1,000 times.
    assert np.sum(np.array(p_values) <= 0.05) <= 34


def test_what_methods_have_in_common_cancels_if_they_asked_the_same_questions():
    random = np.random.default_rng(1)
    base, aligned, other_base, other_aligned = of_means(random, [2.0, 3.0, 2.0, 2.8])
    _, _, *apart = of_means(random, [2.0, 3.0, 2.0, 2.8], count=299)
    paired = rate_excess((base, aligned), (other_base, other_aligned))
    unpaired = rate_excess((base, aligned), (apart[0], apart[1]))
    assert paired.standard_error < 0.8 * unpaired.standard_error


def test_bias_widens_what_rates_may_be():
    certain = np.zeros(5)
    base, aligned = (Estimate(value, value, -0.1, 0.1, certain) for value in (1.0, 2.0))
    found = rate_excess((base, aligned), (base, base))
    assert found.debiased == pytest.approx(1.0)
    assert (found.low, found.high) == pytest.approx((1.9 * 0.9 - 1.1**2, 2.1 * 1.1 - 0.9**2))
    assert np.isnan(found.p_above())  # nothing varied: the error is unknown
    assert rate_excess((base, base), (base, base)).p_value == 1


def test_methods_are_compared_on_file():
    random = np.random.default_rng(2)
    rows = []
    for method, size in (("choice", 50), ("continuation_sum", 50), ("continuation_min", 40)):
        base, aligned, *_ = of_means(random, [2.0, 3.0], size)
        rows += [
            ("p", "t", method, metric, *models, 0.5)
            for metric, models in (
                ("ece", (base, aligned)),
                ("overconfidence", (base, aligned)),
                ("auroc", (None, None)),
            )
        ]
    names = ["pair", "task", "method", "metric", "base_estimate", "aligned_estimate", "change_rate"]
    found = rates_by_method(pd.DataFrame(rows, columns=names))
    assert list(found) == RATES_BY_METHOD.names
    assert set(found["metric"]) == {"ece"}
    assert found[["method", "other_method"]].to_numpy().tolist() == [
        ["continuation_sum", "continuation_min"],
        ["continuation_sum", "choice"],
        ["continuation_min", "choice"],
    ]
    assert found["p_above"].between(0, 1).all()
