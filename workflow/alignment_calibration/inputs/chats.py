"""Chats, put in words by a tokenizer's template as lm-eval does it for `--apply_chat_template`.

A chat is lm-eval's list of messages, as JSON: what a template is filled with. It knows no model, so
the questions of a task in this form serve every model that is asked by its template.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from alignment_calibration.errors import UserError, one_line
from alignment_calibration.files.atomic import canonical_json
from alignment_calibration.inputs.templates import CHARACTERS, TemplateError, limits
from alignment_calibration.study.chats import CHATS, chat_of, chat_options

Message = Mapping[str, str]

#: Some templates print the day. Two days must not give two results, so it is always this one: the
#: day that Llama 3.1's own template names where it finds no clock.
_THE_DAY: Final = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24"}
_NO_CLOCK: Final = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f" | replace('{code}', '{text}')" for code, text in _THE_DAY.items())
    + " }}{% endmacro +%}"
)


def written_chat(
    messages: Sequence[Message], *, add_generation_prompt: bool, system_delimiter: str
) -> str:
    """A chat as the questions file holds it.

    Args:
        messages: `role` and `content` of each, without a model's system message.
        add_generation_prompt: whether an answer begins after the last message, or that message is
            the beginning of one.
        system_delimiter: what stands between a model's system message and the task's own.
    """
    return canonical_json(
        {
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            "system_delimiter": system_delimiter,
        }
    )


def in_words(chat: str, tokenizer: Any, template: str, system: str) -> str:
    """The text that a template makes of a chat: the context in which an option is scored.

    The same bytes as those of `HFLM.apply_chat_template` of lm-eval 0.4.13, but where a template
    prints the day. Like there, a template that refuses the chat is given it without its system
    message. No chat at all, as in an unconditional prompt, stays no text.

    Args:
        chat: as `written_chat` gives it, or empty.
        tokenizer: of transformers.
        template: Jinja text.
        system: the model's system message, which goes before the task's own; may be empty.

    Raises:
        TemplateError: if the template fails, takes more time or memory than it may, or leaves out
            what is asked.
    """
    if not chat:
        return ""
    asked = json.loads(chat)
    messages = _with_system(asked["messages"], system, asked["system_delimiter"])
    try:
        with limits():
            text = _applied(messages, tokenizer, template, asked["add_generation_prompt"])
    except TemplateError:
        raise
    except Exception as error:  # a template raises whatever comes to hand
        raise TemplateError(f"{type(error).__name__}: {one_line(error)}") from None
    if len(text) > CHARACTERS:
        raise TemplateError(f"the text has {len(text)} characters; allowed: {CHARACTERS}")
    question = [message["content"] for message in messages if message["role"] == "user"][-1]
    if question.strip() not in text:
        raise TemplateError("the text that it makes does not contain the question")
    return text


def _applied(
    messages: Sequence[Message], tokenizer: Any, template: str, add_generation_prompt: bool
) -> str:
    import jinja2

    try:
        return _filled(messages, tokenizer, template, add_generation_prompt)
    except jinja2.TemplateError as error:
        without = [message for message in messages if message["role"] != "system"]
        if len(without) == len(messages):
            raise
        text = _filled(without, tokenizer, template, add_generation_prompt)
        _say_once(
            "warning: the chat template refuses a system message "
            f"({one_line(error)}); it is left out, as lm-eval does"
        )
        return text


def _filled(
    messages: Sequence[Message], tokenizer: Any, template: str, add_generation_prompt: bool
) -> str:
    text: str = tokenizer.apply_chat_template(
        list(messages),
        chat_template=_NO_CLOCK + template,
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=not add_generation_prompt,
    )
    return text


@cache
def _say_once(message: str) -> None:
    print(message, file=sys.stderr)


def _with_system(messages: list[Message], system: str, delimiter: str) -> list[Message]:
    """The messages with a model's system message before the task's, as lm-eval joins the two."""
    if not system:
        return messages
    own, rest = "", messages
    if messages[0]["role"] == "system":
        own, rest = messages[0]["content"], messages[1:]
    apart = own and not (system[-1].isspace() or own[0].isspace())
    joined = system + (delimiter if apart else "") + own
    return [{"role": "system", "content": joined}, *rest]


def resolve_template(where: str, folder: Path, spec: Mapping[str, Any]) -> dict[str, str]:
    """The template by which a model is asked, tried on a chat; nothing for a model without.

    Args:
        where: the model's place in the config.
        folder: its checkpoint.
        spec: its spec.

    Returns:
        `chat_template`, Jinja text, and `chat_template_sha256`, over the text and what it makes of
        a chat: it changes with either.

    Raises:
        UserError: if there is none, or it fails or leaves out what is asked.
    """
    form = chat_of(spec)
    if form is None:
        return {}
    where = f"{where}.chat_template"
    options = chat_options(spec)
    tokenizer = _tokenizer(where, folder, spec)
    text = _template_text(where, folder, tokenizer, options)
    system = options.get("system", "")
    try:
        words = in_words(_trial(CHATS[form]), tokenizer, text, system)
    except TemplateError as error:
        raise UserError(f"{where}: the template cannot be used ({error})") from None
    if system.strip() not in words:
        raise UserError(
            f"{where}.system: the template has no place for a system message; leave `system` out"
        )
    digest = hashlib.sha256(canonical_json([text, words]).encode()).hexdigest()
    return {"chat_template": text, "chat_template_sha256": digest}


def _tokenizer(where: str, folder: Path, spec: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            folder, trust_remote_code=spec["trust_remote_code"], local_files_only=True
        )
    except MemoryError:
        raise
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UserError(
            f"{where}: the tokenizer in {folder} cannot be loaded ({one_line(error)})"
        ) from None


def _template_text(where: str, folder: Path, tokenizer: Any, options: Mapping[str, Any]) -> str:
    if "file" in options:
        try:
            return Path(options["file"]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{where}.file: {options['file']} cannot be read ({one_line(error)})"
            ) from None
    try:
        text: str = tokenizer.get_chat_template()
    except ValueError:
        raise UserError(
            f"{where}: the tokenizer in {folder} has no chat template (or several, and none is the "
            "default); name a Jinja file under `chat_template: {file: …}`, or leave the key out"
        ) from None
    return text


def _trial(multiturn: bool) -> str:
    """A chat of the form that questions have, to try a template on."""
    question = {"role": "user", "content": "Question: Which number follows six?\nAnswer:"}
    turns = [question, {"role": "assistant", "content": "seven"}] if multiturn else []
    return written_chat([*turns, question], add_generation_prompt=True, system_delimiter="\n\n")
