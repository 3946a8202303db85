"""What is asked and what is scored: questions, and log-probabilities of their options."""

from typing import Final

import pyarrow as pa

from alignment_calibration.contract.columns import KEYS, NATS, Column, keys, table

_CHOICE: Final = Column(pa.int16(), "the option", "index from 0")
_GOLD: Final = Column(pa.int16(), "the right option", "index from 0")

QUESTIONS: Final = table(
    "A question and one of its options; sorted by question_id, choice. Beside it lies "
    "`{prompt}.chat.parquet` or `{prompt}.chat_multiturn.parquet` where models are asked by their "
    "chat templates: there the context is a chat as JSON, and the option follows the template",
    {
        **keys("question_id"),
        "choice": _CHOICE,
        "context": Column(pa.string(), "the text before the option, worked examples included"),
        "continuation": Column(
            pa.string(), "the option's text, or letter, with the space that stands before it"
        ),
        "source_choice": Column(
            pa.int16(), "the option's index in the source, before any shuffling", "index from 0"
        ),
        "gold": _GOLD,
        **keys("group"),
    },
)

#: `context_tokens` of an option whose tokens nobody has kept.
UNKNOWN: Final = -1

LOGITS: Final = table(
    "A question and one of its options, in the order of the questions file. Where only an option's "
    "sum is known, as from lm-eval's samples, it is the one entry of token_logprobs, and token_ids "
    "is empty: readings of single tokens are not to be had",
    {
        "question_id": KEYS["question_id"],
        "choice": _CHOICE,
        "gold": _GOLD,
        "group": KEYS["group"],
        "token_ids": Column(
            pa.list_(pa.int32()), "the option's tokens in the model's vocabulary", "index from 0"
        ),
        "token_logprobs": Column(
            pa.list_(pa.float32()),
            "log-probability of each token after the context and the tokens before it",
            NATS,
        ),
        "continuation_bytes": Column(
            pa.int32(), "length of the option's text in UTF-8, without the space before it", "bytes"
        ),
        "context_tokens": Column(
            pa.int32(), f"length of the context; {UNKNOWN} where its tokens are not known", "tokens"
        ),
        "truncated": Column(
            pa.bool_(), "whether the context was too long and lost its left", null="unknown"
        ),
    },
)
