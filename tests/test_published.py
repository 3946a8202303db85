"""The published numbers: against the paper's own table and the list the figures were taken from."""

from pathlib import Path

import pandas as pd
import pytest

from alignment_calibration.contract import CHANGES
from alignment_calibration.errors import UserError
from alignment_calibration.frames import read_frame, write_frame
from alignment_calibration.published import published_changes, read_published, table_1
from alignment_calibration.tables import markdown, rank_table

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "data" / "published" / "changes.csv"
SOURCE = ROOT.parent / "shared" / "published" / "oh2024_changes.csv"


@pytest.fixture(scope="module")
def changes():
    return published_changes(read_published(PUBLISHED))


@pytest.mark.skipif(not SOURCE.exists(), reason="the list of published figures is not here")
def test_figures_are_those_of_the_source():
    keys = ["pair", "task", "method", "metric"]
    source = pd.read_csv(SOURCE).replace({"metric": {"sce": "sce_ovr"}})
    source = source.sort_values(keys, ignore_index=True)
    ours = read_published(PUBLISHED)
    pd.testing.assert_frame_equal(ours[list(source)], source, check_dtype=False, check_exact=True)
    empty = [name for name in CHANGES.names if name not in source]
    assert ours[empty].isna().all(axis=None)


def test_table_1_of_the_paper(changes):
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in markdown(rank_table(table_1(changes))).splitlines()
        if line.startswith("|")
    ]
    assert rows[:1] + rows[2:] == [
        ["rank", "arc_easy, mmlu_humanities, mmlu_stem, piqa", "hellaswag", "medmcqa"],
        ["1", "OLMo-7B", "OLMo-7B", "OLMo-7B"],
        ["2", "Llama-2-7b", "Llama-2-7b", "gemma-7b"],
        ["3", "gemma-7b", "gemma-7b", "Llama-2-7b"],
        ["4", "Llama-3-8B", "Llama-3-8B", "Llama-3-70B"],
        ["5", "Mistral-7B", "Llama-3-70B", "Llama-3-8B"],
        ["6", "Llama-3-70B", "Mistral-7B", "Mistral-7B"],
        ["7", "Qwen2-72B", "Qwen2-72B", "Qwen2-72B"],
    ]


def test_published_changes_are_a_file_of_the_contract(changes, tmp_path):
    write_frame(tmp_path / "changes.parquet", changes, CHANGES)
    read = read_frame(tmp_path / "changes.parquet", CHANGES)
    pd.testing.assert_frame_equal(read, changes, check_dtype=False)


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "changes.csv").write_text("pair,task\nX,a\n")
    with pytest.raises(UserError, match=r"changes\.csv: found columns"):
        read_published(tmp_path / "changes.csv")
