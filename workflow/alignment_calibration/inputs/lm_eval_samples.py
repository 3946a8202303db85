"""Models that somebody else has scored: questions and log-probabilities in lm-eval's samples.

`lm_eval --log_samples` (0.4.2 to 0.4.13) writes a line of JSON for each question, with the texts of
all requests and the sum of the log-probabilities of each option. From it come a table of questions,
as lm-eval's own data sets give it, and one of log-probabilities, as scoring gives it, in which the
sum stands for the tokens (`contract.scoring`). The model `shared_prefix` adds the tokens themselves
to each request, and then nothing is missing.
"""

import array
import ast
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from alignment_calibration.contract.scoring import LOGITS, QUESTIONS, UNKNOWN
from alignment_calibration.errors import UserError, one_line
from alignment_calibration.files.atomic import sha256, write_json
from alignment_calibration.files.logits import logits_beside, write_logits, write_receipt
from alignment_calibration.files.parquet import read_parquet, values_digest, write_parquet
from alignment_calibration.study.vocabulary import CONTINUATION, UNCONDITIONAL

#: Nats by which rounding may lift a log-probability above 0, or a sum off its terms.
TOLERANCE = 1e-2

#: lm-eval's metric for which it puts the options without context as well.
MUTUAL_INFORMATION = "acc_mutual_info"

