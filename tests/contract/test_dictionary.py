"""The data dictionary: every column is described, and what is said of missing values is so."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread

from alignment_calibration import contract
from alignment_calibration.contract import FILES, dictionary
from alignment_calibration.contract.columns import KEYS, Column, described, table
from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.atomic import sha256
from alignment_calibration.files.parquet import write_parquet
from tests.support.study import ROOT, environment


def test_every_schema_of_the_contract_is_a_file_of_the_study() -> None:
    modules = [contract.scoring, contract.calibration, contract.pairs, contract.published,
               contract.records]  # fmt: skip
    schemas = [value for m in modules for value in vars(m).values() if isinstance(value, pa.Schema)]
    assert {id(schema) for schema in schemas} == {id(schema) for schema in FILES.values()}


@pytest.mark.parametrize("file", FILES)
def test_every_column_is_described(file: str) -> None:
    rows, columns = described(FILES[file])
    assert rows
    for name, column in columns.items():
        assert column.meaning, name
        kind = column.type.value_type if pa.types.is_list(column.type) else column.type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        assert bool(column.unit) >= number, f"{name} has no unit"


def test_a_column_without_a_description_is_found() -> None:
    with pytest.raises(TypeError, match="meaning"):
        described(pa.schema({"column": pa.string()}, metadata={"rows": "one"}))


def test_the_page_is_made_of_the_contract() -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert page == dictionary.page(), "out of date: `make files`"
    assert "?." not in page


def test_descriptions_change_no_byte_of_a_file(tmp_path: Path) -> None:
    """A questions file's hash is in the identity of the logit files that were scored on it."""
    said = table("others", {field.name: Column(field.type, "other") for field in QUESTIONS})
    plain = pa.schema([(field.name, field.type) for field in QUESTIONS])
    hashes = set()
    for schema in (QUESTIONS, said, plain):
        rows = schema.empty_table()
        write_parquet(tmp_path / "file.parquet", rows, {"made": "of this"})
        hashes.add(sha256(tmp_path / "file.parquet"))
    assert len(hashes) == 1


#: Files that a study with the default methods does not have.
OF_OTHER_STUDIES = {
    "audit.parquet",
    "letter_parts.parquet",
    "option_order.parquet",
    "stages.parquet",
    "steps.parquet",
    "trends.parquet",
}


@pytest.mark.slow
def test_a_finished_study_has_these_files_and_says_what_is_missing(study) -> None:
    of_programs = {
        file for pattern in ("*.parquet", "*.json") for file in study.results.rglob(pattern)
    }
    found = set()
    for name, schema in FILES.items():
        pattern = name
        for wildcard in ("{model}", "{task}", "{prompt}", "{pair}"):
            pattern = pattern.replace(wildcard, "*")
        files = set(study.results.glob(pattern))
        assert bool(files) != (name in OF_OTHER_STUDIES), name
        found |= files
        _, columns = described(schema)
        for file in files:
            if file.suffix == ".json":
                keys = json.loads(file.read_text("utf-8"))
                assert list(keys) == sorted(key for key in columns if key in keys), file
                assert all(said.null for key, said in columns.items() if key not in keys), file
                assert not set(keys) - set(columns), file
                continue
            rows = pq.read_table(file)
            leading = list(itertools.takewhile(KEYS.__contains__, rows.column_names))
            known = list(zip(*(rows[key].to_pylist() for key in leading), strict=True))
            assert known == sorted(known), f"{file}: not sorted by {leading}"
            for column, said in columns.items():
                assert said.null or not rows[column].null_count, f"{file}: {column}"
    assert of_programs == found


@pytest.mark.slow
def test_the_example_draws_a_figure_of_a_finished_study(study, tmp_path: Path) -> None:
    script = ROOT / "docs" / "examples" / "own_figure.py"
    run = subprocess.run(
        [sys.executable, "-W", "error", script, study.results, tmp_path / "own.png"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert run.returncode == 0, run.stderr
    assert imread(tmp_path / "own.png").std() > 0
    assert "q_value" in run.stdout
