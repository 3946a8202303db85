"""Parquet files: what their digest tells apart, and what is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.files.parquet import read_parquet, values_digest, write_parquet

TABLE = pa.table(
    {
        "number": pa.array([1, None, 3], pa.int64()),
        "text": ["x", None, "yy"],
        "list": pa.array([[1.0, 2.0], [3.0], []], pa.list_(pa.float32())),
        "truth": pa.array([True, None, False]),
        "fraction": pa.array([0.1, float("nan"), None]),
    }
)


def test_the_digest_is_of_the_values_alone(tmp_path: Path) -> None:
    write_parquet(tmp_path / "file.parquet", TABLE, {"made": "of this"})
    digest = values_digest(TABLE)
    assert values_digest(read_parquet(tmp_path / "file.parquet", TABLE.schema)) == digest
    assert values_digest(pa.concat_tables([TABLE.slice(0, 2), TABLE.slice(2)])) == digest
    assert values_digest(pa.concat_tables([TABLE] * 3).slice(3, 3)) == digest


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 0, 3], pa.int64()),  # a value for a null
        pa.array([None, 1, 3], pa.int64()),  # the null in another place
        pa.array([3, None, 1], pa.int64()),
        pa.array([1, None, 4], pa.int64()),
    ],
)
def test_other_values_have_another_digest(column: pa.Array) -> None:
    assert values_digest(TABLE.set_column(0, "number", column)) != values_digest(TABLE)


def test_values_that_move_between_lists_have_another_digest() -> None:
    moved = pa.array([[1.0], [2.0, 3.0], []], pa.list_(pa.float32()))
    assert values_digest(TABLE.set_column(2, "list", moved)) != values_digest(TABLE)


def test_what_stands_in_the_place_of_a_null_does_not_count() -> None:
    valid = pa.array([True, False]).buffers()[1]
    one, other = (
        pa.Array.from_buffers(pa.int64(), 2, [valid, pa.py_buffer(np.array([1, hidden]))])
        for hidden in (2, 3)
    )
    assert values_digest(pa.table({"a": one})) == values_digest(pa.table({"a": other}))


def test_a_file_that_somebody_has_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    write_parquet(path, TABLE)
    edited = pq.read_table(path).set_column(0, "number", pa.array([1, 2, 3], pa.int64()))
    pq.write_table(edited, path)  # with the metadata it had
    with pytest.raises(UserError, match="not those that the workflow wrote"):
        read_parquet(path, TABLE.schema)
    pq.write_table(edited.replace_schema_metadata(None), path)
    with pytest.raises(UserError, match="not those that the workflow wrote"):
        read_parquet(path, TABLE.schema)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (pa.ArrowMemoryError("malloc of size 4096 failed"), MemoryError),
        (pa.ArrowException("Failed to launch worker thread: Resource"), MemoryError),
        (OSError("Unknown error: Failed to launch worker thread: Resource"), MemoryError),
        (pa.ArrowMemoryError("malloc of size 1234567890123456789 failed"), UserError),
        (pa.ArrowInvalid("Corrupt snappy compressed data."), UserError),
    ],
)
def test_a_machine_without_memory_is_not_taken_for_a_damaged_file(
    tmp_path, monkeypatch, error, outcome
):
    """A damaged logit file is removed and scored again; a whole one must not be."""
    write_parquet(tmp_path / "x.parquet", TABLE)

    def read(*_):
        raise error

    monkeypatch.setattr(pq.ParquetFile, "read", read)
    with pytest.raises(outcome, match=r"x\.parquet"):
        read_parquet(tmp_path / "x.parquet", TABLE.schema)
