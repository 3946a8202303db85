"""Confidences against scipy's softmax and a hand-worked question."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import logsumexp, softmax

from alignment_calibration.calibration.confidences import read_method
from alignment_calibration.calibration.normalisations import NORMALISATIONS
from alignment_calibration.calibration.predictions import read_answers
from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.study.vocabulary import METHODS, READINGS


def logit_table(questions: list[list[list[float]]]) -> pa.Table:
    """Logit rows for log-probabilities given as question → option → token."""
    rows = [
        {
            "question_id": f"q{question}",
            "choice": choice,
            "gold": 0,
            "group": "g",
            "token_ids": list(range(len(tokens))),
            "token_logprobs": tokens,
            "continuation_bytes": 4,
            "context_tokens": 3,
            "truncated": False,
        }
        for question, options in enumerate(questions)
        for choice, tokens in enumerate(options)
    ]
    return pa.Table.from_pylist(rows, schema=LOGITS)


def test_hand_worked_question():
    # P(option) = 1/2 · 1/2 = 1/4 and 1/4: equal sums. Least likely tokens: 1/2 and 1/4.
    logits = logit_table([[[math.log(0.5), math.log(0.5)], [math.log(0.25)]]])
    summed = read_method(logits, "continuation_sum")["probabilities"][0].as_py()
    least = read_method(logits, "continuation_min")["probabilities"][0].as_py()
    assert summed == pytest.approx([0.5, 0.5], abs=1e-7)
    assert least == pytest.approx([2 / 3, 1 / 3], abs=1e-7)


def test_letter_mass_is_the_probability_of_the_listed_letters():
    logits = logit_table([[[math.log(0.3)], [math.log(0.2)], [math.log(0.1)]]])
    row = read_method(logits, "choice").to_pylist()[0]
    assert row["letter_mass"] == pytest.approx(0.6, abs=1e-7)
    assert row["probabilities"] == pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=1e-7)
    assert read_method(logits, "continuation_sum")["letter_mass"].to_pylist() == [None]


def test_a_question_is_truncated_if_the_context_of_any_option_is():
    logits = logit_table([[[-1.0], [-2.0]]] * 4)
    cut = [False, False, False, True, True, True, None, False]
    place = logits.column_names.index("truncated")
    logits = logits.set_column(place, "truncated", pa.array(cut))
    assert read_method(logits, "choice")["truncated"].to_pylist() == [False, True, True, None]


@pytest.mark.parametrize("method", ["continuation_sum", "continuation_min", "choice"])
def test_agrees_with_scipy_on_questions_of_all_sizes(method):
    rng = np.random.default_rng(0)
    questions = [
        [list(-50 * rng.random(rng.integers(1, 6))) for _ in range(rng.integers(2, 6))]
        for _ in range(200)
    ]
    # Far below what float64 can exponentiate: a softmax that forgets its maximum gives NaN.
    questions.append([[-2000.0], [-2001.0]])
    table = read_method(logit_table(questions), method)
    reduce: Callable[..., Any] = min if method == "continuation_min" else sum
    for row, options in zip(table.to_pylist(), questions, strict=True):
        scores = [reduce(np.array(tokens, np.float32).astype(float)) for tokens in options]
        np.testing.assert_allclose(row["probabilities"], softmax(scores), rtol=1e-9, atol=1e-300)
        if method == "choice":
            assert row["letter_mass"] == pytest.approx(math.exp(logsumexp(scores)))


def test_a_slice_of_a_table_is_read_like_the_whole():
    logits = logit_table([[[-1.0], [-2.0]], [[-3.0, -1.0], [-0.5]], [[-1.5], [-1.0]]])
    part = read_method(logits.slice(2, 2), "continuation_sum")["probabilities"].to_pylist()
    assert part == read_method(logits, "continuation_sum")["probabilities"].to_pylist()[1:2]


def test_a_method_names_what_is_there():
    for method in METHODS.values():
        assert method.normalisation in NORMALISATIONS
        assert method.reading in READINGS


def test_raw_letters_are_the_letter_mass_times_the_normalised_ones():
    """p_raw = mass · p for the listed letters, and what is left for everything else."""
    rng = np.random.default_rng(1)
    questions = []
    for _ in range(300):
        # A distribution over a vocabulary of 30, of which some tokens are the letters.
        vocabulary = rng.dirichlet(np.full(30, 0.3))
        questions.append([[math.log(p + 1e-30)] for p in vocabulary[: rng.integers(2, 6)]])
    questions.append([[0.0], [-90.0]])  # all on one letter
    questions.append([[-2000.0], [-2001.0]])  # next to nothing on letters
    logits = logit_table(questions)
    normalised = read_method(logits, "choice").to_pylist()
    for raw, listed in zip(read_method(logits, "choice_raw").to_pylist(), normalised, strict=True):
        *letters, other = raw["probabilities"]
        mass = min(listed["letter_mass"], 1)
        np.testing.assert_allclose(letters, mass * np.array(listed["probabilities"]), rtol=1e-12)
        assert other == pytest.approx(1 - mass, abs=1e-12)
        assert sum(raw["probabilities"]) == pytest.approx(1, abs=1e-12)
        assert raw["letter_mass"] == listed["letter_mass"]
        assert raw["gold"] < len(letters)  # the rest is never right
    assert normalised[-1]["probabilities"] == pytest.approx(softmax([-2000, -2001]))


def test_rounding_above_one_is_divided_out():
    logits = logit_table([[[math.log(0.7)], [math.log(0.3000004)]]])
    *letters, other = read_method(logits, "choice_raw")["probabilities"][0].as_py()
    assert other == 0
    assert sum(letters) == pytest.approx(1, abs=1e-12)


def test_readings_by_length_of_a_hand_worked_question():
    # Sums -4 and -3 over 2 and 1 tokens: means -2 and -3. All options have 4 bytes.
    logits = logit_table([[[-3.0, -1.0], [-3.0]]])
    by_token = read_method(logits, "continuation_mean_token")["probabilities"][0].as_py()
    by_byte = read_method(logits, "continuation_mean_byte")["probabilities"][0].as_py()
    assert by_token == pytest.approx(softmax([-2, -3]))
    assert by_byte == pytest.approx(softmax([-4 / 4, -3 / 4]))


def test_mutual_information_of_a_hand_worked_question():
    # P(a | x) = 1/2 and P(b | x) = 1/4; without x, 1/4 and 1/16: b gains 4 times, a 2 times.
    given = logit_table([[[math.log(1 / 2)], [math.log(1 / 2), math.log(1 / 2)]]])
    alone = logit_table([[[math.log(1 / 4)], [math.log(1 / 8), math.log(1 / 2)]]])
    row = read_method(given, "continuation_pmi", alone).to_pylist()[0]
    assert row["probabilities"] == pytest.approx([1 / 3, 2 / 3], abs=1e-7)
    assert row["letter_mass"] is None


def test_prompts_put_with_different_questions_are_found_out():
    one, two = logit_table([[[-1.0], [-2.0]]]), logit_table([[[-1.0], [-2.0], [-3.0]]])
    with pytest.raises(
        UserError, match="continuation_pmi: its prompts continuation, unconditional"
    ):
        read_method(one, "continuation_pmi", two)


def test_answers_by_two_prompts_hold_the_hashes_of_both_questions_files(tmp_path):
    """So that a pair whose models were asked otherwise without contexts is found out."""
    logits = logit_table([[[-1.0], [-2.0]]])
    rows = read_method(logits, "continuation_pmi", logits)
    cells = {p: {"questions_sha256": p[:4]} for p in ("continuation", "unconditional")}
    write_parquet(tmp_path / "c.parquet", rows, {"cells": cells})
    answers = read_answers(tmp_path / "c.parquet")["continuation_pmi"]
    assert answers.questions_sha256 == "cont unco"
