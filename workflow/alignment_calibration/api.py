"""The statistics as a library: metrics of one model, and changes of a pair, on arrays.

    from alignment_calibration import measure, compare

Metrics, intervals and tests are those of the workflow; docs/statistics.md says what each means.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS, Metric, select
from alignment_calibration.calibration.metrics.step import measure_task
from alignment_calibration.calibration.predictions import (
    SUM_TOLERANCE,
    Answers,
    Booleans,
    Floats,
    Integers,
    Predictions,
)
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.contract.pairs import PERMUTATIONS
from alignment_calibration.pairs.changes import judged, pair_changes
from alignment_calibration.pairs.permutation_test import permutation_p_values
from alignment_calibration.study.settings import Permuting, Resampling, Settings

__all__ = ["compare", "measure"]


def measure(
    probabilities: npt.ArrayLike,
    right: npt.ArrayLike,
    metrics: Sequence[str] | None = None,
    *,
    mask: npt.ArrayLike | None = None,
    bins: int = 10,
    tace_threshold: float = 0.01,
    resamples: int = 2000,
    seed: int = 0,
    model: str = "model",
    task: str = "task",
    method: str = "method",
) -> pd.DataFrame:
    """Metrics of one model on one task, with 95 % intervals over questions.

    Args:
        probabilities: shape (N, K); that the model gives the K options of N questions. A question
            with fewer options has NaN in its last places.
        right: shape (N,); index of each question's right option.
        metrics: names; all by default.
        mask: shape (N, K); whether a question has the option, for arrays that say so instead of
            with NaN.
        bins: of the binned calibration errors.
        tace_threshold: probabilities at or below it are left out of `tace`.
        resamples: bootstrap resamples of the questions.
        seed: of the resamples.
        model, task, method: what to write into the columns of these names. Models measured under
            one task and seed are resampled alike.

    Returns:
        A row per metric, sorted by name, with columns model, task, method, metric, value, ci_low,
        ci_high, then what an estimate has (debiased: the value less its estimated bias; bias_low,
        bias_high; contributions: array of shape (N,); all missing for metrics without), n
        (questions), truncated (missing: arrays do not tell), replicates (array of shape
        (resamples,)). Calibration errors are in probabilities, `nll` in nats.

    Raises:
        ValueError: for arrays of wrong shape, numbers that are no probabilities, options that are
            none, or an unknown metric; names the first question.

    Examples:
        >>> from alignment_calibration import measure
        >>> probabilities = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
        >>> found = measure(probabilities, [0, 0, 1, 1], ["accuracy", "ece", "brier"])
        >>> found[["metric", "value", "n"]]
             metric  value  n
        0  accuracy   0.75  4
        1     brier   0.25  4
        2       ece   0.30  4

        Two options and three:

        >>> ragged = [[0.9, 0.1, float("nan")], [0.2, 0.5, 0.3]]
        >>> measure(ragged, [0, 2], ["confidence"])["value"].item()
        0.7
    """
    chosen = _metrics(metrics)
    statistics = _statistics(tace_threshold, bins=bins, resamples=resamples, seed=seed)
    predictions = _predictions("probabilities", probabilities, right, mask)
    return _measured(predictions, chosen, statistics, model, task, method)


def compare(
    base: npt.ArrayLike,
    aligned: npt.ArrayLike,
    right: npt.ArrayLike,
    metrics: Sequence[str] | None = None,
    *,
    mask: npt.ArrayLike | None = None,
    bins: int = 10,
    tace_threshold: float = 0.01,
    resamples: int = 2000,
    permutations: int = 2000,
    seed: int = 0,
    pair: str = "pair",
    task: str = "task",
    method: str = "method",
) -> pd.DataFrame:
    """What changed between two models that answered the same questions.

    Args:
        base, aligned: shape (N, K); probabilities of both models, as in `measure`.
        right: shape (N,); index of each question's right option.
        metrics: names; all by default.
        mask: shape (N, K); whether a question has the option.
        bins: of the binned calibration errors.
        tace_threshold: probabilities at or below it are left out of `tace`.
        resamples: bootstrap resamples of the questions, the same for both models.
        permutations: swaps of the models' answers, to test whether they can be exchanged.
        seed: of resamples and permutations.
        pair, task, method: what to write into the columns of these names.

    Returns:
        A row per metric, sorted by name, with columns pair, task, method, metric, base, aligned,
        base_debiased and aligned_debiased (less their estimated bias), change (aligned − base),
        change_rate (change / base; missing where base is 0), the ends of their 95 % intervals (an
        upper end of a rate is missing where there is none), ci_covers (whether such intervals
        hold), p_value (of no change), q_value (as this is one contrast, the same), q_all (over all
        metrics), p_exchangeable (of predictions that can be exchanged), mde (the smallest change
        that such samples would show), n, truncated (missing) and rank (1).

    Raises:
        ValueError: as `measure`, or if one model has options that the other lacks.

    Examples:
        >>> import numpy as np
        >>> from alignment_calibration import compare
        >>> random = np.random.default_rng(0)
        >>> base = random.dirichlet([1, 1, 1, 1], size=1000)
        >>> right = (random.random(1000) > base.cumsum(axis=1).T).sum(axis=0)
        >>> aligned = base**3 / (base**3).sum(axis=1, keepdims=True)
        >>> found = compare(base, aligned, right, ["accuracy", "confidence"], resamples=200)
        >>> found[["metric", "base", "aligned", "change"]].round(3)
               metric   base  aligned  change
        0    accuracy  0.534    0.534   0.000
        1  confidence  0.526    0.771   0.245
        >>> bool(found["p_value"][1] < 0.001)
        True
    """
    chosen = _metrics(metrics)
    statistics = _statistics(
        tace_threshold, bins=bins, resamples=resamples, permutations=permutations, seed=seed
    )
    before = _predictions("base", base, right, mask)
    after = _predictions("aligned", aligned, right, mask)
    if before.has_option.shape != after.has_option.shape:
        raise ValueError(
            f"aligned: found shape {after.probabilities.shape}; "
            f"base has {before.probabilities.shape}"
        )
    differing = np.asarray(before.options != after.options)
    _refuse(differing, "aligned", "has {} options, but base has another number", after.options)
    measured = [
        _measured(predictions, chosen, statistics, stage, task, method)
        for stage, predictions in (("base", before), ("aligned", after))
    ]
    tested = permutation_p_values(
        before,
        after,
        chosen,
        Settings.of(statistics),
        task,
        Permuting.of(statistics),
    )
    exchangeable = pd.DataFrame(
        [(pair, task, method, name, p_value, None) for name, p_value in tested.items()],
        columns=PERMUTATIONS.names,
    ).astype({"truncated": "Int64"})
    return judged(pair_changes(pair, *measured), exchangeable)


def _measured(
    predictions: Predictions,
    metrics: dict[str, Metric],
    statistics: Mapping[str, Any],
    model: str,
    task: str,
    method: str,
) -> pd.DataFrame:
    """Rows of the MODEL_METRICS contract."""
    answers = Answers(np.arange(len(predictions)).astype(object), predictions, "")
    rows = measure_task(
        task, {method: answers}, metrics, Settings.of(statistics), Resampling.of(statistics)
    )
    frame = pd.DataFrame(rows).assign(model=model).astype({"truncated": "Int64"})
    return frame.sort_values("metric", ignore_index=True).reindex(columns=MODEL_METRICS.names)


def _metrics(names: Sequence[str] | None) -> dict[str, Metric]:
    """The metrics of these names; those of letters need more than the options' probabilities."""
    allowed = [name for name, metric in METRICS.items() if not metric.letters_only]
    if isinstance(names, str):
        raise ValueError(f"metrics: found the text {names!r}; needs a list of names")
    if unknown := [name for name in names or [] if name not in allowed]:
        raise ValueError(f"metrics: found {unknown[0]!r}; allowed: {', '.join(allowed)}")
    return select(allowed if names is None else names)


