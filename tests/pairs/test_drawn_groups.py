"""Where groups were drawn, all steps take their means for what there is to average: against SciPy's
t-test of the means of groups of one size."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ttest_1samp

from alignment_calibration.calibration.drawing import DRAWINGS, WholeGroups
from alignment_calibration.calibration.sce_audit import audit
from alignment_calibration.files.logits import logits_beside, write_logits, write_receipt
from alignment_calibration.files.parquet import values_digest
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.decomposition import decompose_pair
from alignment_calibration.pairs.letter_parts import split
from alignment_calibration.pairs.multiverse import pair_multiverse
from alignment_calibration.pairs.option_order import priors
from alignment_calibration.pairs.remedy_effects import remedy_effects
from tests.calibration.test_normalisations import rotated_logits
from tests.pairs.test_multiverse import logits_of
from tests.support.simulation import SETTINGS, simulate_pair, write_confidences

GROUPS = np.repeat(np.arange(12), 25)
NAMES = [f"g{group:02d}" for group in GROUPS]


@pytest.fixture(scope="module")
def pair():
    return simulate_pair(np.random.default_rng(0), GROUPS.size, 1.0, 0.6)


@pytest.fixture(scope="module")
def files(pair, tmp_path_factory):
    root = tmp_path_factory.mktemp("groups")
    for stage, model in zip(("base", "aligned"), pair, strict=True):
        write_confidences(root / f"{stage}.parquet", model, groups=NAMES)
    return [{"t": root / f"{stage}.parquet"} for stage in ("base", "aligned")]


def of_groups(numbers):
    """The t-test of groups' means of a number of each question."""
    return ttest_1samp(np.asarray(numbers, dtype=float).reshape(12, 25).mean(axis=1), 0)


def ends(row, name=""):
    return row[f"{name}ci_low"], row[f"{name}ci_high"]


def test_remedies_decompositions_and_the_audit(pair, files):
    base, aligned = pair
    contrasts = list(read_contrasts("pair", files[0], files[1], "groups"))
    moved = aligned.correct.astype(int) - base.correct
    remedies = remedy_effects(contrasts, ["accuracy"], SETTINGS)
    for row in remedies.to_dict("records"):
        assert ends(row, "change_before_") == pytest.approx(of_groups(moved).confidence_interval())
    parts = decompose_pair(contrasts, ["accuracy"], SETTINGS).set_index("part")
    expected = of_groups(moved > 0).confidence_interval()
    assert ends(parts.loc["only_aligned_right"]) == pytest.approx(expected)
    audited = audit("aligned", files[1], SETTINGS, "groups").iloc[0]
    expected = of_groups(aligned.correct).confidence_interval()
    assert ends(audited, "accuracy_") == pytest.approx(expected)


def test_raw_letters(pair):
    random = np.random.default_rng(1)
    listed = {
        stage: replace(model, drawing=WholeGroups(GROUPS))
        for stage, model in zip(("base", "aligned"), pair, strict=True)
    }
    mass = {stage: random.beta(8, 2, GROUPS.size) for stage in listed}
    nll = split(listed, mass, ["nll"], SETTINGS)["nll"]
    by_question = np.log(mass["base"]) - np.log(mass["aligned"])
    assert nll["format"].interval() == pytest.approx(of_groups(by_question).confidence_interval())


def test_the_multiverse(pair, tmp_path):
    cells = []
    for stage, model in zip(("base", "aligned"), pair, strict=True):
        receipt, rows = tmp_path / f"{stage}.receipt.json", logits_of(model)
        rows = rows.set_column(
            rows.schema.get_field_index("group"), "group", pa.array(np.repeat(NAMES, 4))
        )
        write_logits(logits_beside(receipt), rows, {"model": stage})
        write_receipt(receipt, {"model": stage}, values_digest(rows))
        cells.append({("t", "continuation"): (receipt, {"model": stage})})
    base, aligned = pair
    moved = aligned.log_loss - base.log_loss
    p_values = {}
    for kind in DRAWINGS:
        found = pair_multiverse("pair", cells[0], cells[1], kind)
        of_sums = found[(found.reading == "sum") & (found.metric == "nll")]
        p_values[kind] = of_sums["p_value"].item()
    assert p_values["questions"] == pytest.approx(ttest_1samp(moved, 0).pvalue, rel=1e-3)
    assert p_values["groups"] == pytest.approx(of_groups(moved).pvalue, rel=1e-3)


def test_intervals_of_letters_hold_where_groups_differ():
    # 150 samples of 10 groups with 6 questions each, whose letters have a prior of their own.
    random, prior = np.random.default_rng(2), np.array([0.4, 0.3, 0.2, 0.1])
    held = {"questions": np.zeros(4), "groups": np.zeros(4)}
    for _ in range(150):
        tables = []
        for group in range(10):
            of_group = prior * np.exp(0.5 * random.normal(size=4))
            logits, _ = rotated_logits(random, [4] * 6, of_group / of_group.sum(), noise=0.3)
            for column, name in (("question_id", f"{group}/"), ("group", "")):
                names = [f"{name}{text}" for text in logits[column].to_pylist()]
                names = names if name else [str(group)] * len(names)
                logits = logits.set_column(
                    logits.schema.get_field_index(column), column, pa.array(names)
                )
            tables.append(logits)
        for kind, count in held.items():
            found, questions = priors(pa.concat_tables(tables), kind)
            assert questions == 60
            low, high = np.transpose([estimate.interval() for estimate in found])
            count += (low <= prior) & (prior <= high)
    # 95 % of 150 samples of 4 letters, give or take three standard errors of a share.
    assert held["groups"].mean() / 150 > 0.92
    assert (held["groups"] / 150 > 0.88).all()
    assert held["questions"].mean() / 150 < 0.8
