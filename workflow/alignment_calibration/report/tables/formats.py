"""Formats of a table: CSV (exact), HTML and Markdown (readable) and LaTeX (for a paper)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from alignment_calibration.files.atomic import write_text
from alignment_calibration.files.frames import write_csv
from alignment_calibration.report.html import table_html
from alignment_calibration.report.tables.table import Bold, Table, visible

#: Rows that fit on a page.
PAGE_ROWS = 45

#: Type and gaps of a LaTeX table: three columns of rates with intervals fit the width of a page.
LATEX_SIZE = r"\footnotesize\setlength{\tabcolsep}{4pt}"


def write_table(table: Table, outputs: Iterable[str | Path]) -> None:
    """Write a table to files whose suffixes (`.csv`, `.html`, `.md`, `.tex`) say the format."""
    for output in map(Path, outputs):
        if output.suffix == ".csv":
            write_csv(output, table.data)
        elif output.suffix == ".html":
            write_text(output, table_html(table))
        elif output.suffix == ".md":
            write_text(output, markdown(table))
        elif output.suffix == ".tex":
            write_text(output, latex(table))
        else:
            raise ValueError(f"{output}: no such format of a table")


def markdown(table: Table) -> str:
    """The table in Markdown."""
    parts = [f"# {_markdown(table.title)}", *map(_markdown, table.notes)]
    for section in table.sections:
        marks = ["--:" if align == "r" else ":--" for align in section.align]
        lines = [section.header, marks, *section.rows]
        body = "\n".join("| " + " | ".join(map(_markdown_field, line)) + " |" for line in lines)
        parts += [f"**{_markdown(section.caption)}**" if section.caption else "", body]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_field(text: str) -> str:
    return f"**{_markdown(text)}**" if isinstance(text, Bold) else _markdown(text)


#: Characters that mean something to Markdown; an underscore does at the edge of a word, a bracket
#: only with its link.
_MARKDOWN = re.compile(r"[\\`*<>|~]|&(?=[#\w])|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[:]")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", visible(text)).strip()


_LATEX: Mapping[int, str] = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "_": r"\_\allowbreak{}",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"$<$",
        ">": r"$>$",
        "[": "{[}",  # a bracket after a line break would be read as its argument
        "]": "{]}",
        "−": r"$-$",
        "–": "--",
        "×": r"$\times$",
        "±": r"$\pm$",
        "→": r"$\to$",
        "≥": r"$\geq$",
        "≤": r"$\leq$",
        "≈": r"$\approx$",
        "†": r"\dag{}",
        "|": r"\textbar{}",
    }
)


def latex(table: Table) -> str:
    r"""The table as a fragment for `\input` in a document that loads array, booktabs and longtable.

    A single section that fits on a page is a `table`; otherwise every section is a `longtable`,
    since LaTeX holds back only a few tables that float.
    """
    parts = [r"% needs \usepackage{array,booktabs,longtable}"]
    floats = len(table.sections) == 1 and len(table.sections[0].rows) <= PAGE_ROWS
    notes = " ".join(table.notes)
    for section in table.sections:
        caption = r"\caption{" + escape(" ".join(filter(None, (section.caption, notes)))) + "}"
        columns = "{" + "".join(section.align) + "}"
        header = _latex_row(section.header)
        body = "\n".join(map(_latex_row, section.rows))
        if floats:
            lines = [
                r"\begin{table}",
                r"\centering",
                LATEX_SIZE,
                caption,
                rf"\begin{{tabular}}{columns}",
                r"\toprule",
                header,
                r"\midrule",
                body,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
            ]
        else:
            lines = [
                r"\begingroup",
                LATEX_SIZE,
                rf"\begin{{longtable}}{columns}",
                caption + r"\\",
                r"\toprule",
                header,
                r"\midrule",
                r"\endfirsthead",
                r"\toprule",
                header,
                r"\midrule",
                r"\endhead",
                r"\bottomrule",
                r"\endfoot",
                body,
                r"\end{longtable}",
                r"\endgroup",
            ]
        parts.append("\n".join(lines))
    if not table.sections:
        parts.append(escape(notes))
    return "\n\n".join(parts) + "\n"


def _latex_row(fields: Sequence[str]) -> str:
    texts = (rf"\textbf{{{escape(f)}}}" if isinstance(f, Bold) else escape(f) for f in fields)
    return " & ".join(texts) + r" \\"


def escape(text: str) -> str:
    """Text with the characters that mean something to LaTeX, or that its fonts lack, replaced."""
    return visible(text).translate(_LATEX)
