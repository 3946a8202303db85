"""Of the published study."""

from typing import Final

import pyarrow as pa

from alignment_calibration.contract.columns import PROBABILITY, Column, keys, table

PUBLISHED_AUDIT: Final = table(
    "A pair, task, method and stage whose published values can be recovered closely enough",
    {
        **keys("pair", "task", "method", "stage"),
        "options": Column(pa.int64(), "of a question", "options"),
        "accuracy": Column(pa.float64(), "as recovered", PROBABILITY),
        "ece": Column(pa.float64(), "expected calibration error, as recovered", PROBABILITY),
        "confidence": Column(
            pa.float64(), "accuracy + ece, or accuracy − ece unless over_confident", PROBABILITY
        ),
        "over_confident": Column(
            pa.bool_(), "the sign, not published, with which the closed form fits better"
        ),
        "sce_recovered": Column(
            pa.float64(), "static calibration error, as recovered", PROBABILITY
        ),
        "sce_low": Column(
            pa.float64(), "the least that the rounding of the published figures allows", PROBABILITY
        ),
        "sce_high": Column(
            pa.float64(), "the most that the rounding of the published figures allows", PROBABILITY
        ),
        "sce_closed_form": Column(
            pa.float64(), "(K − 3 + 2 max(accuracy, confidence)) / K of K options", PROBABILITY
        ),
    },
)  # fmt: skip
