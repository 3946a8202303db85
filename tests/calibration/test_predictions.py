"""Reading of confidences: what is refused, and how it is said."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from alignment_calibration.calibration.predictions import (
    check_same_questions,
    read_answers,
    read_pair,
    truncated_questions,
)
from alignment_calibration.contract.calibration import CONFIDENCES
from alignment_calibration.errors import UserError
from alignment_calibration.files.parquet import write_parquet
from tests.support.simulation import answers, simulate

IDENTITY = {"cells": {prompt: {"questions_sha256": "a"} for prompt in ("continuation", "choice")}}


def rows(**changes):
    columns = {
        "question_id": ["q2", "q1", "q3"],
        "method": ["choice"] * 3,
        "gold": [0, 2, 1],
        "group": ["g"] * 3,
        "probabilities": [[0.5, 0.5], [0.2, 0.3, 0.5], [0.0, 1.0]],
        "letter_mass": [0.5, 0.25, 1.0],
        "truncated": [True, False, False],
    }
    return pa.table(columns | changes, schema=CONFIDENCES)


def test_rows_become_padded_arrays_in_the_order_of_the_questions(tmp_path):
    path = tmp_path / "c.parquet"
    write_parquet(path, rows(), IDENTITY)
    found = read_answers(path)["choice"]
    assert found.question_ids.tolist() == ["q1", "q2", "q3"]
    assert found.predictions.probabilities.tolist() == [
        [0.2, 0.3, 0.5],
        [0.5, 0.5, 0.0],
        [0.0, 1.0, 0.0],
    ]
    assert found.predictions.options.tolist() == [3, 2, 2]
    assert found.predictions.correct.tolist() == [True, True, True]
    assert found.predictions.letter_mass is not None
    assert found.predictions.letter_mass.tolist() == [0.25, 0.5, 1.0]
    assert found.truncated is not None
    assert found.truncated.tolist() == [False, True, False]


def test_questions_are_counted_once_if_either_model_lost_some_of_their_context():
    predictions = simulate(seed=0, questions=4)
    before, after = (
        replace(answers(predictions), truncated=np.array(cut, bool))
        for cut in ([0, 0, 1, 1], [0, 1, 0, 1])
    )
    assert truncated_questions(before) == 2
    assert truncated_questions(before, after) == 3
    assert truncated_questions(before, answers(predictions)) is None


def test_of_a_question_about_which_it_is_unknown_nothing_is_said(tmp_path):
    path = tmp_path / "c.parquet"
    write_parquet(path, rows(truncated=[True, None, False]), IDENTITY)
    assert read_answers(path)["choice"].truncated is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probabilities": [[0.5, 0.5], [0.2, 0.3, 0.4], [0, 1]]}, "do not sum to 1.*q1"),
        ({"probabilities": [[0.5, 0.5], [0.2, 0.3, 0.5], [np.nan, 1]]}, "not numbers.*q3"),
        ({"probabilities": [[1.5, -0.5], [0.2, 0.3, 0.5], [0, 1]]}, "not numbers.*q2"),
        ({"probabilities": [[0.5, 0.5], None, [0, 1]]}, "no probabilities.*q1"),
        ({"probabilities": [[0.5, 0.5], [], [0, 1]]}, "gold is not an option.*q1"),
        ({"gold": [0, 3, 1]}, "gold is not an option.*q1"),
        ({"gold": [-1, 2, 1]}, "gold is not an option.*q2"),
        ({"question_id": ["q1", "q2", "q1"]}, "twice.*q1"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused(tmp_path, changes, message):
    path = tmp_path / "c.parquet"
    write_parquet(path, rows(**changes), IDENTITY)
    with pytest.raises(UserError, match=message) as error:
        read_answers(path)
    assert str(path) in str(error.value)


def test_no_questions_and_unknown_questions_are_refused(tmp_path):
    path = tmp_path / "c.parquet"
    write_parquet(path, rows().slice(0, 0), IDENTITY)
    with pytest.raises(UserError, match="no rows"):
        read_answers(path)
    write_parquet(path, rows(), {"cells": {}})
    with pytest.raises(UserError, match="which questions file"):
        read_answers(path)


def test_a_question_of_one_model_only_is_named():
    more, fewer = answers(simulate(questions=9)), answers(simulate(questions=4))
    with pytest.raises(UserError, match=r"aligned.parquet: 5 .* q00004, q00005, q00006, …"):
        check_same_questions(more, fewer, "base.parquet", "aligned.parquet")
    with pytest.raises(UserError, match=r"base.parquet: 5 "):
        check_same_questions(fewer, more, "base.parquet", "aligned.parquet")


def test_other_questions_under_the_same_names_are_refused(tmp_path):
    base, aligned = tmp_path / "base.parquet", tmp_path / "aligned.parquet"
    write_parquet(base, rows(), IDENTITY)
    write_parquet(aligned, rows(), {"cells": {"choice": {"questions_sha256": "b"}}})
    with pytest.raises(UserError, match="another questions file"):
        read_pair(base, aligned)
    write_parquet(aligned, rows(gold=[1, 2, 1]), IDENTITY)
    with pytest.raises(UserError, match="another questions file"):
        read_pair(base, aligned)
    write_parquet(aligned, rows(method=["continuation_sum"] * 3), IDENTITY)
    with pytest.raises(UserError, match="methods continuation_sum"):
        read_pair(base, aligned)
