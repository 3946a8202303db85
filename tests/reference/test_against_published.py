"""Comparison with the published study, on hand-worked cases and on the study itself."""

from pathlib import Path

import pytest

from alignment_calibration.reference.against_published import compare, summarise
from alignment_calibration.reference.published import read_published
from alignment_calibration.report.tables.comparison import table as comparison_table
from alignment_calibration.report.tables.formats import latex, markdown
from tests.support.made_changes import make_changes

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "changes.csv"


def rates(task="t", metric="ece", **rates):
    return {(pair, task, "choice", metric): rate for pair, rate in rates.items()}


def test_differences_signs_and_rank_correlation():
    published = make_changes(rates(A=0.1, B=0.2, C=0.3, D=-0.1))
    ours = make_changes(rates(A=0.2, B=0.1, C=-0.4, D=-0.5))
    compared = compare(ours, published)
    assert compared["difference"].tolist() == pytest.approx([0.1, -0.1, -0.7, -0.4])
    assert compared["same_sign"].tolist() == [True, True, False, True]
    [row] = summarise(compared).to_dict("records")
    # Ranks of ours 4, 3, 2, 1 and published 2, 3, 4, 1: squared differences 4, 0, 4, 0.
    assert row["rank_correlation"] == pytest.approx(1 - 6 * 8 / (4 * 15))
    assert (row["pairs"], row["same_sign"]) == (4, 3)
    assert row["mean_difference"] == pytest.approx(1.3 / 4)


def test_two_pairs_have_no_rank_correlation():
    published = make_changes(rates(A=0.1, B=0.2))
    summary = summarise(compare(published, published))
    assert summary["rank_correlation"].isna().all()


def test_what_is_left_out_is_named_on_both_sides():
    published = make_changes(rates(A=0.1, B=0.2) | rates("u", A=0.1))
    ours = make_changes(rates(A=0.1, E=0.2) | rates(metric="sce", A=0.1) | rates(B=None))
    table = comparison_table(ours, published)
    reasons = table.data.set_index(["pair", "task"])["left_out"].to_dict()
    assert reasons == {
        ("A", "t"): "",
        ("A", "u"): "not in this study",
        ("B", "t"): "no rate: a base of 0",
        ("E", "t"): "not published",
    }
    text = markdown(table)
    assert "Left out, not in this study: task u." in text
    assert "Left out, not published: pair E." in text
    assert "Left out, no rate: a base of 0: pair B." in text


def test_a_study_that_shares_nothing_is_told_so_in_every_format():
    table = comparison_table(make_changes(rates(Z=0.1)), read_published(PUBLISHED))
    for text in (markdown(table), latex(table)):
        assert "no pair and task in common" in text
        assert "gemma-7b" in text
    assert table.data["difference"].isna().all()


def test_the_published_study_agrees_with_itself():
    published = read_published(PUBLISHED)
    table = comparison_table(published, published)
    assert (table.data["left_out"] == "").all()
    assert (table.data["difference"] == 0).all()
    summary = summarise(table.data)
    assert len(summary) == 90
    assert summary["rank_correlation"].to_numpy() == pytest.approx(1)
    assert (summary["same_sign"] == summary["pairs"]).all()


def test_a_run_over_some_of_the_pairs_and_tasks_is_compared_on_those():
    published = read_published(PUBLISHED)
    part = published[published["task"].isin(["piqa", "sciq"]) & (published["pair"] != "OLMo-7B")]
    table = comparison_table(part.assign(change_rate=-part["change_rate"]), published)
    assert (table.data["left_out"] == "").sum() == len(part)
    text = markdown(table)
    assert "pair OLMo-7B; task arc_challenge, arc_easy, hellaswag" in text
