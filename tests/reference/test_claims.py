"""The paper's claims, put to its own figures and to made-up runs with and without intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alignment_calibration.contract.pairs import (
    ESTIMATES,
    RANK_AGREEMENT,
    RANK_CORRELATIONS,
    RATES_BY_METHOD,
)
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.reference.claims import HARDLY, evaluate
from alignment_calibration.reference.published import published_changes, read_published
from alignment_calibration.report.tables.claims import table as claims_table
from alignment_calibration.report.tables.formats import markdown
from tests.support.made_changes import (
    make_agreement,
    make_changes,
    make_estimates,
    make_rates_by_method,
)

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "changes.csv"


NO_AGREEMENT = pd.DataFrame(columns=RANK_AGREEMENT.names)


def read(changes):
    """What claims are put to, beside the changes."""
    return make_agreement(changes), make_estimates(changes), make_rates_by_method(changes)


def verdicts(changes, metric="sce_ovr"):
    found = evaluate(changes, *read(changes))
    return {claim: found[claim, metric].verdict for claim, m in found if m == metric}


def row_of(changes, claim, metric="sce_ovr"):
    """What the table's CSV says of a claim."""
    claims = claims_table(changes, *read(changes)).data
    return claims[(claims["claim"] == claim) & (claims["metric"] == metric)].iloc[0]


@pytest.fixture(scope="module")
def published():
    return published_changes(read_published(PUBLISHED))


def test_the_paper_finds_its_claims_in_its_figures(published):
    assert verdicts(published) == dict.fromkeys(range(1, 8), "holds")


def test_nixons_sce_was_not_published(published):
    assert verdicts(published, "sce") == {1: "holds"} | dict.fromkeys(range(2, 8), "undecided")


def test_falls_under_continuation_min_are_the_four_that_the_paper_names(published):
    assert row_of(published, 4)["decisive"].split("; ") == [
        "Mistral-7B × piqa: −6.28 %",
        "Llama-3-8B × piqa: −6.08 %",
        "Mistral-7B × hellaswag: −2.67 %",
        "Llama-3-8B × hellaswag: −1.25 %",
    ]


def test_published_kendall_w_is_that_of_the_textbook_formula(published):
    rows = published[(published["method"] == "choice") & (published["metric"] == "sce_ovr")]
    m, n = rows["task"].nunique(), rows["pair"].nunique()
    sums = rows.groupby("pair")["rank"].sum().astype(float)
    w = 12 * ((sums - sums.mean()) ** 2).sum() / (m**2 * (n**3 - n))
    assert f"W = {w:.3f}" in row_of(published, 6)["evidence"]


PAIRS = ["A", "B", "C"]
TASKS = ["s", "t"]
SUM, MIN, CHOICE = "continuation_sum", "continuation_min", "choice"


def study(half_width=None, **other):
    """A study in which all claims hold; `other` overrides rates: `ece_A_s_choice=…`."""
    rates = {}
    for place, pair in enumerate(PAIRS):
        for task in TASKS:
            rates[pair, task, SUM, "ece"] = -0.3 if (pair, task) == ("A", "s") else 0.3
            for metric in ("sce", "sce_ovr"):
                rates[pair, task, SUM, metric] = 0.1
                rates[pair, task, MIN, metric] = -0.2 if pair == "A" else 0.2
                rates[pair, task, CHOICE, metric] = 0.3 + 0.2 * place
    for name, rate in other.items():
        metric, pair, task, method = name.split("__")
        rates[pair, task, method, metric] = rate
    return make_changes(rates, half_width=half_width)


@pytest.mark.parametrize("metric", ["sce", "sce_ovr"])
def test_every_claim_holds_with_and_without_intervals(metric):
    assert set(verdicts(study(), metric).values()) == {"holds"}
    assert set(verdicts(study(half_width=0.02), metric).values()) == {"holds"}


def test_rates_of_single_questions_decide_nothing():
    """Nothing tells how sure they are; only published rates, which have no tests, are taken so."""
    changes = study(half_width=0.02)
    agreement, estimates, by_method = read(changes)
    unknown = {
        "degrees": 0,
        "covariance": np.nan,
        "base_variance": np.nan,
        "aligned_variance": np.nan,
    }
    by_method = by_method.assign(p_above=np.nan, p_below=np.nan)
    found = evaluate(changes, agreement, estimates.assign(**unknown), by_method)
    for claim in (1, 2, 3, 4, 5, 7):
        assert found[claim, "sce_ovr"].verdict == "undecided"


def test_wide_intervals_leave_every_claim_undecided():
    assert set(verdicts(study(half_width=1.0)).values()) == {"undecided"}


