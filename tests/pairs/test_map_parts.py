"""The file of map parts: against the split itself and the changes of the library."""

import numpy as np
import pytest

from alignment_calibration import compare
from alignment_calibration.contract.pairs import MAP_EFFECTS, MAP_PARTS
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.map_parts import (
    map_effects,
    map_parts,
    opposite_signs,
    parts_frame,
)
from tests.support.simulation import SETTINGS, simulate_pair, write_confidences


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    pair = simulate_pair(np.random.default_rng(0), 400, 1.0, 0.5)
    for stage, predictions in zip(("base", "aligned"), pair, strict=True):
        write_confidences(root / f"{stage}.parquet", predictions)
    base, aligned = ({"one": root / f"{stage}.parquet"} for stage in ("base", "aligned"))
    parts = map_parts(read_contrasts("pair", base, aligned, "questions"), SETTINGS)
    effects = map_effects([*parts, *(part._replace(pair="copy") for part in parts)])
    write_frame(root / "effects.parquet", effects, MAP_EFFECTS)
    frame = parts_frame(parts)
    write_frame(root / "parts.parquet", frame, MAP_PARTS)
    return pair, *(
        read_frame(root / f"{name}.parquet", schema)
        for name, schema in (("parts", MAP_PARTS), ("effects", MAP_EFFECTS))
    )


def test_parts_add_up_to_the_whole_which_is_the_change(found):
    (base, aligned), parts, _ = found
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


def test_a_pair_and_its_copy_have_the_mean_of_the_pair(found):
    _, parts, effects = found
    both = parts.merge(effects, on=["method", "metric", "part"], validate="1:1")
    assert len(both) == len(parts) == 8
    assert set(effects.pairs) == {2}
    assert both.change.to_numpy() == pytest.approx(both.mean_change.to_numpy())
    assert both.debiased.to_numpy() == pytest.approx(both.mean_debiased.to_numpy())
    # The error is that of the pair, Student's t has one degree of freedom.
    ratio = (both.ci_high_y - both.ci_low_y) / (both.ci_high_x - both.ci_low_x)
    assert (ratio > 1).all()


def test_opposite_signs_are_counted(found):
    parts = found[1]
    of_ece = parts[parts.metric == "ece"].copy()
    assert opposite_signs(of_ece)["opposite"] == 0
    numbers = ["debiased", "ci_low", "ci_high"]
    of_ece.loc[of_ece.part == "whole", numbers] = [0.1, 0.05, 0.15]
    of_ece.loc[of_ece.part == "map", numbers] = [-0.1, -0.15, -0.05]
    assert set(opposite_signs(of_ece).values()) == {1}
    of_ece.loc[of_ece.part == "map", "ci_high"] = 0.05
    assert opposite_signs(of_ece) == {
        "contrasts": 1,
        "opposite": 1,
        "opposite_found": 0,
        "whole_found": 1,
        "map_found": 0,
    }
