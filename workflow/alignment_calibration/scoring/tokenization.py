"""Tokenization of context and option: the same token ids as lm-evaluation-harness's `HFLM`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alignment_calibration.scoring.scorer import Request

#: Context length assumed where neither config nor tokenizer names one, as lm-eval does.
DEFAULT_MAX_LENGTH = 2048
#: transformers' mark for "no limit known" in `model_max_length`.
_NO_LIMIT = int(1e30)


class EncodingError(Exception):
    """A context or option that cannot be turned into a request; `index` is its place."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


@dataclass(frozen=True)
class Encoding:
    """A request and whether its context lost tokens on the left to fit the model."""

    request: Request
    truncated: bool


def max_length(config: Any, tokenizer: Any) -> int:
    """The most tokens a model can read at once, found where lm-eval looks for it."""
    config = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (value := getattr(config, name, None)) is not None:
            return int(value)
    limit = getattr(tokenizer, "model_max_length", None)
    return DEFAULT_MAX_LENGTH if limit is None or limit >= _NO_LIMIT else int(limit)


def encode(pairs: Sequence[tuple[str, str]], tokenizer: Any, limit: int) -> list[Encoding]:
    """Encode pairs of context and continuation as lm-eval 0.4's `_encode_pair` does.

    White space at the end of a context belongs to the continuation; the pair is encoded as one
    text, of which the tokens after those of the context alone are the continuation's. An empty
    context is a lone beginning-of-sequence token. A pair that is too long loses the left of its
    context.

    Args:
        pairs: (context, continuation) texts.
        tokenizer: of transformers; special tokens are added as it does by itself.
        limit: the most tokens the model can read at once, of which the last token of a
            continuation, which is only predicted, does not count.

    Raises:
        EncodingError: for a continuation without tokens, or longer than `limit`.
    """
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    bos_text = None if bos is None else tokenizer.decode([bos])
    moved = [_move_trailing_space(context, continuation) for context, continuation in pairs]
    texts = {context + continuation for context, continuation in moved if context}
    texts |= {context for context, _ in moved if context}
    with_special = sorted(text for text in texts if not _starts_with(text, bos_text))
    ids = _encode_texts(tokenizer, with_special, special=True)
    ids |= _encode_texts(tokenizer, sorted(texts - set(with_special)), special=False)
    bare = sorted({continuation for context, continuation in moved if not context})
    bare_ids = _encode_texts(tokenizer, bare, special=False)

    encodings = []
    for index, (context, continuation) in enumerate(moved):
        if context:
            context_ids = ids[context]
            continuation_ids = ids[context + continuation][len(context_ids) :]
        else:
            if bos is None:
                raise EncodingError(
                    index, "an empty context, and the tokenizer has no token to begin a text with"
                )
            context_ids, continuation_ids = (bos,), bare_ids[continuation]
            if continuation_ids[:1] == (bos,):
                continuation_ids = continuation_ids[1:]
        if not continuation_ids:
            raise EncodingError(index, f"option {continuation!r} adds no token to the context")
        if len(continuation_ids) > limit:
            raise EncodingError(
                index,
                f"option of {len(continuation_ids)} tokens; the model reads at most {limit}",
            )
        kept = limit + 1 - len(continuation_ids)
        encodings.append(
            Encoding(Request(context_ids[-kept:], continuation_ids), len(context_ids) > kept)
        )
    return encodings


def _move_trailing_space(context: str, continuation: str) -> tuple[str, str]:
    stripped = context.rstrip()
    return stripped, context[len(stripped) :] + continuation


def _starts_with(text: str, prefix: str | None) -> bool:
    return prefix is not None and text.startswith(prefix)


def _encode_texts(
    tokenizer: Any, texts: Sequence[str], special: bool
) -> dict[str, tuple[int, ...]]:
    if not texts:
        return {}
    # Left to itself a tokenizer adds its special tokens.
    encoded = tokenizer(list(texts), add_special_tokens=special, verbose=False)["input_ids"]
    return {text: tuple(ids) for text, ids in zip(texts, encoded, strict=True)}
