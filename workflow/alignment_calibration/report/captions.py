"""Captions of the report: a text per figure, with the numbers of this run filled in."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from alignment_calibration.files.atomic import write_text


def write_caption(
    template: str | Path,
    numbers: Mapping[str, Any],
    output: str | Path,
    notes: Iterable[str] = (),
) -> None:
    """Fill a reStructuredText template with `numbers`, the texts among which stay texts.

    Args:
        template: file.
        numbers: what it may use, by name.
        output: file to write.
        notes: plain text of further paragraphs.

    Raises:
        jinja2.UndefinedError: if the template uses a number that is not there.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _escape(value) if isinstance(value, str) else value,
    )
    text = Path(template).read_text(encoding="utf-8")
    further = "".join(f"\n\n{_escape(note)}" for note in notes)
    write_text(output, environment.from_string(text).render(numbers) + further + "\n")


#: What means something to reStructuredText anywhere, and what does where it begins a line: marks of
#: lists, of directives and of lines that underline.
_ANYWHERE = re.compile(r"([\\`*_|<>:])")
_AT_START = re.compile(r"^(?=[^\w\s\\](?:\s|$)|([^\w\s\\])\1|\(?(?:\w+|#)[.)](?:\s|$))")


def _escape(text: str) -> str:
    """A text that reStructuredText shows as it is, on one line; in literals, use their role."""
    return _AT_START.sub(r"\\", _ANYWHERE.sub(r"\\\1", " ".join(text.splitlines())))
