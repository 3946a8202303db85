"""The split of a change into map and confidences: by hand, and by simulation."""

import numpy as np
import pytest

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.drawing import WholeGroups
from alignment_calibration.calibration.estimates import change
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.pairs.map_change import split
from alignment_calibration.pairs.map_parts import reach
from tests.support.gaussian_models import Model, answer, draw_questions, posterior, tallied


def split_of(base, aligned, name):
    columns, gaps = tallied(base, name)
    return split(columns, tallied(aligned, name)[0], gaps)


def change_of(base, aligned, name):
    return change(estimate(*tallied(base, name)), estimate(*tallied(aligned, name)))


def two_options(confidences, right):
    """Predictions of the first of two options, right in these questions."""
    confidences = np.asarray(confidences)
    return fixed_options(
        np.stack([confidences, 1 - confidences], axis=1), np.where(right, 0, 1).astype(np.int64)
    )


def answers(*groups):
    """Predictions by (number, number right, confidence)."""
    return two_options(
        np.concatenate([np.full(number, told) for number, _, told in groups]),
        np.concatenate([np.arange(number) < right for number, right, _ in groups]),
    )


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.gaps])
@pytest.mark.parametrize("questions", [60, 800])
def test_parts_add_up_to_the_change(name, questions):
    random = np.random.default_rng(questions)
    asked = draw_questions(random, questions)
    base, aligned = (answer(random, asked, model) for model in (Model(0.5), Model(0.7, 0.5)))
    parts = split_of(base, aligned, name)
    total = parts.map.value + parts.confidences.value + parts.unshared.value
    assert total == pytest.approx(change_of(base, aligned, name).value, abs=1e-12)


def test_kitagawa_by_hand():
    # Of 100 questions: confidence 0.6 in 40 (right in half: gap 0.1) against 60 (right in 42:
    # −0.1), and 0.9 in 60 (right in 42: 0.2) against 40 (right in 34: 0.05).
    parts = split_of(
        answers((40, 20, 0.6), (60, 42, 0.9)), answers((60, 42, 0.6), (40, 34, 0.9)), "ece"
    )
    assert parts.map.value == pytest.approx(0.5 * (0.1 - 0.1) + 0.5 * (0.05 - 0.2))
    assert parts.confidences.value == pytest.approx(0.2 * 0.1 - 0.2 * 0.125)
    assert (parts.unshared.value, parts.unshared_share) == (0, 0)


def test_a_bin_that_one_model_never_uses_is_told_apart():
    parts = split_of(answers((100, 50, 0.6)), answers((50, 25, 0.6), (50, 40, 0.9)), "ece")
    assert parts.map.value == pytest.approx(0)
    assert parts.unshared.value == pytest.approx(0.05)
    assert parts.unshared_share == pytest.approx(0.25)


def test_no_part_of_a_model_against_itself():
    random = np.random.default_rng(1)
    same = answer(random, draw_questions(random, 500), Model(0.6, 0.6))
    parts = split_of(same, same, "sce")
    for part in (parts.map, parts.confidences, parts.unshared):
        assert part.value == pytest.approx(0, abs=1e-12)
        low, high = part.interval()
        assert low <= 1e-12
        assert high >= -1e-12


def flattened(random, asked, accuracy):
    """Under-confident on one map, whatever the accuracy: 0.8 p + 0.05 of what is calibrated."""
    return fixed_options(0.8 * posterior(random, asked, accuracy) + 0.05, asked.gold)


@pytest.mark.parametrize("name", ["ece", "sce"])
def test_one_map_at_another_accuracy_is_no_other_map(name):
    map_holds_0, change_holds_0 = [], []
    for seed in range(100):
        random = np.random.default_rng(seed)
        asked = draw_questions(random, 3000)
        base, aligned = (flattened(random, asked, accuracy) for accuracy in (0.5, 0.85))
        low, high = split_of(base, aligned, name).map.interval()
        map_holds_0.append(low <= 0 <= high)
        low, high = change_of(base, aligned, name).interval()
        change_holds_0.append(low <= 0 <= high)
    assert np.mean(map_holds_0) >= 0.93
    assert np.mean(change_holds_0) <= 0.2


def test_another_map_at_the_same_accuracy_is_found():
    random = np.random.default_rng(3)
    asked = draw_questions(random, 3000)
    base, aligned = (answer(random, asked, Model(0.6, t)) for t in (1.0, 0.5))
    parts = split_of(base, aligned, "ece")
    assert parts.map.interval()[0] > 0
    assert parts.map.value > abs(parts.confidences.value)


@pytest.mark.parametrize("temperatures", [(1.0, 0.6), (0.6, 1.0)])
def test_few_questions_do_not_hide_another_map(temperatures):
    # Of 200 questions most options' bins have too few predictions to be compared.
    large = draw_questions(np.random.default_rng(0), 100_000)
    base, aligned = (Model(a, t) for a, t in zip((0.55, 0.7), temperatures, strict=True))
    random = np.random.default_rng(1)
    true = split_of(answer(random, large, base), answer(random, large, aligned), "sce").map.value
    held = []
    for seed in range(150):
        random = np.random.default_rng([7, seed])
        asked = draw_questions(random, 200)
        parts = split_of(answer(random, asked, base), answer(random, asked, aligned), "sce")
        low, high = reach(parts.map, parts.with_unshared(parts.map))
        held.append(low <= true <= high)
    assert np.mean(held) >= 0.93


def test_groups_of_one_question_are_questions():
    random = np.random.default_rng(4)
    asked = draw_questions(random, 2000)
    base, aligned = (tallied(answer(random, asked, Model(0.6, t)), "sce") for t in (1.0, 0.5))
    one_by_one, grouped = (
        split(base[0], aligned[0], base[1], drawing=drawing)
        for drawing in (None, WholeGroups(np.arange(2000)))
    )
    for part in ("map", "confidences", "unshared"):
        ends = [np.array(getattr(parts, part).interval()) for parts in (one_by_one, grouped)]
        assert ends[1] == pytest.approx(ends[0], abs=0.02 * np.ptp(ends[0]))
