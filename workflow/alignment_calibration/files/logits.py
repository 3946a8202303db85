"""Logit files: the log-probabilities of one cell, and the identity by which the file validates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import canonical_json, read_json, sha256
from alignment_calibration.files.parquet import read_identity, read_parquet, write_parquet
from alignment_calibration.scoring.tokenization import Encoding

#: Raised by one whenever the same checkpoint and questions would give other numbers than before,
#: beyond float tolerance. Files of an earlier version are then scored again.
SCORING_VERSION = 1


def expected_identity(
    model_json: str | Path, questions: str | Path, dtype: str | None
) -> dict[str, Any]:
    """Everything that decides the content of a cell's logit file.

    Args:
        model_json: `models/{model}.json`: the checkpoint's spec and resolved revision.
        questions: `questions/{task}/{prompt}.parquet`.
        dtype: number format of weights and activations: float32, bfloat16 or float16.

    Raises:
        UserError: if a file is missing or the model's lacks a key.
    """
    model = read_json(model_json)
    try:
        questions_sha256 = sha256(questions)
    except OSError:
        raise UserError(f"{questions}: no such file; run the workflow again to make it") from None
    try:
        return {
            "model": model["spec"],
            "revision": model["revision"],
            "dtype": dtype,
            "questions_sha256": questions_sha256,
            "scoring_version": SCORING_VERSION,
        }
    except (KeyError, TypeError) as error:
        raise UserError(f"{model_json}: has no key {error}; delete it and run again") from None


def is_current(path: str | Path, identity: Mapping[str, Any]) -> bool:
    """Whether `path` is a whole, readable logit file of this identity."""
    try:
        read_logits(path, identity)
    except UserError:
        return False
    return True


def read_logits(path: str | Path, identity: Mapping[str, Any]) -> pa.Table:
    """Rows of the LOGITS contract.

    Raises:
        UserError: if the file is missing, damaged or of another identity, naming what differs.
    """
    found = read_identity(path)
    # Compared as JSON text, which is how it is stored.
    if found is None or canonical_json(found) != canonical_json(identity):
        keys = sorted(set(found or {}) | set(identity))
        differing = [key for key in keys if (found or {}).get(key) != identity.get(key)]
        raise UserError(
            f"{path}: scored with another {', '.join(differing)}; "
            "delete it and run the workflow again"
        )
    return read_parquet(path, LOGITS)


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


def write_logits(path: str | Path, rows: pa.Table, identity: Mapping[str, Any]) -> None:
    """Write a cell's logit file, whole or not at all."""
    write_parquet(path, rows, identity, digest=True)
