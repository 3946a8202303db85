"""Resampling: bootstrap and permutations over questions, and what is read from them."""

import hashlib
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from alignment_calibration.calibration.drawing import Drawing
from alignment_calibration.calibration.estimates import NO_ERROR
from alignment_calibration.calibration.predictions import Booleans, Floats
from alignment_calibration.study.settings import Permuting, Resampling

Weights = npt.NDArray[np.float32]

Interval = Literal["percentile", "basic", "hull"]

#: p-value, or false discovery rate (q-value), up to which something counts as found.
SIGNIFICANCE: Final = 0.05

#: Numbers of a block of weights: small enough to stay near the processor's caches.
BLOCK_SIZE = 1_000_000


def generator(seed: int, task: str, purpose: str) -> np.random.Generator:
    """A random stream of its own for each task (or other name) and purpose."""
    digest = hashlib.sha256(f"{purpose} {task}".encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])


def bootstrap_weights(
    task: str, questions: int, resampling: Resampling, drawing: Drawing | None = None
) -> Iterator[Weights]:
    """How often each question is drawn in each bootstrap resample (Efron 1979).

    The draws follow from the arguments alone, so that resample r of every model on a task has the
    same questions.

    Args:
        task: slug.
        questions: their number.
        resampling: seed and number of resamples.
        drawing: how the questions were drawn; None for one by one.

    Yields:
        Blocks of shape (r, questions), `resampling.resamples` rows in all.
    """
    random = generator(resampling.seed, task, "bootstrap")
    for rows in _blocks(resampling.resamples, questions):
        if drawing is not None:
            yield drawing.resamples(random, rows).astype(np.float32)
            continue
        drawn = random.integers(questions, size=(rows, questions))
        flat = (drawn + questions * np.arange(rows)[:, None]).ravel()
        counts = np.bincount(flat, minlength=rows * questions)
        yield counts.reshape(rows, questions).astype(np.float32)


def swaps(
    task: str, questions: int, permuting: Permuting, drawing: Drawing | None = None
) -> Iterator[Weights]:
    """Which questions have the answers of a pair's models swapped: each with probability 1/2, or
    groups as a whole where these were drawn.

    Yields:
        Blocks of shape (r, questions) of 0 and 1, `permuting.permutations` rows in all.
    """
    random = generator(permuting.seed, task, "permutations")
    for rows in _blocks(permuting.permutations, questions):
        if drawing is None:
            drawn = random.integers(2, size=(rows, questions))
        else:
            drawn = drawing.swaps(random, rows)
        yield drawn.astype(np.float32)


def permutation_p_value(observed: float, permuted: Floats) -> float:
    """Two-sided p-value, (1 + #{|permuted| ≥ |observed|}) / (1 + R): valid at any R.

    Phipson & Smyth (2010). Values equal but for rounding in single precision count as equal, and
    permutations that leave the metric undefined as reaching it. NaN if the sample itself does.
    """
    if not np.isfinite(observed):
        return np.nan
    reached = ~(np.abs(permuted) < abs(observed) * (1 - 1e-5) - 1e-7)
    return float((1 + np.count_nonzero(reached)) / (1 + permuted.size))


def interval(
    value: float, replicates: Floats, kind: Interval, level: float = 0.95
) -> tuple[float, float]:
    """A bootstrap confidence interval (Davison & Hinkley 1997, chapter 5).

    `percentile`: quantiles of the replicates. `basic`: the same mirrored at the value, which
    takes the bias of the estimator to the other side. `hull`: what either of them holds, for
    estimators whose bias is known in size, but not whether the resamples have it too.

    Returns:
        The interval's ends; NaN where the metric is undefined on a resample, and where all
        resamples have the same number (but 0), as of a single question: its error is unknown.
    """
    tail = (1 - level) / 2
    if not _tell(replicates):
        return np.nan, np.nan
    low, high = map(float, np.quantile(replicates.astype(np.float64), [tail, 1 - tail]))
    mirrored_low, mirrored_high = 2 * value - high, 2 * value - low
    match kind:
        case "percentile":
            return low, high
        case "basic":
            return mirrored_low, mirrored_high
        case "hull":
            return min(low, mirrored_low), max(high, mirrored_high)


def significant(p_values: npt.ArrayLike) -> Booleans:
    """Whether p- or q-values, of any shape, are at most SIGNIFICANCE; a missing one is not."""
    return np.asarray(np.asarray(p_values, dtype=np.float64) <= SIGNIFICANCE)


def bootstrap_p_value(value: float, replicates: Floats, kind: Interval) -> float:
    """Two-sided p-value of the hypothesis that a number is 0: `interval` is its inverse.

    (1 + #)/(1 + R) of the replicates (`percentile`) or of the mirrored ones (`basic`) lie beyond 0,
    twice. NaN where there is no interval.
    """
    if not _tell(replicates):
        return np.nan
    drawn = 2 * value - replicates if kind == "basic" else replicates
    beyond = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return min(1.0, 2 * (1 + float(beyond)) / (1 + drawn.size))


def _tell(replicates: Floats) -> bool:
    """Whether replicates tell of an error (as `Estimate.interval` has it)."""
    if replicates.size == 0 or not np.isfinite(replicates).all():
        return False
    return not replicates.any() or bool(np.ptp(replicates) > NO_ERROR * np.abs(replicates).max())


def benjamini_hochberg(p_values: Floats) -> Floats:
    """q-values: the false discovery rate at which each is significant (Benjamini & Hochberg 1995).

    NaN stays NaN and is not counted.
    """
    q_values = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known])]
    scaled = p_values[order] * order.size / np.arange(1, order.size + 1)
    q_values[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return q_values


def _blocks(rows: int, columns: int) -> Iterator[int]:
    """Sizes of blocks of rows that add up to `rows`."""
    block = max(1, BLOCK_SIZE // columns)
    for start in range(0, rows, block):
        yield min(block, rows - start)
