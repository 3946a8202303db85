"""The registries of figures and tables: what each entry names is there."""

import importlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.contract import TIDY
from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.report.figures import style
from alignment_calibration.report.leftovers import remove_leftovers
from alignment_calibration.report.registry import (
    AS_PUBLISHED,
    FIGURES,
    MOST_PAIRS,
    PUBLISHED,
    TABLES,
    Exhibit,
    left_out,
    of_config,
    of_study,
    pages,
    reads_of,
)
from alignment_calibration.report.tables.step import make_table
from alignment_calibration.report.tidy import frames_of, head_of, shown_first
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS
from tests.support.made_changes import make_changes
from tests.support.made_study import DEFAULT_METHODS, ERRORS, TASKS, make_study

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
    assert {name for names in exhibit.any_of for name in names} <= {*METHODS, *METRICS}


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


def config_of(pairs=("X",), tasks=("t",), methods=tuple(METHODS), metrics=tuple(METRICS), **more):
    sections = {"pairs": dict.fromkeys(pairs), "tasks": dict.fromkeys(tasks), "ladders": {}}
    return sections | {"methods": list(methods), "metrics": list(metrics)} | more


NAMES = {"pair": {"P"}, "task": {"q"}}


@pytest.mark.parametrize(
    ("exhibit", "has", "has_not"),
    [
        (
            Exhibit(("changes",), any_of=(("choice", "choice_raw"), ("ece",))),
            [{"metrics": ["ece"]}, {"methods": ["choice_raw", "choice"], "metrics": []}],
            [{"metrics": ["sce"], "methods": ["choice", "continuation_sum"]}],
        ),
        (Exhibit(("stages",), needs="ladders"), [{"ladders": {"L": ["x", "y", "z"]}}], [{}]),
        (Exhibit(("changes",), pairs=2), [{"pairs": ["X", "Y"]}], [{}]),
        (
            Exhibit(("changes", AS_PUBLISHED)),
            [{"pairs": ["X", "P"], "tasks": ["q", "r"]}],
            [{}, {"pairs": ["P"]}, {"tasks": ["q"]}],
        ),
    ],
)
def test_an_exhibit_is_made_where_the_study_has_numbers_for_it(exhibit, has, has_not):
    assert all(of_config({"e": exhibit}, config_of(**more), NAMES) for more in has)
    assert not any(of_config({"e": exhibit}, config_of(**more), NAMES) for more in has_not)


def test_the_published_study_keeps_what_ours_has_no_numbers_for():
    kept = of_config({"e": Exhibit(("changes",), pairs=2, published=True)}, config_of(), NAMES)
    assert of_study(kept, "mine") == {}
    assert list(of_study(kept, PUBLISHED)) == ["e"]


#: Frames of metrics of their own.
WHATEVER_IS_MEASURED = {"map_parts", "map_effects", "multiverse"}

STUDIES = {
    "one of each": (1, 1, ["continuation_min"], ["ece"]),
    "no letters": (2, 1, ["continuation_sum"], ["ece", "accuracy"]),
    "accuracy alone": (2, 2, ["choice"], ["accuracy"]),
    "no calibration error": (1, 1, ["continuation_sum"], ["accuracy", "brier"]),
    "products of probabilities": (1, 2, ["continuation_pmi"], ["ece"]),
    "usual": (3, 2, list(DEFAULT_METHODS), ["accuracy", *ERRORS]),
}


@pytest.mark.parametrize(("pairs", "tasks", "methods", "metrics"), STUDIES.values(), ids=STUDIES)
def test_what_is_made_is_not_empty(pairs, tasks, methods, metrics, monkeypatch):
    frames = make_study(pairs, tasks, methods=methods)
    for name in frames.keys() - WHATEVER_IS_MEASURED:
        if "metric" in frames[name]:
            frames[name] = frames[name][frames[name]["metric"].isin(metrics)]
    primary = Primary(metrics[0], methods[0])
    config = config_of(frames["metrics"]["pair"].unique(), TASKS[:tasks], methods, metrics)

    def empty(message, width=0.0):
        raise AssertionError(message)

    monkeypatch.setattr(style, "in_words", empty)
    drawn = of_study(of_config(FIGURES, config, NAMES), "mine")
    for name, figure in drawn.items():
        if figure.each == ():
            module = importlib.import_module(f"alignment_calibration.report.figures.{name}")
            module.draw(*frames_of(figure, frames), **shown_first(figure, primary))
    made = of_study(of_config(TABLES, config, NAMES), "mine")
    for name in made:
        sections = make_table(name, frames, primary).sections
        assert all(section.rows for section in sections), name
        assert sections, name
    missing = {
        name for name, each in (FIGURES | TABLES).items() if each.own and each.of_many != "only"
    }
    missing -= {*drawn, *made}
    (sentence,) = left_out(config, NAMES)
    assert all(f" {name} (" in sentence for name in missing)


@pytest.mark.parametrize("exhibits", [FIGURES, TABLES], ids=["figures", "tables"])
@pytest.mark.parametrize(("pairs", "tasks", "methods", "metrics"), STUDIES.values(), ids=STUDIES)
def test_what_says_which_pairs_are_shown_is_read_too(exhibits, pairs, tasks, methods, metrics):
    names = [f"p{number}" for number in range(pairs)]
    made = of_config(exhibits, config_of(names, TASKS[:tasks], methods, metrics), NAMES)
    changes = make_changes(
        {(pair, "t", method, metrics[0]): 1.0 for pair in names for method in methods}
    )
    read = dict.fromkeys(reads_of(made, "mine"), changes)
    for exhibit in of_study(made, "mine").values():
        assert head_of(exhibit, read, Primary(metrics[0], methods[0])) == (read, [])


