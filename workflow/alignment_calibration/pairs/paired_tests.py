"""Exact tests of paired answers."""

import numpy as np
from scipy.special import bdtr

from alignment_calibration.calibration.predictions import Booleans


def mcnemar(base: Booleans, aligned: Booleans) -> float:
    """Two-sided p-value of the hypothesis that two models are right equally often.

    McNemar's (1947) test in its exact form: of the questions that one model answers rightly and the
    other wrongly, each model has its half but for chance. Valid at any number of questions. 1 where
    there are no such questions.

    Args:
        base, aligned: shape (N,); whether each model's answer is right.
    """
    only_base = np.count_nonzero(base & ~aligned)
    only_aligned = np.count_nonzero(aligned & ~base)
    either = only_base + only_aligned
    return min(1.0, 2 * float(bdtr(min(only_base, only_aligned), either, 0.5)))
