"""The step `decomposition`: which questions does a change come from?

Means over questions, and errors that are sums over bins of |Σ_i gap_i|/N, are sums of one number
per question (a bin's gap taken with the sign of the bin). So a change is the sum of its questions'
shares, and splits over any parts of them. The sign of a bin is known only if its gap is far enough
from 0, which the intervals of the parts of an error allow for.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from alignment_calibration.calibration.bias_aware import added_gaps, estimate_share
from alignment_calibration.calibration.estimates import Estimate, change, of_mean
from alignment_calibration.calibration.metrics.registry import METRICS, select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Booleans, Predictions
from alignment_calibration.contract.pairs import DECOMPOSITION
from alignment_calibration.pairs.contrasts import Contrast
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
    contrasts: Iterable[Contrast], metrics: Sequence[str], settings: Settings
) -> pd.DataFrame:
    """The changes of one pair, split over parts of the questions.

    Args:
        contrasts: of the pair.
        metrics: names in the registry; those that cannot be split are left out.
        settings: of the binned metrics.

    Returns:
        Rows of the DECOMPOSITION contract.
    """
    chosen = {name: metric for name, metric in select(metrics).items() if metric.shares}
    found = []
    for pair, task, method, *answers in contrasts:
        base_sample, aligned_sample = (
            Sample(of_model.predictions, chosen, settings) for of_model in answers
        )
        members = parts(base_sample.predictions, aligned_sample.predictions)
        contributed = contributions_of(base_sample, members)
        contributed_after = contributions_of(aligned_sample, members)
        for (metric, split, part), before in contributed.items():
            moved = change(before, contributed_after[metric, split, part])
            ends, questions = moved.interval(), members[split][part].sum()
            found.append(
                (
                    *(pair, task, method, metric, split, part),
                    *(moved.value, moved.debiased, *ends, questions),
                )
            )
    frame = pd.DataFrame(found, columns=DECOMPOSITION.names)
    return frame.sort_values(["task", "method", "metric", "split", "part"])


def contributions_of(
    sample: Sample[str], members: Mapping[str, Mapping[str, Booleans]]
) -> dict[tuple[str, str, str], Estimate]:
    """What each part of the questions contributes to each metric that is a sum over questions.

    Args:
        sample: of one model.
        members: shape (N,); the questions of each split and part.

    Returns:
        By metric, split and part.
    """
    found, drawing = {}, sample.predictions.drawing
    for name, shares in sample.shares().items():
        tally, gaps = METRICS[name].tally, METRICS[name].gaps
        assert tally is not None
        added = None if gaps is None else added_gaps(sample.tallies[tally], gaps, drawing)
        for split, of_split in members.items():
            for part, rows in of_split.items():
                found[name, split, part] = (
                    of_mean(shares * len(rows) * rows, drawing)
                    if added is None
                    else estimate_share(added, rows)
                )
    return found
