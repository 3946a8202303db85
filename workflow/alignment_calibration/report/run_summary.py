"""What a run used: models and their revisions, libraries, devices, hours and tokens."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alignment_calibration.files.atomic import read_json, write_json


def summarise(models: Sequence[str | Path], runs: Sequence[str | Path]) -> dict[str, Any]:
    """Gather the records of a study's models and score jobs.

    Args:
        models: `models/{model}.json` files.
        runs: `logits/{model}/{task}/{prompt}.run.json` files.

    Returns:
        `models`: slug, source, revision, bytes; `libraries`: versions in use, several where jobs
        differed; `devices`: `cells` and `hours` of scoring by device, start-up included;
        `questions` (put, over all cells) and `tokens` (computed).

    Raises:
        UserError: if a file is missing or is not JSON.
    """
    records = [read_json(path) for path in runs]
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
        "questions": sum(record["questions"] for record in records),
        "tokens": sum(record["tokens_computed"] for record in records),
    }


def write_run_summary(
    models: Sequence[str | Path], runs: Sequence[str | Path], output: str | Path
) -> None:
    """Write `summarise` as JSON."""
    write_json(output, summarise(models, runs))


def _model(record: dict[str, Any]) -> dict[str, Any]:
    spec = record["spec"]
    return {
        "model": record["model"],
        "source": spec.get("hub") or spec.get("path"),
        "revision": record["revision"],
        "bytes": sum(file["size"] for file in record["files"]),
    }
