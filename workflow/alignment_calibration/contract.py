"""Names and columns of the files by which the steps hand over their results."""

from typing import Final

import pyarrow as pa

CONTINUATION: Final = "continuation"
CHOICE: Final = "choice"
PROMPTS: Final = (CONTINUATION, CHOICE)

#: The prompt whose log-probabilities a method reads.
PROMPT_OF: Final = {
    "continuation_sum": CONTINUATION,
    "continuation_min": CONTINUATION,
    "choice": CHOICE,
}
METHODS: Final = tuple(PROMPT_OF)

#: A row per question and option, sorted by (question_id, choice).
QUESTIONS: Final = pa.schema(
    {
        "question_id": pa.string(),  # lm-eval task name + document id
        "choice": pa.int16(),
        "context": pa.string(),
        "continuation": pa.string(),  # with the leading space of lm-eval's target delimiter
        "source_choice": pa.int16(),  # the option's index in the source, before any shuffling
        "gold": pa.int16(),
        "group": pa.string(),  # the lm-eval task
    }
)

#: A row per question and option, in the order of the questions file.
LOGITS: Final = pa.schema(
    {
        "question_id": pa.string(),
        "choice": pa.int16(),
        "gold": pa.int16(),
        "group": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "token_logprobs": pa.list_(pa.float32()),  # nats
        "continuation_bytes": pa.int32(),  # UTF-8 bytes of the option's text
        "context_tokens": pa.int32(),
        "truncated": pa.bool_(),
    }
)

#: A row per question and method, sorted by (question_id, method).
CONFIDENCES: Final = pa.schema(
    {
        "question_id": pa.string(),
        "method": pa.string(),
        "gold": pa.int16(),
        "group": pa.string(),
        "probabilities": pa.list_(pa.float64()),  # sum to 1 over the question's options
        "letter_mass": pa.float64(),  # probability on the listed letters; null unless `choice`
    }
)

#: A row per model, task, method and metric.
METRICS: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "n": pa.int64(),
        "replicates": pa.list_(pa.float32()),  # bootstrap values; replicate r: the same questions
    }
)

#: A row per pair, task, method and metric.
CHANGES: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "base": pa.float64(),
        "aligned": pa.float64(),
        "change": pa.float64(),  # aligned - base
        "change_rate": pa.float64(),  # change / base; null where base is 0
        "change_ci_low": pa.float64(),
        "change_ci_high": pa.float64(),
        "rate_ci_low": pa.float64(),
        "rate_ci_high": pa.float64(),
        "p_value": pa.float64(),
        "q_value": pa.float64(),
        "n": pa.int64(),
        "rank": pa.int64(),  # of change_rate, largest first, ties share the smaller; null if none
    }
)

#: A row per pair, stage, task, method and metric: METRICS without replicates.
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
        "n": pa.int64(),
    }
)

#: A row per task, method and metric of one pair.
PERMUTATIONS: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "p_value": pa.float64(),  # two-sided; null where the metric is undefined
    }
)
