"""Remedies: worked by hand, known ones found, and nothing done where nothing is to be done."""

from typing import Any

import numpy as np
import pytest

from alignment_calibration.calibration.estimates import (
    change,
    negated,
    of_mean,
    rate_interval,
    ratio_interval,
)
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from alignment_calibration.contract.pairs import REMEDIED
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.remedies import (
    REMEDIES,
    batch_calibrated,
    remedies_of,
    with_base_confidence,
)
from alignment_calibration.pairs.remedy_effects import remedy_effects
from tests.support.simulation import (
    SETTINGS,
    answers,
    simulate,
    simulate_pair,
    softmax,
    write_confidences,
)


def effects(tmp_path, base, aligned) -> Any:
    """The effects of the remedies on a pair, by remedy and metric."""
    paths = {}
    for stage, predictions in (("base", base), ("aligned", aligned)):
        paths[stage] = {"task": tmp_path / f"{stage}.parquet"}
        write_confidences(paths[stage]["task"], predictions)
    contrasts = read_contrasts("pair", **paths, resample="questions")
    found = remedy_effects(contrasts, list(METRICS), SETTINGS)
    return found.set_index(["remedy", "metric"])


def test_the_base_model_s_confidence_by_hand():
    # The models agree on the first question; on the second the base model gives the aligned
    # model's answer 0.2.
    base = fixed_options(np.array([[0.6, 0.4, 0.0], [0.7, 0.2, 0.1]]), np.array([0, 1]))
    aligned = fixed_options(np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1]]), base.gold)
    found = with_base_confidence(base, aligned)
    assert found.confidence.tolist() == [0.6, 0.2]
    assert found.correct.tolist() == [True, True]
    # |1 − 0.6| and |1 − 0.2|, each in a bin of its own.
    ece = Sample(found, {"ece": METRICS["ece"]}, SETTINGS).values()["ece"]
    assert ece == pytest.approx((0.4 + 0.8) / 2)


def test_batch_calibration_by_hand():
    # Mean log-probabilities: of A (log 0.8 + log 0.2)/2 = log 0.4, of B the same by symmetry, of C,
    # which only the second question has, its own: it then counts as much as the mean option.
    p = Predictions(
        np.array([[0.8, 0.2, 0.0], [0.2, 0.5, 0.3]]), np.array([2, 3]), np.array([0, 0])
    )
    found = batch_calibrated(p).probabilities
    mean_a, mean_b = np.sqrt(0.8 * 0.2), np.sqrt(0.2 * 0.5)
    first = np.array([0.8 / mean_a, 0.2 / mean_b, 0])
    second = np.array([0.2 / mean_a, 0.5 / mean_b, 1])
    assert found[0] == pytest.approx(first / first.sum())
    assert found[1] == pytest.approx(second / second.sum())


def test_batch_calibration_takes_back_a_preference_for_a_letter():
    fair = simulate(1, 4000)
    leaning = softmax(np.log(fair.probabilities) + np.array([1.5, 0, 0, -1.0]))
    found = batch_calibrated(fixed_options(leaning, fair.gold))
    assert found.probabilities == pytest.approx(batch_calibrated(fair).probabilities)
    assert found.probabilities == pytest.approx(fair.probabilities, abs=0.03)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_identical_models_stay_identical(remedy):
    p = simulate(2, 300, 0.6)
    found = REMEDIES[remedy].apply(answers(p), answers(p))
    assert found.base.confidence == pytest.approx(found.aligned.confidence)
    assert (found.base.predicted == found.aligned.predicted).all()
    if remedy in ("daca", "basecal"):  # they bring the aligned model to the base model
        assert found.aligned.confidence == pytest.approx(p.confidence, abs=1e-5)


def test_identical_models_have_no_effects(tmp_path):
    p = simulate(3, 200, 0.6)
    found = effects(tmp_path, p, p)
    # DACA's temperature is 1 within the tolerance of the search.
    nothing = pytest.approx(0, abs=1e-4)
    for column in ("change_before", "change_after"):
        assert found[column].to_numpy() == nothing
        known = found.dropna(subset=f"{column}_ci_low")
        assert (known[f"{column}_ci_low"] <= 1e-4).all()
        assert (known[f"{column}_ci_high"] >= -1e-4).all()
    assert found["removed"].isna().all()
    for remedy in ("daca", "basecal"):
        assert found.loc[remedy, "aligned_effect"].to_numpy() == nothing


