"""Whether the files of a study are what the workflow wrote: `python -m …files.verification`.

Snakemake goes by dates, and a step reads only what it needs. This reads everything in full:
checkpoints against the hashes noted when they were found, logit files against their receipts,
tables against the digests in their metadata, and CSV files against the tables they were made of.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from alignment_calibration.errors import UserError, and_others, run_cli
from alignment_calibration.files.atomic import read_json, sha256
from alignment_calibration.files.frames import csv_text
from alignment_calibration.files.logits import read_logits, read_receipt
from alignment_calibration.files.origin import made_from
from alignment_calibration.files.parquet import read_whole


def verifiable(results: str | Path) -> list[Path]:
    """The files of a study that can be verified, sorted: see `problems`."""
    folder = Path(results)
    # Logit files are read with their receipts.
    tables = [
        path
        for path in folder.rglob("[!.]*.parquet")
        if "logits" not in path.relative_to(folder).parts
    ]
    csv_files = [path for path in folder.glob("*.csv") if path.with_suffix(".parquet").is_file()]
    receipts = folder.glob("logits/**/*.receipt.json")
    return sorted([*folder.glob("models/*.json"), *tables, *csv_files, *receipts])


def problems(files: Iterable[str | Path]) -> Iterator[str]:
    """What is wrong with files of results, one line each, which names the file and the remedy.

    Args:
        files: records of models, receipts, Parquet files, and CSV files beside one.
    """
    for path in map(Path, files):
        try:
            if path.name.endswith(".receipt.json"):
                read_logits(path, read_receipt(path)["identity"])
            elif path.suffix == ".json":
                yield from _of_checkpoint(path)
            elif path.suffix == ".csv":
                yield from _of_csv(path)
            else:
                read_whole(path)
        except UserError as error:
            yield str(error)


def _of_checkpoint(record: Path) -> Iterator[str]:
    """Files of a checkpoint that are not those that were found."""
    model = read_json(record)
    if model["path"] is None:  # scored elsewhere, and taken from an exported study
        return
    for file in model["files"]:
        path = Path(model["path"], file["name"])
        found = sha256(path) if path.is_file() else "missing"
        if found != file["sha256"]:
            yield (
                f"{path}: not the file that {record} was made of; "
                f"if it is the one you want, `rm {record}` and run the workflow again"
            )


def _of_csv(path: Path) -> Iterator[str]:
    """A CSV file that says something else than the Parquet file of its name."""
    frame: pd.DataFrame = read_whole(path.with_suffix(".parquet")).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype()}.get
    )
    if path.read_text(encoding="utf-8") != csv_text(frame):
        yield f"{path}: not what the workflow wrote; `rm {path}` and run the workflow again"


def verify(*paths: str | Path, expected: Iterable[str | Path] = ()) -> str:
    """Verify files of results, or all of a study's folder of them; says so in one line.

    Args:
        paths: files, or folders of studies.
        expected: files that must be there.

    Raises:
        UserError: with a line for each problem; one for all that are missing.
    """
    files = [
        file
        for path in map(Path, paths)
        for file in (verifiable(path) if path.is_dir() else [path])
    ]
    # A CSV file shares the problems of its table.
    found = dict.fromkeys(problems(tqdm(files, desc="verified", unit="file", disable=None)))
    if missing := [path for path in map(Path, expected) if not path.exists()]:
        others = and_others(len(missing) - 1)
        found[f"{missing[0]}: missing{others}; run the workflow, and verify again"] = None
    if found:
        raise UserError("\nerror: ".join(found))
    return f"{len(files)} files verified: all are what the workflow wrote"


def main() -> None:
    """Verify all files of a study's results, or some of them."""
    parser = argparse.ArgumentParser(
        "alignment_calibration.files.verification", description=main.__doc__
    )
    parser.add_argument("path", nargs="+", help="the study's folder of results, or files in it")
    parser.add_argument(
        "--origin",
        action="store_true",
        help="read what they must be made from, as JSON, from stdin",
    )
    arguments = parser.parse_args()
    with made_from(sys.stdin.read()) if arguments.origin else contextlib.nullcontext():
        print(verify(*arguments.path), file=sys.stderr)


if __name__ == "__main__":
    run_cli(main)
