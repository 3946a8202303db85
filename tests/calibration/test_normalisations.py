"""Rotations and priors of letters: injected priors, brute force, coverage by simulation."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from alignment_calibration.calibration.confidences import read_method
from alignment_calibration.calibration.normalisations import PRIOR_SHARE
from alignment_calibration.errors import UserError
from alignment_calibration.pairs.option_order import priors
from tests.calibration.test_confidences import logit_table

PRIOR = np.array([0.4, 0.25, 0.15, 0.12, 0.08])


def rotated_logits(random, options, prior, noise=0.0, mass=0.9):
    """A cell of rotations: log P of a letter = log prior + worth of what it stands for + constant.

    Returns:
        Rows of the LOGITS contract, and each question's worths.
    """
    questions, ids, worths = [], [], []
    for number, count in enumerate(options):
        worth = 1.5 * random.normal(size=count)
        worths.append(worth)
        for by in range(count):
            scores = np.roll(worth, -by) + np.log(prior[:count]) + noise * random.normal(size=count)
            questions.append([[value] for value in math.log(mass) + log_softmax(scores)])
            ids += [f"t/{number:06d}@{by:02d}"] * count
    table = logit_table(questions)
    return table.set_column(0, "question_id", [ids]), worths


def test_an_injected_prior_is_recovered():
    random = np.random.default_rng(0)
    logits, _ = rotated_logits(random, random.integers(3, 6, 1500), PRIOR, noise=0.5)
    found = [estimate.value for estimate in priors(logits, "questions")[0]]
    np.testing.assert_allclose(found, PRIOR, atol=0.01)


def test_a_prior_without_noise_is_recovered_from_a_few_questions_of_all_sizes():
    random = np.random.default_rng(1)
    logits, _ = rotated_logits(random, [2, 2, 5, 3, 3], PRIOR)
    np.testing.assert_allclose([e.value for e in priors(logits, "questions")[0]], PRIOR, atol=1e-6)


def test_intervals_of_the_prior_hold_it():
    random, held = np.random.default_rng(2), np.zeros(4)
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    for _ in range(150):
        logits, _ = rotated_logits(random, [4] * 60, prior, noise=1.0)
        ends = np.array([estimate.interval() for estimate in priors(logits, "questions")[0]])
        held += (ends[:, 0] <= prior) & (prior <= ends[:, 1])
    # 95 % of 150, give or take three standard errors of a share (2.7 at 0.95).
    assert (np.abs(held / 150 - 0.95) < 0.055).all()


def test_the_mean_over_rotations_is_that_of_a_loop():
    random = np.random.default_rng(3)
    options = random.integers(2, 6, 40)
    logits, _ = rotated_logits(random, options, PRIOR, noise=0.7)
    by_id = {}
    for row in logits.to_pylist():
        by_id.setdefault(row["question_id"], []).append(row["token_logprobs"][0])
    rows = read_method(logits, "choice_cyclic").to_pylist()
    assert [row["question_id"] for row in rows] == [f"t/{number:06d}" for number in range(40)]
    for row, count in zip(rows, options, strict=True):
        expected = np.zeros(count)
        for by in range(count):
            for letter, share in enumerate(softmax(by_id[f"{row['question_id']}@{by:02d}"])):
                expected[(letter + by) % count] += share / count
        np.testing.assert_allclose(row["probabilities"], expected, rtol=1e-6)
        assert row["letter_mass"] == pytest.approx(0.9, abs=1e-6)


def test_pride_leaves_what_the_options_are_worth():
    """With scores that are the sum of prior and worth, nothing of the prior is left."""
    random = np.random.default_rng(4)
    logits, worths = rotated_logits(random, random.integers(3, 6, 90), PRIOR)
    rows = read_method(logits, "choice_pride").to_pylist()
    # A tenth of those of each size, rounded up, is what the prior is estimated on.
    sizes = np.bincount([len(worth) for worth in worths])
    estimating = sum(math.ceil(PRIOR_SHARE * size) for size in sizes)
    assert len(rows) == 90 - estimating
    for row in rows:
        worth = worths[int(row["question_id"].rpartition("/")[2])]
        np.testing.assert_allclose(row["probabilities"], softmax(worth), atol=1e-5)
    stand = {row["question_id"]: row for row in read_method(logits, "choice_cyclic").to_pylist()}
    assert all(stand[row["question_id"]]["gold"] == row["gold"] for row in rows)


def test_two_models_estimate_the_prior_on_the_same_questions():
    ids = []
    for seed in (5, 6):
        logits, _ = rotated_logits(np.random.default_rng(seed), [4] * 50, PRIOR, noise=0.5)
        ids.append(read_method(logits, "choice_pride")["question_id"].to_pylist())
    assert ids[0] == ids[1]


def test_fewer_questions_than_letters_are_said_in_one_line():
    logits, _ = rotated_logits(np.random.default_rng(7), [4] * 30, PRIOR)
    with pytest.raises(
        UserError, match=r"choice_pride: the prior of 4 letters .* 30 questions, 3,"
    ):
        read_method(logits, "choice_pride")


def test_a_question_is_truncated_if_one_of_its_rotations_is():
    logits, _ = rotated_logits(np.random.default_rng(8), [2, 2, 3], PRIOR)
    cut = [False] * logits.num_rows
    cut[6] = True  # the second rotation of the second question
    place = logits.column_names.index("truncated")
    logits = logits.set_column(place, "truncated", [cut])
    assert read_method(logits, "choice_cyclic")["truncated"].to_pylist() == [False, True, False]
