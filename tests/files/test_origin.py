"""What result files say they were made from, and what happens to whoever reads others."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.files.origin import made_from
from alignment_calibration.files.parquet import read_digest, read_whole, write_parquet


def stated(config: str, **given: str) -> str:
    return json.dumps({"config": config, "given": given})


def write(path: str, value: int) -> None:
    write_parquet(path, pa.table({"value": [value]}))


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], pa.Table]:
    """Three files, each made of the one before; a function that reads one as a step would."""
    monkeypatch.chdir(tmp_path)
    with made_from(stated("first")):
        write("a.parquet", 1)
    with made_from(stated("second"), ["a.parquet"]):
        write("folder/b.parquet", 2)
    with made_from(stated("third"), ["folder/b.parquet"]):
        write("c.parquet", 3)

    def read(path: str, **given: str) -> pa.Table:
        with made_from(stated("reader", **given)):
            return read_whole(path)

    return read


def test_files_made_from_what_there_is_are_read(chain: Callable[..., pa.Table]) -> None:
    assert chain("c.parquet", **{"c.parquet": "third"})["value"].to_pylist() == [3]
    assert chain("folder/b.parquet", folder="second")["value"].to_pylist() == [2]


def test_a_file_of_another_config_is_refused_by_name(chain: Callable[..., pa.Table]) -> None:
    with pytest.raises(UserError, match=r"^c\.parquet: was made under another config"):
        chain("c.parquet", **{"c.parquet": "other"})
    with pytest.raises(UserError, match=r"^folder/b\.parquet: was made under another config"):
        chain("folder/b.parquet", folder="other")


def test_a_file_that_says_nothing_of_its_config_is_refused(chain: Callable[..., pa.Table]) -> None:
    write("c.parquet", 3)
    with pytest.raises(UserError, match=r"^c\.parquet: was made under another config"):
        chain("c.parquet", **{"c.parquet": "third"})


@pytest.mark.parametrize("changed", ["a.parquet", "folder/b.parquet"])
def test_a_file_whose_origin_changed_however_far_back_is_refused(
    chain: Callable[..., pa.Table], changed: str
) -> None:
    write(changed, 7)
    with pytest.raises(UserError, match=rf"^c\.parquet: was not made from {changed}"):
        chain("c.parquet")


def test_the_same_values_written_again_are_the_same_origin(chain: Callable[..., pa.Table]) -> None:
    with made_from(stated("second"), ["a.parquet"]):
        write("folder/b.parquet", 2)
    assert chain("c.parquet").num_rows == 1


def test_whoever_is_no_step_reads_any_file(chain: Callable[..., pa.Table]) -> None:
    write("a.parquet", 7)
    assert read_whole("c.parquet").num_rows == 1


def test_the_digest_of_a_file_is_of_its_values_alone(chain: Callable[..., pa.Table]) -> None:
    before = read_digest("a.parquet")
    with made_from(stated("other")):
        write("a.parquet", 1)
    assert read_digest("a.parquet") == before
    write("a.parquet", 2)
    assert read_digest("a.parquet") != before
