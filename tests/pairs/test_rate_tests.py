"""Tests of rates from what is on file, against estimates question by question."""

import numpy as np
import pandas as pd
import pytest

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import change
from alignment_calibration.contract.pairs import ESTIMATES
from alignment_calibration.pairs.changes import estimates_of
from alignment_calibration.pairs.rate_tests import one_sided
from tests.support.gaussian_models import Model, answer, draw_questions, tallied


@pytest.mark.parametrize("rate", [-0.01, 0.0, 0.8])
@pytest.mark.parametrize("temperatures", [(1.0, 0.6), (0.6, 1.0), (0.7, 0.6)])
def test_one_sided_tests_are_those_of_the_estimates(rate, temperatures):
    random = np.random.default_rng(1)
    asked = draw_questions(random, 500)
    base, aligned = (
        estimate(*tallied(answer(random, asked, Model(0.6, t)), "ece")) for t in temperatures
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