def _statistics(tace_threshold: float, **numbers: int) -> dict[str, Any]:
    """The `statistics` of a config, checked."""
    if not 0 <= tace_threshold < 1:
        raise ValueError(
            f"tace_threshold: found {tace_threshold}; needs 0 or more, but less than 1"
        )
    for name, number in numbers.items():
        least = 0 if name == "seed" else 1
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"{name}: found {number!r}; needs a whole number of at least {least}")
    return {name: int(number) for name, number in numbers.items()} | {
        "tace_threshold": float(tace_threshold),
        "resample": "questions",  # arrays name no groups
    }


def _predictions(
    name: str, values: npt.ArrayLike, right: npt.ArrayLike, mask: npt.ArrayLike | None
) -> Predictions:
    """Arrays of a user as predictions, checked; `name` is that of the argument."""
    probabilities = _array(name, values)
    if probabilities.ndim != 2 or probabilities.shape[0] < 1 or probabilities.shape[1] < 2:
        raise ValueError(
            f"{name}: found shape {probabilities.shape}; needs a row per question and a column "
            "per option, at least 2"
        )
    if probabilities.dtype.kind not in "fiu":
        raise ValueError(f"{name}: found values of type {probabilities.dtype}; needs numbers")
    has_option = _has_option(name, probabilities, mask)
    options = has_option.sum(axis=1)
    last = np.arange(has_option.shape[1]) >= options[:, None]
    _refuse((has_option & last).any(axis=1), name, "misses an option before its last one")
    _refuse(options < 2, name, "has {} option; needs at least 2", options)
    filled = np.where(has_option, probabilities, 0).astype(np.float64)
    # Written so that NaN is refused too.
    valid = (filled >= 0) & (filled <= 1 + SUM_TOLERANCE)
    _refuse(np.asarray(~valid.all(axis=1)), name, "has values that are not numbers in [0, 1]")
    sums = filled.sum(axis=1)
    off = np.abs(sums - 1) > _sum_tolerance(probabilities)
    _refuse(np.asarray(off), name, "sums to {:.6g}; needs 1", sums)
    return Predictions(filled, options, _gold(right, options))


