"""The published numbers: against the paper's own table and the list the figures were taken from."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.contract.published import PUBLISHED_AUDIT
from alignment_calibration.errors import UserError
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.reference.published import (
    audit,
    compare_ranks,
    definitions,
    errors_of_definitions,
    published_changes,
    read_published,
    recover,
    table_1,
)
from alignment_calibration.report.tables import audit_ranks, ranks
from alignment_calibration.report.tables.formats import markdown
from tests.support.simulation import SETTINGS
from tests.support.study import DEMO_CONFIG, ROOT, Study

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
        [field.strip() for field in line.strip("|").split(" | ")]
        for line in markdown(ranks.table(table_1(changes))).splitlines()
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


def test_one_published_rank_is_decided_by_digits_that_were_not_printed():
    compared = compare_ranks(read_published(PUBLISHED))
    assert compared["agrees"].sum() == 569
    table = audit_ranks.table(read_published(PUBLISHED))
    assert table.notes == ("569 of 570 published ranks are those of the published rates.",)
    assert [row[:4] for row in table.sections[0].rows] == [
        ("Qwen2-72B", "hellaswag", "continuation_sum", "sce_ovr")
    ]


def printed(base, aligned, metric="sce_ovr"):
    """What would be published of two values: change to 0.001, rate to 0.0001."""
    change = aligned - base
    return pd.DataFrame(
        {
            "pair": ["X"],
            "task": "a",
            "method": "choice",
            "metric": metric,
            "change": round(change, 3),
            "change_rate": round(change / base, 4),
        }
    )


@pytest.mark.parametrize(
    ("base", "aligned"), [(0.4512, 0.6178), (0.05, 0.9), (0.7342, 0.7311), (0.61, 0.6104)]
)
def test_recovered_intervals_hold_the_values_that_were_published(base, aligned):
    recovered: Any = recover(printed(base, aligned)).set_index("stage")
    for stage, value in (("base", base), ("aligned", aligned)):
        assert recovered.loc[stage, "low"] <= value <= recovered.loc[stage, "high"]
        assert (recovered.loc[stage, ["low", "high"]].between(0, 1)).all()


def test_a_rate_of_zero_recovers_nothing():
    recovered = recover(printed(0.5, 0.5))
    assert recovered[["value", "low", "high"]].isna().all(axis=None)


def test_recovered_accuracies_are_those_known_of_the_models():
    # ARC-Easy and PIQA accuracies of Llama-2-7b and Mistral-7B, as commonly reported for lm-eval
    # (acc, zero-shot): 76 %, 78 %, 81 %, 81 %.
    recovered = recover(read_published(PUBLISHED)).set_index(
        ["pair", "task", "method", "metric", "stage"]
    )
    for pair, task, accuracy in [
        ("Llama-2-7b", "arc_easy", 0.76),
        ("Llama-2-7b", "piqa", 0.78),
        ("Mistral-7B", "arc_easy", 0.81),
        ("Mistral-7B", "piqa", 0.81),
    ]:
        value = recovered.loc[(pair, task, "continuation_sum", "accuracy", "base"), "value"]
        assert value == pytest.approx(accuracy, abs=0.015)


@pytest.mark.parametrize(("accuracy", "confidence"), [(0.6, 0.8), (0.55, 0.55), (0.75, 0.6)])
@pytest.mark.parametrize("options", [2, 4])
def test_definitions_are_what_the_metrics_measure_on_a_model_equally_good_on_all_classes(
    options, accuracy, confidence
):
    """`sce` and `sce_ovr` of simulated questions, against the definitions of the same name."""
    N = 40_000
    random = np.random.default_rng(1)
    gold = np.arange(N) % options
    right = random.permutation(N) < round(accuracy * N)
    others = (gold + random.integers(1, options, N)) % options
    chosen = np.where(right, gold, others)
    probabilities = np.full((N, options), (1 - confidence) / (options - 1))
    probabilities[np.arange(N), chosen] = confidence
    sample = Sample(fixed_options(probabilities, gold), select(["sce", "sce_ovr"]), SETTINGS)
    values = sample.values()
    formed = definitions(*(np.array([float(x)]) for x in (options, accuracy, confidence)))
    assert values["sce"] == pytest.approx(formed["label_frequency"][0], abs=0.015)
    assert values["sce_ovr"] == pytest.approx(formed["one_vs_rest"][0], abs=0.015)


def test_published_sce_fits_one_vs_rest_accuracy_and_no_other_definition():
    audited = audit(recover(read_published(PUBLISHED)))
    errors: Any = errors_of_definitions(audited).set_index(["definition", "sign"])
    assert errors.loc[("one_vs_rest", "better"), "median"] < 0.01
    assert errors.loc[("one_vs_rest", "over-confident"), "mean"] < 0.015
    assert errors.loc["label_frequency", "median"].min() > 0.4
    assert errors.loc["top_1", "median"].min() > 0.2


def test_audit_is_a_file_of_the_contract(tmp_path):
    audited = audit(recover(read_published(PUBLISHED)))
    write_frame(tmp_path / "audit.parquet", audited, PUBLISHED_AUDIT)
    read = read_frame(tmp_path / "audit.parquet", PUBLISHED_AUDIT)
    gap = (read["sce_recovered"] - read["sce_closed_form"]).abs()
    assert gap.median() < 0.01
    assert (read["sce_low"] <= read["sce_high"]).all()


@pytest.mark.slow
def test_the_workflow_makes_the_published_study_anywhere(tmp_path):
    tables = tmp_path / "results" / "published" / "tables"
    targets = [f"results/published/tables/{n}" for n in ("table_1.md", "claims.csv", "audit.tex")]
    run = Study(tmp_path, targets, DEMO_CONFIG).run()
    assert run.returncode == 0, run.stderr[-2000:]
    assert "tables:  results/published/tables/" in run.stderr.splitlines()
    assert "| 2 | Llama-2-7b | Llama-2-7b | gemma-7b |" in (tables / "table_1.md").read_text()
    claims = pd.read_csv(tables / "claims.csv")
    published = claims[claims["metric"] == "sce_ovr"]
    assert published["verdict"].tolist() == ["holds"] * 7
    audited = read_frame(tmp_path / "results" / "published" / "audit.parquet", PUBLISHED_AUDIT)
    assert set(audited["options"]) == {2, 4}
