"""Parquet files of the contract, read strictly."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from alignment_calibration.contract.columns import MAY_BE_EMPTY
from alignment_calibration.errors import UserError, lacks_memory, one_line
from alignment_calibration.files.atomic import atomic_path, canonical_json
from alignment_calibration.files.origin import DIGEST_KEY, check_origin, origin_metadata

IDENTITY_KEY = b"alignment_calibration"
_AGAIN = "delete it and run the workflow again"


def write_parquet(
    path: str | Path, table: pa.Table, identity: Mapping[str, Any] | None = None
) -> None:
    """Write a table, with a digest of its values and what it was made from, which `read_parquet`
    compares.

    Args:
        path: of the file.
        table: its rows.
        identity: what decides its content; goes into the file's metadata.
    """
    metadata = {DIGEST_KEY: values_digest(table).encode(), **origin_metadata()}
    if identity is not None:
        metadata[IDENTITY_KEY] = canonical_json(identity).encode()
    # Without the columns' descriptions: what is said of a column is no part of its values, and the
    # bytes of a questions file decide which logit files are of it.
    fields = [field.remove_metadata() for field in table.schema]
    with atomic_path(path) as temporary:
        pq.write_table(
            table.cast(pa.schema(fields, metadata)),
            temporary,
            compression="zstd",
            write_page_checksum=True,  # a flipped bit is found on reading
        )


def read_parquet(path: str | Path, schema: pa.Schema, mend: str | None = None) -> pa.Table:
    """Read a whole table of the contract, its pages' checksums included.

    Args:
        path: of the file.
        schema: the columns it must have.
        mend: what an error tells the user to do; by default, to run the workflow again.

    Raises:
        UserError: if the file is missing, damaged, has other columns, or no rows although the
            schema asks for some.
    """
    table = read_whole(path, mend)
    found = {field.name: field.type for field in table.schema}
    wanted = {field.name: field.type for field in schema}
    if found != wanted:
        differing = sorted(set(found.items()) ^ set(wanted.items()), key=str)
        names = ", ".join(dict.fromkeys(name for name, _ in differing))
        raise UserError(
            f"{path}: not a file of this step: missing, extra or retyped column {names}; "
            f"{mend or _AGAIN}"
        )
    if table.num_rows == 0 and MAY_BE_EMPTY not in (schema.metadata or {}):
        raise UserError(f"{path}: has no rows; {mend or _AGAIN}")
    return table.select(schema.names)


def read_whole(path: str | Path, mend: str | None = None) -> pa.Table:
    """Read a table whatever its columns, and find its values to be those that were written, from
    what there is now.

    Args:
        path: of the file.
        mend: what an error tells the user to do; by default, to run the workflow again.

    Raises:
        UserError: if the file is missing, damaged, not the workflow's, or made from other than the
            step that reads it is told (see `files/origin.py`).
    """
    # Not `read_table`, which imports pandas: scoring jobs do without.
    with (
        _parquet_errors(path, mend),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        table = file.read()
        # The footer has no checksum, but it counts the rows more than once.
        if table.num_rows != file.metadata.num_rows:
            raise pa.ArrowInvalid("its counts of rows disagree")
        metadata = file.schema_arrow.metadata or {}
        if metadata.get(DIGEST_KEY) != values_digest(table).encode():
            raise pa.ArrowInvalid("its values are not those that the workflow wrote")
        check_origin(path)
    return table


def read_identity(path: str | Path, mend: str | None = None) -> Any:
    """The identity in a Parquet file's metadata, or None if it has none.

    Args:
        path: of the file.
        mend: what an error tells the user to do; by default, to run the workflow again.

    Raises:
        UserError: if the file is missing or damaged.
    """
    with _parquet_errors(path, mend):
        metadata = pq.read_schema(path).metadata or {}
        if IDENTITY_KEY not in metadata:
            return None
        return json.loads(metadata[IDENTITY_KEY])


def read_digest(path: str | Path) -> str:
    """The digest of its values in a Parquet file's metadata: see `values_digest`.

    Raises:
        UserError: as of `read_whole`.
    """
    with _parquet_errors(path, None):
        metadata = pq.read_schema(path).metadata or {}
        if DIGEST_KEY not in metadata:
            raise pa.ArrowInvalid("no digest of its values")
        check_origin(path)
        return str(metadata[DIGEST_KEY], "utf-8")


def values_digest(table: pa.Table) -> str:
    """SHA-256 over the values of a table, in hexadecimal; the same for the same values.

    (The checksums of Parquet's pages leave out their headers, and a file may be written anew.)
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        if column.null_count:  # what stands in the place of a null is left to chance
            digest.update(_serialised(name, column.is_valid()))
            column = column.filter(column.is_valid())
        digest.update(_serialised(name, column))
    return digest.hexdigest()


def _serialised(name: str, column: pa.Array) -> pa.Buffer:
    if pa.types.is_boolean(column.type):  # eight to a byte, the last of which has room to spare
        column = column.cast(pa.uint8())
    # In one piece from its beginning: a part of a larger array is written otherwise.
    return pa.record_batch([pa.concat_arrays([column])], [name]).serialize()


@contextlib.contextmanager
def _parquet_errors(path: str | Path, mend: str | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; {mend or 'run the workflow again to make it'}"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        if lacks_memory(error) and not _asks_too_much(error):  # no reason to think ill of the file
            raise MemoryError(f"{path}: {one_line(error)}") from None
        raise UserError(
            f"{path}: damaged or cut short ({one_line(error)}); {mend or _AGAIN}"
        ) from None


def _asks_too_much(error: BaseException) -> bool:
    """Whether Arrow wanted more than the machine has: a length in the file is not what it was."""
    wanted = re.search(r"size (\d+)", str(error))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return wanted is not None and int(wanted[1]) > there
