"""Samples of groups: intervals hold where groups differ, which those of single questions do not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alignment_calibration.calibration.bias_aware import added_gaps, estimate, estimate_share
from alignment_calibration.calibration.drawing import (
    DRAWINGS,
    WholeGroups,
    WithinGroups,
    drawing_of,
)
from alignment_calibration.calibration.estimates import change, contributions, of_mean
from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.resampling import bootstrap_weights
from alignment_calibration.study.settings import Resampling
from tests.support.gaussian_models import tallied
from tests.support.simulation import SETTINGS, draw_gold, simulate, softmax, write_confidences


def test_errors_of_groups_of_one_size_are_those_of_their_means():
    numbers = np.random.default_rng(1).normal(size=(12, 30)) + np.arange(12)[:, None]
    groups = np.repeat(np.arange(12), 30)
    drawn = of_mean(numbers.ravel(), WholeGroups(groups))
    # A t-test of the groups' means.
    means = numbers.mean(axis=1)
    expected = stats.t.interval(0.95, 11, means.mean(), stats.sem(means))
    assert drawn.interval() == pytest.approx(expected)
    # Stratified: the mean of the groups' variances (Cochran 1977, chapter 5).
    within = of_mean(numbers.ravel(), WithinGroups(groups))
    assert within.standard_error**2 == pytest.approx(numbers.var(axis=1, ddof=1).mean() / 360)
    assert within.value == drawn.value == pytest.approx(numbers.mean())


def test_groups_of_one_question_each_are_questions():
    p, each = simulate(2, 300, 0.7), WholeGroups(np.arange(300))
    for name in ("ece", "sce", "tace"):
        columns, gaps = tallied(p, name)
        one_by_one, grouped = estimate(columns, gaps), estimate(columns, gaps, drawing=each)
        for number in ("value", "debiased", "bias_low", "bias_high", "standard_error"):
            assert getattr(grouped, number) == pytest.approx(getattr(one_by_one, number)), number
        rows = p.correct
        shares = [estimate_share(added_gaps(columns, gaps, how), rows) for how in (None, each)]
        assert shares[0].interval() == pytest.approx(shares[1].interval())


def test_groups_of_one_question_are_a_sample_of_questions():
    """As a `limit` of 1 makes them: of each such group there is nothing to see."""
    numbers = np.random.default_rng(2).normal(size=57)
    alone = of_mean(numbers, WithinGroups(np.arange(57)))
    assert alone.interval() == pytest.approx(of_mean(numbers).interval())
    # Two of them beside a group of three, by hand: (3 · s² of the three + 2 · s² of the two) / 5².
    mixed = of_mean(np.array([1.0, 2, 6, 4, 8]), WithinGroups(np.array([0, 0, 0, 1, 2])))
    assert mixed.standard_error**2 == pytest.approx((3 * 7 + 2 * 8) / 25)
    # A single one, with the first of the smallest others.
    one = of_mean(np.array([0.0, 4, 1, 3, 8]), WithinGroups(np.array([1, 1, 0, 2, 2])))
    assert one.standard_error**2 == pytest.approx((3 * stats.tvar([0, 4, 1]) + 2 * 12.5) / 25)
    weights = np.concatenate(
        list(bootstrap_weights("t", 57, Resampling(0, 2000), WithinGroups(np.arange(57))))
    )
    assert (weights @ numbers / 57).std() == pytest.approx(alone.standard_error, rel=0.1)


def test_names_of_groups_decide():
    names = ["b", "a", "b", "c"]
    assert drawing_of(names, "questions") is None
    assert drawing_of(["a"] * 4, "groups") is None
    found = drawing_of(names, "groups")
    assert isinstance(found, WholeGroups)
    assert found.groups.tolist() == [1, 0, 1, 2]
    assert found.subset(np.array([True, False, True, False])) is None
    rest = found.subset(np.array([False, True, False, True]))
    assert rest is not None
    assert rest.groups.tolist() == [0, 1]


@pytest.mark.parametrize("kind", [WholeGroups, WithinGroups])
def test_resamples_are_of_groups(kind):
    groups = np.array([0, 1, 1, 2, 2, 2] * 5)
    weights = np.concatenate(list(bootstrap_weights("t", 30, Resampling(0, 500), kind(groups))))
    of_group = np.stack([weights[:, groups == group].sum(axis=1) for group in range(3)], axis=1)
    sizes = np.bincount(groups)
    if kind is WithinGroups:
        assert (of_group == sizes).all()
        assert weights.std(axis=0).min() > 0
    else:
        assert ((of_group / sizes).sum(axis=1) == 3).all()
        assert (weights[:, 1] == weights[:, 2]).all()
        assert of_group[:, 0].std() > 0


def test_the_step_draws_what_the_config_says(tmp_path):
    p, groups = simulate(6, 120), ["a", "b", "c"] * 40
    write_confidences(tmp_path / "c.parquet", p, groups=groups)
    rows: dict[str, Any] = {}
    for resample in DRAWINGS:
        write_metrics(
            model="m",
            confidences={"t": tmp_path / "c.parquet"},
            metrics=["accuracy", "auroc"],
            settings=SETTINGS,
            resampling=Resampling(0, 50, resample),
            output=tmp_path / "m.parquet",
        )
        found = pd.read_parquet(tmp_path / "m.parquet").set_index("metric")
        rows[resample] = found.loc["accuracy"]
        assert found["replicates"]["auroc"].size == 50
    assert [rows[resample].contributions.size for resample in DRAWINGS] == [120, 3, 120]
    means = [p.correct[start::3].mean() for start in range(3)]
    ends = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    assert rows["groups"][["ci_low", "ci_high"]].tolist() == pytest.approx(np.clip(ends, 0, 1))
    assert rows["questions"].value == rows["groups"].value == rows["within_groups"].value


def grouped_pair(random, groups, questions, spread=0.5):
    """A pair of models on a task of groups, in which the aligned model's temperature differs: the
    error that is true over all possible groups is not that of the groups at hand.

    Both are over-confident, so that errors of sampling decide the intervals and not the bias.
    """
    group = np.repeat(np.arange(groups), questions)
    logits = 2 * random.normal(size=(group.size, 4))
    gold = draw_gold(random, softmax(logits))
    aligned = 0.5 * np.exp(spread * random.normal(size=groups))[group][:, None]
    return group, [fixed_options(softmax(logits / t), gold) for t in (0.7, aligned)]


def test_intervals_of_groups_hold_where_groups_differ():
    # 500 studies of 20 groups with 100 questions each: the share of intervals that hold the truth
    # has a standard error of 0.01 at 0.95.
    _, models = grouped_pair(np.random.default_rng(3), 20_000, 10)
    before, after = (estimate(*tallied(model, "ece")) for model in models)
    true = {
        "ece": change(before, after).debiased,
        "confidence": models[1].confidence.mean() - models[0].confidence.mean(),
    }
    held = {(name, kind): 0 for name in true for kind in ("questions", "groups")}
    for seed in range(500):
        group, models = grouped_pair(np.random.default_rng([4, seed]), 20, 100)
        for kind, drawing in (("questions", None), ("groups", WholeGroups(group))):
            before, after = (estimate(*tallied(m, "ece"), drawing=drawing) for m in models)
            sure, surer = (of_mean(m.confidence, drawing) for m in models)
            for name, moved in (
                ("ece", change(before, after)),
                ("confidence", change(sure, surer)),
            ):
                low, high = moved.interval()
                held[name, kind] += low <= true[name] <= high
    shares = {key: count / 500 for key, count in held.items()}
    assert min(shares["ece", "groups"], shares["confidence", "groups"]) >= 0.92
    assert shares["confidence", "questions"] < 0.5
    assert shares["ece", "questions"] < 0.9


def test_resamples_of_groups_spread_as_their_errors_do():
    group, (_, aligned) = grouped_pair(np.random.default_rng(5), 40, 20)
    for kind in (WholeGroups, WithinGroups):
        drawing = kind(group)
        weights = np.concatenate(list(bootstrap_weights("t", 800, Resampling(0, 2000), drawing)))
        values = weights @ aligned.confidence / weights.sum(axis=1)
        error = np.linalg.norm(contributions(aligned.confidence, drawing))
        assert values.std() == pytest.approx(error, rel=0.1)
