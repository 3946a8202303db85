"""Power: against simulated studies, of which as many find the change as is said."""

import math

import numpy as np
import pandas as pd
import pytest

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import change, of_mean
from alignment_calibration.contract.pairs import CHANGES, ESTIMATES
from alignment_calibration.files.frames import write_frame
from alignment_calibration.pairs import power
from alignment_calibration.pairs.power import ASSUMED, Spread, mde_of_mean
from tests.inputs.test_plan import write_questions
from tests.support.gaussian_models import Model, answer, draw_questions, errors, tallied


def drawn(seed, base, aligned, questions, name):
    """The estimated change of a simulated pair."""
    random = np.random.default_rng(seed)
    asked = draw_questions(random, questions)
    models = [answer(random, asked, model) for model in (base, aligned)]
    if name == "accuracy":
        before, after = (of_mean(model.correct) for model in models)
    else:
        before, after = (estimate(*tallied(model, name)) for model in models)
    return change(before, after)


def spread_of(moved, questions):
    return Spread(
        moved.standard_error * math.sqrt(questions),
        (moved.bias_high - moved.bias_low) * math.sqrt(questions),
    )


def test_the_spread_gives_the_estimate_s_own_power():
    moved = drawn([1, 1], Model(0.6), Model(0.65, 0.7), 500, "ece")
    spread = spread_of(moved, 500)
    assert spread.mde(500) == pytest.approx(moved.mde)
    # 2.8 = 1.96 + 0.84 standard errors, of many questions.
    assert Spread(0.5, 0).mde(10_000) == pytest.approx(2.8016 * 0.005, rel=1e-3)
    # Four tasks: a half of the error of sampling, all of the bias.
    of_four = mde_of_mean({str(task): (Spread(0.5, 2), 10_000) for task in range(4)})
    assert of_four == pytest.approx(2.8016 * 0.0025 + 0.02, rel=1e-3)


@pytest.mark.parametrize("spread", [Spread(0.5, 0), Spread(0.6, 1.3)])
@pytest.mark.parametrize("size", [0.01, 0.02, 0.3])
def test_so_many_questions_show_the_change_and_fewer_do_not(spread, size):
    count = spread.questions_for(size)
    assert spread.mde(count) <= size * (1 + 1e-3)
    assert spread.mde(round(0.97 * count) - 1) > size


def test_four_of_five_studies_of_so_many_questions_find_the_change_of_a_mean():
    base, aligned = Model(0.6), Model(0.65)
    spread = spread_of(drawn([2, 0], base, aligned, 20_000, "accuracy"), 20_000)
    count = spread.questions_for(0.05)
    found = [
        drawn([2, trial], base, aligned, count, "accuracy").interval()[0] > 0
        for trial in range(1, 501)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)  # three standard errors


def test_at_least_four_of_five_find_the_change_of_a_binned_error():
    base, aligned = Model(0.61), Model(0.66, 0.7)
    true = errors(("ece",), aligned)["ece"] - errors(("ece",), base)["ece"]
    spread = spread_of(drawn([3, 0], base, aligned, 500, "ece"), 500)
    count = spread.questions_for(true)
    assert count > 500
    assert count < ASSUMED["ece"].questions_for(true)  # what is assumed is less favourable
    found = [
        drawn([3, trial], base, aligned, count, "ece").interval()[0] > 0 for trial in range(1, 201)
    ]
    assert np.mean(found) >= 0.75


def study(change=0.02):
    return {
        "tasks": {"t": {"choice": "t", "continuation": None}, "u": {"choice": "u"}},
        "statistics": {"primary": {"metric": "ece", "method": "choice"}},
        "plan": {"change": change},
    }


def test_the_plan_says_what_is_assumed_and_what_was_measured(tmp_path):
    write_questions(tmp_path / "questions" / "t" / "choice.parquet")
    text = power.report(study(), tmp_path)
    lines = [line.split() for line in text.splitlines()]
    needed = f"{ASSUMED['ece'].questions_for(0.02):,}"
    assert ["t", "2", f"{ASSUMED['ece'].mde(2):.3f}", needed, "assumed"] in lines
    assert ["u", "not", "made", "?", needed, "assumed"] in lines
    assert "assumed: as of simulated models" in text
    # A study of 900 questions whose change has a standard error of 0.02, and two pairs.
    keys = {"task": "t", "method": "choice", "metric": "ece"}
    pairs = [keys | {"pair": pair, "mde": mde, "n": 900} for pair, mde in (("P", 0.07), ("Q", 0.2))]
    bounds = {"base_bias_low": 0.0, "base_bias_high": 0.01, "aligned_bias_low": -0.01}
    variances = {
        "base_variance": 5e-4,
        "aligned_variance": 5e-4,
        "covariance": 3e-4,
        "degrees": 899,
    }
    found = [
        keys | {"pair": pair, "aligned_bias_high": high} | bounds | variances
        for pair, high in (("P", -0.01), ("Q", 0.01))
    ]
    changes = pd.DataFrame(pairs).reindex(columns=CHANGES.names)
    write_frame(tmp_path / "changes.parquet", changes, CHANGES)
    write_frame(
        tmp_path / "estimates.parquet",
        pd.DataFrame(found).reindex(columns=ESTIMATES.names),
        ESTIMATES,
    )
    spread = Spread(0.02 * 30, (0.01 + 0.02) * 30)
    lines = [line.split() for line in power.report(study(0.05), tmp_path).splitlines()]
    needed = f"{spread.questions_for(0.05):,}"
    assert ["t", "2", f"{spread.mde(2):.3f}", needed, "measured"] in lines
    # (2.8 · 0.6 + 0.9)² / 0.05² questions
    assert spread.questions_for(0.05) == pytest.approx((2.8 * 0.6 + 0.9) ** 2 / 0.05**2, rel=0.01)
