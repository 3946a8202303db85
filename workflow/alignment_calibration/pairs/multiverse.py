"""The step `multiverse`: how far does a conclusion hang on how calibration is measured?

A universe is one combination of a metric, a number of bins, a kind of bins and a reading of the
options' tokens. In each, the changes of all pairs on all tasks are tested anew, by the test that
the interval of such a change is the inverse of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import stdtrit

from alignment_calibration.calibration.confidences import (
    option_scores,
    question_starts,
    readings_of,
)
from alignment_calibration.calibration.drawing import drawing_of
from alignment_calibration.calibration.estimates import change
from alignment_calibration.calibration.metrics.registry import METRICS, Binning, Metric
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.normalisations import Scores, softmax
from alignment_calibration.calibration.predictions import Predictions, padded
from alignment_calibration.calibration.resampling import benjamini_hochberg, significant
from alignment_calibration.contract.pairs import MULTIVERSE, PAIR_MULTIVERSE
from alignment_calibration.files.logits import read_logits
from alignment_calibration.study.settings import Settings

BINS = (5, 10, 15, 20, 30)
#: A metric by its name, bins and kind of bins.
Universe = tuple[str, int | None, Binning | None]
#: The keys of a universe.
UNIVERSE = ["metric", "bins", "binning", "reading"]


def read_predictions(prompt: str, logits: pa.Table, resample: str) -> dict[str, Predictions]:
    """Predictions of one model on a task under every reading of one prompt.

    Args:
        prompt: by name.
        logits: rows of the LOGITS contract, of that prompt.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.
    """
    starts = question_starts(logits["question_id"])
    drawing = drawing_of(logits["group"].take(starts).to_numpy(), resample)
    options = np.diff(starts, append=logits.num_rows)
    gold = logits["gold"].to_numpy()[starts].astype(np.int64)
    return {
        reading: Predictions(
            padded(softmax(Scores(option_scores(logits, reading), starts)).values, options),
            options,
            gold,
            drawing=drawing,
        )
        for reading in readings_of(logits, prompt)
    }


def universes() -> Iterable[tuple[Settings, dict[Universe, Metric]]]:
    """Metrics by (name, bins, binning), with the settings under which to compute them."""
    for bins in (None, *BINS):
        # None of them has a threshold. Metrics without bins come once, whatever their number.
        yield (
            Settings(bins or 1, tace_threshold=0),
            {
                (name, bins, binning): replace(metric, tally=tally)
                for name, metric in METRICS.items()
                for binning, tally in metric.binnings.items()
                if (binning is None) == (bins is None)
            },
        )


def pair_multiverse(
    pair: str,
    base: Mapping[tuple[str, str], tuple[str | Path, Mapping[str, Any]]],
    aligned: Mapping[tuple[str, str], tuple[str | Path, Mapping[str, Any]]],
    resample: str,
) -> pd.DataFrame:
    """The changes of one pair on every task in every universe, with their p-values.

    Args:
        pair: slug.
        base, aligned: receipt of the logit file of each task and prompt, and the identity that
            the file must have.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.

    Returns:
        Rows of the PAIR_MULTIVERSE contract.

    Raises:
        UserError: if a logit file is missing, damaged or of another identity.
    """
    found = []
    for task, prompt in base:
        by_model = [
            read_predictions(prompt, read_logits(*files[task, prompt]), resample)
            for files in (base, aligned)
        ]
        for reading, before in by_model[0].items():
            if reading not in by_model[1]:  # of which only sums are known
                continue
            for settings, metrics in universes():
                samples = [
                    Sample(predictions, metrics, settings)
                    for predictions in (before, by_model[1][reading])
                ]
                old, new = (sample.values() for sample in samples)
                tested = _tested(*samples)
                found += [
                    (
                        *(pair, task, *universe, reading),
                        *(old[universe], value, value - old[universe]),
                        *tested.get(universe, (np.nan, np.nan)),
                    )
                    for universe, value in new.items()
                ]
        print(f"{task}, {prompt}: {len(found)} changes so far")
    frame = pd.DataFrame(found, columns=PAIR_MULTIVERSE.names).astype({"bins": "Int64"})
    return frame.sort_values(["task", *UNIVERSE])


def _tested(
    base: Sample[Universe], aligned: Sample[Universe]
) -> dict[Universe, tuple[float, float]]:
    """Debiased changes of metrics that come with an estimate, and p-values of no change."""
    after = aligned.estimates()
    moved = {name: change(before, after[name]) for name, before in base.estimates().items()}
    return {name: (found.debiased, found.p_value) for name, found in moved.items()}


def count_conclusions(changes: pd.DataFrame) -> pd.DataFrame:
    """What each universe finds: how much worse, and in how many of the contrasts.

    Args:
        changes: rows of the PAIR_MULTIVERSE contract, of all pairs.

    Returns:
        Rows of the MULTIVERSE contract; without shares for metrics that have no test.
    """
    found = []
    for universe, contrasts in changes.groupby(UNIVERSE, dropna=False, sort=True):
        q_values = benjamini_hochberg(contrasts["p_value"].to_numpy(dtype=np.float64))
        direction = METRICS[str(universe[0])].worse * np.sign(
            contrasts["change_debiased"].to_numpy()
        )
        decided = significant(q_values)
        worse, better = (float((decided & (direction == sign)).mean()) for sign in (1, -1))
        shares = (worse, better, 1 - worse - better)
        if np.isnan(q_values).all():
            shares = (np.nan,) * 3
        found.append((*universe, len(contrasts), *worsening(contrasts), *shares))
    return pd.DataFrame(found, columns=MULTIVERSE.names).astype({"bins": "Int64"})


def worsening(contrasts: pd.DataFrame) -> tuple[float, float, float]:
    """Factor by which alignment made a metric worse, over all contrasts, with a 95 % interval.

    The ratio of the mean over contrasts of the aligned models to that of the base models; its
    inverse for a metric that is better when it is high. So 1 is no change, and 2 twice the error,
    in every metric. The interval is the jackknife's on the logarithm (Efron & Tibshirani 1993,
    chapter 11) with Student's t: it leaves out one pair at a time, since a claim about alignment is
    one about pairs; where there is but one pair, one task at a time.

    Args:
        contrasts: rows of the PAIR_MULTIVERSE contract, of one universe.

    Returns:
        Factor and its interval's ends; NaN where a mean is 0 or, for the ends, with one contrast.
    """
    direction = METRICS[str(contrasts["metric"].iloc[0])].worse
    unit = "pair" if contrasts["pair"].nunique() > 1 else "task"
    by_unit = contrasts.groupby(unit)[["base", "aligned"]].sum().to_numpy()
    count = len(by_unit)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = direction * np.diff(np.log([by_unit.sum(axis=0), *(by_unit.sum(axis=0) - by_unit)]))
    whole, left_out = float(logs[0, 0]), logs[1:, 0]
    if not np.isfinite(whole):
        return np.nan, np.nan, np.nan
    if not np.isfinite(left_out).all():  # as when there is but one to leave out
        return float(np.exp(whole)), np.nan, np.nan
    error = np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum())
    half = stdtrit(count - 1, 0.975) * error
    return float(np.exp(whole)), float(np.exp(whole - half)), float(np.exp(whole + half))
