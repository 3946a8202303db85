"""Metrics as formulas over the sums of a tally.

Each takes sums of shape (R, F, …), one row per resample (see `tallies`), and returns shape (R,).
Calibration errors are in probabilities, 0 to 1.
"""

import numpy as np
from scipy.special import ndtr

from alignment_calibration.calibration.metrics.tallies import WAVES
from alignment_calibration.calibration.predictions import Floats

COUNT, PROBABILITY, LABEL, ONE_VS_REST = range(4)
#: Bisection steps of `smooth_ece`: the bandwidth is found within 1/4096.
BISECTIONS = 12
#: Points in [0, 1] at which `smooth_ece` integrates.
GRID = 256


def mean(sums: Floats) -> Floats:
    """The mean over questions of a number: sums of shape (R, 2)."""
    return np.asarray(sums[:, 1] / sums[:, 0])


def mean_difference(sums: Floats) -> Floats:
    """The mean over questions of a number less that of another: sums of shape (R, 3)."""
    return np.asarray((sums[:, 1] - sums[:, 2]) / sums[:, 0])


def top_label_error(sums: Floats) -> Floats:
    """Σ_b (n_b/N) |accuracy_b − confidence_b| over bins of confidence.

    Pakdaman Naeini, Cooper & Hauskrecht (2015), Guo et al. (2017).
    """
    gaps = np.abs(sums[:, 2] - sums[:, 1])
    return np.asarray(gaps.sum(axis=1) / sums[:, 0].sum(axis=1))


def top_label_maximum(sums: Floats) -> Floats:
    """max_b |accuracy_b − confidence_b| over bins that hold a question (same sources)."""
    gaps = np.abs(sums[:, 2] - sums[:, 1])
    return np.asarray((gaps / np.maximum(sums[:, 0], 1)).max(axis=1))


def top_label_debiased(sums: Floats) -> Floats:
    """`top_label_error` less an estimate of its upward bias, not below 0.

    The L1 estimator of Kumar, Liang & Ma (2019, "Verified Uncertainty Calibration"), for which a
    bin's accuracy is taken as normal with variance a(1 − a)/n: 2·ECE − E[ECE of such draws]. Their
    code draws; here the expectation is that of a folded normal.
    """
    n = np.maximum(sums[:, 0], 1)
    gap = np.abs(sums[:, 2] - sums[:, 1]) / n
    accuracy = np.clip(sums[:, 2] / n, 0, 1)
    spread = np.sqrt(accuracy * (1 - accuracy) / n)
    z = gap / np.maximum(spread, np.finfo(np.float32).tiny)
    density = np.exp(-(np.minimum(z, 40.0) ** 2) / 2)
    expected = spread * np.sqrt(2 / np.pi) * density + gap * (1 - 2 * ndtr(-z))
    error = (sums[:, 0] * (2 * gap - expected)).sum(axis=1) / sums[:, 0].sum(axis=1)
    return np.asarray(np.maximum(error, 0))


def class_wise_error(sums: Floats) -> Floats:
    """Σ_k w_k Σ_b (n_bk/N_k) |label frequency − mean probability|, class weights w_k = N_k/ΣN_k.

    With equal-width bins the static calibration error, with equal-mass bins the adaptive
    calibration error of Nixon et al. (2019); for K options everywhere w_k = 1/K. (Their formula of
    the adaptive error weights all bins the same, which is this where N is a multiple of B.)
    """
    gaps = np.abs(sums[:, LABEL] - sums[:, PROBABILITY])
    return np.asarray(gaps.sum(axis=(1, 2)) / sums[:, COUNT].sum(axis=(1, 2)))


def class_wise_error_above(sums: Floats) -> Floats:
    """`class_wise_error` over the probabilities above the threshold: thresholded adaptive error.

    Nixon et al. (2019). A class without such probabilities adds 0.
    """
    class_size = sums[:, COUNT].sum(axis=2)
    kept = sums[..., 1:]
    gaps = np.abs(kept[:, LABEL] - kept[:, PROBABILITY]).sum(axis=2)
    errors = gaps / np.maximum(kept[:, COUNT].sum(axis=2), 1)
    return np.asarray((class_size * errors).sum(axis=1) / class_size.sum(axis=1))


def one_vs_rest_error(sums: Floats) -> Floats:
    """`class_wise_error` with one-vs-rest accuracy, freq((ŷ=k) = (y=k)), for the label frequency.

    Not a calibration error (a perfect model does not score 0), but what the published figures of
    Oh & Hwang (2024) fit; see docs/statistics.md.
    """
    gaps = np.abs(sums[:, ONE_VS_REST] - sums[:, PROBABILITY])
    return np.asarray(gaps.sum(axis=(1, 2)) / sums[:, COUNT].sum(axis=(1, 2)))


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
