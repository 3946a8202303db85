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

#: `context_tokens` of an option whose tokens nobody has kept.
UNKNOWN: Final = -1

#: A row per question and option, in the order of the questions file. Where only an option's sum is
#: known, as from lm-eval's samples, it is the one entry of `token_logprobs`, and `token_ids` is
#: empty: readings of single tokens are not to be had.
LOGITS: Final = pa.schema(
    {
        "question_id": pa.string(),
        "choice": pa.int16(),
        "gold": pa.int16(),
        "group": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "token_logprobs": pa.list_(pa.float32()),  # nats
        "continuation_bytes": pa.int32(),  # UTF-8 bytes of the option's text
        "context_tokens": pa.int32(),  # UNKNOWN without tokens
        "truncated": pa.bool_(),  # the context lost its left; null where unknown
    }
)
