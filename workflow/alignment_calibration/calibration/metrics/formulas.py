"""Metrics as formulas over the sums of a tally.

Each takes sums of shape (R, F, …), one row per resample (see `tallies`), and returns shape (R,).
Calibration errors are in probabilities, 0 to 1.
"""

import numpy as np

from alignment_calibration.calibration.metrics.tallies import (
    CONFIDENCE,
    CORRECT,
    COUNT,
    LABEL,
    PROBABILITY,
    WAVES,
    Columns,
)
from alignment_calibration.calibration.predictions import Floats

#: Bisection steps of `smooth_ece`: the bandwidth is found within 1/4096.
BISECTIONS = 12
#: Points in [0, 1] at which `smooth_ece` integrates.
GRID = 256


def mean(sums: Floats) -> Floats:
    """The mean over questions of a number: sums of shape (R, 2)."""
    return np.asarray(sums[:, 1] / sums[:, 0])


def mean_shares(columns: Columns) -> Floats:
    """What each question adds to the `mean`, shape (N,)."""
    return np.asarray(columns.fields[1, :, 0] / len(columns.bins))


def top_label_maximum(sums: Floats) -> Floats:
    """max_b |accuracy_b − confidence_b| over bins that hold a question (Guo et al. 2017)."""
    gaps = np.abs(sums[:, CORRECT] - sums[:, CONFIDENCE])
    return np.asarray((gaps / np.maximum(sums[:, COUNT], 1)).max(axis=1))


def top_label_debiased(sums: Floats) -> Floats:
    """The error of top-label gaps less an estimate of its upward bias, not below 0.

    The L1 estimator of Kumar, Liang & Ma (2019, "Verified Uncertainty Calibration"), for which a
    bin's accuracy is taken as normal with variance a(1 − a)/n: 2·ECE − E[ECE of such draws]. Their
    code draws; here the expectation is that of a folded normal.
    """
    # Here, since all that shows a metric's name imports the registry: 0.2 s of every such job.
    from scipy.special import ndtr

    n = np.maximum(sums[:, COUNT], 1)
    gap = np.abs(sums[:, CORRECT] - sums[:, CONFIDENCE]) / n
    accuracy = np.clip(sums[:, CORRECT] / n, 0, 1)
    spread = np.sqrt(accuracy * (1 - accuracy) / n)
    z = gap / np.maximum(spread, np.finfo(np.float32).tiny)
    density = np.exp(-(np.minimum(z, 40.0) ** 2) / 2)
    expected = spread * np.sqrt(2 / np.pi) * density + gap * (1 - 2 * ndtr(-z))
    error = (sums[:, COUNT] * (2 * gap - expected)).sum(axis=1) / sums[:, COUNT].sum(axis=1)
    return np.asarray(np.maximum(error, 0))


def brier_reliability(sums: Floats) -> Floats:
    """Σ_kb (n_bk/N) (mean probability − label frequency)²: the miscalibration in the Brier score.

    Murphy (1973), summed over classes. Brier score = reliability − resolution + uncertainty + what
    varies within bins (Stephenson, Coelho & Jolliffe 2008), the last 0 if a bin's values are equal.
    """
    gaps = sums[:, PROBABILITY] - sums[:, LABEL]
    squares = (gaps**2 / np.maximum(sums[:, COUNT], 1)).sum(axis=(1, 2))
    return np.asarray(squares / _questions(sums))


def brier_resolution(sums: Floats) -> Floats:
    """Σ_kb (n_bk/N) (label frequency of the bin − of the class)²: what the bins tell apart."""
    n = np.maximum(sums[:, COUNT], 1)
    base_rate = _base_rate(sums)[:, :, None]
    squares = (sums[:, COUNT] * (sums[:, LABEL] / n - base_rate) ** 2).sum(axis=(1, 2))
    return np.asarray(squares / _questions(sums))


def brier_uncertainty(sums: Floats) -> Floats:
    """Σ_k (N_k/N) f_k (1 − f_k) with f_k the label frequency of class k: no model changes it."""
    base_rate = _base_rate(sums)
    variances = sums[:, COUNT].sum(axis=2) * base_rate * (1 - base_rate)
    return np.asarray(variances.sum(axis=1) / _questions(sums))


def smooth_ece(sums: Floats) -> Floats:
    """Smooth calibration error: ∫ |smoothed residual|, at the bandwidth σ that equals it.

    Błasiok & Nakkiran (2023). The residual measure Σ_i (c_i − correct_i) δ(c_i) / N is smoothed by
    a Gaussian reflected at 0 and 1, which multiplies its j-th cosine coefficient by exp(−π²j²σ²/2);
    the integral falls as σ grows, so the σ where both are equal is found by bisection.
    """
    j = np.arange(WAVES)
    points = (np.arange(GRID) + 0.5) / GRID
    waves = np.where(j[:, None] == 0, 1.0, 2.0) * np.cos(np.pi * j[:, None] * points)
    waves = waves.astype(sums.dtype)
    coefficients = sums[:, 1:] / sums[:, :1]
    decay = (-((np.pi * j) ** 2) / 2).astype(sums.dtype)

    def error(width: Floats) -> Floats:
        smoothed = (coefficients * np.exp(decay * width[:, None] ** 2)) @ waves
        return np.asarray(np.abs(smoothed).mean(axis=1))

    low, high = np.zeros(len(sums), sums.dtype), np.ones(len(sums), sums.dtype)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_narrow = error(middle) > middle
        low, high = np.where(too_narrow, middle, low), np.where(too_narrow, high, middle)
    return error(high)


def _questions(sums: Floats) -> Floats:
    """Number of questions: each has one right option."""
    return np.asarray(sums[:, LABEL].sum(axis=(1, 2)))


def _base_rate(sums: Floats) -> Floats:
    """Label frequency of each class among the questions that have the option, shape (R, K)."""
    return np.asarray(sums[:, LABEL].sum(axis=2) / np.maximum(sums[:, COUNT].sum(axis=2), 1))