def test_a_remedy_has_the_metrics_and_methods_that_it_has_a_meaning_for(tmp_path):
    base, aligned = simulate_pair(np.random.default_rng(4), 300, 1.0, 0.5)
    found = effects(tmp_path, base, aligned)
    assert {remedy for remedy, _ in found.index} == set(REMEDIES)
    of_answer = {name for name, metric in METRICS.items() if metric.of_answer}
    assert set(found.loc["basecal"].index) == of_answer
    assert set(found.loc["batch"].index) == set(METRICS)
    for method in ("continuation_sum", "choice_raw", "choice_cyclic"):
        assert set(remedies_of(method)) == set(REMEDIES) - {"batch"}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_the_answer_do_not_see_the_other_options(name):
    p = simulate(5, 300, 0.7)
    mass = np.linspace(0.1, 0.9, 300)
    p = Predictions(p.probabilities, p.options, p.gold, mass)
    # The same answers and confidences, other options' probabilities all on one of them; and the
    # right option of questions that were answered wrongly another one.
    spread = np.zeros_like(p.probabilities)
    rows = np.arange(300)
    spread[rows, p.predicted] = p.confidence
    spread[rows, (p.predicted + 1) % 4] += 1 - p.confidence
    gold = np.where(p.correct, p.gold, (p.predicted + 1) % 4)
    other = Predictions(spread, p.options, gold, 1 - mass**2, p.predicted)
    values = [Sample(q, {name: METRICS[name]}, SETTINGS).values()[name] for q in (p, other)]
    assert (values[0] == pytest.approx(values[1], abs=1e-12)) == METRICS[name].of_answer


def test_what_a_temperature_did_is_found_and_taken_back(tmp_path):
    base, aligned = simulate_pair(np.random.default_rng(8), 800, 1.0, 0.5, noise=0.1)
    found = effects(tmp_path, base, aligned)
    for remedy in ("temperature", "daca", "basecal"):
        ece, accuracy = found.loc[(remedy, "ece")], found.loc[(remedy, "accuracy")]
        assert ece.aligned_before == pytest.approx(
            Sample(aligned, METRICS, SETTINGS).values()["ece"]
        )
        assert ece.aligned_effect == ece.aligned_after - ece.aligned_before
        assert ece.aligned_effect_ci_high < 0
        assert ece.removed_ci_low < ece.removed < ece.removed_ci_high
        assert ece.removed > 0.75
        assert accuracy.change_before == pytest.approx(accuracy.change_after)
        assert np.isnan(accuracy.removed)
    for remedy in ("temperature", "daca"):
        assert found.loc[(remedy, "ece")].aligned_temperature == pytest.approx(2, rel=0.15)
    fitted = found.loc[("temperature", "ece")]
    assert fitted.aligned_temperature_ci_low < 2 < fitted.aligned_temperature_ci_high
    assert np.isnan(found.loc[("daca", "ece")].base_temperature)
    assert found.loc[("daca", "ece")].base_before == found.loc[("daca", "ece")].base_after
    # Metrics without an estimate have numbers, but no intervals, and so no share of a change.
    without = found[found["base_before_debiased"].isna()]
    numbers = without[[*REMEDIED]]
    assert numbers.notna().all(axis=None)
    assert without["removed"].isna().all()


def test_a_ratio_of_changes_is_that_of_the_rate_and_of_any_sign():
    random = np.random.default_rng(6)
    x, y = 3 + random.random(200), 4 + random.random(200)
    top, bottom = of_mean(y), of_mean(x)
    low, high = ratio_interval(top, bottom)
    # Of numbers above 0 it is the interval of the rate, plus 1.
    assert (low - 1, high - 1) == pytest.approx(rate_interval(bottom, top))
    assert ratio_interval(negated(top), bottom) == pytest.approx((-high, -low))
    assert ratio_interval(top, negated(bottom)) == pytest.approx((-high, -low))
    # At either end the interval of top − ratio · bottom ends at 0.
    noise = of_mean(random.normal(size=200))
    low, high = ratio_interval(noise, bottom)
    assert low < 0 < high
    assert change(bottom, noise, high - 1).interval()[1] == pytest.approx(0, abs=1e-12)
    assert change(bottom, negated(noise), -low - 1).interval()[1] == pytest.approx(0, abs=1e-12)
    assert np.isnan(ratio_interval(bottom, noise)).all()
