"""Parquet files of the contract, read strictly."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from alignment_calibration.errors import UserError
from alignment_calibration.files import atomic_path, canonical_json, one_line

IDENTITY_KEY = b"alignment_calibration"


def write_parquet(
    path: str | Path, table: pa.Table, identity: Mapping[str, Any] | None = None
) -> None:
    """Write a table, with `identity` (what decides its content) in the file's metadata."""
    metadata = {} if identity is None else {IDENTITY_KEY: canonical_json(identity).encode()}
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            temporary,
            compression="zstd",
            write_page_checksum=True,  # a flipped bit is found on reading
        )


def read_parquet(path: str | Path, schema: pa.Schema) -> pa.Table:
    """Read a whole table of the contract, its pages' checksums included.

    Raises:
        UserError: if the file is missing, damaged, has other columns or no rows.
    """
    # Not `read_table`, which imports pandas: scoring jobs do without.
    with (
        _parquet_errors(path),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        table = file.read()
        # The footer has no checksum, but it counts the rows more than once.
        if table.num_rows != file.metadata.num_rows:
            raise pa.ArrowInvalid("its counts of rows disagree")
    found = {field.name: field.type for field in table.schema}
    wanted = {field.name: field.type for field in schema}
    if found != wanted:
        differing = sorted(set(found.items()) ^ set(wanted.items()), key=str)
        names = ", ".join(dict.fromkeys(name for name, _ in differing))
        raise UserError(
            f"{path}: not a file of this step: missing, extra or retyped column {names}"
        )
    if table.num_rows == 0:
        raise UserError(f"{path}: has no rows; delete it and run the workflow again")
    return table.select(schema.names)


def read_identity(path: str | Path) -> Any:
    """The identity in a Parquet file's metadata, or None if it has none.

    Raises:
        UserError: if the file is missing or damaged.
    """
    with _parquet_errors(path):
        metadata = pq.read_schema(path).metadata or {}
        if IDENTITY_KEY not in metadata:
            return None
        return json.loads(metadata[IDENTITY_KEY])


@contextlib.contextmanager
def _parquet_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the workflow again to make it") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(
            f"{path}: damaged or cut short ({one_line(error)}); delete it and run again"
        ) from None
