"""The step `metrics`: the metrics of one model on all tasks, with bootstrap replicates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignment_calibration.calibration.metrics.registry import METRICS, Metric, select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import (
    Answers,
    questions_of,
    read_answers,
    truncated_questions,
)
from alignment_calibration.calibration.resampling import bootstrap_weights, interval
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.study.settings import Resampling, Settings


def measure_task(
    task: str,
    answers: Mapping[str, Answers],
    metrics: Mapping[str, Metric],
    settings: Settings,
    resampling: Resampling,
) -> list[dict[str, Any]]:
    """Rows of the MODEL_METRICS contract, `model` aside, of one task.

    Args:
        task: slug, from which (and the seed) the resamples follow.
        answers: by method.
        metrics: by name.
        settings: of the binned metrics.
        resampling: of the questions.
    """
    samples = {
        method: Sample(answer.predictions, metrics, settings) for method, answer in answers.items()
    }
    replicates = _replicates(task, samples, resampling)
    rows = []
    for method, sample in samples.items():
        estimates = sample.estimates()
        for name, value in sample.values().items():
            metric, estimate = METRICS[name], estimates.get(name)
            if estimate is None:
                ends = interval(value, replicates[method][name], metric.interval)
            else:
                ends = estimate.value_interval()
            low, high = (float(end) for end in np.clip(ends, *metric.bounds))
            rows.append(
                {
                    "task": task,
                    "method": method,
                    "metric": name,
                    "value": value,
                    "ci_low": low,
                    "ci_high": high,
                    "debiased": estimate and estimate.debiased,
                    "bias_low": estimate and estimate.bias_low,
                    "bias_high": estimate and estimate.bias_high,
                    "contributions": estimate and estimate.contributions.astype(np.float32),
                    "n": len(sample.predictions),
                    "truncated": truncated_questions(answers[method]),
                    "replicates": replicates[method][name],
                }
            )
    return rows


def _replicates(
    task: str, samples: Mapping[str, Sample[str]], resampling: Resampling
) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """Bootstrap replicates of every metric, by method; methods whose questions are as many, and of
    the same groups, share the resamples.
    """
    blocks: dict[str, list[dict[str, Any]]] = {method: [] for method in samples}
    alike: dict[tuple[int, bytes], list[str]] = {}
    for method, sample in samples.items():
        drawing = sample.predictions.drawing
        groups = b"" if drawing is None else drawing.groups.tobytes()
        alike.setdefault((len(sample.predictions), groups), []).append(method)
    for (size, _), methods in sorted(alike.items()):
        drawing = samples[methods[0]].predictions.drawing
        for weights in bootstrap_weights(task, size, resampling, drawing):
            for method in methods:
                blocks[method].append(samples[method].resampled(weights))
    return {
        method: {
            name: np.concatenate([block[name] for block in blocks[method]]).astype(np.float32)
            for name in sample.metrics
        }
        for method, sample in samples.items()
    }


def write_metrics(
    model: str,
    confidences: Mapping[str, str | Path],
    metrics: Sequence[str],
    settings: Settings,
    resampling: Resampling,
    output: str | Path,
) -> None:
    """Write the metrics of one model.

    Args:
        model: slug.
        confidences: confidences file of each task.
        metrics: names in the registry.
        settings: of the binned metrics.
        resampling: of the questions.
        output: Parquet file to write; its identity holds the questions' hashes by task and method.

    Raises:
        UserError: if a confidences file is damaged or its numbers are no probabilities.
    """
    chosen = select(metrics)
    rows, questions = [], {}
    for task, path in confidences.items():
        answers = read_answers(path, resampling.resample)
        questions[task] = questions_of(answers)
        rows += measure_task(task, answers, chosen, settings, resampling)
        print(f"{task}: {len(chosen)} metrics of {', '.join(answers)}")
    keys = ("task", "method", "metric")
    rows.sort(key=lambda row: tuple(row[key] for key in keys))
    columns = {
        name: pa.array([row[name] for row in rows], MODEL_METRICS.field(name).type)
        for name in ("n", "truncated", "replicates", "contributions", *keys)
    }
    columns |= {
        name: pa.array([row[name] for row in rows], pa.float64(), from_pandas=True)
        for name in ("value", "ci_low", "ci_high", "debiased", "bias_low", "bias_high")
    }
    columns["model"] = pa.array([model] * len(rows), pa.string())
    table = pa.table({name: columns[name] for name in MODEL_METRICS.names}, schema=MODEL_METRICS)
    write_parquet(output, table, {"questions": questions})
