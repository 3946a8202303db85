"""Every figure, for small and large studies: nothing overlaps, nothing leaves the page."""

import importlib
import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.testing.compare import compare_images

from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.reliability import bins, curve
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import ranks, reliability, style
from alignment_calibration.report.figures.change_rates import draw as draw_change_rates
from alignment_calibration.report.registry import FIGURES
from alignment_calibration.report.tidy import frames_of, head_of, shown_first
from alignment_calibration.study.settings import USUAL, Resampling
from alignment_calibration.study.vocabulary import METHODS, Method
from tests.support.made_changes import make_changes
from tests.support.made_study import DEFAULT_METHODS, TASKS, make_study
from tests.support.simulation import SETTINGS

#: Figures that a study has one of.
SINGLE = [name for name, figure in FIGURES.items() if not figure.each]
#: Those whose panels the paper chose, or that are not by method.
PAPERS_OWN = {"figure1", "figure2", "multiverse", "lineages"}
CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
RESAMPLING = Resampling(seed=0, resamples=50)


def module(name):
    return importlib.import_module(f"alignment_calibration.report.figures.{name}")


def draw(name, study):
    figure = FIGURES[name]
    head, _ = head_of(figure, study, USUAL)
    return module(name).draw(*frames_of(figure, head), **shown_first(figure, USUAL))


def predictions(sharpness, questions=200, seed=0):
    """Answers of a calibrated model whose log-probabilities are multiplied by `sharpness`."""
    random = np.random.default_rng(seed)
    scores = 1.5 * random.normal(size=(questions, 4))
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    gold = np.array([random.choice(4, p=row) for row in true])
    told = np.exp(sharpness * scores)
    return fixed_options(told / told.sum(axis=1, keepdims=True), gold)


def reliability_rows(tasks):
    """Rows of RELIABILITY of a calibrated base and an over-confident aligned model."""
    parts = [
        frame.assign(stage=stage, task=task, method="choice", part=part)
        for stage, sharpness in (("base", 1), ("aligned", 2))
        for i, task in enumerate(TASKS[:tasks])
        for answers in [predictions(sharpness, seed=i)]
        for part, frame in (
            ("bin", bins(answers, SETTINGS)),
            ("curve", curve(answers, task, RESAMPLING)),
        )
    ]
    return pd.concat(parts, ignore_index=True)


def of_choice(metrics):
    return metrics[metrics["method"] == "choice"]


def texts_of(figure):
    """What is written in a figure, with where (pixels): tick labels, titles, keys, the rest."""
    with style.styled():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        written = [*figure.texts, *(text for key in figure.legends for text in key.get_texts())]
        for axes in filter(lambda axes: axes.get_visible(), figure.axes):
            written += [axes.title, *axes.texts]
            if axes.axison:
                written += [axes.xaxis.label, axes.yaxis.label]
                written += [*_tick_labels(axes.xaxis), *_tick_labels(axes.yaxis)]
        return [
            (text.get_text(), text.get_window_extent(renderer))
            for text in written
            if text.get_visible() and text.get_text().strip()
        ]


def _tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    slack = 1e-6 * (high - low)
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if low - slack <= tick.get_loc() <= high + slack
    ]


def check_page(figure):
    """No text overlaps another or leaves the page; the page fits on A4 with a caption."""
    width, height = figure.get_size_inches()
    assert width <= style.TWO_COLUMNS
    assert height <= 10
    page = figure.bbox
    texts = texts_of(figure)
    written = figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))
    assert min(text.get_fontsize() for text in written) >= 6
    assert texts
    for text, box in texts:
        assert box.x0 >= page.x0 - 1, f"{text!r} leaves the page"
        assert box.x1 <= page.x1 + 1, f"{text!r} leaves the page"
        assert box.y0 >= page.y0 - 1, f"{text!r} leaves the page"
        assert box.y1 <= page.y1 + 1, f"{text!r} leaves the page"
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        upright = min(a.y1, b.y1) - max(a.y0, b.y0)
        # Boxes of text include the font's own margins: touching ones are not yet overlapping.
        assert across <= 1 or upright <= 1.5, f"{one!r} and {other!r} overlap"


