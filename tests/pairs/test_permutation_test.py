"""Permutations where a task's groups were drawn: groups swap as a whole, and the test holds."""

from dataclasses import replace

import numpy as np
import pytest

from alignment_calibration.calibration.drawing import DRAWINGS, WholeGroups, WithinGroups
from alignment_calibration.calibration.metrics.registry import METRICS, select
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.permutation_test import permutation_p_values, permutation_tests
from alignment_calibration.study.settings import Permuting
from tests.support.simulation import (
    SETTINGS,
    draw_gold,
    simulate_exchangeable_pair,
    simulate_pair,
    softmax,
    write_confidences,
)


def p_values_of(pair, drawing, names, permuting):
    base, aligned = (replace(model, drawing=drawing) for model in pair)
    return permutation_p_values(base, aligned, select(names), SETTINGS, "task", permuting)


def exchangeable_in_groups(random, groups, questions):
    """Two models with a temperature of their own on each group: nothing tells which is which, but
    the questions of a group go together.
    """
    group = np.repeat(np.arange(groups), questions)
    logits = 2 * random.normal(size=(group.size, 4))
    gold = draw_gold(random, softmax(logits))
    pair = []
    for _ in range(2):
        temperature = np.exp(0.5 * random.normal(size=groups))[group][:, None]
        noisy = logits + 0.5 * random.normal(size=logits.shape)
        pair.append(fixed_options(softmax(noisy / temperature), gold))
    return group, pair


def test_swaps_of_groups_keep_the_size_where_those_of_questions_do_not():
    # 2,000 studies of 20 groups with 20 questions each: the share has a standard error of 0.005.
    rejected = {(name, kind): 0 for name in ("ece", "confidence") for kind in DRAWINGS}
    for seed in range(2000):
        group, pair = exchangeable_in_groups(np.random.default_rng([7, seed]), 20, 20)
        for kind, drawing in (("questions", None), ("groups", WholeGroups(group))):
            found = p_values_of(pair, drawing, ["ece", "confidence"], Permuting(seed, 99))
            for name, p_value in found.items():
                rejected[name, kind] += p_value <= 0.05
    assert rejected["ece", "groups"] / 2000 <= 0.06
    assert rejected["confidence", "groups"] / 2000 <= 0.06
    assert rejected["ece", "questions"] / 2000 > 0.09
    assert rejected["confidence", "questions"] / 2000 > 0.4


def test_groups_of_one_question_each_swap_as_questions_do():
    pair = simulate_exchangeable_pair(np.random.default_rng(1), 80)
    names = [name for name, metric in METRICS.items() if not metric.letters_only]
    by_question = p_values_of(pair, None, names, Permuting(2, 99))
    assert p_values_of(pair, WholeGroups(np.arange(80)), names, Permuting(2, 99)) == by_question
    # Where groups are given, their questions are independent, whatever the groups are.
    assert (
        p_values_of(pair, WithinGroups(np.arange(80) % 3), names, Permuting(2, 99)) == by_question
    )


def test_the_step_swaps_what_the_config_says(tmp_path):
    groups = ["a", "b", "c", "d"] * 50
    files = []
    for stage, model in zip(
        ("base", "aligned"), simulate_pair(np.random.default_rng(3), 200, 1.0, 0.5), strict=True
    ):
        files.append({"t": tmp_path / f"{stage}.parquet"})
        write_confidences(files[-1]["t"], model, groups=groups)
    p_values = {}
    for kind in DRAWINGS:
        contrasts = read_contrasts("pair", files[0], files[1], kind)
        found = permutation_tests(contrasts, ["confidence"], SETTINGS, Permuting(0, 1999))
        p_values[kind] = found["p_exchangeable"].item()
    assert p_values["questions"] == p_values["within_groups"] == 1 / 2000
    # Of the 16 ways to swap four groups, all or none change as much.
    assert p_values["groups"] == pytest.approx(2 / 16, abs=0.03)
