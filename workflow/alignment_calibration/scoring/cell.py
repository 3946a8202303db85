"""One cell: what it is made from, its place in the store, and the filling of its logit file."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import write_json
from alignment_calibration.files.logits import (
    logits_beside,
    run_json_beside,
    stored_digest,
    write_logits,
    write_receipt,
)
from alignment_calibration.files.parquet import values_digest
from alignment_calibration.scoring.process import Progress, device_name, peak_memory
from alignment_calibration.scoring.scorer import Scorer
from alignment_calibration.scoring.tokenization import (
    Encoding,
    EncodingError,
    encode,
    max_length,
)

if TYPE_CHECKING:
    from alignment_calibration.scoring.load import Checkpoint

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")


@dataclass(frozen=True)
class Cell:
    """A questions file, the receipt to give, and the identity that the logit file must have.

    Attributes:
        gets_receipt: from this job; else from the step after all jobs that share the model's cells.
    """

    questions: Path
    receipt: Path
    identity: dict[str, Any]
    gets_receipt: bool = True

    @property
    def logits(self) -> Path:
        """The logit file, which only the scorer writes and removes."""
        return logits_beside(self.receipt)

    @property
    def run_json(self) -> Path:
        """Where times and sizes of the run are noted."""
        return run_json_beside(self.receipt)

    @property
    def name(self) -> str:
        """model/task/prompt, from the logit file's place."""
        return "/".join((*self.logits.parent.parts[-2:], self.logits.stem))

    def give_receipt(self, digest: str) -> None:
        """Say that the logit file is there, with values of this digest."""
        if self.gets_receipt:
            write_receipt(self.receipt, self.identity, digest)


def take_from_store(cell: Cell) -> bool:
    """Give a cell its receipt if its logit file is in the store; else make room for a new one.

    A file of another identity, or a damaged one, is removed now and not when the new one is there:
    a failed job must not leave a file behind that could be taken for its result.
    """
    digest = stored_digest(cell.logits, cell.identity)
    if digest is None:
        for file in (cell.receipt, cell.run_json, cell.logits):
            file.unlink(missing_ok=True)
        return False
    print(f"{cell.name}: scored before", file=sys.stderr)
    cell.give_receipt(digest)
    return True


