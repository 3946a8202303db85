"""Contexts of a model that is asked by its chat template: chats, put in words."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.chats import in_words
from alignment_calibration.inputs.templates import TemplateError
from alignment_calibration.study.chats import chat_options


def put_in_words(
    file: str, questions: pa.Table, tokenizer: Any, model: Mapping[str, Any]
) -> pa.Table:
    """The rows of a file of chats with the text that a model's template makes of each context.

    Args:
        file: for errors.
        questions: rows of the QUESTIONS contract, whose contexts are chats.
        tokenizer: of the model.
        model: its JSON, with `chat_template`.

    Raises:
        UserError: naming the question on which the template fails.
    """
    template, system = model["chat_template"], chat_options(model["spec"]).get("system", "")
    known: dict[str, str] = {}
    for question, chat in zip(
        questions["question_id"].to_pylist(), questions["context"].to_pylist(), strict=True
    ):
        if chat in known:
            continue
        try:
            known[chat] = in_words(chat, tokenizer, template, system)
        except TemplateError as error:
            raise UserError(
                f"{file}: question {question}: the chat template of {model['path']} cannot be "
                f"used ({error})"
            ) from None
    place = questions.schema.get_field_index("context")
    words = [known[chat] for chat in questions["context"].to_pylist()]
    return questions.set_column(place, questions.schema.field(place), pa.array(words, pa.string()))
