"""Logit files: the log-probabilities of one cell, and the identity by which the file validates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from alignment_calibration.contract import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files import canonical_json, read_json, sha256
from alignment_calibration.parquet import read_identity, read_parquet, write_parquet

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


def write_logits(path: str | Path, rows: pa.Table, identity: Mapping[str, Any]) -> None:
    """Write a cell's logit file, whole or not at all."""
    write_parquet(path, rows.cast(LOGITS), identity)
