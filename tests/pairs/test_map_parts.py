"""The file of map parts: against the split itself and the changes of the library."""

import numpy as np
import pytest

from alignment_calibration import compare
from alignment_calibration.contract.pairs import MAP_PARTS
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.pairs.map_parts import map_parts
from alignment_calibration.report.tables.map_parts import opposite
from tests.support.simulation import SETTINGS, simulate_pair, write_confidences


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    pair = simulate_pair(np.random.default_rng(0), 400, 1.0, 0.5)
    for stage, predictions in zip(("base", "aligned"), pair, strict=True):
        write_confidences(root / f"{stage}.parquet", predictions)
    base, aligned = ({"one": root / f"{stage}.parquet"} for stage in ("base", "aligned"))
    frame = map_parts("pair", base, aligned, SETTINGS)
    write_frame(root / "parts.parquet", frame, MAP_PARTS)
    return pair, read_frame(root / "parts.parquet", MAP_PARTS)


def test_parts_add_up_to_the_whole_which_is_the_change(found):
    (base, aligned), parts = found
    names = ["ece", "sce"]
    changes = compare(
        base.probabilities, aligned.probabilities, base.gold, names, resamples=1, permutations=1
    ).set_index("metric")
    for name in names:
        by_part = parts[parts.metric == name].set_index("part")
        whole = by_part.loc["whole"]
        assert by_part.change.sum() == pytest.approx(2 * whole.change)
        assert whole.change == pytest.approx(changes.loc[name, "change"])
        ends = changes.loc[name, ["change_ci_low", "change_ci_high"]]
        assert [whole.ci_low, whole.ci_high] == pytest.approx(list(ends), abs=1e-6)


def test_opposite_signs_are_counted(found):
    _, parts = found
    of_ece = parts[parts.metric == "ece"].copy()
    assert "in 0 of 1 contrasts" in opposite("ece", of_ece)
    numbers = ["debiased", "ci_low", "ci_high"]
    of_ece.loc[of_ece.part == "whole", numbers] = [0.1, 0.05, 0.15]
    of_ece.loc[of_ece.part == "map", numbers] = [-0.1, -0.15, -0.05]
    text = opposite("ece", of_ece)
    assert "in 1 of 1 contrasts" in text
    assert "in 1 of them" in text
