"""The step `decomposition`: which questions does a change come from?

Means over questions, and errors that are sums over bins of |Σ_i gap_i|/N, are sums of one number
per question (a bin's gap taken with the sign of the bin). So a change is the sum of its questions'
shares, and splits over any parts of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Booleans, Predictions, read_pair
from alignment_calibration.contract.pairs import DECOMPOSITION
from alignment_calibration.study.settings import Settings


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
    settings: Settings,
) -> pd.DataFrame:
    """The changes of one pair, split over parts of the questions.

    Args:
        pair: slug.
        base, aligned: confidences file of each task.
        metrics: names in the registry; those that cannot be split are left out.
        settings: of the binned metrics.

    Returns:
        Rows of the DECOMPOSITION contract.

    Raises:
        UserError: if the models did not answer the same questions, or a file is damaged.
    """
    chosen = {name: metric for name, metric in select(metrics).items() if metric.shares}
    found = []
    for task in base:
        for method, answers in read_pair(base[task], aligned[task]).items():
            before, after = (of_model.predictions for of_model in answers)
            shares_before, shares_after = (
                Sample(p, chosen, settings).shares() for p in (before, after)
            )
            for metric in shares_before:
                changes = shares_after[metric] - shares_before[metric]
                found += [
                    (pair, task, method, metric, split, part, changes[rows].sum(), rows.sum())
                    for split, members in parts(before, after).items()
                    for part, rows in members.items()
                ]
    frame = pd.DataFrame(found, columns=DECOMPOSITION.names)
    return frame.sort_values(["task", "method", "metric", "split", "part"])
