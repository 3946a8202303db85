"""Tests of change rates against any number, from what ESTIMATES says of both models."""

import numpy as np
import pandas as pd
from scipy.special import stdtr

from alignment_calibration.calibration.predictions import Floats


def one_sided(contrasts: pd.DataFrame, rate: float) -> tuple[Floats, Floats]:
    """p-values of change rates that are not above, and not below, a rate.

    Those of aligned − (1 + rate) · base (`estimates.change`), which needs no division.

    Args:
        contrasts: columns of CHANGES and of ESTIMATES.
        rate: as a fraction.

    Returns:
        Two arrays, NaN where there are no estimates: small where the rate is above, and where it is
        below.
    """
    factor = 1 + rate
    debiased = contrasts["aligned_debiased"] - factor * contrasts["base_debiased"]
    low = debiased - contrasts["aligned_bias_high"] + factor * contrasts["base_bias_low"]
    high = debiased - contrasts["aligned_bias_low"] + factor * contrasts["base_bias_high"]
    variance = (
        contrasts["aligned_variance"]
        - 2 * factor * contrasts["covariance"]
        + factor**2 * contrasts["base_variance"]
    ).clip(lower=0)
    degrees = contrasts["n"].to_numpy(dtype=np.float64, na_value=np.nan) - 1
    above, below = (
        _tail(distance.to_numpy(dtype=np.float64), np.sqrt(variance.to_numpy()), degrees)
        for distance in (low, -high)
    )
    return above, below


def _tail(distance: Floats, error: Floats, degrees: Floats) -> Floats:
    """P(T ≥ distance / error); without error, whether the distance is not above 0."""
    certain = np.where(distance > 0, 0.0, 1.0)
    t = np.divide(distance, error, out=np.zeros_like(distance), where=error > 0)
    found = np.where(error > 0, stdtr(degrees, -t), certain)
    return np.asarray(np.where(np.isnan(distance + error), np.nan, found))
