"""Effects: what alignment did over all pairs, and over all tasks of each pair.

A claim about alignment is a claim about pairs, of which a study has few; questions alone, however
many, cannot carry it. Bias does not average out over tasks or pairs, so its bounds are averaged.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import (
    Estimate,
    change,
    contributions,
    mean_over_tasks,
)
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.contract.pairs import EFFECTS, PAIR_EFFECTS
from alignment_calibration.pairs.mean_estimates import PairMean, mean_over_pairs


def effects(changes: pd.DataFrame) -> pd.DataFrame:
    """The mean change over pairs and tasks, for every method and metric.

    The interval takes the pairs for a sample (`mean_estimates.mean_over_pairs`); with one pair it
    speaks of its questions only. The sign test asks whether more pairs rise than fall than chance
    would make; pairs of no change do not count.

    Args:
        changes: as `changes.read_changes` gives them.

    Returns:
        Rows of the EFFECTS contract.
    """
    found = []
    for (method, metric), family in _families(changes):
        means = [mean for _, mean, _ in _means_over_tasks(family)]
        mean = mean_over_pairs(means)
        of_pairs = np.array([mean.debiased for mean in means])
        by_task = family.assign(debiased=[_changed(row).debiased for row in family.itertuples()])
        of_tasks = by_task.groupby("task")["debiased"].mean().to_numpy()
        rises, falls = int((of_pairs > 0).sum()), int((of_pairs < 0).sum())
        known = not np.isnan(of_pairs).any()
        found.append(
            {
                "method": method,
                "metric": metric,
                "pairs": len(means),
                "tasks": of_tasks.size,
                **_told(mean),
                "ci_covers": METRICS[metric].interval_covers,
                "p_value": mean.p_value if METRICS[metric].interval_covers else np.nan,
                "pairs_worse": _worse(metric, of_pairs),
                "tasks_worse": _worse(metric, of_tasks),
                "sign_p_value": sign_test(rises, falls) if known else np.nan,
            }
        )
    types = {"pairs_worse": "Int64", "tasks_worse": "Int64"}
    return pd.DataFrame(found, columns=EFFECTS.names).astype(types)


def sign_test(rises: int, falls: int) -> float:
    """Two-sided p-value of these counts where either is as likely (Dixon & Mood 1946)."""
    count, fewer = rises + falls, min(rises, falls)
    as_few = sum(math.comb(count, i) for i in range(fewer + 1))
    return min(1.0, 2 * as_few / 2.0**count)


def pair_effects(changes: pd.DataFrame) -> pd.DataFrame:
    """Each pair's mean change over its tasks, and on how many tasks it worsens.

    Args:
        changes: as `changes.read_changes` gives them.

    Returns:
        Rows of the PAIR_EFFECTS contract.
    """
    found = []
    for (method, metric), family in _families(changes):
        for pair, mean, of_tasks in _means_over_tasks(family):
            worse = _worse(metric, of_tasks)
            found.append(
                {
                    "pair": pair,
                    "method": method,
                    "metric": metric,
                    "tasks": of_tasks.size,
                    **_told(mean),
                    "tasks_worse": worse,
                    "share_worse": None if worse is None else worse / of_tasks.size,
                }
            )
    frame = pd.DataFrame(found, columns=PAIR_EFFECTS.names).astype({"tasks_worse": "Int64"})
    return frame.sort_values(["pair", "method", "metric"])


def _told(mean: Estimate | PairMean) -> dict[str, float]:
    """The columns of a mean change."""
    low, high = mean.interval()
    return {
        "mean_change": mean.value,
        "mean_debiased": mean.debiased,
        "ci_low": low,
        "ci_high": high,
    }


def _families(changes: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The changes of one method and metric: those that are called significant together."""
    for (method, metric), family in changes.groupby(["method", "metric"], sort=True):
        yield (str(method), str(metric)), family


def _means_over_tasks(family: pd.DataFrame) -> Iterator[tuple[str, Estimate, Floats]]:
    """Each pair, its mean change over tasks, and its debiased changes by task."""
    moved: dict[str, dict[str, Estimate]] = {}
    for row in family.itertuples():
        moved.setdefault(str(row.pair), {})[str(row.task)] = _changed(row)
    sizes = {
        task: found.contributions.size
        for by_task in moved.values()
        for task, found in by_task.items()
    }
    sizes = {task: sizes[task] for task in sorted(sizes)}
    for pair in sorted(moved):
        by_task = {task: moved[pair][task] for task in sorted(moved[pair])}
        of_tasks = np.array([found.debiased for found in by_task.values()])
        yield pair, mean_over_tasks(by_task, sizes), of_tasks


def _changed(row: Any) -> Estimate:
    """The estimate of a change; without one, the change itself with the error of its replicates.

    The replicates of pairs go together as their questions do: all answered the same resamples.
    """
    if row.base_estimate is not None:
        return change(row.base_estimate, row.aligned_estimate)
    drawn = row.change_replicates
    added = contributions(drawn) * math.sqrt(drawn.size)
    return Estimate(row.change, row.change, 0.0, 0.0, added)


def _worse(metric: str, changes: Floats) -> int | None:
    """How many changes are for the worse; None where one is undefined, and for metrics without a
    better direction.
    """
    direction = METRICS[metric].worse
    known = direction and not np.isnan(changes).any()
    return int((changes * direction > 0).sum()) if known else None
