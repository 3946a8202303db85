"""Of one model: confidences, metrics, reliability, the audit of SCE."""

from typing import Final

import pyarrow as pa

from alignment_calibration.contract.columns import (
    OF_METRIC,
    PROBABILITY,
    QUESTIONS,
    Column,
    keys,
    table,
)

CONFIDENCES: Final = table(
    "A question and a method; sorted by question_id, method",
    {
        **keys("question_id", "method"),
        "gold": Column(pa.int16(), "the right option", "index from 0"),
        **keys("group"),
        "probabilities": Column(
            pa.list_(pa.float64()),
            "of the question's options, in their order, under `choice_raw` with all other text "
            "behind them; sum to 1",
            PROBABILITY,
        ),
        "letter_mass": Column(
            pa.float64(),
            "what the listed letters have of the whole vocabulary",
            PROBABILITY,
            "the method does not read letters",
        ),
        "truncated": Column(
            pa.bool_(), "whether the context of an option lost its left", null="unknown"
        ),
    },
)

#: The keys of a measurement of a model, and so of a change of a pair.
MEASUREMENT: Final = ["task", "method", "metric"]

_NO_ESTIMATE: Final = "the metric has no estimate of its bias"
_VALUE: Final = {
    "value": Column(pa.float64(), "the metric", OF_METRIC, "undefined for these answers"),
    "ci_low": Column(pa.float64(), "lower end of its 95 % interval", OF_METRIC, "no interval"),
    "ci_high": Column(pa.float64(), "upper end of its 95 % interval", OF_METRIC, "no interval"),
    "debiased": Column(pa.float64(), "the metric less its estimated bias", OF_METRIC, _NO_ESTIMATE),
}
_N: Final = Column(pa.int64(), "number of questions", QUESTIONS)
_TRUNCATED: Final = Column(
    pa.int64(), "how many lost the left of their context", QUESTIONS, "unknown"
)

MODEL_METRICS: Final = table(
    "A task, method and metric of the model; sorted by them",
    {
        **keys("model", "task", "method", "metric"),
        **_VALUE,
        "bias_low": Column(
            pa.float64(), "least bias that `debiased` may still have", OF_METRIC, _NO_ESTIMATE
        ),
        "bias_high": Column(
            pa.float64(), "largest bias that `debiased` may still have", OF_METRIC, _NO_ESTIMATE
        ),
        "contributions": Column(
            pa.list_(pa.float32()),
            "of the questions, in their order (or of their groups, where `statistics.resample` is "
            "`groups`), to the error of `debiased`: the root of the sum of their squares is its "
            "standard error",
            OF_METRIC,
            _NO_ESTIMATE,
        ),
        "n": _N,
        "truncated": _TRUNCATED,
        "replicates": Column(
            pa.list_(pa.float32()),
            "bootstrap values; replicate r of every model saw the same questions",
            OF_METRIC,
        ),
    },
)

ALL_METRICS: Final = table(
    "A task, method and metric of a pair's base or aligned model; sorted by pair, stage, task, "
    "method, metric. A model that serves several pairs stands under each",
    {
        **keys("pair", "stage", "model", "task", "method", "metric"),
        **_VALUE,
        "n": _N,
        "truncated": _TRUNCATED,
    },
)

_BIN: Final = "on the smooth curve"
_CURVE: Final = "in bins"
_EMPTY: Final = "the bin is empty"
_DIAGRAM: Final = {
    "part": Column(pa.string(), "`bin`, or `curve`: a point of the smooth curve"),
    "left": Column(pa.float64(), "lower edge of the bin", PROBABILITY, _BIN),
    "right": Column(pa.float64(), "upper edge of the bin", PROBABILITY, _BIN),
    "confidence": Column(
        pa.float64(), "mean confidence in the bin, or the curve's abscissa", PROBABILITY, _EMPTY
    ),
    "accuracy": Column(
        pa.float64(), "share of right answers in the bin, or at the point", PROBABILITY, _EMPTY
    ),
    "low": Column(
        pa.float64(), "lower end of the curve's pointwise 95 % bootstrap band", PROBABILITY, _CURVE
    ),
    "high": Column(
        pa.float64(), "upper end of the curve's pointwise 95 % bootstrap band", PROBABILITY, _CURVE
    ),
    "questions": Column(
        pa.float64(), "in the bin; on the curve, their effective number nearby", QUESTIONS
    ),
}

MODEL_RELIABILITY: Final = table(
    "A bin or a point of the curve, of a task and method of the model",
    {**keys("model", "task", "method"), **_DIAGRAM},
)

RELIABILITY: Final = table(
    "A bin or a point of the curve, of a task and method of a pair's base or aligned model",
    {**keys("pair", "stage", "model", "task", "method"), **_DIAGRAM},
)

SCE_AUDIT: Final = table(
    "A task and method of a model: what the published static calibration error measures",
    {
        **keys("model", "task", "method"),
        "options": Column(pa.float64(), "mean number of options of a question", "options"),
        "accuracy": Column(pa.float64(), "share of right answers", PROBABILITY),
        "confidence": Column(pa.float64(), "mean confidence", PROBABILITY),
        "ece": Column(pa.float64(), "expected calibration error", PROBABILITY),
        "sce": Column(pa.float64(), "static calibration error, of label frequencies", PROBABILITY),
        "sce_ovr": Column(
            pa.float64(), "the same of one-vs-rest accuracies, as was published", PROBABILITY
        ),
        "closed_form": Column(
            pa.float64(), "(K − 3 + 2 max(accuracy, confidence)) / K of K options", PROBABILITY
        ),
        "n": _N,
        **{
            f"{name}_ci_{side}": Column(
                pa.float64(), f"{end} end of the 95 % interval of {name}", PROBABILITY,
                "nothing varies",
            )
            for name in ("accuracy", "confidence", "ece", "sce", "sce_ovr", "closed_form")
            for side, end in (("low", "lower"), ("high", "upper"))
        },
    },
)  # fmt: skip