def _array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name}: its rows differ in length; fill up those of fewer options with NaN"
        ) from None


def _has_option(name: str, probabilities: npt.NDArray[Any], mask: npt.ArrayLike | None) -> Booleans:
    if mask is None:
        return np.asarray(~np.isnan(probabilities))
    has_option = _array("mask", mask)
    if has_option.shape != probabilities.shape or has_option.dtype != np.bool_:
        raise ValueError(
            f"mask: found {has_option.dtype} of shape {has_option.shape}; needs booleans of the "
            f"shape of {name}, {probabilities.shape}"
        )
    return has_option


def _sum_tolerance(probabilities: npt.NDArray[Any]) -> float:
    """How far from 1 a question's probabilities may sum: what rounding does in their type."""
    if probabilities.dtype.kind != "f":
        return SUM_TOLERANCE
    rounding = float(np.finfo(probabilities.dtype).eps)
    options: int = probabilities.shape[1]
    return max(SUM_TOLERANCE, options * rounding)


def _gold(right: npt.ArrayLike, options: Integers) -> Integers:
    gold = _array("right", right)
    if gold.shape != options.shape or gold.dtype.kind not in "iu":
        raise ValueError(
            f"right: found {gold.dtype} of shape {gold.shape}; needs the index of each question's "
            f"right option, whole numbers of shape {options.shape}"
        )
    _refuse((gold < 0) | (gold >= options), "right", "is {}, which is no option", gold)
    return gold.astype(np.int64)


def _refuse(
    bad: Booleans, name: str, problem: str, values: Iterable[Any] | Floats | None = None
) -> None:
    """Raise a `ValueError` that names the first question that is `bad`, and how many are."""
    if not bad.any():
        return
    first = int(np.argmax(bad))
    found = problem if values is None else problem.format(np.asarray(values)[first])
    more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
    raise ValueError(f"{name}: question {first} {found}{more}")
