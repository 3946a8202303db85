"""Tables: their content against hand-worked cases, their formats against readers of the formats."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from alignment_calibration import compare
from alignment_calibration.report.html import table_html
from alignment_calibration.report.registry import TABLES
from alignment_calibration.report.tables import changes as change_table
from alignment_calibration.report.tables import headline
from alignment_calibration.report.tables import models as model_table
from alignment_calibration.report.tables import ranks as rank_table
from alignment_calibration.report.tables.cells import percent, rate_cell, value_cell
from alignment_calibration.report.tables.formats import latex, markdown, write_table
from alignment_calibration.report.tables.step import make_table
from alignment_calibration.report.tables.table import MISSING, Bold, Section, Table, paragraph
from alignment_calibration.study.settings import USUAL, Primary
from alignment_calibration.study.vocabulary import METHODS, Method
from tests.support.gaussian_models import Model, answer, draw_questions
from tests.support.made_changes import make_changes
from tests.support.made_study import DEFAULT_METHODS, make_study

NAN = float("nan")


def rates_of(task, **rates):
    return {(pair, task, "choice", "ece"): rate for pair, rate in rates.items()}


def rows_of(text):
    """The cells of every row of the Markdown tables in a text, without bold marks."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("*") for cell in line.strip("|").split(" | ")] for line in lines]


def test_tasks_of_one_ranking_share_a_column_and_the_commonest_ranking_comes_first():
    changes = make_changes(
        rates_of("a", X=0.1, Y=0.3) | rates_of("b", X=0.4, Y=0.2) | rates_of("c", X=0.5, Y=-0.2)
    )
    assert rows_of(markdown(rank_table.table(changes))) == [
        ["rank", "b, c", "a"],
        ["--:", ":--", ":--"],
        ["1", "X", "Y"],
        ["2", "Y", "X"],
    ]


def test_pairs_of_one_rank_share_a_field_and_pairs_without_a_rate_come_last():
    changes = make_changes(rates_of("a", X=0.1, Y=0.1, Z=0.0, W=None))
    table = rank_table.table(changes)
    assert rows_of(markdown(table))[2:] == [
        ["1", "X, Y"],
        ["2", ""],
        ["3", "Z"],
        ["4", ""],
        [MISSING, "W"],
    ]
    assert table.data[["rank", "pair"]].to_numpy().tolist() == [
        [1, "X"],
        [1, "Y"],
        [3, "Z"],
        [pd.NA, "W"],
    ]


def test_many_different_rankings_stand_in_several_blocks():
    pairs = "ABCDEFG"
    rates: dict[Any, float] = {}
    for shift, task in enumerate("tuvwxyz"):
        order = pairs[shift:] + pairs[:shift]
        rates |= rates_of(task, **{pair: -place / 10 for place, pair in enumerate(order)})
    sections = rank_table.table(make_changes(rates)).sections
    assert [section.header[1:] for section in sections] == [tuple("tuvw"), tuple("xyz")]


def test_change_table_has_a_section_per_metric_and_a_column_per_method():
    changes = make_changes(
        {
            ("X", "a", "choice", "ece"): 0.5,
            ("X", "a", "continuation_sum", "ece"): -0.0125,
            ("X", "b", "choice", "ece"): None,
            ("X", "a", "choice", "accuracy"): 0.0,
        },
        half_width=0.25,
        q_value=0.2,
    )
    changes.loc[changes["change_rate"] == 0.5, "q_value"] = 0.01
    text = markdown(change_table.table(changes, USUAL))
    assert rows_of(text) == [
        ["task", "pair", "choice", "continuation_sum"],
        [":--", ":--", "--:", "--:"],
        ["a", "X", "+50.0 [25.0, 75.0]", "−1.25 [−26.25, 23.75]"],
        ["b", "X", MISSING, MISSING],
        ["task", "pair", "choice", "continuation_sum"],
        [":--", ":--", "--:", "--:"],
        ["a", "X", "0.00 [−25.00, 25.00]", MISSING],
    ]
    assert re.findall(r"\*\*(\+.*?)\*\*", text) == ["+50.0 [25.0, 75.0]"]


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0125, "+1.25"),
        (-0.0608, "−6.08"),
        (5.6747, "+567"),
        (0.8072, "+80.7"),
        (-0.00004, "0.00"),
        (0, "0.00"),
    ],
)
def test_percent_shows_three_digits_or_hundredths(fraction, text):
    assert percent(fraction, sign=True) == text


