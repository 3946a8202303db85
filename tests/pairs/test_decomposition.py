"""Splits of a change: parts add up to the whole."""

from typing import Any, cast

import numpy as np
import pytest

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.pairs.decomposition import decompose_pair, parts
from tests.support.simulation import SETTINGS, simulate_pair, write_confidences


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
    found = decompose_pair("pair", paths[0], paths[1], ["accuracy", "ece", "auroc"], SETTINGS)
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
