"""Questions of a task, as lm-eval puts them to a model: one row per option."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

import pyarrow as pa

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError, one_line, shorten, shown
from alignment_calibration.files.parquet import read_digest, write_parquet
from alignment_calibration.inputs.chats import written_chat
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.inputs.rotations import rotations
from alignment_calibration.inputs.templates import columns_in
from alignment_calibration.study.chats import CHATS
from alignment_calibration.study.letters import LETTERS
from alignment_calibration.study.vocabulary import (
    CHOICE_CYCLIC,
    CONTINUATION,
    UNCONDITIONAL,
)

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
    prompt: str = CONTINUATION,
    chat: str | None = None,
    as_text: str | Path | None = None,
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
        prompt: how the tasks are put; most prompts put them as they stand.
        chat: Name of the chat (`CHATS`) that contexts are to be; None for text.
        as_text: The same questions as text. A file of chats notes its hash, by which models are
            known to have answered the same questions, asked by a chat template or not.

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
                rows += _PUT.get(prompt, rows_of)(task, limit, chat)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    rows.sort(key=lambda row: (row["question_id"], row["choice"]))
    table = pa.Table.from_pylist(rows, schema=QUESTIONS)
    write_parquet(output, table, {"questions_sha256": read_digest(as_text)} if as_text else None)


def rows_of(task: Any, limit: int | None, chat: str | None = None) -> Iterator[Row]:
    """The rows of one built lm-eval task, from the requests that lm-eval itself makes of it.

    Args:
        task: Built.
        limit: First documents taken; None takes all.
        chat: Name of the chat (`CHATS`) that contexts are to be; None for text.

    Raises:
        UserError: naming the task and the question that cannot be asked.
    """
    name = task.config.task
    problem = _no_column(task, ("doc_to_text", "doc_to_choice"), str.isidentifier)
    if problem := problem or _templates_in_a_list(task):
        raise UserError(f"{name}: {problem}")
    documents = list(islice(task.eval_docs, limit))
    # Zero-padded, so that questions sort by number within their task.
    ids = [f"{name}/{number:06d}" for number in range(len(documents))]
    questions = list(map(partial(_question, task), ids, documents))
    try:
        if task.stumble:
            raise task.stumble
        task.build_all_requests(limit=limit, rank=0, world_size=1, **_as_chat(task, chat))
    # Jinja, hooks and lm-eval raise whatever comes to hand.
    except Exception as error:
        raise UserError(
            f"{name}: cannot be put in words ({type(error).__name__}: {one_line(error)})"
        ) from None
    _warn(task, questions, documents)
    instances = defaultdict(list)
    for instance in task.instances:
        instances[instance.doc_id].append(instance)
    for number, question in enumerate(questions):
        for instance in instances[number]:
            context, continuation = instance.args[:2]
            yield {
                "question_id": question.id,
                "choice": instance.idx,
                "context": context,
                "continuation": continuation,
                "source_choice": question.source[instance.idx],
                "gold": question.gold,
                "group": name,
            }


def _as_chat(task: Any, chat: str | None) -> dict[str, Any]:
    """What makes lm-eval ask in a chat, with the chat itself in place of a template's text."""
    if chat is None:
        return {}
    written = partial(written_chat, system_delimiter=task.config.fewshot_delimiter)
    return {
        "apply_chat_template": True,
        "fewshot_as_multiturn": CHATS[chat],
        "chat_template": written,
    }


def _without_contexts(task: Any, limit: int | None, chat: str | None) -> Iterator[Row]:
    """The rows of one built lm-eval task, as lm-eval's `acc_mutual_info` requests them beside.

    Raises:
        UserError: as `rows_of`, or if the options of a question have contexts of their own.
    """
    contexts: dict[str, str] = {}
    for row in rows_of(task, limit, chat):
        if contexts.setdefault(row["question_id"], row["context"]) != row["context"]:
            raise UserError(
                f"question {row['question_id']}: its options have contexts of their own and one "
                "continuation: without contexts they are all the same; leave continuation_pmi out, "
                "or this task"
            )
        yield row | {"context": ""}


#: How a task is put by a prompt that does not put it as it stands.
_PUT: Final[dict[str, Callable[[Any, int | None, str | None], Iterator[Row]]]] = {
    UNCONDITIONAL: _without_contexts,
    CHOICE_CYCLIC: partial(rotations, rows_of=rows_of),
}


