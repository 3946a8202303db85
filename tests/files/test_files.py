"""Files are whole or absent, and damage is found on reading."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import atomic_path, canonical_json, sha256, write_json
from alignment_calibration.files.parquet import read_identity, read_parquet, write_parquet

SCHEMA = pa.schema({"question_id": pa.string(), "value": pa.float64()})


@pytest.fixture
def table() -> pa.Table:
    values = [index / 7 for index in range(1000)]
    return pa.table({"question_id": [f"q{i}" for i in range(1000)], "value": values}, SCHEMA)


def fail_halfway(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "results.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError):
        fail_halfway(path)
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert os.listdir(tmp_path) == ["results.json"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "results.json"
    writer = "from alignment_calibration.files.atomic import atomic_path; import sys, time\n"
    writer += "with atomic_path(sys.argv[1]) as temporary:\n"
    writer += "    print(temporary, flush=True)\n"
    writer += "    time.sleep(600)\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", writer, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        temporary = Path(process.stdout.readline().strip())
        write_json(path, {"by": "another"})
        assert temporary.exists()
        process.kill()
    write_json(path, {"by": "the next"})
    assert os.listdir(tmp_path) == ["results.json"]


def test_sha256_of_a_known_message(tmp_path):
    (tmp_path / "abc").write_text("abc")  # the example of FIPS 180-2
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": [1, 2], "a": {"d": None, "c": 0.5}}) == canonical_json(
        {"a": {"c": 0.5, "d": None}, "b": [1, 2]}
    )


def test_a_table_comes_back_with_its_identity(tmp_path, table):
    path = tmp_path / "table.parquet"
    write_parquet(path, table, {"model": "m", "revision": "r"})
    assert read_parquet(path, SCHEMA).equals(table)
    assert read_identity(path) == {"model": "m", "revision": "r"}


def test_same_table_same_bytes_in_another_process(tmp_path, table):
    write_parquet(tmp_path / "here.parquet", table, {"a": 1})
    program = (
        "import sys, pyarrow.parquet as pq\n"
        "from alignment_calibration.files.parquet import read_identity, write_parquet\n"
        "source = sys.argv[1] + '/here.parquet'\n"
        "write_parquet(sys.argv[1] + '/there.parquet', pq.read_table(source), {'a': 1})\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert sha256(tmp_path / "here.parquet") == sha256(tmp_path / "there.parquet")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "no rows", "columns"])
def test_damage_is_found_and_the_file_named(tmp_path, table, damage):
    path = tmp_path / "table.parquet"
    write_parquet(path, table)
    data = bytearray(path.read_bytes())
    match damage:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "flipped":
            data[len(data) // 3] ^= 1
            path.write_bytes(data)
        case "no rows":
            write_parquet(path, table.slice(0, 0))
        case "columns":
            write_parquet(path, table.rename_columns(["question", "value"]))
    with pytest.raises(UserError, match=r"table\.parquet") as error:
        read_parquet(path, SCHEMA)
    assert str(error.value).count("\n") <= 2
