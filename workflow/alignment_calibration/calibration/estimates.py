"""Estimates: numbers whose bias is known within bounds, and what may be said of them.

An estimate holds a number, bounds of its bias, and what each question adds to its error. So the
change of a pair is again an estimate (bounds and contributions subtract, question by question), the
mean over tasks is one (they have no question in common), and means of questions are those without
bias: one interval, one rate, one test for all of them.

The interval of an estimate holds every value that its bias could leave, and the error of sampling
to either side (Armstrong & Kolesár 2020 discuss such bias-aware intervals). Quantiles are those of
Student's t with one degree of freedom less than questions, for the normal ones of large samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from alignment_calibration.calibration.drawing import Drawing
from alignment_calibration.calibration.predictions import Booleans, Floats

#: Share of intervals that are to hold the truth.
LEVEL = 0.95
#: Share of samples in which a change of the size `Estimate.mde` is to be seen.
POWER = 0.8
#: A standard error of this share of the number is rounding: nothing varied, which leaves the error
#: unknown. (Contributions are kept in single precision.)
NO_ERROR = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A number estimated from N questions (or several tasks' questions together).

    Attributes:
        value: the number of the sample, as reported.
        debiased: the same less the part of its bias that can be estimated.
        bias_low, bias_high: bounds of the bias that `debiased` still has.
        contributions: shape (N,); what each question (or group, where groups are drawn) adds to
            the error of `debiased`, summing to 0 on each task: the square of the standard error is
            the sum of their squares.
    """

    value: float
    debiased: float
    bias_low: float
    bias_high: float
    contributions: Floats

    @property
    def low(self) -> float:
        """The least value that the bias leaves possible."""
        return self.debiased - self.bias_high

    @property
    def high(self) -> float:
        """The greatest value that the bias leaves possible."""
        return self.debiased - self.bias_low

    @property
    def standard_error(self) -> float:
        """Of `debiased`."""
        return math.sqrt(float(self.contributions @ self.contributions))

    @property
    def varies(self) -> bool:
        """Whether the questions differ in what they add: if not, the error of sampling is unknown,
        as of two answers that are right.
        """
        return self.standard_error > NO_ERROR * max(abs(self.low), abs(self.high))

    @property
    def mde(self) -> float:
        """The smallest true value that `interval` tells from 0 in four of five such samples.

        Without effect on the standard error, which a change may have; NaN where nothing `varies`.
        """
        if not self.varies:
            return np.nan
        width = self.bias_high - self.bias_low
        return smallest_change(self.standard_error, width, self.contributions.size)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The confidence interval: both ends may lie to one side of `value`, not of `debiased`.

        NaN where nothing `varies`, but of what may be 0: that a change of models that answer alike
        is 0 can be said.
        """
        degrees = self.contributions.size - 1
        return ends(self.low, self.high, [(self.standard_error, degrees)], level)

    def value_interval(self, level: float = LEVEL) -> tuple[float, float]:
        """`interval` of a single model's number: NaN wherever nothing `varies`, as of 20 answers
        that are all wrong; that its 0 is sure, as of a change, cannot be said.
        """
        return self.interval(level) if self.varies else (np.nan, np.nan)

    def p_above(self) -> float:
        """One-sided p-value of the hypothesis that the number is not above 0."""
        return float(tail(self.low, self.standard_error, self.contributions.size - 1))

    def p_below(self) -> float:
        """One-sided p-value of the hypothesis that the number is not below 0."""
        return float(tail(-self.high, self.standard_error, self.contributions.size - 1))

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the number is 0; `interval` is its inverse."""
        return float(np.minimum(1, 2 * np.minimum(self.p_above(), self.p_below())))


def ends(
    low: float, high: float, errors: Sequence[tuple[float, int]], level: float
) -> tuple[float, float]:
    """Of an interval: what the bias leaves possible, and the error of sampling to either side.

    NaN where there is no error (`NO_ERROR`) although the bias does not leave 0 possible.

    Args:
        low, high: least and greatest value that the bias leaves possible.
        errors: standard errors with their degrees of freedom, of which the widest counts.
        level: share of intervals that are to hold the truth.
    """
    distance = max(low, -high)
    if distance > 0 and not any(error > NO_ERROR * distance for error, _ in errors):
        return np.nan, np.nan
    reach = max(error * float(stdtrit(degrees, 0.5 + level / 2)) for error, degrees in errors)
    return low - reach, high + reach