def _no_column(
    task: Any,
    fields: Sequence[str] = ("doc_to_text", "doc_to_choice", "doc_to_target"),
    concerned: Callable[[str], bool] = bool,
) -> str | None:
    """A field that reads a column which is not there, by its name or in a template.

    lm-eval takes the bare name for the text of every question, or for a Python literal.

    Args:
        task: built by lm-eval.
        fields: of its config, those that are looked at.
        concerned: which of their texts are looked at.
    """
    for field in fields:
        text = getattr(task.config, field)
        if isinstance(text, str) and concerned(text):
            absent = sorted(columns_in(text).difference(task.features))
            if absent:
                name, columns = shorten(absent[0]), shorten(", ".join(task.features), 300)
                return f"{field} is {shown(text)}: no column {name!r}; columns: {columns}"
    return None


def _templates_in_a_list(task: Any) -> str | None:
    """A template among listed options, which lm-eval would take word for word."""
    options = task.config.doc_to_choice
    for option in options if isinstance(options, list) else ():
        if isinstance(option, str) and ("{{" in option or "{%" in option):
            return (
                f"doc_to_choice lists {shown(option)}, which lm-eval does not fill in; "
                "allowed: options as they are, or one template of all, as '{{[a, b]}}'"
            )
    return None


@dataclass(frozen=True)
class _Question:
    """A question that can be asked: its options' texts, the index of the right one, and each
    option's place in the source."""

    id: str
    options: Sequence[str]
    gold: int
    source: Sequence[int]


def _question(task: Any, question_id: str, document: Mapping[str, Any]) -> _Question:
    """Find a question answerable.

    Raises:
        UserError: naming the question and what is wrong with it.
    """

    def refuse(problem: str) -> NoReturn:
        raise UserError(f"question {question_id}: {problem}")

    try:
        text = task.doc_to_text(document)
        options = task.doc_to_choice(document)
        gold = _gold(task, document, options)
        listed = _listed_options(task, document)
    # Jinja, hooks and lm-eval raise whatever comes to hand.
    except Exception as error:
        said = f"cannot be put in words ({type(error).__name__}: {one_line(error)})"
        refuse(_no_column(task) or said)
    if not isinstance(text, str) and not task.multiple_input:
        refuse(f"its context is {shown(text)}, which is not text")
    if not isinstance(options, list):  # the letters of a text would be taken for options
        refuse(f"its options are {shown(options)}, not a list of texts")
    if len(options) < 2:
        refuse(f"has {len(options)} option; needs at least 2")
    if listed and len(listed) != len(options):
        refuse(f"has {len(listed)} options; a letters prompt has at most {len(LETTERS)}")
    for number, option in enumerate(listed or options):
        if not isinstance(option, str):
            refuse(f"option {number} is {shown(option)}, which is not text")
        if not option.strip():
            refuse(f"option {number} is an empty string")
    if not _is_index(gold) or not 0 <= gold < len(options):
        no_column = _no_column(task, ["doc_to_target"])
        refuse(no_column or f"gold is {shown(gold)}; allowed: 0 to {len(options) - 1}")
    source = document.get("source_choice", list(range(len(options))))
    if not isinstance(source, list) or not all(map(_is_index, source)):
        refuse(f"source_choice is {shown(source)}, not a list of numbers")
    if sorted(source) != list(range(len(options))):
        refuse(f"source_choice is {shown(source)}; needs each of 0 to {len(options) - 1} once")
    return _Question(question_id, listed or options, gold, source)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _gold(task: Any, document: Mapping[str, Any], options: Sequence[str]) -> Any:
    """Index of the right option, wherever the task says it."""
    if task.multiple_input:  # as in WinoGrande, where each option makes its own context
        return task.doc_to_text(document)
    gold = task.doc_to_target(document)
    return options.index(gold) if isinstance(gold, str) and gold in options else gold


def _listed_options(task: Any, document: Mapping[str, Any]) -> list[Any]:
    """The options that a letters prompt of ours lists; none for any other prompt."""
    from lm_eval.utils import apply_template

    expressions = (task.config.metadata or {}).get("letters")
    if not expressions:
        return []
    listed = json.loads(apply_template(f"{{{{ ({expressions['options']}) | tojson }}}}", document))
    return [
        str(option) if isinstance(option, float) or _is_index(option) else option
        for option in (listed if isinstance(listed, list) else [listed])
    ]


def _warn(task: Any, questions: Sequence[_Question], documents: Sequence[Any]) -> None:
    """Print what may be meant, and probably is not."""
    name = task.config.task
    alike = [q.id for q in questions if len(set(q.options)) < len(q.options)]
    if alike:
        print(
            f"warning: {name}: {len(alike)} of {len(questions)} questions have options with the "
            f"same text, {alike[0]} first"
        )
    if task.config.num_fewshot:
        examples = {repr(document) for document in task.fewshot_docs() or []}
        shared = [q.id for q, d in zip(questions, documents, strict=True) if repr(d) in examples]
        if shared:
            print(
                f"warning: {name}: {len(shared)} of {len(questions)} questions are among the "
                f"worked examples as well, {shared[0]} first"
            )
