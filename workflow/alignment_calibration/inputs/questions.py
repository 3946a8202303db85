"""Questions of a task, as lm-eval puts them to a model: one row per option."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError, one_line
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.study.letters import LETTERS

Row = dict[str, Any]


def write_questions(
    names: Sequence[str],
    *,
    limit: int | None,
    num_fewshot: int,
    letters: str,
    data: Mapping[str, str] | None,
    task_folders: Sequence[str],
    own_tasks: Path,
    where: str,
    output: str | Path,
) -> None:
    """Write the questions of some lm-eval tasks, pooled, sorted by question and option.

    Args:
        names: lm-eval tasks, groups or tags.
        limit: First documents taken of each lm-eval task; None takes all.
        num_fewshot: Worked examples before each question.
        letters: Jinja text of the letters prompt, for tasks of our own that have one.
        data: Local files in place of the data set on the hub, see `lm_eval_task.build`.
        task_folders: The user's folders of task YAMLs.
        own_tasks: The workflow's folder of task YAMLs.
        where: Path of the config key that `names` stand under, for errors.
        output: Parquet file with the columns of `contract.QUESTIONS`.

    Raises:
        UserError: for an unknown name, data that cannot be had, or a question that cannot be asked.
    """
    try:
        rows: list[Row] = []
        library = Library(own_tasks, task_folders)
        definitions = library.definitions(names)
        if data and len(definitions) > 1 and "{subset}" not in data["file"]:
            raise UserError(
                f"data.file: found one file, {data['file']}, for {len(definitions)} lm-eval tasks; "
                "{subset} in its name would stand for each task's dataset_name"
            )
        for definition in definitions:
            with tempfile.TemporaryDirectory() as scratch:
                task = build(
                    library,
                    definition,
                    scratch=Path(scratch),
                    num_fewshot=num_fewshot,
                    letters=letters,
                    data=data,
                )
                rows += rows_of(task, limit)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    rows.sort(key=lambda row: (row["question_id"], row["choice"]))
    write_parquet(output, pa.Table.from_pylist(rows, schema=QUESTIONS))


def rows_of(task: Any, limit: int | None) -> Iterator[Row]:
    """The rows of one built lm-eval task, from the requests that lm-eval itself makes of it.

    Raises:
        UserError: naming the task and the question that cannot be asked.
    """
    name = task.config.task
    if task.OUTPUT_TYPE != "multiple_choice":
        raise UserError(f"{name}: its output_type is {task.OUTPUT_TYPE}; needs multiple_choice")
    try:
        task.build_all_requests(limit=limit, rank=0, world_size=1)
    # Jinja, hooks and lm-eval raise whatever comes to hand.
    except Exception as error:
        raise UserError(f"{_first_unanswerable(task, error)}") from None
    by_document = groupby(task.instances, key=lambda instance: instance.doc_id)
    instances = {number: list(group) for number, group in by_document}
    for number in range(min(limit or len(task.eval_docs), len(task.eval_docs))):
        # Zero-padded, so that questions sort by number within their task.
        question_id = f"{name}/{number:06d}"
        if number not in instances:  # lm-eval leaves such a question out without a word
            raise UserError(f"question {question_id}: has no options")
        yield from _rows_of_question(task, question_id, instances[number])


def _rows_of_question(task: Any, question_id: str, instances: Sequence[Any]) -> Iterator[Row]:
    document = instances[0].doc
    options = task.doc_to_choice(document)
    gold = _gold(task, document, options)
    _check(question_id, gold, options, _listed_options(task, document))
    source = document.get("source_choice", range(len(options)))
    # A mutual-information metric adds requests without context behind those of the options.
    for instance in instances[: len(options)]:
        context, continuation = instance.args[:2]
        yield {
            "question_id": question_id,
            "choice": instance.idx,
            "context": context,
            "continuation": continuation,
            "source_choice": source[instance.idx],
            "gold": gold,
            "group": task.config.task,
        }


def _gold(task: Any, document: Mapping[str, Any], options: Sequence[str]) -> Any:
    """Index of the right option, wherever the task says it."""
    if task.multiple_input:  # as in WinoGrande, where each option makes its own context
        return task.doc_to_text(document)
    gold = task.doc_to_target(document)
    return options.index(gold) if isinstance(gold, str) and gold in options else gold


def _listed_options(task: Any, document: Mapping[str, Any]) -> list[str]:
    """The options that a letters prompt of ours lists; none for any other prompt."""
    from lm_eval.utils import apply_template

    expressions = (task.config.metadata or {}).get("letters")
    if not expressions:
        return []
    listed = json.loads(apply_template(f"{{{{ ({expressions['options']}) | tojson }}}}", document))
    return [str(option) for option in listed]


def _check(question_id: str, gold: Any, options: Sequence[str], listed: Sequence[str]) -> None:
    """Find a question answerable.

    Raises:
        UserError: naming the question.
    """
    if isinstance(options, str):  # its letters would be taken for options
        raise UserError(f"question {question_id}: its options are one text, not a list of texts")
    if len(options) < 2:
        raise UserError(f"question {question_id}: has {len(options)} option; needs at least 2")
    if listed and len(listed) != len(options):
        raise UserError(
            f"question {question_id}: has {len(listed)} options; a letters prompt has at most "
            f"{len(LETTERS)}"
        )
    for number, option in enumerate(listed or options):
        if not option.strip():
            raise UserError(f"question {question_id}: option {number} is an empty string")
    if not isinstance(gold, int) or not 0 <= gold < len(options):
        raise UserError(
            f"question {question_id}: gold is {gold!r}; allowed: 0 to {len(options) - 1}"
        )


def _first_unanswerable(task: Any, error: Exception) -> str:
    """Which question lm-eval stumbled over, and why."""
    for number, document in enumerate(task.eval_docs):
        try:
            task.doc_to_text(document)
            list(task.doc_to_choice(document))
            task.doc_to_target(document)
        except Exception as cause:
            kind = f"{type(cause).__name__}: {one_line(cause)}"
            return f"question {task.config.task}/{number:06d}: cannot be put in words ({kind})"
    return f"{task.config.task}: cannot be put in words ({type(error).__name__}: {one_line(error)})"