_KEYS = {"doc_id", "target", "arguments", "resps"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What `shared_prefix` adds to a request: the option's tokens."""

    token_ids: list[int]
    token_logprobs: list[float]  # nats
    context_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One request of a question: its texts, the sum of log-probabilities (nats), its tokens."""

    context: str
    continuation: str
    total: float
    tokens: Tokens | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a sample file; `place` is the file and the line that hold it."""

    document: int
    options: list[Option]
    source: list[int]
    gold: int
    place: str


@dataclass(frozen=True)
class Samples:
    """What one model's sample files hold.

    Attributes:
        questions: rows of the QUESTIONS contract.
        logits: rows of the LOGITS contract, in the same order.
        places: file and line of each question, by its id.
    """

    questions: pa.Table
    logits: pa.Table
    places: Mapping[str, str]


def resolve_samples(
    slug: str,
    spec: Mapping[str, Any],
    files: Sequence[str | Path],
    sums_only: Sequence[tuple[str, str]],
    output: str | Path,
) -> None:
    """Write what later steps need to know of a model of which only samples are there.

    The JSON is that of a checkpoint: `model`, `spec`, `revision` (a SHA-256 over the names and
    hashes of the files), `path` of the folder that all files are in, and `files` with name, size in
    bytes and SHA-256; and `sums_only`, for those who take the study without its files.

    Args:
        slug: the model's name in the config.
        spec: its entry under `models`.
        files: its sample files of all tasks.
        sums_only: task and prompt of the cells of which only sums over tokens are known.
        output: the JSON file.
    """
    folder = os.path.commonpath([Path(file).parent for file in files])
    listed = [
        {
            "name": path.relative_to(folder).as_posix(),
            "size": path.stat().st_size,
            "sha256": sha256(path),
        }
        for path in sorted(map(Path, files))
    ]
    listing = "".join(f"{file['name']} {file['sha256']}\n" for file in listed)
    revision = hashlib.sha256(listing.encode()).hexdigest()
    record = {"model": slug, "spec": dict(spec), "revision": revision, "path": folder}
    write_json(output, record | {"files": listed, "sums_only": sums_only})


def write_sampled_questions(
    files: Mapping[str, str | Path], limit: int | None, prompt: str, output: str | Path
) -> None:
    """Write the questions of a task in one prompt, where no model of the study is scored.

    Args:
        files: sample file of each lm-eval task.
        limit: first documents taken of each; None takes all.
        prompt: how the options were put: UNCONDITIONAL, or as the tasks put them.
        output: Parquet file with the columns of `contract.QUESTIONS`.

    Raises:
        UserError: as `read_samples`.
    """
    write_parquet(output, read_samples(files, limit, prompt).questions)


def write_sampled_cell(
    files: Mapping[str, str | Path],
    limit: int | None,
    prompt: str,
    questions: str | Path,
    asked: str,
    identity: Mapping[str, Any],
    receipt: str | Path,
) -> None:
    """Write the logit file of a cell, and its receipt, from samples.

    Args:
        files: sample file of each lm-eval task.
        limit: first documents taken of each; None takes all.
        prompt: how the options were put: UNCONDITIONAL, or as the tasks put them.
        questions: questions file of the task and prompt.
        asked: key of the config from which the questions come, for errors.
        identity: as `files.logits.expected_identity` has it; nothing of our way of scoring decides
            the numbers, so that its `settings` are empty.
        receipt: the file to write, beside its logit file.

    Raises:
        UserError: as `read_samples`, or if the samples answer other questions.
    """
    samples = read_samples(files, limit, prompt)
    check_same_questions(samples, read_parquet(questions, QUESTIONS), asked)
    write_logits(logits_beside(receipt), samples.logits, identity)
    write_receipt(receipt, identity, values_digest(samples.logits))


def read_samples(
    files: Mapping[str, str | Path], limit: int | None = None, prompt: str = CONTINUATION
) -> Samples:
    """Read one model's answers to some lm-eval tasks, pooled, sorted by question and option.

    Args:
        files: sample file of each lm-eval task.
        limit: first documents taken of each; None takes all.
        prompt: how the options were put: UNCONDITIONAL, or as the tasks put them.

    Raises:
        UserError: naming file and line, for a line that is no sample of a multiple-choice question
            with one right option, or one that says something else than another.
    """
    by_question: dict[str, tuple[str, Sample]] = {}
    for task, path in files.items():
        samples = _samples_of_file(Path(path), prompt)
        # Zero-padded, so that questions sort by number within their task.
        by_question |= {
            f"{task}/{sample.document:06d}": (task, sample)
            for sample in samples.values()
            if limit is None or sample.document < limit
        }
    rows = [
        (question, task, sample, choice, option)
        for question, (task, sample) in sorted(by_question.items())
        for choice, option in enumerate(sample.options)
    ]
    keys: dict[str, Sequence[Any]] = {
        "question_id": [question for question, *_ in rows],
        "choice": [choice for *_, choice, _ in rows],
        "gold": [sample.gold for _, _, sample, *_ in rows],
        "group": [task for _, task, *_ in rows],
    }
    texts: dict[str, Sequence[Any]] = {
        "context": [option.context for *_, option in rows],
        "continuation": [option.continuation for *_, option in rows],
        "source_choice": [sample.source[choice] for _, _, sample, choice, _ in rows],
    }
    # In one cell either all options have their tokens or none.
    whole = all(option.tokens for *_, option in rows)
    tokens = [option.tokens if whole else None for *_, option in rows]
    values: dict[str, Sequence[Any]] = {
        "token_ids": [known.token_ids if known else [] for known in tokens],
        "token_logprobs": [
            known.token_logprobs if known else [option.total]
            for known, (*_, option) in zip(tokens, rows, strict=True)
        ],
        # The space between context and option is no part of the option's text.
        "continuation_bytes": [
            len(option.continuation.removeprefix(" ").encode()) for *_, option in rows
        ],
        "context_tokens": [known.context_tokens if known else UNKNOWN for known in tokens],
        "truncated": [known.truncated if known else None for known in tokens],
    }
    return Samples(
        _table(keys | texts, QUESTIONS),
        _table(keys | values, LOGITS),
        {question: sample.place for question, (_, sample) in by_question.items()},
    )


def _table(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def check_same_questions(samples: Samples, questions: pa.Table, where: str) -> None:
    """Check that samples answer the questions of a study, by all that was put to the model.

    Args:
        samples: of one model.
        questions: rows of the QUESTIONS contract.
        where: the file they come from.

    Raises:
        UserError: saying in what they differ, with file and line of the first difference.
    """
    found = samples.questions
    if found.equals(questions):
        return
    _check_same_documents(samples, questions, where)
    nothing: dict[str, Any] = {}
    rows = zip_longest(found.to_pylist(), questions.to_pylist(), fillvalue=nothing)
    for ours, theirs in rows:
        if ours == theirs:
            continue
        question = min(row["question_id"] for row in (ours, theirs) if row)
        place = f"{samples.places[question]}: question {question}"
        raise UserError(f"{place} {_difference(ours, theirs)} than in {where}")


def _check_same_documents(samples: Samples, questions: pa.Table, where: str) -> None:
    ours, theirs = (
        set(pc.unique(table["question_id"]).to_pylist()) for table in (samples.questions, questions)
    )
    if missing := sorted(theirs - ours):
        task = missing[0].rpartition("/")[0]
        of_task = [place for name, place in samples.places.items() if name.startswith(f"{task}/")]
        file = (of_task or [*samples.places.values()])[0].rpartition(":")[0]
        raise UserError(
            f"{file}: {len(missing)} of the {len(theirs)} questions of {where} are missing "
            f"(first {missing[0]}); evaluate them too, or set the task's `limit`"
        )
    if extra := sorted(ours - theirs):
        raise UserError(
            f"{samples.places[extra[0]]}: {len(extra)} of its {len(ours)} questions are not in "
            f"{where} (first {extra[0]}); evaluate them in every model, or set the task's `limit`"
        )


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """In what two rows of one question differ: the end of `question … than in …`."""
    if not ours or not theirs or ours["choice"] != theirs["choice"]:
        return "has another number of options"
    short, long = sorted((ours["context"], theirs["context"]), key=len)
    if short != long:
        if long.endswith(short):
            return "has another text before it (worked examples, a description)"
        if short.strip() in long:
            return "has another text around it (a chat template)"
        return f"is put in other words ({_excerpt(ours['context'], theirs['context'])})"
    if ours["continuation"] != theirs["continuation"]:
        given = f"{ours['continuation']!r}, not {theirs['continuation']!r}"
        if ours["continuation"].strip() == theirs["continuation"].strip():
            return f"has another delimiter before its options ({given})"
        return f"has another option {ours['choice']} ({given})"
    return f"has the right option {ours['gold']}, which is another"


def _excerpt(ours: str, theirs: str) -> str:
    """The place where two texts begin to differ."""
    same = next(i for i, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b)
    start = max(0, same - 10)
    return f"{ours[start : same + 20]!r}, not {theirs[start : same + 20]!r}"


# One file


def _samples_of_file(path: Path, prompt: str) -> dict[int, Sample]:
    """The samples of a file, by the number of their document."""
    found: dict[int, Sample] = {}
    for place, content in _contents(path):
        sample = _sample(content, place, prompt)
        _check_tokens(sample, next(iter(found.values()), sample))
        earlier = found.setdefault(sample.document, sample)
        # A task with several filters has a line for each, of the same answers.
        if (earlier.options, earlier.gold) != (sample.options, sample.gold):
            raise UserError(
                f"{place}: answers document {sample.document} otherwise than {earlier.place}; "
                "remove one of the two"
            )
    if not found:
        raise UserError(f"{path}: has no samples; evaluate the task again")
    return found


def _contents(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and JSON of each sample: lines, or (before lm-eval 0.4.3) one array."""
    try:
        # As bytes, so that a line of another encoding is refused by its number.
        with open(path, "rb") as stream:
            if stream.read(1) == b"[":
                stream.seek(0)
                for number, content in enumerate(json.load(stream), start=1):
                    yield f"{path}: sample {number}", content
                return
            stream.seek(0)
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield f"{path}:{number}", _parse(line, f"{path}:{number}")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as lm-eval's samples ({one_line(error)})"
        ) from None


def _parse(line: bytes, place: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UserError(
            f"{place}: not a whole line of JSON ({one_line(error)}); the file may be cut short"
        ) from None


def _sample(content: Any, place: str, prompt: str) -> Sample:
    """One sample, checked; its options as this prompt puts them."""
    missing = _KEYS - content.keys() if isinstance(content, dict) else _KEYS
    if missing:
        raise UserError(
            f"{place}: not one of lm-eval's samples: has no {', '.join(sorted(missing))}"
        )
    document, answers = content["doc_id"], content["resps"]
    if not isinstance(document, int) or not isinstance(answers, list):
        raise UserError(f"{place}: doc_id is {document!r} and resps {str(answers)[:40]}")
    arguments = [_values(request) for request in _values(content["arguments"])]
    if any(len(given) < 2 or not all(isinstance(t, str) for t in given[:2]) for given in arguments):
        raise UserError(
            f"{place}: a request that generates text or has no option; needs a task of "
            "output_type multiple_choice"
        )
    if len(answers) != len(arguments):
        raise UserError(f"{place}: has {len(answers)} resps for {len(arguments)} options")
    # Such a metric adds requests without context behind those of the options.
    count = len(arguments) // 2 if MUTUAL_INFORMATION in content else len(arguments)
    if count < 2:
        raise UserError(f"{place}: has {count} option; needs at least 2")
    # The same text of all options is kept once: worked examples make it long.
    contexts = {given[0]: given[0] for given in arguments}
    options = [
        _option([contexts[given[0]], *given[1:]], answer, f"{place}: option {choice}")
        for choice, (given, answer) in enumerate(zip(arguments, answers, strict=True))
    ]
    options, without_context = options[:count], options[count:]
    gold = _gold(content["target"], [option.continuation for option in options], place)
    _check_accuracy(content.get("acc"), options, gold, place)
    if prompt == UNCONDITIONAL:
        if len(without_context) != count:
            raise UserError(
                f"{place}: has no requests without context; evaluate with {MUTUAL_INFORMATION} "
                "among the task's metrics, or leave out the methods that read them "
                "(continuation_pmi)"
            )
        options = without_context
    return Sample(document, options, _source(content.get("doc"), count), gold, place)


def _check_tokens(sample: Sample, first: Sample) -> None:
    """Either all options of a file come with their tokens or none, as its first line has it."""
    known = {option.tokens is not None for option in (*first.options[:1], *sample.options)}
    if len(known) > 1:
        raise UserError(
            f"{sample.place}: some options come with their tokens and others, here or in "
            f"{first.place}, without; evaluate the task again"
        )


def _values(values: Any) -> list[Any]:
    """The values of a list; since 0.4.3 those of `{"gen_args_0": …}` or `{"arg_0": …}`."""
    if isinstance(values, dict):
        return list(values.values())
    return values if isinstance(values, list) else []


def _option(given: Sequence[Any], answer: Any, place: str) -> Option:
    """An option from its request and the answer, `[[logprob, is_greedy]]`, numbers or texts."""
    try:
        ((found, _),) = answer
        total = float(found)
    except (TypeError, ValueError):
        raise UserError(
            f"{place}: resps are {str(answer)[:60]}; needs [[log-probability, greedy]]"
        ) from None
    if not -math.inf < total <= TOLERANCE:
        raise UserError(f"{place}: the log-probability is {found}; needs a number of at most 0")
    return Option(given[0], given[1], total, _tokens(given[2:], total, place))


def _tokens(added: Sequence[Any], total: float, place: str) -> Tokens | None:
    """The tokens of an option, where the request holds them."""
    if not added or not isinstance(added[0], dict) or "token_logprobs" not in added[0]:
        return None
    try:
        tokens = Tokens(**added[0])
        agree = abs(sum(tokens.token_logprobs) - total) <= TOLERANCE
        array.array("i", [*tokens.token_ids, tokens.context_tokens])  # whole numbers
    except (TypeError, OverflowError) as error:
        raise UserError(f"{place}: its tokens cannot be read ({one_line(error)})") from None
    if not 0 < len(tokens.token_ids) == len(tokens.token_logprobs) or not agree:
        raise UserError(
            f"{place}: {len(tokens.token_ids)} tokens of {tokens.token_logprobs} nats"
            f" are not those of the whole option, {total}"
        )
    return tokens


def _gold(target: Any, continuations: Sequence[str], place: str) -> int:
    """Index of the right option: the target is that, as number or text, or is the option's text."""
    text = str(target).strip()
    if text.isdecimal() and int(text) < len(continuations):
        return int(text)
    same = [i for i, option in enumerate(continuations) if option.strip() == text]
    if len(same) == 1:
        return same[0]
    if _is_list(text):
        raise UserError(f"{place}: target is {text[:60]}; needs one right option")
    raise UserError(
        f"{place}: target is {text[:60]!r}; needs the text of one of the {len(continuations)} "
        "options, or its index"
    )


def _is_list(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), list)
    except (ValueError, SyntaxError):
        return False


def _check_accuracy(found: Any, options: Sequence[Option], gold: int, place: str) -> None:
    """Compare with lm-eval's own accuracy, where the task has it."""
    totals = [option.total for option in options]
    right = float(totals.index(max(totals)) == gold)
    if found not in (None, right, str(right)):
        raise UserError(
            f"{place}: lm-eval has acc {found}, but with option {gold} right it is {right}; "
            "needs a task of one right option"
        )


def _source(document: Any, count: int) -> list[int]:
    """Each option's index in the source: the task says it where it shuffles."""
    places = list(range(count))
    source = document.get("source_choice", places) if isinstance(document, dict) else places
    if isinstance(source, list) and len(source) == count and all(k in source for k in places):
        return source
    return places
