"""The step `ladders`: what each stage of training did, and whether a metric goes one way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import Estimate, combined, mean_over_tasks
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.calibration.resampling import (
    benjamini_hochberg,
    bootstrap_p_value,
    interval,
)
from alignment_calibration.contract.calibration import MEASUREMENT, MODEL_METRICS
from alignment_calibration.contract.pairs import CHANGES, LADDER_STAGES, PERMUTATIONS, TRENDS
from alignment_calibration.files.frames import read_frame, write_csv, write_frame
from alignment_calibration.pairs.changes import estimate_of, judged, read_changes


def trend_weights(stages: int) -> Floats:
    """Weights of the stages' values whose sum is the slope of the line fitted to them.

    w_s = (s − s̄) / Σ (s − s̄)², s = 0, 1, …: the least-squares change per stage, shape (stages,). Of
    two stages it is the change, and the weights sum to 0: what all stages share drops out.
    """
    centred = np.arange(stages) - (stages - 1) / 2
    return np.asarray(centred / (centred @ centred))


def trends(
    frames: Mapping[str, pd.DataFrame], ladders: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The trend of every metric over the stages of every ladder, with a test.

    The stages answered the same questions, so the trend is tested question by question, as a change
    is: by the estimates' contributions, or by replicates for metrics without an estimate. It is
    tested that the slope is 0; a metric that rises and falls again may have none.

    Args:
        frames: rows of the MODEL_METRICS contract, by model.
        ladders: models of each, in the order of training.

    Returns:
        Rows of the TRENDS contract.
    """
    found = []
    for ladder, members in ladders.items():
        stages = [frames[model].set_index(MEASUREMENT) for model in members]
        # A stage of lm-eval's samples may lack methods that need its tokens.
        for key in (k for k in stages[0].index if all(k in stage.index for stage in stages)):
            rows = [stage.loc[key] for stage in stages]
            found.append(
                {"ladder": ladder, **dict(zip(MEASUREMENT, key, strict=True))}
                | {"stages": len(members), "n": rows[0]["n"]}
                | _trend(key[-1], rows)
            )
    frame = pd.DataFrame(found)
    families = frame.groupby(["method", "metric"])["p_value"]
    frame["q_value"] = families.transform(lambda p: benjamini_hochberg(p.to_numpy()))
    return frame.sort_values(["ladder", *MEASUREMENT]).reindex(columns=TRENDS.names)


def _trend(metric: str, rows: Sequence[Any]) -> dict[str, Any]:
    weights = trend_weights(len(rows))
    estimates = [estimate_of(row) for row in rows]
    value = float(weights @ [row["value"] for row in rows])
    kind, covers = METRICS[metric].interval, METRICS[metric].interval_covers
    found = {"trend": value, "ci_covers": covers, "debiased": np.nan, "p_value": np.nan}
    if all(estimate is not None for estimate in estimates):
        slope = combined([e for e in estimates if e is not None], weights.tolist())
        found |= {"debiased": slope.debiased, "p_value": slope.p_value}
        ends = slope.interval()
    else:
        drawn = weights @ np.stack([row["replicates"].astype(np.float64) for row in rows])
        ends = interval(value, drawn, kind)
        if covers:
            found["p_value"] = bootstrap_p_value(value, drawn, kind)
    found["ci_low"], found["ci_high"] = ends
    return found


def stage_means(
    frames: Mapping[str, pd.DataFrame], ladders: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The mean over tasks of every metric at every stage of every ladder.

    Args:
        frames: rows of the MODEL_METRICS contract, by model.
        ladders: models of each, in the order of training.

    Returns:
        Rows of the LADDER_STAGES contract.
    """
    found = []
    for ladder, members in ladders.items():
        for number, model in enumerate(members):
            for (method, metric), rows in frames[model].groupby(["method", "metric"]):
                found.append(
                    {"ladder": ladder, "number": number, "model": model}
                    | {"method": method, "metric": metric, "tasks": len(rows)}
                    | _mean(str(metric), rows)
                )
    keys = ["ladder", "method", "metric", "number"]
    return pd.DataFrame(found).sort_values(keys).reindex(columns=LADDER_STAGES.names)


def _mean(metric: str, rows: pd.DataFrame) -> dict[str, float]:
    estimates = {row["task"]: estimate_of(row) for _, row in rows.iterrows()}
    value = float(rows["value"].mean())
    known = {task: found for task, found in estimates.items() if found is not None}
    if len(known) == len(estimates):
        sizes = {task: found.contributions.size for task, found in known.items()}
        mean: Estimate = mean_over_tasks(known, sizes)
        ends, debiased = mean.interval(), mean.debiased
    else:
        drawn = np.mean([row.astype(np.float64) for row in rows["replicates"]], axis=0)
        ends, debiased = interval(value, drawn, METRICS[metric].interval), np.nan
    low, high = (float(end) for end in np.clip(ends, *METRICS[metric].bounds))
    return {"value": value, "debiased": debiased, "ci_low": low, "ci_high": high}


def write_ladders(
    metrics: Mapping[str, str | Path],
    ladders: Mapping[str, Sequence[str]],
    steps: Mapping[str, Mapping[str, str]],
    permutations: Sequence[str | Path],
    outputs: Mapping[str, str | Path],
) -> None:
    """Write what a study's ladders say: changes of each step, means of each stage, trends.

    Args:
        metrics: metrics file of each model.
        ladders: models of each, in the order of training.
        steps: `base` and `aligned` model of each step, by its slug.
        permutations: permutations files, one of each step.
        outputs: Parquet files `steps`, `stages`, `trends`, and `steps_csv`.

    Raises:
        UserError: if a file is damaged, or the models of a ladder answered different questions.
    """
    tested = pd.concat([read_frame(path, PERMUTATIONS) for path in permutations])
    frames = {model: read_frame(path, MODEL_METRICS) for model, path in metrics.items()}
    names = sorted({name for frame in frames.values() for name in frame["metric"].unique()})
    by_metric = pd.concat(read_changes(metrics, steps, names))
    changes = judged(by_metric.sort_values(["pair", *MEASUREMENT], ignore_index=True), tested)
    # Steps are parts of what is ranked.
    changes["rank"] = pd.array([pd.NA] * len(changes), "Int64")
    write_csv(outputs["steps_csv"], changes)
    write_frame(outputs["steps"], changes, CHANGES)
    write_frame(outputs["stages"], stage_means(frames, ladders), LADDER_STAGES)
    write_frame(outputs["trends"], trends(frames, ladders), TRENDS)
