"""Effects: what alignment did over all pairs, and over all tasks of each pair.

A claim about alignment is a claim about pairs, of which a study has few; questions alone, however
many, cannot carry it.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.calibration.resampling import generator, interval
from alignment_calibration.contract.pairs import EFFECTS, PAIR_EFFECTS


def effects(changes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The mean change over pairs and tasks, for every method and metric.

    The interval is of two levels: in each resample the pairs are drawn with replacement, then the
    questions (Davison & Hinkley 1997, section 3.8). With one pair it speaks of its questions only.
    The sign test asks whether more pairs rise than fall than chance would make; pairs of no change
    do not count.

    Args:
        changes: as `changes.read_changes` gives them.
        seed: of the draws of pairs.

    Returns:
        Rows of the EFFECTS contract.
    """
    found = []
    for (method, metric), family in _families(changes):
        pairs = list(_means_over_tasks(family))
        means = np.array([mean for _, mean, _ in pairs])
        replicates = np.stack([replicates for _, _, replicates in pairs], axis=1)
        random = generator(seed, f"{method} {metric}", "pairs")
        drawn = random.integers(len(pairs), size=replicates.shape)
        mean = float(means.mean())
        resampled = np.take_along_axis(replicates, drawn, axis=1).mean(axis=1)
        low, high = interval(mean, resampled, METRICS[metric].interval)
        rises, falls = int((means > 0).sum()), int((means < 0).sum())
        found.append(
            {
                "method": method,
                "metric": metric,
                "pairs": len(pairs),
                "tasks": family["task"].nunique(),
                "mean_change": mean,
                "ci_low": low,
                "ci_high": high,
                "pairs_worse": _worse(metric, means),
                "sign_p_value": sign_test(rises, falls),
            }
        )
    return pd.DataFrame(found, columns=EFFECTS.names).astype({"pairs_worse": "Int64"})


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
        for pair, mean, replicates in _means_over_tasks(family):
            of_pair = family.loc[family["pair"] == pair, "change"].to_numpy()
            low, high = interval(mean, replicates, METRICS[metric].interval)
            worse = _worse(metric, of_pair)
            found.append(
                {
                    "pair": pair,
                    "method": method,
                    "metric": metric,
                    "tasks": of_pair.size,
                    "mean_change": mean,
                    "ci_low": low,
                    "ci_high": high,
                    "tasks_worse": worse,
                    "share_worse": None if worse is None else worse / of_pair.size,
                }
            )
    frame = pd.DataFrame(found, columns=PAIR_EFFECTS.names).astype({"tasks_worse": "Int64"})
    return frame.sort_values(["pair", "method", "metric"])


def _families(changes: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The changes of one method and metric: those that are called significant together."""
    for (method, metric), family in changes.groupby(["method", "metric"], sort=True):
        yield (str(method), str(metric)), family


def _means_over_tasks(family: pd.DataFrame) -> Iterator[tuple[str, float, Floats]]:
    """Each pair, its mean change over tasks, and that mean's replicates (shape (R,)).

    Resamples of different tasks are independent; the r-th of each go together.
    """
    for pair, rows in family.groupby("pair", sort=True):
        replicates = np.stack(rows["change_replicates"].tolist()).mean(axis=0)
        yield str(pair), float(rows["change"].mean()), replicates


def _worse(metric: str, changes: Floats) -> int | None:
    """How many changes are for the worse; None for metrics without a better direction."""
    direction = METRICS[metric].worse
    return int((changes * direction > 0).sum()) if direction else None