def test_only_a_significant_change_is_bold():
    assert isinstance(rate_cell(0.1, 0.05, 0.15, 0.01), Bold)
    assert isinstance(rate_cell(0.1, 0.0, 0.15, 0.05), Bold)
    assert not isinstance(rate_cell(0.1, -0.01, 0.15, 0.0501), Bold)
    assert not isinstance(rate_cell(0.1, float("nan"), float("nan"), float("nan")), Bold)


@pytest.mark.parametrize(
    ("low", "high", "debiased", "text"),
    [
        (0.22, NAN, NAN, "+50.0 [≥ +22.0]"),
        (0.7, NAN, 1.25, "+50.0 (debiased +125.0) [≥ +70.0]"),
        (0.7, NAN, NAN, f"+50.0 (debiased {MISSING}) [≥ +70.0]"),
        (-1.0, 0.25, -0.3, "+50.0 (debiased −30.0) [−100.0, 25.0]"),
        (0.4, 0.6, 0.45, "+50.0 [40.0, 60.0]"),
        (NAN, NAN, 0.45, "+50.0"),
    ],
)
def test_an_end_without_bound_and_a_rate_outside_its_interval_are_shown(low, high, debiased, text):
    assert rate_cell(0.5, low, high, debiased=debiased) == text


def test_an_error_outside_its_interval_is_shown_debiased():
    assert value_cell("sce", 0.03, 0.0, 0.02, 0.004) == "3.0 (debiased 0.4) [0.0, 2.0]"
    assert value_cell("sce", 0.03, 0.0, 0.04, 0.004) == "3.0 [0.0, 4.0]"


def test_no_change_is_bold_beside_an_interval_that_includes_0():
    studies = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        asked = draw_questions(random, 400)
        pair = [Model(0.6, temperature) for temperature in random.uniform(0.3, 1.5, 2)]
        base, aligned = (answer(random, asked, model) for model in pair)
        studies.append(
            compare(
                base.probabilities,
                aligned.probabilities,
                asked.gold,
                resamples=200,
                permutations=19,
                pair=str(seed),
            )
        )
    sections = change_table.table(pd.concat(studies), USUAL).sections
    bold = [text for section in sections for row in section.rows for text in row[2:]]
    bold = [text for text in bold if isinstance(text, Bold)]
    assert len(bold) > 20
    for text in bold:
        interval = re.search(r"\[(.*)\]", text)
        if interval and "≥" in interval[1]:
            assert "+" in interval[1], text
        elif interval:
            low, high = (float(end.replace("−", "-")) for end in interval[1].split(", "))
            assert low * high >= 0, text


def test_csv_holds_fractions_exactly_and_missing_values_empty(tmp_path):
    changes = make_changes(
        {("X", "a", "choice", "ece"): -0.0125, ("Y", "a", "choice", "ece"): None}
    )
    write_table(change_table.table(changes, USUAL), [tmp_path / "changes.csv"])
    read = pd.read_csv(tmp_path / "changes.csv")
    assert list(read) == list(changes)
    assert read["change_rate"].tolist()[0] == -0.0125
    assert pd.isna(read["change_rate"][1])
    assert "nan" not in (tmp_path / "changes.csv").read_text().lower()


EVERY_CHARACTER = r"\ { } _ % & # $ ~ ^ < > [ ] | − – × ± → ≥ ≤ ≈ ' ` - *" + "\r\x0b\u2028\x1b"


def awkward_table(rows):
    """A table whose every text holds all the characters that formats treat specially."""
    section = Section(
        caption=EVERY_CHARACTER,
        align=("l", paragraph(0.5)),
        header=("[1] head", EVERY_CHARACTER),
        rows=tuple(("[1] row", Bold(EVERY_CHARACTER)) for _ in range(rows)),
    )
    return Table("title", pd.DataFrame(), (section,), (EVERY_CHARACTER,))