def score_cell(
    cell: Cell,
    questions: pa.Table,
    checkpoint: "Checkpoint",
    backend: str,
    scorer: Scorer,
    startup: float,
    later: int,
    terminal: TextIO,
) -> None:
    """Fill one logit file, note the run, and give the receipt.

    Args:
        cell: to score.
        questions: rows of its questions file.
        checkpoint: the model and its tokenizer.
        backend: name of the scorer's backend.
        scorer: of the model.
        startup: seconds from the start of the process until the model was ready; 0 for all cells
            but the first that a job scores, so that those of a study add up.
        later: questions of the cells that come after it.
        terminal: for a progress bar.

    Raises:
        UserError: for an option that cannot be turned into tokens, or a log-probability that is not
            a finite number; it names the question.
    """
    import torch

    started = time.perf_counter()
    tokens_before = scorer.work.tokens_computed
    nodes_before = scorer.work.trie_nodes
    question_ids = questions["question_id"].to_pylist()
    limit = max_length(checkpoint.model.config, checkpoint.tokenizer)
    encodings = _encode(cell, questions, checkpoint, limit)
    _warn_of_truncation(cell, question_ids, encodings, limit)
    requests = [encoding.request for encoding in encodings]
    number = len(set(question_ids))
    with Progress(cell.name, len(requests), number, later, terminal) as progress:
        logprobs = scorer.score(requests, progress.advance)
    for question, values in zip(question_ids, logprobs, strict=True):
        if not np.isfinite(values).all():
            raise UserError(
                f"{cell.name}: question {question}: log-probability {values.min()}, not a finite "
                f"number; {cell.identity['dtype']} may be too narrow for this model"
            )
    rows = logit_rows(questions, encodings, logprobs)
    digest = values_digest(rows)
    seconds = time.perf_counter() - started
    tokens = scorer.work.tokens_computed - tokens_before
    record = {
        "values_sha256": digest,  # by which the record is known to speak of this logit file
        "device": device_name(checkpoint.device),
        "scorer": backend,
        "attention": scorer.attention,
        "compiled": scorer.compiled,
        "token_budget": scorer.token_budget,
        "seconds": round(seconds, 3),
        "startup_seconds": round(startup, 3),
        "questions": number,
        "questions_per_second": round(number / seconds, 3),
        "tokens_computed": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "trie_nodes": scorer.work.trie_nodes - nodes_before,
        "peak_memory_bytes": peak_memory(checkpoint.device),
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    # The record before the logit file: where that stands, the cell is done.
    write_json(cell.run_json, record)
    write_logits(cell.logits, rows, cell.identity)
    cell.give_receipt(digest)
    print(
        f"{cell.name}: {number} questions in {seconds:.1f} s, {number / seconds:.1f} questions/s, "
        f"{tokens / seconds:.0f} tokens/s",
        file=sys.stderr,
    )


def _encode(
    cell: Cell, questions: pa.Table, checkpoint: "Checkpoint", limit: int
) -> list[Encoding]:
    """Each option as token ids."""
    pairs = list(
        zip(questions["context"].to_pylist(), questions["continuation"].to_pylist(), strict=True)
    )
    try:
        encodings = encode(pairs, checkpoint.tokenizer, limit)
    except EncodingError as error:
        question = questions["question_id"][error.index]
        raise UserError(f"{cell.questions}: question {question}: {error}") from None
    # On a GPU such a token would end the process without saying which it was.
    known = checkpoint.model.get_input_embeddings().num_embeddings
    for index, encoding in enumerate(encodings):
        highest = max(*encoding.request.context_ids, *encoding.request.continuation_ids)
        if highest >= known:
            raise UserError(
                f"{cell.name}: question {questions['question_id'][index]}: the tokenizer makes a "
                f"token {highest} of it, but the model has {known} embeddings; they do not belong "
                "together"
            )
    return encodings


def _warn_of_truncation(
    cell: Cell, question_ids: Sequence[str], encodings: Sequence[Encoding], limit: int
) -> None:
    """Say how many questions lose a part of their context, if any do."""
    cut = {
        question
        for question, encoding in zip(question_ids, encodings, strict=True)
        if encoding.truncated
    }
    if cut:
        print(
            f"{cell.name}: warning: {len(cut)} of {len(set(question_ids))} questions lose the left "
            f"of their context, since the model reads at most {limit} tokens (first {min(cut)}); "
            "give fewer worked examples (`num_fewshot`) or leave this model or task out",
            file=sys.stderr,
        )


def logit_rows(
    questions: pa.Table,
    encodings: Sequence[Encoding],
    logprobs: Sequence[npt.NDArray[np.float32]],
) -> pa.Table:
    """Rows of the LOGITS contract for rows of the QUESTIONS contract.

    Args:
        questions: a row per question and option.
        encodings: each option as token ids.
        logprobs: of each option's tokens, in nats.
    """
    tokens = [encoding.request.continuation_ids for encoding in encodings]
    offsets = _numbers(np.cumsum([0, *map(len, tokens)]), pa.int32())
    texts = questions["continuation"].to_pylist()
    ids = _numbers(np.concatenate(tokens), pa.int32())
    values = _numbers(np.concatenate(logprobs), pa.float32())
    truncated = np.packbits([encoding.truncated for encoding in encodings], bitorder="little")
    columns = [questions[name].combine_chunks() for name in LOGITS.names[:4]]
    columns += [
        pa.ListArray.from_arrays(offsets, ids),
        pa.ListArray.from_arrays(offsets, values),
        # The space between context and option is no part of the option's text.
        _numbers([len(text.removeprefix(" ").encode()) for text in texts], pa.int32()),
        _numbers([len(encoding.request.context_ids) for encoding in encodings], pa.int32()),
        pa.Array.from_buffers(pa.bool_(), len(texts), [None, pa.py_buffer(truncated)]),
    ]
    return pa.Table.from_arrays(columns, schema=LOGITS)


def _numbers(values: npt.ArrayLike, kind: pa.DataType) -> pa.Array:
    """An Arrow array of numbers; `pa.array` would import pandas, which scoring does without."""
    array = np.ascontiguousarray(values, dtype=kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(array)])
