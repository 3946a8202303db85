"""What is asked and what is scored: questions, and log-probabilities of their options."""

from typing import Final

import pyarrow as pa

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
