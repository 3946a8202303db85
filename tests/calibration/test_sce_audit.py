"""The published class-wise error, its closed form and the published figures."""

import numpy as np
import pytest

from alignment_calibration.calibration.estimates import of_mean
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.sce_audit import audit, closed_form, larger_interval
from tests.support.simulation import SETTINGS, simulate, write_confidences


@pytest.mark.parametrize("options", [2, 4, 5])
@pytest.mark.parametrize("temperature", [0.1, 0.6])
def test_the_closed_form_is_near_for_over_confident_models(options, temperature):
    values = Sample(simulate(0, 4000, temperature, options), METRICS, SETTINGS).values()
    found = closed_form(*map(np.array, (options, values["accuracy"], values["confidence"])))
    assert found == pytest.approx(values["sce_ovr"], abs=0.06)


def test_any_fully_confident_model_has_the_same_published_error():
    random = np.random.default_rng(0)
    for accuracy in (0.0, 0.5, 1.0):
        gold = random.integers(4, size=400)
        predicted = np.where(random.random(400) < accuracy, gold, (gold + 1) % 4)
        p = fixed_options(np.eye(4)[predicted], gold)
        values = Sample(p, METRICS, SETTINGS).values()
        found = closed_form(*map(np.array, (4, values["accuracy"], 1.0)))
        assert found == pytest.approx(3 / 4)
        assert values["sce_ovr"] == pytest.approx(3 / 4)


def test_the_audit_puts_both_errors_side_by_side(tmp_path):
    p = simulate(1, 300, 0.6)
    write_confidences(tmp_path / "c.parquet", p)
    row = audit("model", {"task": tmp_path / "c.parquet"}, SETTINGS, "questions").iloc[0]
    values = Sample(p, METRICS, SETTINGS).values()
    for name in ("sce", "sce_ovr", "ece", "accuracy", "confidence"):
        assert row[name] == pytest.approx(values[name])
    assert row.options == 4
    assert row.closed_form == pytest.approx((4 - 3 + 2 * values["confidence"]) / 4)
    estimates = Sample(p, METRICS, SETTINGS).estimates()
    for name in ("sce", "sce_ovr", "ece", "accuracy", "confidence"):
        ends = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
        assert ends == pytest.approx(np.clip(estimates[name].interval(), 0, 1))
    assert row.closed_form_ci_low < row.closed_form < row.closed_form_ci_high


@pytest.mark.parametrize("distance", [0.0, 0.1, 1.0])
def test_the_interval_of_the_larger_of_two_means_holds_it(distance):
    # 1,000 samples of 200; equal means, where the larger of both is too large, are the hard case.
    held = 0
    for seed in range(1000):
        numbers = np.random.default_rng([10, seed]).normal([0, distance], size=(200, 2))
        low, high = larger_interval(of_mean(numbers[:, 0]), of_mean(numbers[:, 1]))
        held += low <= distance <= high
    assert held / 1000 >= 0.94
