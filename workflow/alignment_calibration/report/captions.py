"""Captions of the report: a text per figure, with the numbers of this run filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from alignment_calibration.files.atomic import write_text


def write_caption(template: str | Path, numbers: Mapping[str, Any], output: str | Path) -> None:
    """Fill a reStructuredText template with `numbers`.

    Raises:
        jinja2.UndefinedError: if the template uses a number that is not there.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = Path(template).read_text(encoding="utf-8")
    write_text(output, environment.from_string(text).render(numbers) + "\n")