@pytest.mark.parametrize(("pairs", "tasks"), [(1, 1), (2, 3), (7, 10), (20, 12)])
@pytest.mark.parametrize("name", SINGLE)
def test_page_is_tidy(name, pairs, tasks):
    check_page(draw(name, make_study(pairs, tasks)))


@pytest.fixture(scope="module")
def nine_methods():
    return make_study(20, 12, methods=METHODS)


@pytest.mark.parametrize("name", [name for name in SINGLE if FIGURES[name].fits(20)])
def test_parts_of_a_study_with_all_methods_are_tidy(name, nine_methods):
    figure = FIGURES[name]
    parts = figure.parts(20, 12, list(METHODS))
    if figure.published and not figure.own:
        pytest.skip("has the methods of the published study")
    # Of three parts the middle one, whose methods have the longest names.
    for values in [[part] for part in parts[1::3]] if parts else [[]]:
        shown = frames_of(figure, head_of(figure, nine_methods, USUAL)[0], values)
        check_page(module(name).draw(*shown, **shown_first(figure, USUAL)))


@pytest.fixture(scope="module")
def many_pairs():
    return make_study(150, 6)


#: But for ladders: there a pair is a line, and a study of many pairs may have a few ladders.
OF_MANY = [name for name in SINGLE if FIGURES[name].fits(150) and name != "ladders"]


@pytest.mark.parametrize("name", OF_MANY)
def test_page_of_many_pairs_is_tidy(name, many_pairs):
    check_page(draw(name, many_pairs))


def test_the_largest_changes_and_the_lineages_are_named(many_pairs):
    of_pairs = USUAL.holds(many_pairs["pair_effects"])
    means = many_pairs["pair_effects"][of_pairs].set_index("pair")["mean_change"].abs()
    words = words_of(draw("lineages", many_pairs))
    assert all(pair in words for pair in means.nlargest(20).index)
    assert "Llama-2-7b-base (8)" in words  # itself and seven further tunings of its base
    alone = make_study(30, 2)
    alone["metrics"]["model"] = alone["metrics"]["pair"] + alone["metrics"]["stage"]
    assert "all pairs (30)" in words_of(draw("lineages", alone))


@pytest.mark.parametrize("tasks", [1, 2, 5, 12])
def test_reliability_page_is_tidy(tasks):
    check_page(
        reliability.draw(reliability_rows(tasks), of_choice(make_study(1, tasks)["metrics"]))
    )


def test_reliability_marks_are_as_large_as_their_share_and_ece_has_its_interval():
    rows = reliability_rows(1)
    metrics = of_choice(make_study(1, 1)["metrics"])
    axes = reliability.draw(rows, metrics).axes[0]
    marks = [marks for marks in cast(Any, axes.collections) if len(marks.get_sizes())]
    for stage, of_stage in zip(("base", "aligned"), marks, strict=True):
        bins = rows[(rows["part"] == "bin") & (rows["stage"] == stage) & (rows["questions"] > 0)]
        areas = of_stage.get_sizes()
        assert areas / areas.sum() == pytest.approx(bins["questions"] / bins["questions"].sum())
    by_stage = metrics[metrics["metric"] == "ece"].set_index("stage")
    for stage, text in zip(("base", "aligned"), axes.texts, strict=True):
        value, low, high = (100 * by_stage.loc[stage, ["value", "ci_low", "ci_high"]]).tolist()
        assert text.get_text() == f"{stage}: ECE {value:.1f} % ({low:.1f} to {high:.1f})"


@pytest.mark.parametrize(("sure", "tick"), [(40, "20"), (90, "20"), (100, "50"), (200, "100")])
def test_shares_of_confidence_have_a_tick(sure, tick):
    """Of 200 questions some are in the last bin, and the rest in four others."""
    rows = reliability_rows(1)
    is_bin = rows["part"] == "bin"
    rest = (200 - sure) // 4
    rows.loc[is_bin, "questions"] = [*[0] * 5, *[rest] * 4, sure] * 2
    below = reliability.draw(rows, of_choice(make_study(1, 1)["metrics"])).axes[1]
    assert [label.get_text() for label in below.get_yticklabels()] == ["0", tick]
    assert 0.3 < below.get_yticks()[1] / below.get_ylim()[1] < 0.9


