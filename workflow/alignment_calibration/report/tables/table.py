"""What a table says, whatever the format."""

import dataclasses

import pandas as pd

#: What stands where a number is missing.
MISSING = "–"


class Bold(str):
    """Text of a field that is set in bold."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Section:
    """One block of a table.

    `align` has one LaTeX column type per column: `l`, `r`, `c`, or `paragraph(width)` for
    running text.
    """

    caption: str
    align: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """What one table says: exact data for the CSV, and title, notes and sections for people.

    The data are plain numbers, rates as fractions; sections show rates and probabilities in
    percent, rounded to what can be read.
    """

    title: str
    data: pd.DataFrame
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()


def paragraph(width: float) -> str:
    """The LaTeX column type of running text, `width` as a fraction of the line's."""
    return rf">{{\raggedright\arraybackslash}}p{{{width:.2f}\linewidth}}"


def visible(text: str) -> str:
    """Text without the characters that break lines or are no text at all."""
    return "".join(character if character.isprintable() else " " for character in text)