def test_a_figure_that_is_left_out_is_told_from_the_table_of_its_name():
    config = config_of(["p", "q"], metrics=["mce"])
    assert "ranks" in of_config(TABLES, config, NAMES)
    (sentence,) = left_out(config, NAMES)
    assert " the figure ranks (without ece, or sce_ovr)" in sentence
    assert " ladders (no ladders)" in sentence
    assert sentence.count("ladders (") == 1


@pytest.mark.parametrize(
    ("pairs", "mine"), [(MOST_PAIRS, ["all", "few"]), (MOST_PAIRS + 1, ["all", "many"])]
)
def test_other_exhibits_are_made_of_many_pairs_but_not_of_the_published_study(pairs, mine):
    exhibits = {
        "all": Exhibit(("changes",)),
        "few": Exhibit(("changes",), published=True, of_many="none"),
        "many": Exhibit(("changes",), of_many="only"),
    }
    made = of_config(exhibits, config_of([f"p{i}" for i in range(pairs)]), NAMES)
    assert list(of_study(made, "mine")) == mine
    assert list(of_study(made, PUBLISHED)) == ["few"]


def test_what_many_pairs_are_not_shown_in_is_said():
    few, many = (left_out(config_of([f"p{i}" for i in range(n)]), NAMES) for n in (20, 21))
    assert not any("too many" in sentence for sentence in few)
    assert "Figures left out, since 21 pairs are too many to be shown one by one: " in many[-1]
    assert " figure1, figure2, figure2_sce, accuracy_calibration, " in many[-1]
    assert many[-1].endswith("in their place: lineages, distribution.")


def test_of_many_pairs_those_with_the_largest_changes_are_shown():
    rates = {(f"p{i}", task, "choice", "ece"): i / 10 for i in range(1, 23) for task in "tu"}
    changes = make_changes(rates | {("p1", "t", "choice", "ece"): -9.0})
    primary = Primary("ece", "choice")
    largest, said = head_of(Exhibit(("changes",), of_many="largest"), {"changes": changes}, primary)
    assert set(changes["pair"]) - set(largest["changes"]["pair"]) == {"p2", "p3"}
    assert "Of 22 pairs, those 20 are shown" in said[0]
    first, said = head_of(Exhibit(("changes",), of_many="first"), {"changes": changes}, primary)
    assert first["changes"].groupby("task")["pair"].nunique().tolist() == [20, 20]
    assert "p1" not in set(first["changes"].loc[first["changes"]["task"] == "t", "pair"])
    of_all = head_of(Exhibit(("changes",)), {"changes": changes}, primary)
    assert of_all == ({"changes": changes}, [])
    few = changes[changes["pair"].isin([f"p{i}" for i in range(20)])]
    assert head_of(Exhibit(("changes",), of_many="largest"), {"changes": few}, primary)[1] == []


def test_files_of_exhibits_that_are_made_otherwise_now_are_removed(tmp_path):
    """The figure `a` in parts where it was one, `b` no more; what has another name stays."""
    made = tmp_path / "a" / "choice.png"
    old = [tmp_path / name for name in ("a.png", "a/choice_raw.png", "b/X/choice.png")]
    others = [tmp_path / name for name in ("mine.png", "ab.png", "mine/a.png", "a.txt")]
    for path in (made, *old, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    remove_leftovers(tmp_path, [made], ["a", "b", "c"])
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {made, *others}
    assert not (tmp_path / "b").exists()


def test_a_figure_is_made_for_each_of_its_values():
    values = {"pair": ["X", "Y"], "task": ["t"], "method": ["choice"]}
    assert list(pages(MADE_UP, "mine", values)) == [
        ("a",), ("b", "X", "choice"), ("b", "Y", "choice"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("beside", "pairs", "tasks", "methods", "sizes"),
    [
        ("", 20, 12, 9, [9]),
        ("methods", 20, 12, 4, [4]),
        ("methods", 20, 12, 5, [3, 2]),
        ("methods", 1, 1, 9, [3, 3, 3]),
        ("marks", 7, 10, 3, [3]),
        ("marks", 12, 7, 9, [3, 3, 3]),
        ("marks", 20, 12, 3, [1, 1, 1]),
        ("marks", 500, 1, 2, [1, 1]),
    ],
)
def test_of_many_methods_a_figure_has_parts_that_hold_each_once(
    beside, pairs, tasks, methods, sizes
):
    names = [f"m{number}" for number in range(methods)]
    values = {"pair": [f"p{i}" for i in range(pairs)], "task": ["t"] * tasks, "method": names}
    made = list(pages({"e": Exhibit(("changes",), beside=beside)}, "mine", values))
    shown = [part.split("+") for _, *parts in made for part in parts] or [names]
    assert [len(part) for part in shown] == sizes
    assert [name for part in shown for name in part] == names


def test_a_figure_gets_the_rows_of_its_values_and_none_for_what_is_not_there():
    rows = pd.DataFrame({"pair": ["X", "Y", "Y"], "method": ["m", "m", "n"], "value": [1, 2, 3]})
    [shown] = frames_of(MADE_UP["b"], {"metrics": rows}, ["Y", "m"])
    assert shown is not None
    assert shown["value"].tolist() == [2]
    [part] = frames_of(Exhibit(("changes",), beside="methods"), {"changes": rows}, ["n+o"])
    assert part is not None
    assert part["value"].tolist() == [3]
    changes, ranks = frames_of(MADE_UP["a"], {"changes": rows})
    assert changes is rows
    assert ranks is None
    with pytest.raises(KeyError, match="changes"):
        frames_of(MADE_UP["c"], {})
