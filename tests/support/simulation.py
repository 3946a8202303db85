"""Simulated models of known calibration: the truth against which statistics are checked."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignment_calibration.calibration.predictions import Answers, Predictions, fixed_options
from alignment_calibration.contract.calibration import CONFIDENCES
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.study.settings import Settings

Floats = npt.NDArray[np.float64]

#: The config's defaults.
SETTINGS = Settings(bins=10, tace_threshold=0.01)


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def draw_gold(random: np.random.Generator, probabilities: Floats) -> npt.NDArray[np.int64]:
    """The right option of each question, drawn from its probabilities of shape (N, K)."""
    passed = random.random(len(probabilities))[:, None] > probabilities.cumsum(axis=1)
    return np.asarray(np.minimum(passed.sum(axis=1), probabilities.shape[1] - 1))


def simulate_pair(
    random: np.random.Generator,
    questions: int,
    base_temperature: float = 1.0,
    aligned_temperature: float = 1.0,
    noise: float = 0.3,
    options: int = 4,
    spread: float = 2.0,
) -> tuple[Predictions, Predictions]:
    """A pair of models on the same questions.

    The right option is drawn from the softmax of normal logits (`spread` is their standard
    deviation). The base model has those logits, so it is calibrated at temperature 1; a lower
    temperature makes it over-confident. The aligned model's logits have some noise added.
    """
    logits = spread * random.normal(size=(questions, options))
    gold = draw_gold(random, softmax(logits))
    noisy = logits + noise * random.normal(size=logits.shape)
    return (
        fixed_options(softmax(logits / base_temperature), gold),
        fixed_options(softmax(noisy / aligned_temperature), gold),
    )


def simulate_exchangeable_pair(
    random: np.random.Generator, questions: int, noise: float = 0.5
) -> tuple[Predictions, Predictions]:
    """Two models whose logits are the true ones with noise of their own: nothing tells which is
    which.
    """
    true, _ = simulate_pair(random, questions)
    first, second = (
        softmax(np.log(true.probabilities) + noise * random.normal(size=true.probabilities.shape))
        for _ in range(2)
    )
    return fixed_options(first, true.gold), fixed_options(second, true.gold)


def simulate(
    seed: int = 0, questions: int = 500, temperature: float = 1.0, options: int = 4
) -> Predictions:
    """One model, calibrated at temperature 1."""
    random = np.random.default_rng(seed)
    return simulate_pair(random, questions, temperature, options=options)[0]


def answers(predictions: Predictions, questions_sha256: str = "0" * 64) -> Answers:
    """Predictions of questions named q00000, q00001, …"""
    ids = np.array([f"q{number:05d}" for number in range(len(predictions))], dtype=object)
    return Answers(ids, predictions, questions_sha256)


def write_confidences(
    path: Path,
    predictions: Predictions,
    questions: str = "q",
    cut: Collection[int] | None = None,
    groups: Sequence[str] | None = None,
) -> None:
    """A confidences file of one method, `choice`; `cut` are questions with a truncated context,
    `groups` the questions' groups, all the same by default.
    """
    count, options = predictions.probabilities.shape
    table = pa.table(
        {
            "question_id": [f"q{number:04d}" for number in range(count)],
            "method": ["choice"] * count,
            "gold": pa.array(predictions.gold, pa.int16()),
            "group": groups or ["g"] * count,
            "probabilities": pa.ListArray.from_arrays(
                pa.array(np.arange(0, count * options + 1, options), pa.int32()),
                pa.array(predictions.probabilities.ravel()),
            ),
            "letter_mass": pa.array(np.full(count, 0.5)),
            "truncated": pa.array(
                [None if cut is None else number in cut for number in range(count)], pa.bool_()
            ),
        },
        schema=CONFIDENCES,
    )
    write_parquet(path, table, {"cells": {"choice": {"questions_sha256": questions}}})