@pytest.mark.parametrize("tasks", [1, 2, 5, 12])
def test_option_order_page_is_tidy(tasks):
    check_page(module("option_order").draw(make_study(1, tasks)["option_order"]))


@pytest.mark.parametrize("methods", [["choice"], ["continuation_sum"], ["continuation_min"]])
@pytest.mark.parametrize("name", SINGLE)
def test_a_study_with_one_method(name, methods):
    check_page(draw(name, make_study(2, 2, methods=methods)))


def words_of(figure):
    return " ".join(text for text, _ in texts_of(figure)).replace("\n", " ")


def test_nothing_to_show_is_said_in_words():
    study = make_study(1, 2, methods=["continuation_min"])
    empty = study["changes"].iloc[:0]
    assert "No change rates to show" in words_of(draw("figure1", study))
    assert "nothing to rank" in words_of(draw("ranks", study))
    assert "nothing to rank" in words_of(ranks.draw(empty, None))
    assert "no trade-off" in words_of(module("accuracy_calibration").draw(empty))
    assert "nothing was scaled" in words_of(module("temperature").draw(study["remedies"][:0]))
    assert "no specification" in words_of(module("multiverse").draw(study["multiverse"][:0]))
    assert "no SCE to audit" in words_of(module("sce_audit").draw(study["sce_audit"][:0]))
    published = module("sce_audit_published").draw(study["audit"][:0])
    assert "No SCE can be recovered" in words_of(published)
    assert "No task" in words_of(module("option_order").draw(study["option_order"][:0]))
    assert "No task" in words_of(reliability.draw(reliability_rows(1)[:0], study["metrics"]))


def test_a_multiverse_without_intervals_or_tests_promises_none():
    rows = make_study(1, 1)["multiverse"]
    whole = words_of(module("multiverse").draw(rows))
    assert "95 % interval" in whole
    assert "significantly worse" in whole
    unknown = dict.fromkeys(["worsening_ci_low", "worsening_ci_high"], np.nan)
    bare = rows.assign(**unknown, worse=np.nan, better=np.nan, undecided=np.nan)
    figure = module("multiverse").draw(bare)
    check_page(figure)
    assert "interval" not in words_of(figure)
    assert "significantly" not in words_of(figure)


def test_marks_of_the_multiverse_are_whole():
    figure = module("multiverse").draw(make_study(1, 1)["multiverse"])
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    [marks] = [line for line in axes.lines if line.get_marker() == "."]
    # A "." is half as wide as its size says, and has an edge.
    points = marks.get_markersize() / 4 + marks.get_markeredgewidth() / 2
    across = axes.transData.transform(np.asarray(marks.get_xydata()))[:, 0]
    assert across.min() - axes.bbox.x0 > points * figure.dpi / 72
    assert axes.bbox.x1 - across.max() > points * figure.dpi / 72


def test_missing_panels_are_named():
    study = make_study(2, 2, methods=["continuation_sum"])
    words = words_of(draw("figure2", study))
    assert "Not in this study: SCE (one-vs-rest) under continuation, min; choice." in words


@pytest.mark.parametrize(("pairs", "tasks", "methods"), [(1, 1, ["choice"]), (3, 2, METHODS)])
@pytest.mark.parametrize("name", FIGURES)
def test_captions_fill_for_every_study(name, pairs, tasks, methods, tmp_path):
    study = make_study(pairs, tasks, methods=methods) | {"reliability": reliability_rows(tasks)}
    shown = [study[read] for read in FIGURES[name].reads]
    numbers = module(name).numbers(*shown, **shown_first(FIGURES[name], USUAL))
    write_caption(CAPTIONS / f"{name}.rst", numbers, tmp_path / "caption.rst")
    assert (tmp_path / "caption.rst").read_text().startswith("**")


@pytest.fixture
def fourth_method(monkeypatch):
    monkeypatch.setitem(METHODS, "continuation_mean", Method("continuation", "mean_token"))
    return "continuation_mean"


