"""The step `reliability`: how often a model is right, by how confident it is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from alignment_calibration.calibration.metrics import tallies
from alignment_calibration.calibration.predictions import Floats, Predictions, read_answers
from alignment_calibration.calibration.resampling import bootstrap_weights
from alignment_calibration.contract.calibration import MODEL_RELIABILITY
from alignment_calibration.files.frames import write_frame
from alignment_calibration.study.settings import Resampling, Settings

#: Confidences at which the curve is computed.
GRID = np.linspace(0, 1, 101)
#: Steps to which confidences are rounded for the curve: finer than any bandwidth in use.
STEPS = 1000
#: Least bandwidth, for confidences that nearly all agree.
LEAST_WIDTH = 0.03
#: Fewest questions (effective number under the kernel) for which the curve is shown.
FEWEST = 10.0


def bins(predictions: Predictions, settings: Settings) -> pd.DataFrame:
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


def curve(predictions: Predictions, task: str, resampling: Resampling) -> pd.DataFrame:
    """Accuracy as a smooth function of confidence, with a pointwise 95 % bootstrap band.

    Nadaraya–Watson regression of correctness on confidence with a Gaussian kernel reflected at 0
    and 1, of Silverman's (1986) bandwidth.

    Args:
        task: slug, from which (and the seed) the resamples follow.
        resampling: of the questions.

    Returns:
        A row per point of GRID between the least and the greatest confidence where enough
        questions lie near: `confidence`, `accuracy`, `low`,
        `high` and `questions` (their effective number under the kernel).
    """
    confidence = predictions.confidence
    kernel = _reflected_kernel((np.arange(STEPS) + 0.5) / STEPS, _bandwidth(confidence))
    step = np.minimum((confidence * STEPS).astype(np.int64), STEPS - 1)
    rows = np.arange(len(predictions))
    shape = (len(predictions), STEPS)
    counted = sparse.csr_array((np.ones(len(predictions)), (rows, step)), shape)
    right = sparse.csr_array((predictions.correct.astype(float), (rows, step)), shape)

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
                task, len(predictions), resampling, predictions.drawing
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
    low, high = np.percentile(confidence, [25, 75])
    spread = min(float(np.std(confidence)), float(high - low) / 1.34)
    return max(LEAST_WIDTH, float(0.9 * spread * confidence.size**-0.2))


def _reflected_kernel(centres: Floats, width: float) -> Floats:
    """Gaussian weight of each step at each point of GRID, reflected at 0 and 1.

    Returns:
        Shape (steps, points).
    """
    images = np.stack([centres, -centres, 2 - centres])
    return np.asarray(np.exp(-((GRID - images[..., None]) ** 2) / (2 * width**2)).sum(0))


def reliability(
    model: str,
    confidences: Mapping[str, str | Path],
    settings: Settings,
    resampling: Resampling,
) -> pd.DataFrame:
    """Bins and curves of one model on all tasks, under all methods.

    Args:
        confidences: confidences file of each task.
        settings: of the bins.
        resampling: of the questions.

    Returns:
        Rows of MODEL_RELIABILITY.

    Raises:
        UserError: if a file is damaged.
    """
    parts = [
        frame.assign(model=model, task=task, method=method, part=part)
        for task, path in confidences.items()
        for method, answers in read_answers(path, resampling.resample).items()
        for part, frame in (
            ("bin", bins(answers.predictions, settings)),
            ("curve", curve(answers.predictions, task, resampling)),
        )
    ]
    # In the order of the file's keys; within a part by confidence, as computed.
    whole = pd.concat(parts).reindex(columns=MODEL_RELIABILITY.names)
    return whole.sort_values(["task", "method", "part"], kind="stable", ignore_index=True)


def write_reliability(
    model: str,
    confidences: Mapping[str, str | Path],
    settings: Settings,
    resampling: Resampling,
    output: str | Path,
) -> None:
    """Write the bins and curves of one model; see `reliability`."""
    write_frame(output, reliability(model, confidences, settings, resampling), MODEL_RELIABILITY)
