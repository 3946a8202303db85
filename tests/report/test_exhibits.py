"""The registries of figures and tables: what each entry names is there."""

import importlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from alignment_calibration.contract import TIDY
from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.report.registry import (
    AS_PUBLISHED,
    FIGURES,
    PUBLISHED,
    TABLES,
    Exhibit,
    of_config,
    of_study,
    pages,
    reads_of,
)
from alignment_calibration.report.tidy import frames_of
from alignment_calibration.study.vocabulary import METHODS

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"

#: Captions of the report that are not of a figure or table.
OF_THE_RUN = {"run_summary", "workflow"}

ENTRIES = [
    *(("figures", name, figure, name) for name, figure in FIGURES.items()),
    *(("tables", name, table, f"table_{name}") for name, table in TABLES.items()),
]


@pytest.mark.parametrize(("kind", "name", "exhibit", "caption"), ENTRIES)
def test_what_an_entry_names_is_there(kind, name, exhibit, caption):
    schemas = TIDY | {AS_PUBLISHED: CHANGES}
    module = importlib.import_module(f"alignment_calibration.report.{kind}.{name}")
    functions = {"figures": ("draw", "numbers"), "tables": ("table",)}[kind]
    assert all(callable(getattr(module, function)) for function in functions)
    assert (CAPTIONS / f"{caption}.rst").is_file()
    assert set(exhibit.reads) <= set(schemas)
    assert set(exhibit.optional) < set(exhibit.reads)
    assert all(set(exhibit.each) <= set(schemas[read].names) for read in exhibit.reads)
    assert exhibit.own or exhibit.published
    assert set(exhibit.methods) <= set(METHODS)


def test_every_caption_has_its_entry():
    captions = {path.stem for path in CAPTIONS.glob("*.rst")}
    assert captions - OF_THE_RUN == {caption for *_, caption in ENTRIES}


def test_reading_the_registry_costs_nothing():
    code = "import sys, alignment_calibration.report.registry; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert not loaded & {"pandas", "numpy", "pyarrow", "matplotlib", "scipy", "torch"}


MADE_UP = {
    "a": Exhibit(("changes", "ranks"), optional=("ranks",), published=True),
    "b": Exhibit(("metrics",), each=("pair", "method")),
    "c": Exhibit(("changes",), own=False, published=True),
}


def test_a_study_has_the_figures_that_are_made_of_it():
    assert list(of_study(MADE_UP, "mine")) == ["a", "b"]
    assert list(of_study(MADE_UP, PUBLISHED)) == ["a", "c"]
    assert reads_of(MADE_UP, "mine") == ["changes", "ranks", "metrics"]
    assert reads_of(MADE_UP, PUBLISHED) == ["changes"]


def test_an_exhibit_of_certain_methods_or_a_section_is_made_where_the_config_has_them():
    exhibits = MADE_UP | {
        "d": Exhibit(("changes",), methods=("choice", "choice_raw")),
        "e": Exhibit(("stages",), needs="ladders"),
    }
    config = {"methods": ["choice", "continuation_sum"], "ladders": {}}
    assert list(of_config(exhibits, config)) == ["a", "b", "c"]
    config = {"methods": ["choice_raw", "choice"], "ladders": {"L": ["x", "y", "z"]}}
    assert list(of_config(exhibits, config)) == ["a", "b", "c", "d", "e"]


def test_a_figure_is_made_for_each_of_its_values():
    values = {"pair": ["X", "Y"], "method": ["choice"]}
    assert list(pages(MADE_UP, "mine", values)) == [
        ("a",), ("b", "X", "choice"), ("b", "Y", "choice"),
    ]  # fmt: skip


def test_a_figure_gets_the_rows_of_its_values_and_none_for_what_is_not_there():
    rows = pd.DataFrame({"pair": ["X", "Y", "Y"], "method": ["m", "m", "n"], "value": [1, 2, 3]})
    [shown] = frames_of(MADE_UP["b"], {"metrics": rows}, ["Y", "m"])
    assert shown is not None
    assert shown["value"].tolist() == [2]
    changes, ranks = frames_of(MADE_UP["a"], {"changes": rows})
    assert changes is rows
    assert ranks is None
    with pytest.raises(KeyError, match="changes"):
        frames_of(MADE_UP["c"], {})
