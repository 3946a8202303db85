"""Tables for people: one content as CSV (exact), Markdown (readable) and LaTeX (for a paper).

The CSV holds plain numbers, rates as fractions; Markdown and LaTeX show rates and probabilities in
percent, rounded to what can be read.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from alignment_calibration.calibration.metrics.registry import interval_note
from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.files.atomic import write_text
from alignment_calibration.files.frames import write_csv
from alignment_calibration.study.vocabulary import METHODS

#: Rows that fit on a page.
PAGE_ROWS = 45

#: Different rankings side by side in a rank table; further ones stand below.
RANK_COLUMNS = 4

#: Metrics side by side in the table of models; further ones stand below.
METRIC_COLUMNS = 4

#: Metrics that are no fractions but nats.
NATS = frozenset({"nll"})

#: Type and gaps of a LaTeX table: three columns of rates with intervals fit the width of a page.
LATEX_SIZE = r"\footnotesize\setlength{\tabcolsep}{4pt}"

MISSING = "–"


class Bold(str):
    """Text of a cell that is set in bold."""

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
    """What one table says: exact data for the CSV, and title, notes and sections for people."""

    title: str
    data: pd.DataFrame
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()


def write_table(table: Table, outputs: Iterable[str | Path]) -> None:
    """Write a table to files whose suffixes (`.csv`, `.md`, `.tex`) say the format."""
    for output in map(Path, outputs):
        if output.suffix == ".csv":
            write_csv(output, table.data)
        elif output.suffix == ".md":
            write_text(output, markdown(table))
        elif output.suffix == ".tex":
            write_text(output, latex(table))
        else:
            raise ValueError(f"{output}: no such format of a table")


# Contents ------------------------------------------------------------------------------------


def change_table(changes: pd.DataFrame) -> Table:
    """Change rates with their intervals, a section per metric, a column per method."""
    methods = in_order(changes["method"], METHODS)
    cells = {
        (row["metric"], row["task"], row["pair"], row["method"]): rate_cell(
            row["change_rate"], row["rate_ci_low"], row["rate_ci_high"], row["q_value"]
        )
        for row in changes.to_dict("records")
    }
    sections = []
    for metric in in_order(changes["metric"]):
        rows = changes.loc[changes["metric"] == metric, ["task", "pair"]].drop_duplicates()
        keys = sorted(rows.itertuples(index=False, name=None))
        sections.append(
            Section(
                caption=f"Change rate of {metric} from base to aligned model, in percent.",
                align=("l", "l", *("r" for _ in methods)),
                header=("task", "pair", *methods),
                rows=tuple(
                    (*key, *(cells.get((metric, *key, method), MISSING) for method in methods))
                    for key in keys
                ),
            )
        )
    notes = ["Change rate: (aligned − base) / base."]
    if changes["rate_ci_low"].notna().any():
        notes.append(interval_note(in_order(changes["metric"]), rates=True))
    if changes["q_value"].notna().any():
        notes.append(
            f"Bold: the change differs from zero at a false discovery rate of {SIGNIFICANCE:.0%}."
        )
    return Table("Change rates", changes, tuple(sections), tuple(notes))


def rank_table(changes: pd.DataFrame) -> Table:
    """Pairs by change rate, largest first; tasks with the same ranking share a column.

    The form of the reference study's Table 1. A section per metric and method; pairs of one rank
    share a field; pairs without a rate stand in the last row.
    """
    records: list[dict[str, object]] = []
    sections = []
    blocks = dict(list(changes.groupby(["metric", "method"])))
    for metric in in_order(changes["metric"]):
        for method in in_order(changes["method"], METHODS):
            if (metric, method) not in blocks:
                continue
            columns = shared_rankings(blocks[metric, method])
            records.extend(
                {"metric": metric, "method": method, "tasks": " ".join(tasks)}
                | {"rank": rank, "pair": pair}
                for tasks, ranking in columns
                for rank in _ranks(columns)
                for pair in ranking.get(rank, ())
            )
            caption = f"Pairs by change rate of {metric} under {method}, largest first."
            sections += [
                _rank_section(caption, columns[start : start + RANK_COLUMNS])
                for start in range(0, len(columns), RANK_COLUMNS)
            ]
    data = pd.DataFrame(records, columns=["metric", "method", "tasks", "rank", "pair"])
    data["rank"] = data["rank"].astype("Int64")
    notes = ("Tasks with the same ranking share a column. Pairs of equal rate share a rank.",)
    return Table("Ranks of the pairs by change rate", data, tuple(sections), notes)


Ranking = dict[int | None, list[str]]
TasksAndRanking = tuple[list[str], Ranking]


def _rank_section(caption: str, columns: Sequence[TasksAndRanking]) -> Section:
    width = paragraph(0.75 / len(columns))
    return Section(
        caption=caption,
        align=("r", *(width for _ in columns)),
        header=("rank", *(", ".join(tasks) for tasks, _ in columns)),
        rows=tuple(
            (
                MISSING if rank is None else str(rank),
                *(", ".join(ranking.get(rank, ())) for _, ranking in columns),
            )
            for rank in _ranks(columns)
        ),
    )


def _ranks(columns: Sequence[TasksAndRanking]) -> list[int | None]:
    """All ranks that pairs can have, then None if some pair has none."""
    pairs = max(sum(map(len, ranking.values())) for _, ranking in columns)
    unranked = any(None in ranking for _, ranking in columns)
    return [*range(1, pairs + 1), *([None] if unranked else [])]


def shared_rankings(changes: pd.DataFrame) -> list[TasksAndRanking]:
    """The different rankings within one method and metric, each with the tasks that have it.

    The ranking of most tasks comes first, then by the tasks' names. A ranking maps rank to pairs
    (sorted by name); pairs without a rate are under None.
    """
    tasks_of: dict[tuple[tuple[str, int | None], ...], list[str]] = {}
    for task, group in changes.groupby("task"):
        rank_of = zip(group["pair"], group["rank"], strict=True)
        key = sorted((pair, None if pd.isna(rank) else int(rank)) for pair, rank in rank_of)
        tasks_of.setdefault(tuple(key), []).append(str(task))
    columns = []
    for ranks, tasks in sorted(tasks_of.items(), key=lambda item: (-len(item[1]), item[1])):
        ranking: Ranking = {}
        for pair, rank in ranks:
            ranking.setdefault(rank, []).append(pair)
        columns.append((tasks, ranking))
    return columns


def model_table(metrics: pd.DataFrame) -> Table:
    """Accuracy and calibration of every model with intervals, a section per method.

    Args:
        metrics: rows of ALL_METRICS. A base model of several pairs stands under each.
    """
    names = in_order(metrics["metric"], ["accuracy"])
    cells = {
        (row["method"], row["task"], row["pair"], row["stage"], row["metric"]): value_cell(
            row["metric"], row["value"], row["ci_low"], row["ci_high"]
        )
        for row in metrics.to_dict("records")
    }
    sections = []
    for method in in_order(metrics["method"], METHODS):
        keys = sorted({key[1:3] for key in cells if key[0] == method})
        for start in range(0, len(names), METRIC_COLUMNS):
            block = names[start : start + METRIC_COLUMNS]
            header = [f"{name} (nats)" if name in NATS else name for name in block]
            sections.append(
                Section(
                    caption=f"Metrics under {method}, in percent unless in nats.",
                    align=("l", "l", "l", *("r" for _ in block)),
                    header=("task", "pair", "stage", *header),
                    rows=tuple(
                        (
                            *key,
                            stage,
                            *(cells.get((method, *key, stage, n), MISSING) for n in block),
                        )
                        for key in keys
                        for stage in ("base", "aligned")
                    ),
                )
            )
    notes = [interval_note(names)] if metrics["ci_low"].notna().any() else []
    return Table("Accuracy and calibration of the models", metrics, tuple(sections), tuple(notes))


# Cells ---------------------------------------------------------------------------------------


def in_order(values: Iterable[str], order: Iterable[str] = ()) -> list[str]:
    """The different values: those named in `order` as there, then the others by name."""
    known = {value: place for place, value in enumerate(order)}
    return sorted(set(values), key=lambda value: (known.get(value, len(known)), value))


def rate_cell(rate: float, low: float, high: float, q_value: float) -> str:
    """A change rate in percent with its interval, bold where significant."""
    if pd.isna(rate):
        return MISSING
    text = percent(rate, sign=True)
    if not (pd.isna(low) or pd.isna(high)):
        digits = decimals(rate)
        text += f" [{percent(low, digits)}, {percent(high, digits)}]"
    return Bold(text) if q_value < SIGNIFICANCE else text


def value_cell(metric: str, value: float, low: float, high: float) -> str:
    """A metric with its interval: in percent, or in nats if it is."""
    if pd.isna(value):
        return MISSING

    def text(number: float) -> str:
        if metric in NATS:
            return f"{number:.3f}".replace("-", "−")
        return percent(number, 1)

    interval = "" if pd.isna(low) or pd.isna(high) else f" [{text(low)}, {text(high)}]"
    return text(value) + interval


def percent(fraction: float, digits: int | None = None, *, sign: bool = False) -> str:
    """A fraction as a number in percent, without the percent sign; a minus is U+2212."""
    digits = decimals(fraction) if digits is None else digits
    text = f"{100 * fraction:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def decimals(fraction: float) -> int:
    """Decimals that show a fraction in percent with about three significant digits."""
    size = abs(100 * fraction)
    return 2 if size < 10 else 1 if size < 100 else 0


# Formats -------------------------------------------------------------------------------------


def markdown(table: Table) -> str:
    """The table in Markdown."""
    parts = [f"# {table.title}", *table.notes]
    for section in table.sections:
        marks = ["--:" if align == "r" else ":--" for align in section.align]
        lines = [section.header, marks, *section.rows]
        body = "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)
        parts += [f"**{section.caption}**" if section.caption else "", body]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_cell(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("\n", " ")
    return f"**{escaped}**" if isinstance(text, Bold) else escaped


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
        "\n": " ",
        "−": r"$-$",
        "–": "--",
        "×": r"$\times$",
        "±": r"$\pm$",
        "→": r"$\to$",
        "≥": r"$\geq$",
        "≤": r"$\leq$",
        "≈": r"$\approx$",
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


def paragraph(width: float) -> str:
    """The LaTeX column type of running text, `width` as a fraction of the line's."""
    return rf">{{\raggedright\arraybackslash}}p{{{width:.2f}\linewidth}}"


def _latex_row(cells: Sequence[str]) -> str:
    texts = (rf"\textbf{{{escape(c)}}}" if isinstance(c, Bold) else escape(c) for c in cells)
    return " & ".join(texts) + r" \\"


def escape(text: str) -> str:
    """Text with the characters that mean something to LaTeX, or that its fonts lack, replaced."""
    return text.translate(_LATEX)
