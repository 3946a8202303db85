"""Splits of a change: parts add up to the whole."""

from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from alignment_calibration.calibration.bias_aware import added_gaps, estimate, estimate_share
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.decomposition import decompose_pair, parts
from tests.support.gaussian_models import tallied
from tests.support.simulation import SETTINGS, simulate, simulate_pair, write_confidences


def test_every_question_is_in_one_part_of_each_split():
    base = fixed_options(np.array([[0.9, 0.1]] * 4), np.array([0, 1, 0, 1]))
    flipped = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
    aligned = fixed_options(flipped, base.gold)
    found = parts(base, aligned)
    assert found["agreement"]["agree"].tolist() == [True, True, False, False]
    assert {part: np.flatnonzero(rows).tolist() for part, rows in found["correctness"].items()} == {
        "both_right": [0],
        "both_wrong": [1],
        "only_base_right": [2],
        "only_aligned_right": [3],
    }


def test_parts_of_a_change_add_up_to_it(tmp_path):
    pair = simulate_pair(np.random.default_rng(1), 200, 1.0, 0.6)
    paths = [{"task": tmp_path / f"{stage}.parquet"} for stage in ("base", "aligned")]
    for path, predictions in zip(paths, pair, strict=True):
        write_confidences(path["task"], predictions)
    contrasts = read_contrasts("pair", paths[0], paths[1], "questions")
    found = decompose_pair(contrasts, ["accuracy", "ece", "auroc"], SETTINGS)
    assert set(found.metric) == {"accuracy", "ece"}
    before, after = (Sample(p, METRICS, SETTINGS).values() for p in pair)
    for (metric, _), split in cast(Any, found.groupby(["metric", "split"])):
        assert split.change.sum() == pytest.approx(after[metric] - before[metric])
        assert split.questions.sum() == 200
    # Accuracy changes only where one of the two is right, by one question each.
    accuracy = found[found.metric == "accuracy"].set_index("part")
    assert accuracy.change["both_right"] == accuracy.change["both_wrong"] == 0
    gained = accuracy.loc["only_aligned_right"]
    assert gained.change == pytest.approx(gained.questions / 200)
    # 95 % intervals of Student's t of the questions' contributions.
    moved = (np.asarray(pair[1].correct) & ~pair[0].correct).astype(float)
    t_interval = stats.t.interval(0.95, 199, moved.mean(), stats.sem(moved))
    assert (gained.ci_low, gained.ci_high) == pytest.approx(t_interval)
    assert (found.ci_low <= found.debiased).all()
    assert (found.debiased <= found.ci_high).all()


@pytest.mark.parametrize("name", ["ece", "sce", "sce_ovr", "tace"])
def test_shares_of_an_error_add_up_to_its_estimate(name):
    columns, gaps = tallied(simulate(2, 400, 0.7), name)
    whole, added = estimate(columns, gaps), added_gaps(columns, gaps)
    everything = estimate_share(added, np.ones(400, dtype=bool))
    assert everything.value == pytest.approx(whole.value)
    assert everything.debiased == pytest.approx(whole.debiased)
    assert everything.bias_high == pytest.approx(whole.bias_high)
    assert everything.contributions == pytest.approx(whole.contributions)
    rows = np.random.default_rng(3).random(400) < 0.3
    one, other = (estimate_share(added, part) for part in (rows, ~rows))
    assert one.value + other.value == pytest.approx(whole.value)
    assert one.debiased + other.debiased == pytest.approx(whole.debiased)
    assert one.contributions + other.contributions == pytest.approx(whole.contributions)


def test_a_part_may_count_with_either_sign_where_that_of_the_bin_is_open():
    # One bin of 100 questions of confidence 0.5: 52 are right, so its gap is 0.4 standard errors
    # from 0. The right ones add 0.26 to it, or -0.26 if the bin's true gap is negative.
    gold = np.repeat([0, 1], [52, 48])
    even = fixed_options(np.full((100, 2), 0.5), gold)
    columns, gaps = tallied(even, "ece")
    low, high = estimate_share(added_gaps(columns, gaps), even.correct).interval()
    assert low < -0.2 < 0.26 < high
    # With 80 right the sign is known, and the right ones add 0.4.
    sure = fixed_options(np.full((100, 2), 0.5), np.repeat([0, 1], [80, 20]))
    found = estimate_share(added_gaps(*tallied(sure, "ece")), sure.correct)
    assert found.value == pytest.approx(0.4)
    assert 0.3 < found.interval()[0] < 0.4 < found.interval()[1] < 0.5