@pytest.mark.parametrize("rows", [2, 200], ids=["table", "longtable"])
def test_latex_rows_have_as_many_fields_as_columns_and_nothing_unescaped(rows):
    text = latex(awkward_table(rows))
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    body = [line for line in lines if not line.startswith(r"\caption")]
    assert len(body) == rows + (2 if rows > 100 else 1)
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == 1
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")
        assert not re.search(r"(?<!\\)[#%]", line)
    assert text.isascii()
    for environment in ("table", "tabular", "longtable"):
        begun = text.count(rf"\begin{{{environment}}}")
        assert begun == text.count(rf"\end{{{environment}}}")


#: Texts that would be something else in Markdown: HTML, links, emphasis, code, more columns.
AWKWARD = [
    EVERY_CHARACTER,
    "</td></tr></table><script>alert(1)</script>",
    "![x](http://example.org/x.png) [y](z) [y][z] [y]: z",
    "_a_ __b__ *c* **d** `e` ~~f~~ a_b_c d_ \\| \\\\",
    "&lt; &#60; & &amp;",
    "two\nlines\r\nor\u2028three\x0b\t\x1b[2J",
    "# no heading",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_markdown_shows_every_text_as_it_is(text):
    section = Section(text, ("l", "r"), ("head", text), (("row", text), ("bold", Bold(text))))
    table = Table(text, pd.DataFrame(), (section,), (f"Note {text}",))
    html = MarkdownIt("gfm-like", {"linkify": False}).render(markdown(table))
    seen = Seen()
    seen.feed(html)
    assert set(seen.tags) <= {
        *("h1", "p", "strong"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert seen.tags.count("th") == 2
    assert seen.tags.count("td") == 4
    assert seen.tags.count("p") == 2
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shown = [" ".join(shown.split()) for shown in seen.texts]
    assert shown.count(words) == 5
    assert shown.count(f"Note {words}") == 1


@pytest.mark.parametrize("text", AWKWARD)
def test_a_page_shows_every_text_as_it_is(text):
    section = Section(text, ("l", "r"), ("head", text), (("row", text), ("bold", Bold(text))))
    table = Table(text, pd.DataFrame(), (section, section), (f"Note {text}",))
    head, _, body = table_html(table).partition("<body>")
    seen = Seen()
    seen.feed(body)
    assert "<script" not in head
    assert set(seen.tags) == {
        *("h1", "p", "b", "details", "summary"),
        *("div", "table", "thead", "tbody", "tr", "th", "td"),
    }
    assert seen.tags.count("th") == 4
    assert seen.tags.count("td") == 8
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shown = [" ".join(shown.split()) for shown in seen.texts]
    assert shown.count(words) == 1 + 2 * 4
    assert shown.count(f"Note {words}") == 1


@pytest.mark.parametrize("name", ["changes", "models"])
def test_a_page_opens_with_few_columns_of_the_primary_analysis(name):
    primary = Primary(metric="sce", method="continuation_min")
    table = make_table(name, make_study(3, 2, methods=tuple(METHODS)), primary)
    assert all(len(section.header) <= 10 for section in table.sections)
    page = table_html(table)
    opened, _, _ = page.partition("</table>")
    assert page.count("<details>") == len(table.sections) - 1
    assert "<details>" not in opened
    first = table.sections[0]
    assert primary.metric in f"{first.caption} {' '.join(first.header)}".split()
    assert first.header[2] in (primary.metric, primary.method)


class Seen(HTMLParser):
    """The tags of a page, and the text of each block."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts = [""]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in ("strong", "b"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("strong", "b"):
            self.texts.append("")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("rows", [2, 200], ids=["table", "longtable"])
def test_latex_compiles(tmp_path, rows):
    changes = make_changes(
        {
            (f"pair_{pair}", f"task_{task}", "choice", "sce_ovr"): pair * (-1) ** (pair + task)
            for pair in range(rows // 10 + 1)
            for task in range(7)
        },
        half_width=0.3,
        q_value=0.01,
    )
    tables = [awkward_table(rows), change_table.table(changes, USUAL), rank_table.table(changes)]
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{array,booktabs,longtable}\\begin{document}\n"
        + "\n\\clearpage\n".join(map(latex, tables))
        + "\\end{document}\n"
    )
    run = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:]


def test_model_table_has_every_model_once_and_shows_percent_but_nats_as_they_are():
    metrics = pd.DataFrame(
        [
            (pair, stage, model, "t", "choice", metric, value, value - 0.01, value + 0.01, 9)
            for pair, stage, model, metric, value in [
                ("X", "base", "m", "accuracy", 0.5),
                ("X", "aligned", "b", "accuracy", 0.625),
                ("X", "base", "m", "nll", 1.25),
                ("Y", "base", "m", "accuracy", 0.5),
                ("Y", "aligned", "a", "accuracy", 0.75),
            ]
        ],
        columns=[
            *("pair", "stage", "model", "task", "method", "metric"),
            *("value", "ci_low", "ci_high", "n"),
        ],
    ).assign(truncated=None, debiased=None)
    assert rows_of(markdown(model_table.table(metrics, USUAL))) == [
        ["task", "model", "accuracy", "nll (nats)"],
        [":--", ":--", "--:", "--:"],
        ["t", "m", "50.0 [49.0, 51.0]", "1.250 [1.240, 1.260]"],
        ["t", "b", "62.5 [61.5, 63.5]", MISSING],
        ["t", "a", "75.0 [74.0, 76.0]", MISSING],
    ]


def test_headline_shows_means_in_points_and_what_worsens():
    effects = pd.DataFrame(
        {
            "method": "choice",
            "metric": ["accuracy", "confidence", "ece"],
            "pairs": 7,
            "tasks": 10,
            "mean_change": [-0.02, 0.03, 0.05],
            "mean_debiased": [-0.02, 0.03, 0.03],
            "ci_low": [-0.03, -0.01, 0.01],
            "ci_high": [-0.01, 0.07, 0.04],
            "p_value": [0.001, 0.2, 0.003],
            "pairs_worse": pd.array([6, None, 5], dtype="Int64"),
            "tasks_worse": pd.array([10, None, 8], dtype="Int64"),
        }
    )
    of_pairs = effects.iloc[2:].assign(pair="X", tasks_worse=pd.array([8], dtype="Int64"))
    of_parts = effects.iloc[[2, 2]].assign(part=["map", "whole"], mean_change=[0.02, 0.05])
    text = markdown(headline.table(effects, of_pairs, of_parts, USUAL))
    assert rows_of(text)[2:5] == [
        ["ece", "choice", "5.0 (debiased 3.0) [1.0, 4.0]", "2.0 [1.0, 4.0]", "5 of 7", "8 of 10"],
        ["accuracy", "choice", "−2.0 [−3.0, −1.0]", MISSING, "6 of 7", "10 of 10"],
        ["confidence", "choice", "3.0 [−1.0, 7.0]", MISSING, MISSING, MISSING],
    ]
    assert rows_of(text)[7:] == [["X", "5.0 (debiased 3.0) [1.0, 4.0]", "8 of 10"]]
    assert "**3.0 [" not in text
    assert "**−2.0 [" in text


@pytest.mark.parametrize("name", [name for name, entry in TABLES.items() if entry.primary])
def test_the_primary_analysis_stands_first(name):
    chosen = Primary("sce", "continuation_min")
    table = make_table(name, make_study(2, 2), chosen)
    first = chosen.holds(table.data).to_numpy()
    assert first.any()
    assert not first[first.sum() :].any()
    top = table.sections[0]
    columns = [top.caption, *top.header, *top.rows[0]]
    assert any("sce" in text for text in columns)
    assert any("continuation_min" in text for text in columns)
    of_methods = [text for text in columns if "continuation" in text or text == "choice"]
    assert "continuation_min" in of_methods[0]
    assert "sce under continuation_min, the primary analysis" in table.notes[0]
    assert "primary" not in "".join(
        make_table(name, make_study(2, 2), Primary("brier", "choice")).notes
    )


@pytest.mark.parametrize(
    ("accuracy", "questions", "marked"),
    # As measured: intervals of nll cover .88 at .95 of 200, and well at .75 of 200 or .95 of 5,000.
    [(0.95, 200, True), (0.75, 200, False), (0.95, 5000, False)],
)
def test_model_table_marks_intervals_that_hang_on_few_wrong_answers(accuracy, questions, marked):
    metrics = pd.DataFrame(
        [
            ("X", "base", "x", "t", "choice", metric, value, value - 0.01, value + 0.01, questions)
            for metric, value in (("accuracy", accuracy), ("nll", 1.25))
        ],
        columns=[
            *("pair", "stage", "model", "task", "method", "metric"),
            *("value", "ci_low", "ci_high", "n"),
        ],
    ).assign(truncated=None, debiased=None)
    table = model_table.table(metrics, USUAL)
    base = rows_of(markdown(table))[2]
    assert base[-1] == f"1.250 [1.240, 1.260]{' †' if marked else ''}"
    assert "†" not in base[-2]
    assert any("nll" in note and "†" in note for note in table.notes)


def test_model_table_tells_where_contexts_were_cut():
    keys = ["pair", "stage", "model", "task", "method", "metric"]
    rows = [
        ("X", "base", "x", "t", "choice", "accuracy", 12),
        ("X", "aligned", "y", "t", "choice", "accuracy", 0),
        ("X", "base", "x", "t", "continuation_sum", "accuracy", 0),
        ("X", "aligned", "y", "t", "continuation_sum", "accuracy", None),
    ]
    metrics = pd.DataFrame(rows, columns=[*keys, "truncated"])
    metrics = metrics.assign(value=0.5, ci_low=None, ci_high=None, debiased=None, n=80)
    table = model_table.table(metrics.astype({"truncated": "Int64"}), USUAL)
    assert rows_of(markdown(table)) == [
        ["task", "model", "accuracy", "truncated"],
        [":--", ":--", "--:", "--:"],
        ["t", "x", "50.0", "12 of 80"],
        ["t", "y", "50.0", MISSING],
        ["task", "model", "accuracy"],
        [":--", ":--", "--:"],
        ["t", "x", "50.0"],
        ["t", "y", "50.0"],
    ]
    assert any("lost its left" in note for note in table.notes)


def test_claims_that_one_pair_cannot_decide_are_named_and_have_no_row():
    table = make_table("claims", make_study(1, 1), USUAL)
    shown = {row[0] for row in table.sections[0].rows}
    assert "6" not in shown  # how alike tasks rank pairs
    assert {"3", "4", "5"} <= shown
    assert set(table.data["claim"]) == set(range(1, 8))
    assert any("6 (Takes two tasks and three pairs" in note for note in table.notes)


#: Those in which no row or column belongs to a method of the study.
BY_NO_METHOD = {"claims", "table_1", "audit", "audit_ranks", "letter_parts", "option_order"}


@pytest.mark.parametrize("name", [name for name in TABLES if name not in BY_NO_METHOD])
def test_a_method_that_is_added_is_tabulated(name, monkeypatch):
    monkeypatch.setitem(METHODS, "continuation_mean", Method("continuation", "mean_token"))
    methods = [*DEFAULT_METHODS, "continuation_mean"]
    text = markdown(make_table(name, make_study(3, 2, methods=methods), USUAL))
    assert "continuation_mean" in text


@pytest.mark.parametrize(
    "name", [name for name, table in TABLES.items() if table.of_many in ("largest", "first")]
)
def test_of_many_pairs_people_get_the_head_and_the_data_hold_all(name):
    table = make_table(name, make_study(40, 2), USUAL)
    assert "Of 40 pairs" in table.notes[0]
    assert max(len(section.rows) for section in table.sections) <= 20 * 2 * 2  # tasks, stages
    if "pair" in table.data:
        assert table.data["pair"].nunique() == 40