@pytest.mark.parametrize("name", [name for name in SINGLE if name not in PAPERS_OWN])
def test_a_method_that_is_added_is_drawn(name, fourth_method):
    """In one process with modules imported before, so nothing of it may be fixed at import."""
    figure = draw(name, make_study(3, 4, methods=[*DEFAULT_METHODS, fourth_method]))
    check_page(figure)
    assert style.method_name(fourth_method) in words_of(figure)


@pytest.mark.parametrize("name", sorted(PAPERS_OWN))
def test_figures_of_the_paper_show_its_methods_only(name, fourth_method):
    with_it, without = (
        words_of(draw(name, make_study(2, 2, methods=methods)))
        for methods in ([*DEFAULT_METHODS, fourth_method], DEFAULT_METHODS)
    )
    assert style.method_name(fourth_method) not in with_it
    assert with_it.count("choice") == without.count("choice")


def mark_positions(figure, panel=0):
    """Rates (percent) of the marks of each pair in a panel, in the order of the pairs' marks."""
    return [list(line.get_xdata()) for line in figure.axes[panel].lines if len(line.get_xdata())]


def test_marks_stand_where_the_rates_are():
    rates = {
        ("A", "t", "choice", "ece"): 0.5,
        ("B", "t", "choice", "ece"): -0.25,
        ("B", "u", "choice", "ece"): None,
    }
    figure = draw_change_rates(make_changes(rates, half_width=0.1), [("ece", "choice")])
    _zero, a, b = mark_positions(figure)
    assert a == pytest.approx([50.0])
    assert b == pytest.approx([-25.0])
    bars_a, bars_b = cast(Any, figure.axes[0].collections[-2:])
    assert bars_a.get_segments()[0][:, 0] == pytest.approx([40, 60])
    assert bars_b.get_segments()[0][:, 0] == pytest.approx([-35, -15])


def test_all_panels_have_one_kind_of_scale():
    """Rates beyond ±400 % in one panel make the others logarithmic too, from the same dotted line;
    a panel within ±100 % has no logarithmic part.
    """
    panels = [("ece", "continuation_sum"), ("ece", "choice"), ("sce", "choice")]
    rates = {
        ("A", "t", method, metric): rate
        for (metric, method), rate in zip(panels, (1.5, 9.0, 0.2), strict=True)
    }
    figure = draw_change_rates(make_changes(rates), panels)
    assert [axes.get_xscale() for axes in figure.axes] == ["symlog", "symlog", "linear"]
    for panel, dotted in enumerate(([100, 100], [100, 100], [])):
        lines = [line for line in figure.axes[panel].lines if line.get_linestyle() == ":"]
        assert [x for line in lines for x in cast(Any, line.get_xdata())] == dotted


def test_an_end_without_bound_is_an_arrow_and_a_biased_rate_has_a_stroke():
    rates = {("A", "t", "choice", "ece"): 0.5, ("A", "u", "choice", "ece"): 0.8}
    changes = make_changes(rates, half_width=0.1)
    changes["rate_ci_high"] = [0.45, np.nan]
    changes["base_debiased"], changes["aligned_debiased"] = 0.2, 0.28
    figure = draw_change_rates(changes, [("ece", "choice")])
    _zero, marks, arrows, strokes = mark_positions(figure)
    right = figure.axes[0].get_xlim()[1]
    assert marks == pytest.approx([50.0, 80.0])
    assert arrows == pytest.approx([right])
    assert strokes == pytest.approx([40.0])
    [bars] = cast(Any, figure.axes[0].collections[-1:])
    assert bars.get_segments()[1][:, 0] == pytest.approx([70, right])


def test_slopes_go_from_base_to_aligned_before_and_after_each_remedy():
    remedies = make_study(1, 2, methods=["choice"])["remedies"]
    line, _ = module("temperature").draw(remedies).axes[0].lines  # a line per task
    remedies = remedies[remedies["metric"] == "ece"]
    by_key = remedies[remedies["task"] == TASKS[0]].set_index("remedy")
    expected = [by_key.loc["daca", ["base_before", "aligned_before"]]]
    for name in ("temperature", "daca", "basecal", "batch"):
        expected.append(by_key.loc[name, ["base_after", "aligned_after"]])
    slopes = np.asarray(line.get_ydata(), float).reshape(-1, 3)
    assert np.isnan(slopes[:, 2]).all()  # the gaps
    for slope, ends in zip(slopes[:, :2], expected, strict=True):
        assert slope == pytest.approx([100 * end for end in ends])


