"""Raw letters split into answer and format: against closed forms, bounds and a simulation."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import ttest_1samp

from alignment_calibration import compare
from alignment_calibration.calibration.confidences import read_method
from alignment_calibration.calibration.normalisations import Scores, of_vocabulary
from alignment_calibration.calibration.predictions import Predictions, padded, read_answers
from alignment_calibration.contract.pairs import LETTER_PARTS
from alignment_calibration.files.frames import read_frame
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.pairs.letter_parts import raw_predictions, split, write_letter_parts
from tests.calibration.test_confidences import logit_table
from tests.support.simulation import SETTINGS, simulate_pair

METRICS = ["accuracy", "ece", "sce", "brier", "nll", "auroc"]


def drawn(seed=0, questions=500, masses=((8, 2), (30, 1))):
    """Listed letters and letter masses of a pair, by stage."""
    random = np.random.default_rng(seed)
    listed = dict(zip(("base", "aligned"), simulate_pair(random, questions, 1.0, 0.7), strict=True))
    mass = {
        stage: random.beta(a, b, questions) for stage, (a, b) in zip(listed, masses, strict=True)
    }
    return listed, mass


def test_raw_predictions_are_those_of_the_method():
    random = np.random.default_rng(1)
    options = random.integers(2, 6, 60)
    questions = [list(np.log(random.dirichlet(np.full(9, 0.4))[:k] + 1e-12)) for k in options]
    scores = np.concatenate(questions)
    found = of_vocabulary(Scores(scores, np.append(0, np.cumsum(options)[:-1])))
    listed = np.concatenate([np.exp(q) / np.exp(q).sum() for q in questions])
    gold = np.zeros(60, dtype=np.int64)
    raw = raw_predictions(Predictions(padded(listed, options), options, gold), found.mass)
    np.testing.assert_allclose(raw.probabilities, padded(found.values, found.options), atol=1e-12)
    assert raw.options.tolist() == found.options.tolist()


def test_parts_add_up_to_the_change_of_raw_letters():
    listed, mass = drawn()
    raw = {stage: raw_predictions(listed[stage], mass[stage]) for stage in listed}
    changes = compare(
        raw["base"].probabilities,
        raw["aligned"].probabilities,
        raw["base"].gold,
        METRICS,
        resamples=1,
        permutations=1,
    ).set_index("metric")
    parts = split(listed, mass, METRICS, SETTINGS)
    assert set(parts) == {"accuracy", "ece", "sce", "brier", "nll"}  # auroc has no estimate
    for name, found in parts.items():
        assert found["answer"].value + found["format"].value == pytest.approx(found["whole"].value)
        assert found["whole"].value == pytest.approx(changes.loc[name, "change"])
        ends = changes.loc[name, ["change_ci_low", "change_ci_high"]]
        assert found["whole"].interval() == pytest.approx(tuple(ends), abs=1e-6)


def test_log_loss_splits_into_mass_and_listed_log_loss():
    """-log(m p) = -log m - log p: each part is a difference of means, with that of a paired t."""
    listed, mass = drawn(2)
    nll = split(listed, mass, ["nll"], SETTINGS)["nll"]
    by_question = {
        "format": np.log(mass["base"]) - np.log(mass["aligned"]),
        "answer": listed["aligned"].log_loss - listed["base"].log_loss,
    }
    for part, numbers in by_question.items():
        assert nll[part].value == pytest.approx(numbers.mean())
        ends = ttest_1samp(numbers, 0).confidence_interval()
        assert nll[part].interval() == pytest.approx(tuple(ends))


def test_what_did_not_move_has_no_part():
    listed, mass = drawn(3)
    same_mass = split(listed, {"base": mass["base"], "aligned": mass["base"]}, METRICS, SETTINGS)
    same_letters = split(
        {"base": listed["base"], "aligned": listed["base"]}, mass, METRICS, SETTINGS
    )
    for name in same_mass:
        assert same_mass[name]["format"].value == pytest.approx(0, abs=1e-12)
        assert (
            same_mass[name]["format"].interval()[0] <= 0 <= same_mass[name]["format"].interval()[1]
        )
        assert same_letters[name]["answer"].value == pytest.approx(0, abs=1e-12)
        assert same_letters[name]["whole"].value == pytest.approx(
            same_letters[name]["format"].value
        )


def test_file_from_logits(tmp_path):
    """From token log-probabilities of two models to the file: whole is the change of choice_raw."""
    files = {}
    for seed, stage in enumerate(("base", "aligned")):
        random = np.random.default_rng(seed)
        logits = logit_table(
            [[[p] for p in np.log(random.dirichlet([1] * 6)[:4])] for _ in range(50)]
        )
        rows = pa.concat_tables([read_method(logits, m) for m in ("choice", "choice_raw")])
        files[stage] = {"t": tmp_path / f"{stage}.parquet"}
        identity = {"cells": {"choice": {"questions_sha256": "0"}}}
        write_parquet(files[stage]["t"], rows, identity)
    output = tmp_path / "parts.parquet"
    pairs = {"P": {"base": "base", "aligned": "aligned"}}
    write_letter_parts(files, pairs, ["brier"], SETTINGS, "questions", output)
    assert pq.read_schema(output).names == LETTER_PARTS.names
    found = read_frame(output, LETTER_PARTS).set_index(["metric", "part"])["change"]
    raw = {stage: read_answers(files[stage]["t"])["choice_raw"].predictions for stage in files}
    expected = raw["aligned"].squared_error.mean() - raw["base"].squared_error.mean()
    assert found["brier", "whole"] == pytest.approx(expected)
    assert found["brier", "answer"] + found["brier", "format"] == pytest.approx(expected)
