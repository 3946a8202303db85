"""The step `reliability`: how often a model is right, by how confident it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from alignment_calibration.calibration.metrics import tallies
from alignment_calibration.calibration.metrics.step import settings_of
from alignment_calibration.calibration.predictions import Floats, Predictions, read_answers
from alignment_calibration.calibration.resampling import bootstrap_weights
from alignment_calibration.contract.calibration import RELIABILITY
from alignment_calibration.study.vocabulary import STAGES

#: Confidences at which the curve is computed.
GRID = np.linspace(0, 1, 101)
#: Cells to which confidences are rounded for the curve: finer than any bandwidth in use.
CELLS = 1000
#: Least bandwidth, for confidences that nearly all agree.
LEAST_WIDTH = 0.03
#: Fewest questions (effective number under the kernel) for which the curve is shown.
FEWEST = 10.0


def bins(predictions: Predictions, settings: tallies.Settings) -> pd.DataFrame:
    """Confidence and accuracy by equal-width bin of confidence, as ECE sums them.

    Returns:
        Rows with `left`, `right` (edges), `confidence`, `accuracy` (means; missing in an empty
        bin) and `questions`.
    """
    tally = tallies.top_equal_width(predictions, settings, predictions)
    number, confidence, correct = tally.total()
    edges = np.arange(settings.bins + 1) / settings.bins
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "left": edges[:-1],
                "right": edges[1:],
                "confidence": confidence / number,
                "accuracy": correct / number,
                "questions": number,
            }
        )


def curve(predictions: Predictions, task: str, statistics: Mapping[str, Any]) -> pd.DataFrame:
    """Accuracy as a smooth function of confidence, with a pointwise 95 % bootstrap band.

    Nadaraya–Watson regression of correctness on confidence with a Gaussian kernel reflected at 0
    and 1, of Silverman's (1986) bandwidth.

    Args:
        statistics: `resamples`, `seed`.

    Returns:
        A row per point of GRID between the least and the greatest confidence where enough
        questions lie near: `confidence`, `accuracy`, `low`,
        `high` and `questions` (their effective number under the kernel).
    """
    confidence = predictions.confidence
    kernel = _reflected_kernel((np.arange(CELLS) + 0.5) / CELLS, _bandwidth(confidence))
    cell = np.minimum((confidence * CELLS).astype(np.int64), CELLS - 1)
    rows = np.arange(len(predictions))
    shape = (len(predictions), CELLS)
    counted = sparse.csr_array((np.ones(len(predictions)), (rows, cell)), shape)
    right = sparse.csr_array((predictions.correct.astype(float), (rows, cell)), shape)

    def smoothed(weights: Floats) -> tuple[Floats, Floats]:
        """Accuracy, and sum of kernel weights, for weights of shape (r, questions)."""
        near = (weights @ counted) @ kernel
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((weights @ right) @ kernel) / near, near

    once = np.ones((1, len(predictions)))
    accuracy, near = smoothed(once)
    squares = (once @ counted) @ kernel**2
    resampled = np.concatenate(
        [
            smoothed(weights)[0]
            for weights in bootstrap_weights(
                statistics["seed"], task, len(predictions), statistics["resamples"]
            )
        ]
    )
    effective = near[0] ** 2 / np.maximum(squares[0], np.finfo(float).tiny)
    measured = (confidence.min() <= GRID) & (confidence.max() >= GRID)
    shown = measured & (effective >= FEWEST)
    low, high = np.nanquantile(resampled[:, shown], [0.025, 0.975], axis=0).reshape(2, -1)
    return pd.DataFrame(
        {
            "confidence": GRID[shown],
            "accuracy": accuracy[0][shown],
            "low": low,
            "high": high,
            "questions": effective[shown],
        }
    )


def _bandwidth(confidence: Floats) -> float:
    """Silverman's rule of thumb: 0.9 min(s, interquartile range / 1.34) N^(-1/5)."""
    spread = min(float(np.std(confidence)), float(stats.iqr(confidence)) / 1.34)
    return max(LEAST_WIDTH, float(0.9 * spread * confidence.size**-0.2))


def _reflected_kernel(centres: Floats, width: float) -> Floats:
    """Gaussian weight of each cell at each point of GRID, reflected at 0 and 1.

    Returns:
        Shape (cells, points).
    """
    images = np.stack([centres, -centres, 2 - centres])
    return np.asarray(np.exp(-((GRID - images[..., None]) ** 2) / (2 * width**2)).sum(0))


def reliability(
    model: str, confidences: Mapping[str, str | Path], statistics: Mapping[str, Any]
) -> pd.DataFrame:
    """Bins and curves of one model on all tasks, under all methods.

    Args:
        confidences: confidences file of each task.
        statistics: `bins`, `resamples`, `seed`, `tace_threshold`.

    Returns:
        Rows of RELIABILITY, `pair` and `stage` aside.

    Raises:
        UserError: if a file is damaged.
    """
    settings = settings_of(statistics)
    parts = [
        frame.assign(model=model, task=task, method=method, part=part)
        for task, path in confidences.items()
        for method, answers in read_answers(path).items()
        for part, frame in (
            ("bin", bins(answers.predictions, settings)),
            ("curve", curve(answers.predictions, task, statistics)),
        )
    ]
    # In the order of the file's keys; within a part by confidence, as computed.
    return pd.concat(parts).sort_values(
        ["task", "method", "part"], kind="stable", ignore_index=True
    )


def by_pair(
    models: Mapping[str, Mapping[str, str | Path]],
    pairs: Mapping[str, Mapping[str, str]],
    statistics: Mapping[str, Any],
) -> pd.DataFrame:
    """Bins and curves of all models, by pair and stage.

    Args:
        models: confidences file of each task, of each model.
        pairs: `base` and `aligned` model of each pair; a model may serve several.
        statistics: see `reliability`.

    Returns:
        Rows of RELIABILITY.
    """
    frames = {model: reliability(model, files, statistics) for model, files in models.items()}
    return pd.concat(
        [
            frames[pairs[pair][stage]].assign(pair=pair, stage=stage)
            for pair in sorted(pairs)
            for stage in STAGES
        ],
        ignore_index=True,
    ).reindex(columns=RELIABILITY.names)
