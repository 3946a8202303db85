"""Exact tests of paired answers, against SciPy."""

import numpy as np
import pytest
from scipy.stats import binomtest

from alignment_calibration.pairs.paired_tests import mcnemar


def test_mcnemar_is_the_binomial_test_of_answers_that_differ():
    random = np.random.default_rng(0)
    for _ in range(20):
        base, aligned = random.random((2, 40)) < random.random((2, 1))
        only_aligned, only_base = (aligned & ~base).sum(), (base & ~aligned).sum()
        if only_aligned + only_base:
            expected = binomtest(only_aligned, only_aligned + only_base).pvalue
            assert mcnemar(base, aligned) == pytest.approx(expected)


def test_models_that_answer_alike_do_not_differ():
    right = np.array([True, False, True])
    assert mcnemar(right, right) == 1
