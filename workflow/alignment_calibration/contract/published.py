"""Of the published study."""

from typing import Final

import pyarrow as pa

#: A row per pair, task, method and stage whose published values can be recovered closely enough.
PUBLISHED_AUDIT: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "stage": pa.string(),
        "options": pa.int64(),  # per question
        "accuracy": pa.float64(),
        "ece": pa.float64(),
        "confidence": pa.float64(),  # accuracy + ece, or accuracy - ece unless over_confident
        "over_confident": pa.bool_(),  # the sign, not published, with which the closed form fits
        "sce_recovered": pa.float64(),
        "sce_low": pa.float64(),  # what the rounding of the published figures allows
        "sce_high": pa.float64(),
        "sce_closed_form": pa.float64(),  # (K - 3 + 2 max(accuracy, confidence)) / K
    }
)