def tail(distance: npt.ArrayLike, error: npt.ArrayLike, degrees: npt.ArrayLike) -> Floats:
    """P(T ≥ distance / error), T of Student's distribution, of numbers or arrays of one shape.

    Without error, 1 where the distance is not above 0 and else NaN (see `ends`).
    """
    distance, error = (np.asarray(number, dtype=np.float64) for number in (distance, error))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(error > 0, stdtr(degrees, -distance / error), 1.0)
    unknown = np.isnan(error) | ((distance > 0) & ~(error > NO_ERROR * distance))
    return np.where(unknown | np.isnan(distance), np.nan, found)


def smallest_change(standard_error: float, bias_width: float, questions: int) -> float:
    """The smallest true change that is told from 0 with probability `POWER`.

    2.8 standard errors (for many questions) and the width of the bias's bounds.
    """
    quantile = float(stdtrit(questions - 1, 0.5 + LEVEL / 2) + stdtrit(questions - 1, POWER))
    return quantile * standard_error + bias_width


def of_mean(numbers: Floats | Booleans, drawing: Drawing | None = None) -> Estimate:
    """The mean of a number over questions, shape (N,): it has no bias."""
    numbers = numbers.astype(np.float64)
    mean = float(numbers.mean())
    return Estimate(mean, mean, 0.0, 0.0, contributions(numbers, drawing))


def contributions(influence: Floats, drawing: Drawing | None = None) -> Floats:
    """What questions add to the error of a mean of `influence`, shape (N,); or what their groups
    do, where these were drawn.

    Their squares sum to s²/N, s² the sample variance; NaN where there is a single question.
    """
    if drawing is not None:
        return drawing.units(influence)
    count = influence.size
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((influence - influence.mean()) / np.sqrt(count * (count - 1)))


def change(base: Estimate, aligned: Estimate, rate: float = 0.0) -> Estimate:
    """Aligned − (1 + rate) · base, of estimates from the same questions in the same order.

    With a rate, what is above 0 if and only if the change rate is above that rate (and below 0 if
    it is below): no division by a base that may be 0.
    """
    return combined((aligned, base), (1, -(1 + rate)))


