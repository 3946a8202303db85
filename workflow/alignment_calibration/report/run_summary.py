"""What a run used: models and their revisions, libraries, devices, hours and tokens."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from alignment_calibration.contract.calibration import ALL_METRICS
from alignment_calibration.files.atomic import read_json, write_json
from alignment_calibration.files.logits import read_receipt, run_record
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.sources import source_key, source_of


def summarise(
    models: Sequence[str | Path], receipts: Sequence[str | Path], metrics: str | Path
) -> dict[str, Any]:
    """Gather the records of a study's models and score jobs.

    Args:
        models: `models/{model}.json` files.
        receipts: `logits/{model}/{task}/{prompt}.receipt.json` files; the record of the run that
            made a cell, `{prompt}.run.json`, lies beside its receipt or is lost.
        metrics: the study's `metrics.parquet`.

    Returns:
        `models`: slug, source, revision, bytes; `libraries`: versions in use, several where jobs
        differed; `devices`: `cells` and `hours` of scoring by device, start-up included;
        `sampled`: cells of models that were scored before; `not_recorded`: cells of whose run no
        record is left; `questions` (put) and `tokens`
        (computed), over the recorded cells; `truncated`: model, task, method, and how many of the
        `n` questions lost a part of their context, where any did.

    Raises:
        UserError: if a model's file, a receipt or the metrics are missing or damaged.
    """
    scored = [receipt for receipt in receipts if _is_scored(receipt)]
    records = [record for receipt in scored if (record := run_record(receipt)) is not None]
    seconds: Counter[str] = Counter()
    cells: Counter[str] = Counter()
    libraries: dict[str, set[str]] = {}
    for record in records:
        device = record["device"]
        seconds[device] += record["seconds"] + record["startup_seconds"]
        cells[device] += 1
        for library, version in record["libraries"].items():
            libraries.setdefault(library, set()).add(version)
    return {
        "models": [_model(read_json(path)) for path in models],
        "libraries": {name: ", ".join(sorted(found)) for name, found in libraries.items()},
        "devices": [
            {"device": device, "cells": cells[device], "hours": round(seconds[device] / 3600, 4)}
            for device in sorted(cells)
        ],
        "sampled": len(receipts) - len(scored),
        "not_recorded": len(scored) - len(records),
        "questions": sum(record["questions"] for record in records),
        "tokens": sum(record["tokens_computed"] for record in records),
        "truncated": _truncated(metrics),
    }


def _is_scored(receipt: str | Path) -> bool:
    return source_of(read_receipt(receipt)["identity"]["model"]).scored


def write_run_summary(
    models: Sequence[str | Path],
    receipts: Sequence[str | Path],
    metrics: str | Path,
    output: str | Path,
) -> None:
    """Write `summarise` as JSON."""
    write_json(output, summarise(models, receipts, metrics))


def _truncated(metrics: str | Path) -> list[dict[str, Any]]:
    keys = ["model", "task", "method"]
    rows = read_parquet(metrics, ALL_METRICS).filter(pc.field("truncated") > 0)
    # All metrics speak of the same questions, and a base model stands under each of its pairs.
    unique = rows.group_by([*keys, "n", "truncated"]).aggregate([])
    found: list[dict[str, Any]] = unique.sort_by([(key, "ascending") for key in keys]).to_pylist()
    return found


def _model(record: dict[str, Any]) -> dict[str, Any]:
    spec = record["spec"]
    return {
        "model": record["model"],
        "source": spec[source_key(spec)],
        "revision": record["revision"],
        "bytes": sum(file["size"] for file in record["files"]),
    }
