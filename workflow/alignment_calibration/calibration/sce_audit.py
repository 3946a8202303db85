"""The step `sce_audit`: does the published static calibration error measure calibration?"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Floats, read_answers
from alignment_calibration.contract.calibration import SCE_AUDIT
from alignment_calibration.study.settings import Settings

SIDE_BY_SIDE = ["accuracy", "confidence", "ece", "sce", "sce_ovr"]


def closed_form(options: Floats, accuracy: Floats, confidence: Floats) -> Floats:
    """(K − 3 + 2·max(accuracy, confidence)) / K: what `sce_ovr` comes to when all bins of a class
    err to the same side. It rises with accuracy or confidence, whichever is larger; calibration,
    their difference, does not enter.
    """
    return np.asarray((options - 3 + 2 * np.maximum(accuracy, confidence)) / options)


def audit(model: str, confidences: Mapping[str, str | Path], settings: Settings) -> pd.DataFrame:
    """Both class-wise errors and the closed form, of one model on all tasks and methods.

    Args:
        model: slug.
        confidences: confidences file of each task.
        settings: of the binned metrics.

    Returns:
        Rows of the SCE_AUDIT contract.

    Raises:
        UserError: if a file is damaged.
    """
    metrics = select(SIDE_BY_SIDE)
    found = [
        {
            "model": model,
            "task": task,
            "method": method,
            "options": answers.predictions.options.mean(),
            **Sample(answers.predictions, metrics, settings).values(),
            "n": len(answers.predictions),
        }
        for task, path in confidences.items()
        for method, answers in read_answers(path).items()
    ]
    frame = pd.DataFrame(found)
    columns = (frame[name].to_numpy() for name in ("options", "accuracy", "confidence"))
    frame["closed_form"] = closed_form(*columns)
    return frame.sort_values(["task", "method"]).reindex(columns=SCE_AUDIT.names)
