"""Temperatures: a known one is found, by labels and without."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from alignment_calibration.calibration.drawing import WholeGroups
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from alignment_calibration.pairs.temperature import (
    LARGEST,
    at_temperature,
    calibrate_by_answers,
    calibrate_by_base,
    fit_temperature,
)
from tests.support.simulation import (
    answers,
    draw_gold,
    simulate,
    simulate_pair,
    softmax,
)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature):
    p = simulate(1, 20_000, temperature)
    found = fit_temperature(p, p.one_hot_gold).value
    # The model was put at `temperature`, so its inverse brings it back.
    assert found == pytest.approx(1 / temperature, rel=0.04)
    calibrated, mean = calibrate_by_answers(answers(p))
    assert mean.value == pytest.approx(1 / temperature, rel=0.04)
    assert calibrated.probabilities == pytest.approx(simulate(1, 20_000).probabilities, abs=0.03)


def test_the_fit_minimises_scikit_learn_s_log_loss():
    p = simulate(2, 400, 0.6)
    logits = np.log(p.probabilities)

    def loss(temperature):
        return log_loss(p.gold, softmax(logits / temperature), labels=range(4))

    expected = minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x
    assert fit_temperature(p, p.one_hot_gold).value == pytest.approx(expected, rel=1e-3)


def test_missing_options_stay_missing_and_zeros_do_no_harm():
    p = Predictions(
        np.array([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]]), np.array([2, 3]), np.array([0, 0])
    )
    warm = at_temperature(p, 2.0).probabilities
    root = np.sqrt([0.7, 0.3])
    assert warm[0] == pytest.approx([*(root / root.sum()), 0])
    assert warm[1] == pytest.approx([1, 0, 0])


def test_a_model_that_is_always_right_ends_at_the_bound():
    p = simulate(3, 50)
    always = fixed_options(p.probabilities, p.predicted)
    found = fit_temperature(always, always.one_hot_gold)
    assert found.value == 1 / LARGEST
    assert np.isnan(found.interval()).all()


def test_no_question_s_own_answer_decides_its_temperature():
    # Changing one question's answer leaves its own probabilities, and changes the other fold's.
    p = simulate(4, 60, 0.6)
    gold = p.gold.copy()
    gold[0] = (gold[0] + 1) % 4
    before, _ = calibrate_by_answers(answers(p))
    after, _ = calibrate_by_answers(answers(fixed_options(p.probabilities, gold)))
    same = (before.probabilities == after.probabilities).all(axis=1)
    assert same[0]
    assert 10 < same.sum() < 50


def test_one_question_has_some_temperature():
    calibrated, temperature = calibrate_by_answers(answers(simulate(5, 1)))
    assert np.isfinite(calibrated.probabilities).all()
    assert 1 / LARGEST <= temperature.value <= LARGEST


def test_the_base_model_s_confidence_gives_the_temperature_without_labels():
    base, aligned = simulate_pair(np.random.default_rng(6), 20_000, 1.0, 0.5, noise=0)
    found, temperature = calibrate_by_base(base, aligned)
    assert temperature.value == pytest.approx(2, rel=1e-4)
    assert found.probabilities == pytest.approx(base.probabilities, abs=1e-4)
    # Right answers do not enter.
    shuffled = fixed_options(aligned.probabilities, (aligned.gold + 1) % 4)
    assert calibrate_by_base(base, shuffled)[1] == temperature


def test_questions_on_which_the_models_disagree_do_not_enter():
    base, aligned = simulate_pair(np.random.default_rng(7), 500, 1.0, 0.5)
    agree = base.predicted == aligned.predicted
    flat = base.probabilities.copy()
    flat[~agree] = np.sort(flat[~agree])  # anything with the same disagreements
    changed = fixed_options(np.where(agree[:, None], base.probabilities, flat), base.gold)
    changed_agree = changed.predicted == aligned.predicted
    keep = agree | ~changed_agree
    pairs = [
        [fixed_options(p.probabilities[keep], p.gold[keep]) for p in (model, aligned)]
        for model in (base, changed)
    ]
    assert calibrate_by_base(*pairs[0])[1] == calibrate_by_base(*pairs[1])[1]
    nowhere = fixed_options(base.probabilities[:, ::-1], base.gold)
    disagree = nowhere.predicted != base.predicted
    only = [fixed_options(p.probabilities[disagree], p.gold[disagree]) for p in (base, nowhere)]
    assert np.isnan(calibrate_by_base(*only)[1].value)


def test_the_interval_of_a_temperature_holds_the_true_one():
    # 500 samples of 200 questions; the share has a standard error of 0.01.
    held = 0
    for seed in range(500):
        random = np.random.default_rng([9, seed])
        _, aligned = simulate_pair(random, 200, 1.0, 0.6, noise=0)
        _, by_answers = calibrate_by_answers(answers(aligned))
        low, high = by_answers.interval()
        held += low < 1 / 0.6 < high
    assert held / 500 >= 0.92


def grouped(random, groups, questions):
    """A model with a temperature of its own on each group, and the groups."""
    group = np.repeat(np.arange(groups), questions)
    logits = 2 * random.normal(size=(group.size, 4))
    gold = draw_gold(random, softmax(logits))
    temperature = 0.6 * np.exp(0.5 * random.normal(size=groups))[group][:, None]
    return group, fixed_options(softmax(logits / temperature), gold)


def test_the_interval_of_a_temperature_holds_that_of_all_groups():
    # 300 samples of 20 groups with 50 questions each; the share has a standard error of 0.013.
    _, many = grouped(np.random.default_rng(1), 20_000, 10)
    true = fit_temperature(many, many.one_hot_gold).value
    held = {"questions": 0, "groups": 0}
    for seed in range(300):
        group, model = grouped(np.random.default_rng([2, seed]), 20, 50)
        for kind, drawing in (("questions", None), ("groups", WholeGroups(group))):
            _, found = calibrate_by_answers(answers(replace(model, drawing=drawing)))
            low, high = found.interval()
            held[kind] += low < true < high
    assert held["groups"] / 300 >= 0.92
    assert held["questions"] / 300 < 0.7