def combined(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The sum of estimates from the same questions in the same order, each times its weight."""
    terms = list(zip(estimates, weights, strict=True))
    return Estimate(
        sum(weight * estimate.value for estimate, weight in terms),
        sum(weight * estimate.debiased for estimate, weight in terms),
        sum(min(weight * e.bias_low, weight * e.bias_high) for e, weight in terms),
        sum(max(weight * e.bias_low, weight * e.bias_high) for e, weight in terms),
        np.sum([weight * estimate.contributions for estimate, weight in terms], axis=0),
    )


def negated(estimate: Estimate) -> Estimate:
    """The estimate of the number with the other sign."""
    return combined([estimate], [-1])


def mean_over_tasks(estimates: Mapping[str, Estimate], questions: Mapping[str, int]) -> Estimate:
    """The mean over the tasks that were measured, which have no question in common.

    Bias does not average out, so its bounds are averaged; errors of sampling do.

    Args:
        estimates: by task.
        questions: number of questions of every task of the study, in the study's order: so are the
            contributions laid out, 0 for a task that was not measured.
    """
    value, debiased, bias_low, bias_high = (
        float(np.mean([getattr(estimate, number) for estimate in estimates.values()]))
        for number in ("value", "debiased", "bias_low", "bias_high")
    )
    contributed = [
        estimates[task].contributions / len(estimates) if task in estimates else np.zeros(count)
        for task, count in questions.items()
    ]
    return Estimate(value, debiased, bias_low, bias_high, np.concatenate(contributed))


def rate_interval(base: Estimate, aligned: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the change rate (aligned − base)/base of numbers that are not negative.

    Fieller's (1954): the rates r ≥ −1 at which `change(base, aligned, r).interval()` holds 0. At
    r = 0 that is the interval of the change, so rate and change never differ in sign: where the
    change is clearly above 0, rates below 0 are left out, and the other way round. Should the set
    have a gap, the gap is filled.

    Returns:
        The ends; NaN for an end without bound (a base that may be 0 allows any rise). Both are NaN
        where no rate fits at all, as of a base that is 0 without error, and where the change has no
        interval.
    """
    if np.isnan(change(base, aligned).interval(level)).any():
        return np.nan, np.nan
    squared = _quantile(aligned, 0.5 + level / 2) ** 2
    low = _rate_low(aligned.low, base.high, aligned.contributions, base.contributions, squared)
    high = _rate_low(base.low, aligned.high, base.contributions, aligned.contributions, squared)
    if not np.isfinite(low):
        return np.nan, np.nan
    return low, 1 / (1 + high) - 1 if high > -1 else np.nan


def _rate_low(
    top: float, bottom: float, of_top: Floats, of_bottom: Floats, squared: float
) -> float:
    """Lower end of a rate top/bottom − 1 whose numerator is at least `top` and denominator at most
    `bottom`; `of_top` and `of_bottom` are their contributions, `squared` the squared quantile.

    Rates r ≥ −1 are left out where top − (1 + r)·bottom > sd(r), the variance of that difference
    times the squared quantile. The difference of both sides is concave in r, so those are the r of
    one interval: the end is its upper end if it holds 0, or else −1; it is −1 if neither is left
    out, and infinite if all r above are. Both are reckoned from r = 0, so that small rates keep
    their digits.
    """
    change, of_change = top - bottom, of_top - of_bottom
    v_top, v_change, v_both, v_bottom = (
        squared * float(one @ other)
        for one, other in (
            (of_top, of_top),
            (of_change, of_change),
            (of_change, of_bottom),
            (of_bottom, of_bottom),
        )
    )
    root = _root(change, bottom, v_change, v_both, v_bottom)
    b, c = change * bottom - v_both, change**2 - v_change
    if change > math.sqrt(v_change):  # the smallest positive root of ar² − 2br + c, c > 0
        return c / (b + root) if b + root > 0 else math.inf
    if top > math.sqrt(v_top):  # the root where rates downwards begin to be left out
        down = -c / (b + root) if b > 0 else (root - b) / (bottom**2 - v_bottom)
        return max(-down, -1.0)
    return -1.0


def _root(top: float, bottom: float, v_top: float, v_both: float, v_bottom: float) -> float:
    """√(b² − ac), a = bottom² − v_bottom, b = top·bottom − v_both, c = top² − v_top: without the
    (top·bottom)² of b² and ac, beside which a small error would be lost.
    """
    of_errors = top**2 * v_bottom - 2 * top * bottom * v_both + bottom**2 * v_top
    return math.sqrt(max(of_errors - (v_top * v_bottom - v_both**2), 0.0))


def ratio_interval(top: Estimate, bottom: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Interval of top/bottom, numbers of either sign from the same questions in the same order.

    Fieller's (1954): the ratios λ at which the interval of top − λ·bottom holds 0. It is bounded
    where `bottom` differs from 0; where it may be 0, the ratio may be anything.

    Returns:
        The ends; NaN where the interval of `bottom` holds 0.
    """
    low, high = bottom.interval(level)
    if low <= 0 <= high:
        return np.nan, np.nan
    if high < 0:
        top, bottom = negated(top), negated(bottom)
    return -_ratio_high(negated(top), bottom, level), _ratio_high(top, bottom, level)


def _ratio_high(top: Estimate, bottom: Estimate, level: float) -> float:
    """Upper end of a ratio with a denominator above 0: the λ at which the interval of top −
    λ·bottom ends at 0. That end falls as λ rises, so its sign at 0 is that of the λ.

    The larger root of aλ² − 2bλ + c.
    """
    squared = _quantile(top, 0.5 + level / 2) ** 2
    least = bottom.low if top.interval(level)[1] > 0 else bottom.high
    v_top, v_both, v_bottom = (
        squared * float(one.contributions @ other.contributions)
        for one, other in ((top, top), (top, bottom), (bottom, bottom))
    )
    root = _root(top.high, least, v_top, v_both, v_bottom)
    return (top.high * least - v_both + root) / (least**2 - v_bottom)


def _quantile(estimate: Estimate, probability: float) -> float:
    return float(stdtrit(estimate.contributions.size - 1, probability))


def holm(p_values: npt.NDArray[np.floating[Any]]) -> Floats:
    """Adjusted p-values: the error rate of a whole family at which each hypothesis is rejected.

    Holm (1979): with those of at most 0.05 rejected, any at all is rejected falsely in at most 5 %
    of studies, however the p-values depend on each other. NaN stays NaN and is not counted.
    """
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known])]
    scaled = p_values[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def at_least(p_values: Floats, count: int) -> float:
    """p-value of the hypothesis that fewer than `count` of the hypotheses are false.

    (n − count + 1) times the `count`-th smallest, which holds however the p-values depend on each
    other (Benjamini & Heller 2008): the largest where all have to be false, Bonferroni's where one.

    Args:
        p_values: shape (n,), none missing; n ≥ count ≥ 1.
    """
    return min(1.0, float((p_values.size - count + 1) * np.sort(p_values)[count - 1]))
