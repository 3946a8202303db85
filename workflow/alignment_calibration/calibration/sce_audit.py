"""The step `sce_audit`: does the published static calibration error measure calibration?"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import LEVEL, Estimate
from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Floats, Predictions, read_answers
from alignment_calibration.contract.calibration import SCE_AUDIT
from alignment_calibration.study.settings import Settings

SIDE_BY_SIDE = ["accuracy", "confidence", "ece", "sce", "sce_ovr"]


def closed_form(
    options: Floats | float, accuracy: Floats | float, confidence: Floats | float
) -> Floats:
    """(K − 3 + 2·max(accuracy, confidence)) / K: what `sce_ovr` comes to when all bins of a class
    err to the same side. It rises with accuracy or confidence, whichever is larger; calibration,
    their difference, does not enter.
    """
    return np.asarray((options - 3 + 2 * np.maximum(accuracy, confidence)) / options)


def audit(
    model: str, confidences: Mapping[str, str | Path], settings: Settings, resample: str
) -> pd.DataFrame:
    """Both class-wise errors and the closed form, of one model on all tasks and methods.

    Args:
        model: slug.
        confidences: confidences file of each task.
        settings: of the binned metrics.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.

    Returns:
        Rows of the SCE_AUDIT contract.

    Raises:
        UserError: if a file is damaged.
    """
    found = [
        {"model": model, "task": task, "method": method, **_audited(answers.predictions, settings)}
        for task, path in confidences.items()
        for method, answers in read_answers(path, resample).items()
    ]
    frame = pd.DataFrame(found)
    return frame.sort_values(["task", "method"]).reindex(columns=SCE_AUDIT.names)


def larger_interval(first: Estimate, second: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the larger of two numbers.

    Its upper end is the larger upper end of both: the larger number is below its own. It is above
    neither lower end, so these are each taken at half the error.
    """
    lows = (number.interval((1 + level) / 2)[0] for number in (first, second))
    highs = (number.interval(level)[1] for number in (first, second))
    return max(lows), max(highs)


def _audited(predictions: Predictions, settings: Settings) -> dict[str, float]:
    """The columns of SCE_AUDIT but for its keys."""
    metrics = select(SIDE_BY_SIDE)
    estimates = Sample(predictions, metrics, settings).estimates()
    accuracy, confidence = estimates["accuracy"], estimates["confidence"]
    options = predictions.options.mean()
    # The options are those of the questions, whatever the model answers: K has no error.
    ends = {name: estimate.value_interval() for name, estimate in estimates.items()}
    low, high = larger_interval(accuracy, confidence)
    ends["closed_form"] = (
        float(closed_form(options, low, low)),
        float(closed_form(options, high, high)),
    )
    bounds = {name: metric.bounds for name, metric in metrics.items()} | {"closed_form": (0.0, 1.0)}
    audited = {name: estimate.value for name, estimate in estimates.items()}
    audited |= {
        "options": options,
        "closed_form": float(closed_form(options, accuracy.value, confidence.value)),
        "n": len(predictions),
    }
    for name, (low, high) in ends.items():
        least, most = bounds[name]
        audited |= {f"{name}_ci_low": max(low, least), f"{name}_ci_high": min(high, most)}
    return audited
