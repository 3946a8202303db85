"""Logit files and their receipts: the log-probabilities of cells, and what they must be.

The logit file of a cell belongs to the scorer; Snakemake knows only the receipt beside it, which
says what the file must hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import canonical_json, read_json, write_json
from alignment_calibration.files.parquet import (
    read_digest,
    read_identity,
    read_parquet,
    values_digest,
    write_parquet,
)

#: Raised by one whenever the same checkpoint and questions would give other numbers than before,
#: beyond float tolerance. Files of an earlier version are then scored again. 1 gave LongRoPE models
#: wrong angles, and could take a prediction for read when memory ran out.
SCORING_VERSION = 2
#: What half precision adds: its logits on GPUs are sums in float32 since 1 where models are scored
#: by trie, and since 2 in plain scoring too.
_OF_HALF_PRECISION = 2

_RECEIPT = ".receipt.json"


def logits_beside(receipt: str | Path) -> Path:
    """The logit file that a receipt, `{prompt}.receipt.json`, speaks of."""
    return Path(str(receipt).removesuffix(_RECEIPT) + ".parquet")


def run_json_beside(receipt: str | Path) -> Path:
    """Where times and sizes of the run that made the logit file are noted."""
    return Path(str(receipt).removesuffix(_RECEIPT) + ".run.json")


def expected_identity(
    model_json: str | Path, questions: str | Path, settings: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that decides the content of a cell's logit file.

    Args:
        model_json: `models/{model}.json`: the checkpoint's spec and resolved revision.
        questions: `questions/{task}/{prompt}.parquet`, or `{prompt}.{chat}.parquet` for a model
            that is asked by its chat template.
        settings: what of the way of scoring decides the numbers: `dtype`, the number format of
            weights and activations, and `backend` where that has numbers of its own. What the
            config says of `model` goes before what the file says.

    Raises:
        UserError: if a file is missing or the model's lacks a key.
    """
    model = read_json(model_json)
    try:
        asked = {"questions_sha256": read_digest(questions)}
        if "chat_template" in model:
            asked = read_identity(questions) | {
                "chats_sha256": read_digest(questions),
                "chat_template_sha256": model["chat_template_sha256"],
            }
        return {
            "model": model["spec"],
            "revision": model["revision"],
            **asked,
            "scoring_version": scoring_version(settings),
            **settings,
        }
    except (KeyError, TypeError) as error:
        raise UserError(f"{model_json}: has no key {error}; delete it and run again") from None


def scoring_version(settings: Mapping[str, str]) -> int:
    """The version of scoring in the number format of some `settings`, see `expected_identity`."""
    half = settings.get("dtype") in ("bfloat16", "float16")
    return SCORING_VERSION + half * _OF_HALF_PRECISION


def identified_cells(
    cells: Iterable[Sequence[str]],
    receipts: Iterable[str],
    questions: Iterable[str],
    model_json: str,
    settings: Mapping[str, Any],
) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """The receipt of each of a model's cells, and the identity that its logit file must have.

    Args:
        cells: task and prompt of each.
        receipts, questions: files of each, in the same order.
        model_json, settings: see `expected_identity`.

    Raises:
        UserError: if a file is missing.
    """
    return {
        (task, prompt): (receipt, expected_identity(model_json, asked, settings))
        for (task, prompt), receipt, asked in zip(cells, receipts, questions, strict=True)
    }


def write_logits(path: str | Path, rows: pa.Table, identity: Mapping[str, Any]) -> None:
    """Write a cell's logit file, whole or not at all."""
    write_parquet(path, rows, identity)


def write_receipt(receipt: str | Path, identity: Mapping[str, Any], digest: str) -> None:
    """Write the receipt of a cell: the same bytes whenever its logit file holds the same.

    Args:
        receipt: file to write.
        identity: of the logit file.
        digest: `values_digest` of its rows.
    """
    write_json(receipt, {"identity": dict(identity), "values_sha256": digest})


def stored_digest(path: str | Path, identity: Mapping[str, Any]) -> str | None:
    """Digest of the values of a logit file; None if it is not whole, or of another identity."""
    try:
        _check_identity(path, read_identity(path), identity, mend="")
        return values_digest(read_parquet(path, LOGITS))
    except UserError:
        return None


def read_logits(receipt: str | Path, identity: Mapping[str, Any]) -> pa.Table:
    """Rows of the LOGITS contract, from the logit file beside a receipt.

    Raises:
        UserError: if the file is missing, damaged, of another identity than this one, or holds
            other values than the receipt says; it names the command that mends it.
    """
    path = logits_beside(receipt)
    mend = f"to mend it: `rm {receipt}`, then the same snakemake command again"
    noted = read_receipt(receipt)
    _check_identity(receipt, noted["identity"], identity, mend)
    _check_identity(path, read_identity(path, mend), identity, mend)
    table = read_parquet(path, LOGITS, mend)
    if values_digest(table) != noted["values_sha256"]:
        raise UserError(f"{path}: holds other values than its receipt says; {mend}")
    return table


def read_receipt(receipt: str | Path) -> dict[str, Any]:
    """A receipt: `identity` and `values_sha256` of the logit file beside it.

    Raises:
        UserError: if the file is missing or no receipt.
    """
    noted = read_json(receipt)
    if not isinstance(noted, dict) or set(noted) != {"identity", "values_sha256"}:
        raise UserError(f"{receipt}: not a receipt of a logit file; delete it and run again")
    return noted


def run_record(receipt: str | Path) -> dict[str, Any] | None:
    """The record of the run that made a cell; None if it is lost, or that of other values."""
    try:
        record = read_json(run_json_beside(receipt))
    except UserError:
        return None
    digest = read_receipt(receipt)["values_sha256"]
    ours = isinstance(record, dict) and record.get("values_sha256") == digest
    return record if ours else None


def _check_identity(path: str | Path, found: Any, identity: Mapping[str, Any], mend: str) -> None:
    """Raise a `UserError` that names what differs, if something does."""
    # Compared as JSON text, which is how it is stored.
    if canonical_json(found) == canonical_json(identity):
        return
    found = found if isinstance(found, dict) else {}
    keys = sorted(set(found) | set(identity))
    differing = [key for key in keys if found.get(key) != identity.get(key)]
    raise UserError(f"{path}: scored with another {', '.join(differing)}; {mend}")
