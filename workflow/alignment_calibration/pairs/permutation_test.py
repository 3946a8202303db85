"""The step `permutations`: can the predictions of a pair be exchanged?

If alignment had changed nothing, it would not matter which of the two predictions of a question
came from which model. So they are swapped, question by question, at random (where groups were
drawn, group by group: the questions of a group are not independent); the p-value is the share of
such swaps that change a metric at least as much. A small one says that the predictions
changed in a way that the metric sees, and no more: two models of the same calibration error but of
other accuracy, or one under- and one over-confident, are no more exchangeable than two of different
errors. Whether the metric changed is for the interval of its change to say.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from alignment_calibration.calibration.metrics.registry import Metric, select
from alignment_calibration.calibration.metrics.sample import Comparison
from alignment_calibration.calibration.predictions import Predictions, truncated_questions
from alignment_calibration.calibration.resampling import permutation_p_value, swaps
from alignment_calibration.contract.pairs import PERMUTATIONS
from alignment_calibration.pairs.contrasts import Contrast
from alignment_calibration.study.settings import Permuting, Settings

Name = TypeVar("Name", bound=Hashable)


def permutation_p_values(
    base: Predictions,
    aligned: Predictions,
    metrics: Mapping[Name, Metric],
    settings: Settings,
    task: str,
    permuting: Permuting,
) -> dict[Name, float]:
    """Test by each metric whether two models' predictions can be exchanged.

    Args:
        base, aligned: predictions of the same questions in the same order, drawn alike.
        metrics: by any name.
        settings: bins and thresholds; equal-mass bins are those of both models together.
        task: slug, from which (and the seed) the swaps follow.
        permuting: how many swaps.

    Returns:
        Two-sided p-values by metric; NaN where the metric is undefined.
    """
    comparison = Comparison(base, aligned, metrics, settings)
    before, after = comparison.swapped(np.zeros((1, len(base)), np.float32))
    blocks = [
        comparison.swapped(block) for block in swaps(task, len(base), permuting, base.drawing)
    ]
    found = {}
    for name in comparison.metrics:
        permuted = np.concatenate([right[name] - left[name] for left, right in blocks])
        found[name] = permutation_p_value(float(after[name][0] - before[name][0]), permuted)
    return found


def permutation_tests(
    contrasts: Iterable[Contrast],
    metrics: Sequence[str],
    settings: Settings,
    permuting: Permuting,
) -> pd.DataFrame:
    """The p-values of one pair.

    Args:
        contrasts: of the pair.
        metrics: names in the registry.
        settings: of the binned metrics.
        permuting: of the questions' answers.

    Returns:
        Columns and rows of the PERMUTATIONS contract.
    """
    chosen = select(metrics)
    rows = []
    for pair, task, method, *answers in contrasts:
        base, aligned = (of_model.predictions for of_model in answers)
        found = permutation_p_values(base, aligned, chosen, settings, task, permuting)
        truncated = truncated_questions(*answers)
        rows += [(pair, task, method, name, p_value, truncated) for name, p_value in found.items()]
        print(f"{task}, {method}: {permuting.permutations} permutations")
    frame = pd.DataFrame(rows, columns=PERMUTATIONS.names).astype({"truncated": "Int64"})
    return frame.sort_values(["task", "method", "metric"])
