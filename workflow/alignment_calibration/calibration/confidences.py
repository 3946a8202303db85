"""Confidences: from token log-probabilities to a probability for each option of a question."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignment_calibration.calibration.normalisations import NORMALISATIONS, Scores
from alignment_calibration.contract.calibration import CONFIDENCES
from alignment_calibration.errors import UserError
from alignment_calibration.files.logits import read_logits
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.study.vocabulary import CHOICE, METHODS, PROMPTS, READINGS, ROTATION

#: In place of 0 or 1; the largest of a question's values decides.
_UNKNOWN = 2

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class OptionTokens:
    """The tokens of all options of a cell, as readings see them.

    Args:
        logits: rows of the LOGITS contract; arrays are of shape (options,), in their order.
    """

    def __init__(self, logits: pa.Table) -> None:
        lists = logits["token_logprobs"].combine_chunks()
        self._starts = lists.offsets.to_numpy()[:-1] - lists.offsets[0].as_py()
        self._values = lists.flatten().to_numpy().astype(np.float64)
        self._logits = logits

    @cached_property
    def total(self) -> Floats:
        """Sum of the log-probabilities of an option's tokens (nats): of the option as a whole."""
        return np.asarray(np.add.reduceat(self._values, self._starts))

    @cached_property
    def least(self) -> Floats:
        """Log-probability of an option's least likely token, in nats."""
        return np.asarray(np.minimum.reduceat(self._values, self._starts))

    @cached_property
    def count(self) -> Integers:
        """Number of an option's tokens."""
        return np.asarray(np.diff(self._starts, append=self._values.size))

    @cached_property
    def text_bytes(self) -> Integers:
        """UTF-8 bytes of an option's text."""
        return np.asarray(self._logits["continuation_bytes"].to_numpy())


def readings_of(logits: pa.Table, prompt: str) -> list[str]:
    """The readings of a prompt that a cell allows: where only sums are known, none of tokens."""
    return [
        name
        for name, reading in READINGS.items()
        if prompt in reading.prompts and _allows(logits, name)
    ]


def _allows(logits: pa.Table, reading: str) -> bool:
    """Whether a cell holds the tokens that a reading needs, if it needs them."""
    if not READINGS[reading].per_token:
        return True
    return bool(pc.all(pc.greater(pc.list_value_length(logits["token_ids"]), 0)).as_py())


def option_scores(logits: pa.Table, reading: str) -> Floats:
    """The scores (nats) by which a reading compares the options of a question, shape (options,).

    Args:
        logits: rows of the LOGITS contract.
        reading: name in `READINGS`.
    """
    return np.asarray(READINGS[reading].score(OptionTokens(logits)))


def question_starts(question_ids: pa.ChunkedArray) -> Integers:
    """Index of each question's first row, for rows sorted by question."""
    codes = pc.dictionary_encode(question_ids).combine_chunks().indices.to_numpy()
    return np.flatnonzero(np.diff(codes, prepend=-1)).astype(np.int64)


def read_method(logits: pa.Table, method: str, *beside: pa.Table) -> pa.Table:
    """One row of the CONFIDENCES contract per question, under one method.

    Args:
        logits: rows of the LOGITS contract, of the method's prompt.
        method: name in `METHODS`.
        beside: the same of the further prompts that the method reads, of the same options.

    Raises:
        UserError: if they are not the same options.
    """
    reading, normalised = METHODS[method].reading, NORMALISATIONS[METHODS[method].normalisation]
    for other in beside:
        if any(not logits[key].equals(other[key]) for key in ("question_id", "choice")):
            raise UserError(
                f"{method}: its prompts {', '.join(METHODS[method].prompts)} were put with other "
                "questions each; run the workflow again"
            )
    starts = question_starts(logits["question_id"])
    found = normalised(*(Scores(option_scores(t, reading), starts) for t in (logits, *beside)))
    offsets = np.append(0, np.cumsum(found.options)).astype(np.int32)
    first = logits.take(pa.array(starts[found.spans[:, 0]]))
    # Of a question with an option of which it is unknown, it is unknown.
    cut = logits["truncated"].cast(pa.int8()).fill_null(_UNKNOWN).to_numpy()
    ends = np.append(starts, cut.size)[found.spans]
    truncated = np.array([cut[begin:end].max() for begin, end in ends])
    missing = pa.nulls(len(ends), pa.float64())
    return pa.table(
        {
            "question_id": pc.replace_substring_regex(
                first["question_id"], f"{ROTATION}[0-9]{{2}}$", ""
            ),
            "method": pa.array([method] * len(ends), pa.string()),
            "gold": first["gold"],
            "group": first["group"],
            "probabilities": pa.ListArray.from_arrays(pa.array(offsets), pa.array(found.values)),
            "letter_mass": pa.array(found.mass)
            if PROMPTS[METHODS[method].prompt] == CHOICE
            else missing,
            "truncated": pa.array(truncated == 1, mask=truncated == _UNKNOWN),
        },
        schema=CONFIDENCES,
    )


def write_confidences(
    cells: Mapping[tuple[str, str], tuple[str | Path, Mapping[str, Any]]],
    methods: Sequence[str],
    outputs: Mapping[str, str | Path],
) -> None:
    """Write the confidences of one model, a file per task.

    Args:
        cells: receipt of the logit file of each task and prompt, and the identity that the file
            must have.
        methods: methods to read; those whose prompt a task lacks are left out there, and those
            that need the tokens of a cell of which only sums are known.
        outputs: Parquet file to write of each task. Its identity holds the model, its revision and
            the hashes of the questions, by which a later step knows that two models answered the
            same.

    Raises:
        UserError: if a logit file is missing, damaged, belongs to another model or questions, or
            allows none of the methods.
    """
    for task, output in outputs.items():
        of_task = {prompt: cell for (name, prompt), cell in cells.items() if name == task}
        logits = {prompt: read_logits(*cell) for prompt, cell in of_task.items()}
        readable = _readable(task, logits, methods)
        try:
            tables = [
                read_method(logits[read.prompt], method, *(logits[p] for p in read.beside))
                for method, read in ((method, METHODS[method]) for method in readable)
            ]
        except UserError as error:
            raise UserError(f"tasks.{task}: {error}") from None
        table = pa.concat_tables(tables).sort_by(
            [("question_id", "ascending"), ("method", "ascending")]
        )
        identities = {prompt: identity for prompt, (_, identity) in of_task.items()}
        write_parquet(output, table, {"cells": identities})


def _readable(task: str, logits: Mapping[str, pa.Table], methods: Sequence[str]) -> list[str]:
    """The methods under which the cells of a task can be read.

    Raises:
        UserError: if there is none.
    """
    asked = [method for method in methods if set(METHODS[method].prompts) <= set(logits)]
    found = [
        method
        for method in asked
        if all(
            _allows(logits[prompt], METHODS[method].reading) for prompt in METHODS[method].prompts
        )
    ]
    for method in asked:
        if method not in found:
            print(f"{task}: {method} is left out, since only sums of log-probabilities are known")
    if not found:
        raise UserError(
            f"tasks.{task}: only sums of log-probabilities are known of this model, as from "
            f"lm-eval's samples; none of the methods reads them: {', '.join(methods)}"
        )
    return found
