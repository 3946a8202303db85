"""Rotations of a question's options, for prompts that list them under letters."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, Final

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.lm_eval_task import FEWSHOT_SEED
from alignment_calibration.study.vocabulary import ROTATION

Document = Mapping[str, Any]
Row = dict[str, Any]

#: Where lm-eval's own tasks with letters keep their options: MMLU's, and MedMCQA.
_OF_STOCK: Final = ("choices", "[opa, opb, opc, opd]")

_COLUMN: Final = r"\w+(?:\.\w+)*"
_COLUMNS: Final = re.compile(rf"{_COLUMN}|\[\s*{_COLUMN}(?:\s*,\s*{_COLUMN})*\s*\]")


def options_of(task: Any) -> list[str]:
    """The columns that hold a task's options: one of lists, or one for each option.

    A dot leads into a column of mappings, as in ARC's `choices.text`.

    Raises:
        UserError: if it is not known.
    """
    own = ((task.config.metadata or {}).get("letters") or {}).get("options")
    if own and not _COLUMNS.fullmatch(own.strip()):
        raise UserError(
            f"its options are {own!r}; they can be put in another order only if they are a column, "
            "or a list of columns"
        )
    for expression in [own] if own else _OF_STOCK:
        columns = re.findall(_COLUMN, expression)
        if {column.partition(".")[0] for column in columns} <= set(task.features):
            return columns
    raise UserError(
        f"which columns hold its options is not known: it has neither `metadata: letters` nor "
        f"{' or '.join(_OF_STOCK)}"
    )


def turned(document: Document, columns: Sequence[str], by: int) -> dict[str, Any]:
    """The document with its options moved up by some places, the first ones to the end."""
    if len(columns) == 1:
        head, _, rest = columns[0].partition(".")
        value = document[head]
        inner = turned(value, [rest], by) if rest else [*value[by:], *value[:by]]
        return {**document, head: inner}
    values = [document[column] for column in columns]
    return {**document, **dict(zip(columns, [*values[by:], *values[:by]], strict=True))}


def rotations(
    task: Any, limit: int | None, chat: str | None, rows_of: Callable[..., Iterator[Row]]
) -> Iterator[Row]:
    """The rows of every rotation of a task's questions: rotation r lists option r first.

    Rows are those of a question each, `@` and the rotation behind its id. Few-shot examples stay as
    they are, and are the same for every rotation.

    Args:
        task: built lm-eval task.
        limit: first documents taken.
        chat: name of the chat that contexts are to be; None for text.
        rows_of: makes the rows of the task as it stands, of these three.

    Raises:
        UserError: as `rows_of`, or if the options cannot be put in another order.
    """
    name = task.config.task
    try:
        columns = options_of(task)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    documents = list(islice(task.eval_docs, limit))
    first = [list(rows) for _, rows in groupby(rows_of(task, limit, chat), _question)]
    for by in range(max(map(len, first))):
        task.documents = [
            turned(document, columns, by % len(rows))
            for document, rows in zip(documents, first, strict=True)
        ]
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
        for as_is, (question, rows) in zip(
            first, groupby(rows_of(task, limit, chat), _question), strict=True
        ):
            count = len(as_is)
            if by >= count:
                continue
            for place, row in enumerate(rows):
                if by and row["context"] == as_is[place]["context"]:
                    raise UserError(
                        f"{name}: question {question}: with its options in another order "
                        f"({', '.join(columns)}) it reads as before"
                    )
                yield row | {
                    "question_id": f"{question}{ROTATION}{by:02d}",
                    "source_choice": as_is[(place + by) % count]["source_choice"],
                    "gold": (row["gold"] - by) % count,
                }


def _question(row: Mapping[str, Any]) -> str:
    return str(row["question_id"])
