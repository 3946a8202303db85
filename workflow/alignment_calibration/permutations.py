"""The step `permutations`: is a pair's change larger than chance would make it?

If alignment had changed nothing, it would not matter which of the two predictions of a question
came from which model. So they are swapped, question by question, at random; the p-value is the
share of such swaps that change a metric at least as much. A metric's bias near zero is the same on
both sides and does not touch it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alignment_calibration.contract import PERMUTATIONS
from alignment_calibration.metrics import Comparison, Metric, Settings, select
from alignment_calibration.metrics.step import settings_of
from alignment_calibration.predictions import Predictions, check_same_questions, read_answers
from alignment_calibration.resampling import permutation_p_value, swaps


def p_values(
    base: Predictions,
    aligned: Predictions,
    metrics: dict[str, Metric],
    settings: Settings,
    task: str,
    seed: int,
    permutations: int,
) -> dict[str, float]:
    """Two-sided p-values of the change of each metric, NaN where the metric is undefined."""
    comparison = Comparison(base, aligned, metrics, settings)
    observed = comparison.changes(np.zeros((1, len(base)), np.float32))
    blocks = [comparison.changes(block) for block in swaps(seed, task, len(base), permutations)]
    return {
        name: permutation_p_value(
            float(observed[name][0]), np.concatenate([block[name] for block in blocks])
        )
        for name in comparison.metrics
    }


def permutation_tests(
    pair: str,
    base: Mapping[str, str | Path],
    aligned: Mapping[str, str | Path],
    metrics: Sequence[str],
    statistics: Mapping[str, Any],
) -> pd.DataFrame:
    """The p-values of one pair.

    Args:
        pair: slug.
        base, aligned: confidences file of each task.
        metrics: names in the registry.
        statistics: `bins`, `tace_threshold`, `seed`, `permutations`.

    Returns:
        Columns and rows of the PERMUTATIONS contract.

    Raises:
        UserError: if the models did not answer the same questions, or a file is damaged.
    """
    chosen = select(metrics)
    rows = []
    for task in base:
        base_answers, aligned_answers = read_answers(base[task]), read_answers(aligned[task])
        for method, answers in base_answers.items():
            other = aligned_answers[method]
            check_same_questions(answers, other, str(base[task]), str(aligned[task]))
            found = p_values(
                answers.predictions,
                other.predictions,
                chosen,
                settings_of(statistics),
                task,
                statistics["seed"],
                statistics["permutations"],
            )
            rows += [(pair, task, method, name, value) for name, value in found.items()]
        print(f"{task}: {statistics['permutations']} permutations of {', '.join(base_answers)}")
    frame = pd.DataFrame(rows, columns=PERMUTATIONS.names)
    return frame.sort_values(["task", "method", "metric"])
