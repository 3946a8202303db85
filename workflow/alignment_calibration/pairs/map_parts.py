"""The parts of each change of a binned error: how much of it is another calibration map."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import change
from alignment_calibration.calibration.metrics.gaps import CLASS_WISE, TOP_LABEL
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import read_pair
from alignment_calibration.contract.pairs import MAP_PARTS
from alignment_calibration.pairs.map_change import split
from alignment_calibration.study.settings import Settings

#: The errors that are split, both in equal-width bins, which are the same for both models.
SPLIT: Final = {"ece": TOP_LABEL, "sce": CLASS_WISE}


def map_parts(
    pair: str,
    base: Mapping[str, str | Path],
    aligned: Mapping[str, str | Path],
    settings: Settings,
) -> pd.DataFrame:
    """Split the changes of one pair.

    Args:
        pair: slug.
        base, aligned: confidences file of each task.
        settings: of the bins.

    Returns:
        Rows of the MAP_PARTS contract.

    Raises:
        UserError: if the models did not answer the same questions, or a file is damaged.
    """
    rows = []
    for task in base:
        for method, answers in read_pair(base[task], aligned[task]).items():
            models = [of_model.predictions for of_model in answers]
            for name, gaps in SPLIT.items():
                tally = METRICS[name].tally
                assert tally is not None
                before, after = (tally(model, settings, model) for model in models)
                parts = split(before, after, gaps)
                of_part = {
                    "whole": change(estimate(before, gaps), estimate(after, gaps)),
                    "map": parts.map,
                    "confidences": parts.confidences,
                    "unshared": parts.unshared,
                }
                rows += [
                    (
                        *(pair, task, method, name, part),
                        *(found.value, found.debiased, *found.interval(), parts.unshared_share),
                    )
                    for part, found in of_part.items()
                ]
    return pd.DataFrame(rows, columns=MAP_PARTS.names)
