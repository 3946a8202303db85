"""The step `decomposition`: which questions does a change come from?

Means over questions, and errors that are sums over bins of |Σ_i gap_i|/N, are sums of one number
per question (a bin's gap taken with the sign of the bin). So a change is the sum of its questions'
contributions, and splits over any parts of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alignment_calibration.calibration.metrics import Settings, tallies
from alignment_calibration.calibration.metrics.formulas import LABEL, ONE_VS_REST, PROBABILITY
from alignment_calibration.calibration.metrics.step import settings_of
from alignment_calibration.calibration.predictions import Booleans, Floats, Predictions, read_pair
from alignment_calibration.contract.pairs import DECOMPOSITION

#: The number of each question whose mean a metric is.
MEANS = {
    "accuracy": "correct",
    "confidence": "confidence",
    "brier": "squared_error",
    "nll": "log_loss",
}
#: Tally of each binned error, and the fields whose gap it is.
ERRORS = {
    "ece": (tallies.top_equal_width, 2, 1),
    "ece_equal_mass": (tallies.top_equal_mass, 2, 1),
    "sce": (tallies.class_equal_width, LABEL, PROBABILITY),
    "sce_ovr": (tallies.class_equal_width, ONE_VS_REST, PROBABILITY),
    "ace": (tallies.class_equal_mass, LABEL, PROBABILITY),
}


def contributions(predictions: Predictions, settings: Settings) -> dict[str, Floats]:
    """What each question adds to each metric that can be split: arrays of shape (N,) that sum to
    the metric.
    """
    count = len(predictions)
    found = {name: getattr(predictions, number) / count for name, number in MEANS.items()}
    found["overconfidence"] = found["confidence"] - found["accuracy"]
    for name, (tally, observed, expected) in ERRORS.items():
        columns = tally(predictions, settings, predictions)
        sums = columns.total()
        signs = np.sign(sums[observed] - sums[expected]).ravel()[columns.cells]
        gaps = (columns.fields[observed] - columns.fields[expected]) * signs
        found[name] = gaps.sum(axis=1) / sums[0].sum()
    return found


def parts(base: Predictions, aligned: Predictions) -> dict[str, dict[str, Booleans]]:
    """The splits of the questions: by agreement of the two models, and by who was right."""
    agree = np.asarray(base.predicted == aligned.predicted)
    return {
        "agreement": {"agree": agree, "disagree": ~agree},
        "correctness": {
            "both_right": base.correct & aligned.correct,
            "only_base_right": base.correct & ~aligned.correct,
            "only_aligned_right": ~base.correct & aligned.correct,
            "both_wrong": ~base.correct & ~aligned.correct,
        },
    }


def decompose_pair(
    pair: str,
    base: Mapping[str, str | Path],
    aligned: Mapping[str, str | Path],
    metrics: Sequence[str],
    statistics: Mapping[str, Any],
) -> pd.DataFrame:
    """The changes of one pair, split over parts of the questions.

    Args:
        pair: slug.
        base, aligned: confidences file of each task.
        metrics: names in the registry; those that cannot be split are left out.
        statistics: `bins`, `tace_threshold`.

    Returns:
        Rows of the DECOMPOSITION contract.

    Raises:
        UserError: if the models did not answer the same questions, or a file is damaged.
    """
    settings = settings_of(statistics)
    found = []
    for task in base:
        for method, answers in read_pair(base[task], aligned[task]).items():
            before, after = (of_model.predictions for of_model in answers)
            shares_before, shares_after = (contributions(p, settings) for p in (before, after))
            for metric in shares_before.keys() & set(metrics):
                changes = shares_after[metric] - shares_before[metric]
                found += [
                    (pair, task, method, metric, split, part, changes[rows].sum(), rows.sum())
                    for split, members in parts(before, after).items()
                    for part, rows in members.items()
                ]
    frame = pd.DataFrame(found, columns=DECOMPOSITION.names)
    return frame.sort_values(["task", "method", "metric", "split", "part"])
