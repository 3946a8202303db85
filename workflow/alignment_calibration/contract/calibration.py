"""Of one model: confidences, metrics, reliability, the audit of SCE."""

from typing import Final

import pyarrow as pa

#: A row per question and method, sorted by (question_id, method).
CONFIDENCES: Final = pa.schema(
    {
        "question_id": pa.string(),
        "method": pa.string(),
        "gold": pa.int16(),
        "group": pa.string(),
        "probabilities": pa.list_(pa.float64()),  # sum to 1 over the question's options
        "letter_mass": pa.float64(),  # probability on the listed letters; null unless `choice`
        "truncated": pa.bool_(),  # the context of an option lost its left; null where unknown
    }
)

#: The keys of a measurement of a model, and so of a change of a pair.
MEASUREMENT: Final = ["task", "method", "metric"]

#: A row per model, task, method and metric.
MODEL_METRICS: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "debiased": pa.float64(),  # null here and below for metrics without an estimate
        "bias_low": pa.float64(),  # bounds of the bias that `debiased` still has
        "bias_high": pa.float64(),
        "contributions": pa.list_(pa.float32()),  # of the questions to the error of `debiased`
        "n": pa.int64(),
        "truncated": pa.int64(),  # questions whose context lost its left; null where unknown
        "replicates": pa.list_(pa.float32()),  # bootstrap values; replicate r: the same questions
    }
)

#: A row per pair, stage, task, method and metric: MODEL_METRICS without what questions add.
ALL_METRICS: Final = pa.schema(
    {
        "pair": pa.string(),
        "stage": pa.string(),  # base or aligned
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "debiased": pa.float64(),  # less the estimated bias; null for metrics without an estimate
        "n": pa.int64(),
        "truncated": pa.int64(),
    }
)

#: A row per task, method, part and confidence of one model.
MODEL_RELIABILITY: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "part": pa.string(),  # bin, or a point of the smooth curve
        "left": pa.float64(),  # edges of the bin; null on the curve
        "right": pa.float64(),
        "confidence": pa.float64(),  # mean of the bin; null where it is empty
        "accuracy": pa.float64(),
        "low": pa.float64(),  # pointwise 95 % bootstrap band of the curve; null in bins
        "high": pa.float64(),
        "questions": pa.float64(),  # in the bin; on the curve, their effective number nearby
    }
)

#: A row per pair, stage, task, method, part and confidence.
RELIABILITY: Final = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("stage", pa.string()),  # base or aligned
        *MODEL_RELIABILITY,
    ]
)

#: A row per model, task and method: what the published static calibration error measures.
SCE_AUDIT: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "options": pa.float64(),  # mean number per question
        "accuracy": pa.float64(),
        "confidence": pa.float64(),
        "ece": pa.float64(),
        "sce": pa.float64(),
        "sce_ovr": pa.float64(),
        "closed_form": pa.float64(),  # (K - 3 + 2 max(accuracy, confidence)) / K
        "n": pa.int64(),
    }
)