@pytest.mark.parametrize(
    ("claim", "counterexample"),
    [
        (1, {"ece__A__s__continuation_sum": 0.3}),
        (2, {"sce_ovr__A__s__continuation_sum": -0.2}),
        (3, {"sce_ovr__B__t__continuation_sum": -0.2}),
        (4, {"sce_ovr__A__s__continuation_min": 0.2, "sce_ovr__A__t__continuation_min": 0.2}),
        (5, {"sce_ovr__C__t__choice": -0.2}),
        (6, {"sce_ovr__A__t__choice": 0.9}),
        (7, {f"sce_ovr__{pair}__s__choice": 0.02 for pair in PAIRS}),
    ],
)
@pytest.mark.parametrize("width", [None, 0.02])
def test_a_counterexample_makes_a_claim_fail_by_that_metric_only(claim, counterexample, width):
    changes = study(half_width=width, **counterexample)
    assert verdicts(changes)[claim] == "fails"
    other = {"fails"} if claim == 1 else {"holds"}
    assert {verdicts(changes, "sce")[claim]} == other


def test_an_error_may_fall_by_one_percent_and_hardly_change():
    contrast = "sce_ovr__B__t__continuation_sum"
    assert verdicts(study(**{contrast: -0.0099}))[3] == "holds"
    assert verdicts(study(**{contrast: -0.0101}))[3] == "fails"
    # With an interval, all of it has to be on one side.
    assert verdicts(study(half_width=0.005, **{contrast: -0.0099}))[3] == "undecided"


def test_one_fall_counts_only_after_holms_correction():
    # A fall of 2.2 standard errors: p = 0.014, of one contrast or of six.
    changes = study(half_width=0.3 * 1.96 / 2.2)
    assert verdicts(changes)[1] == "undecided"
    alone = changes[(changes["pair"] == "A") & (changes["task"] == "s")]
    assert verdicts(alone)[1] == "holds"


@pytest.mark.parametrize("true_rate", [0.0, -HARDLY])
def test_hardly_a_study_finds_a_fall_where_there_is_none(true_rate):
    # 40 clear rises and 30 contrasts that just do not fall.
    random = np.random.default_rng(0)
    claim, metric, method = (4, "sce", MIN) if true_rate else (1, "ece", SUM)
    keys = [(f"p{i % 7}", f"t{i // 7}", method, metric) for i in range(70)]
    found = 0
    for _ in range(200):
        rates = np.where(np.arange(70) < 40, 0.5, true_rate) + 0.05 * random.normal(size=70)
        changes = make_changes(dict(zip(keys, rates, strict=True)), half_width=0.05 * 1.96, n=5000)
        findings = evaluate(changes, NO_AGREEMENT, make_estimates(changes))
        found += findings[claim, "sce"].verdict == "holds"
    # Binomial(200, 0.05) exceeds 20 once in 900 times.
    assert found <= 20


def test_no_claim_hangs_on_the_upper_ends_of_rates():
    changes = study(half_width=0.02)
    given = read(changes)
    changes["rate_ci_high"] = np.nan
    found = evaluate(changes, *given)
    assert {finding.verdict for finding in found.values()} == {"holds"}


def test_claims_of_a_study_without_a_method_are_undecided_and_say_so():
    changes = study()
    found = row_of(changes[changes["method"] != MIN], 4)
    assert (found["verdict"], found["contrasts"], found["evidence"]) == (
        "undecided",
        0,
        "Not measured.",
    )


def test_a_single_pair_cannot_decide_on_rankings():
    changes = study()
    assert verdicts(changes[changes["pair"] == "A"])[6] == "undecided"


def test_contrasts_without_a_rate_are_left_out():
    assert row_of(study(sce_ovr__A__s__choice=None), 5)["contrasts"] == 5


def test_table_shows_both_metrics_side_by_side(published):
    table = claims_table(published, make_agreement(published))
    assert len(table.data) == 14
    rows = [line for line in markdown(table).splitlines() if line.startswith("| 5 ")]
    assert len(rows) == 1
    assert "holds | 70 of 70 contrasts above 0 %" in rows[0]
    assert "undecided | Not measured." in rows[0]
    assert pd.api.types.is_integer_dtype(table.data["contrasts"])


def test_files_of_a_study_with_one_task_and_one_method_may_be_empty(tmp_path):
    for schema in (RATES_BY_METHOD, RANK_CORRELATIONS, ESTIMATES):
        write_frame(tmp_path / "empty.parquet", pd.DataFrame(columns=schema.names), schema)
        assert read_frame(tmp_path / "empty.parquet", schema).empty
    changes = study(half_width=0.02)
    of_one = changes[(changes["method"] == SUM) & (changes["task"] == "s")]
    none = read_frame(tmp_path / "empty.parquet", ESTIMATES)
    found = evaluate(
        of_one, make_agreement(of_one), none, RATES_BY_METHOD.empty_table().to_pandas()
    )
    assert found[7, "sce"].verdict == "undecided"
