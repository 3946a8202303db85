"""Metrics that depend on the order of the questions by confidence.

Each takes confidence and correctness of N questions, and weights of shape (R, N), one row per
resample, and returns shape (R,). Only the order of the confidences matters. Questions of equal
confidence count as one point of the curve, so that no order of questions does.
"""

from collections.abc import Callable

import numpy as np

from alignment_calibration.calibration.predictions import Booleans, Floats, Integers

Curve = Callable[[Floats, Booleans, Floats], Floats]


def auroc(confidence: Floats, correct: Booleans, weights: Floats) -> Floats:
    """Area under the ROC curve of confidence as a sign of correctness; ties count half.

    The probability that a rightly answered question has more confidence than a wrongly answered
    one (Fawcett 2006). NaN where all answers are right or all are wrong.
    """
    order = np.argsort(confidence)
    is_right = correct[order]
    right, wrong = order[is_right], order[~is_right]
    # Weight of the least confident wrong answers, 0, 1, 2, … of them.
    below = np.zeros((len(weights), wrong.size + 1), weights.dtype)
    np.cumsum(weights[:, wrong], axis=1, out=below[:, 1:])
    beaten, reached = (
        below[:, np.searchsorted(confidence[wrong], confidence[right], side=side)]
        for side in ("left", "right")
    )
    of_right = weights[:, right]
    wins = np.einsum("rn,rn->r", of_right, (beaten + reached) / 2, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(wins / (of_right.sum(axis=1, dtype=np.float64) * below[:, -1]))


def aurc(confidence: Floats, correct: Booleans, weights: Floats) -> Floats:
    """Area under the risk-coverage curve: mean over questions of the error rate among those with at
    least that question's confidence (Geifman, Uziel & El-Yaniv 2019). Less is better.
    """
    order, last = _groups(confidence)
    weights = weights[:, order]
    total = _running_sum_at(weights, last)
    wrong = _running_sum_at(weights * ~correct[order], last)
    risk = wrong / np.maximum(total, 1)
    return np.asarray((np.diff(total, prepend=0) * risk).sum(axis=1) / total[:, -1])


def _groups(confidence: Floats) -> tuple[Integers, Integers]:
    """Order of descending confidence, and the last position of each group of equal confidence."""
    order = np.argsort(-confidence)
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
    return order, last


def _running_sum_at(values: Floats, positions: Integers) -> Floats:
    """Running sums along the rows, at some positions; whole numbers below 2²⁴ are exact."""
    return np.asarray(np.cumsum(values, axis=1)[:, positions])