def test_the_trade_off_has_a_letter_per_task_and_both_intervals():
    rates = {("A", "t", "choice", metric): 0.5 for metric in ("accuracy", "ece")}
    changes = make_changes(rates, half_width=0.1)
    changes["change_ci_low"], changes["change_ci_high"] = changes["change"] - 0.1, 0.9
    figure = module("accuracy_calibration").draw(changes)
    [of_error], [of_accuracy] = (
        lines.get_segments() for lines in cast(Any, figure.axes[0].collections)
    )
    at = 100 * changes["change"].iloc[0]
    assert of_error.tolist() == pytest.approx(np.array([[at, at - 10], [at, 90]]))
    assert of_accuracy.tolist() == pytest.approx(np.array([[at - 10, at], [90, at]]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "t"]


@pytest.mark.parametrize("name", ["accuracy_calibration", "ladders", "map_parts", "ranks"])
def test_a_panel_without_numbers_is_left_out(name):
    study = make_study(2, 2, methods=["continuation_sum", "choice"])
    error = "sce" if name == "map_parts" else "sce_ovr"
    without = {
        file: frame[~((frame["method"] == "continuation_sum") & (frame["metric"] == error))]
        for file, frame in study.items()
        if {"method", "metric"} <= set(frame)
    }
    whole, figure = draw(name, study), draw(name, without)
    check_page(figure)
    shown, left = ([axes for axes in f.axes if axes.get_visible()] for f in (whole, figure))
    assert len(left) == len(shown) - 1
    assert all(axes.lines or axes.collections for axes in left)


def test_rank_numbers_and_shades():
    study = make_study(3, 2)
    figure = draw("ranks", study)
    changes = study["changes"]
    shown = [text.get_text() for text in figure.axes[0].texts]
    of_panel = changes[(changes["metric"] == "ece") & (changes["method"] == next(iter(METHODS)))]
    pairs = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    tasks = sorted(of_panel["task"].unique(), key=str.casefold)
    by_cell = of_panel.set_index(["pair", "task"])["rank"]
    assert shown == [str(by_cell[pair, task]) for pair in pairs for task in tasks]


def test_pairs_differ_without_colour():
    marks = style.pair_marks(f"pair{i:02d}" for i in range(20))
    assert len({(mark.shape, mark.filled) for mark in marks.values()}) == 20


@pytest.mark.parametrize("name", ["figure1", "ranks", "multiverse"])
def test_same_data_same_bytes(name, tmp_path):
    study = make_study(2, 2)
    for run in "ab":
        style.write_figure(draw(name, study), tmp_path / f"{run}.pdf", tmp_path / f"{run}.png")
    for suffix in ("pdf", "png"):
        first, second = ((tmp_path / f"{run}.{suffix}").read_bytes() for run in "ab")
        assert first == second


def test_text_in_the_pdf_is_text(tmp_path):
    style.write_figure(draw("figure1", make_study(2, 2)), tmp_path / "a.pdf", tmp_path / "a.png")
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # TrueType outlines embedded, not drawn as paths
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


@pytest.mark.parametrize("name", ["figure1", "ranks", "multiverse"])
def test_looks_as_it_was_approved(name, tmp_path):
    """Against small pictures that a person has looked at; text, which fonts decide, is left out.

    After a change that was meant, look at the picture that the failure names and put it in the
    place of the old one.
    """
    figure = draw(name, make_study(4, 5))
    with style.styled():
        FigureCanvasAgg(figure).draw()  # lay out with the text, then hide it
        figure.set_layout_engine("none")
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
            text.set_visible(False)
        figure.savefig(tmp_path / f"{name}.png", dpi=50, metadata={"Software": None})
    approved = Path(__file__).parent / "baseline" / f"{name}.png"
    assert compare_images(str(approved), str(tmp_path / f"{name}.png"), tol=6) is None
