"""Predictions: a model's probabilities for the options of each question, as arrays, checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignment_calibration.calibration.drawing import Drawing, drawing_of
from alignment_calibration.contract.calibration import CONFIDENCES
from alignment_calibration.errors import UserError
from alignment_calibration.files.parquet import read_identity, read_parquet
from alignment_calibration.study.vocabulary import METHODS, can_be_read

#: In double precision, except where resamples are counted.
Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

#: How far from 1 a question's probabilities may sum (they are float64 softmax outputs).
SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Predictions:
    """Probabilities that one model gives the options of N questions, at most K options each.

    Attributes:
        probabilities: shape (N, K); 0 where a question has no such option.
        options: shape (N,); the number of options of each question, which are the first ones.
        gold: shape (N,); index of the right option.
        letter_mass: shape (N,); probability on the listed letters, or None where none are listed.
        answer: shape (N,); index of the option that is answered, or None where that is the most
            probable one.
        drawing: how the questions were drawn; None for one by one.
    """

    probabilities: Floats
    options: Integers
    gold: Integers
    letter_mass: Floats | None = None
    answer: Integers | None = None
    drawing: Drawing | None = None

    @cached_property
    def has_option(self) -> Booleans:
        """Shape (N, K): whether the question has the option."""
        return np.asarray(np.arange(self.probabilities.shape[1]) < self.options[:, None])

    @cached_property
    def predicted(self) -> Integers:
        """Shape (N,): index of the answer: the most probable option, the first of several, where
        nothing else is said.
        """
        if self.answer is not None:
            return self.answer
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> Floats:
        """Shape (N,): probability of the predicted option."""
        return np.asarray(self.probabilities[np.arange(len(self)), self.predicted])

    @cached_property
    def correct(self) -> Booleans:
        """Shape (N,): whether the predicted option is the right one."""
        return np.asarray(self.predicted == self.gold)

    @cached_property
    def gold_probability(self) -> Floats:
        """Shape (N,): probability of the right option."""
        return np.asarray(self.probabilities[np.arange(self.gold.size), self.gold])

    @cached_property
    def one_hot_gold(self) -> Floats:
        """Shape (N, K): 1 at the right option, else 0."""
        one_hot = np.arange(self.probabilities.shape[1]) == self.gold[:, None]
        return np.asarray(one_hot, dtype=np.float64)

    @cached_property
    def squared_error(self) -> Floats:
        """Shape (N,): Brier score, the squared distance to the right answer, 0 to 2."""
        return np.asarray(((self.probabilities - self.one_hot_gold) ** 2).sum(axis=1))

    @cached_property
    def log_loss(self) -> Floats:
        """Shape (N,): negative log-likelihood of the right option in nats; of a probability that
        underflowed, that of the smallest positive number, 708 nats.
        """
        return -np.log(np.maximum(self.gold_probability, np.finfo(np.float64).tiny))

    @cached_property
    def log_probabilities(self) -> Floats:
        """Shape (N, K), in nats; the smallest positive number stands for a probability that
        underflowed, and 0 (to be ignored) for an option that a question does not have.
        """
        logs = np.log(np.maximum(self.probabilities, np.finfo(np.float64).tiny))
        return np.where(self.has_option, logs, 0.0)

    def with_scores(self, scores: Floats) -> "Predictions":
        """The same questions with the softmax of scores, of shape (N, K) in nats, over the options
        that each has.
        """
        scores = np.where(self.has_option, scores, -np.inf)
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        return replace(self, probabilities=probabilities, answer=None)

    def subset(self, rows: Booleans) -> "Predictions":
        """Some of the questions; `rows` has shape (N,)."""
        return Predictions(
            self.probabilities[rows],
            self.options[rows],
            self.gold[rows],
            None if self.letter_mass is None else self.letter_mass[rows],
            None if self.answer is None else self.answer[rows],
            None if self.drawing is None else self.drawing.subset(rows),
        )

    def __len__(self) -> int:
        return self.gold.size


def fixed_options(probabilities: Floats, gold: Integers) -> Predictions:
    """Predictions of questions that all have K options; arrays of shape (N, K) and (N,)."""
    count, options = probabilities.shape
    return Predictions(probabilities, np.full(count, options), gold)


def padded(values: Floats, options: Integers) -> Floats:
    """Values of all options, one after the other, as rows of shape (N, K) that end in zeros."""
    rows = np.zeros((options.size, int(options.max())))
    rows[np.arange(rows.shape[1]) < options[:, None]] = values
    return rows


def concatenate(first: Predictions, second: Predictions) -> Predictions:
    """The questions of `first`, then those of `second`, which have the same number of columns."""
    letter_mass = None
    if first.letter_mass is not None and second.letter_mass is not None:
        letter_mass = np.concatenate([first.letter_mass, second.letter_mass])
    return Predictions(
        np.concatenate([first.probabilities, second.probabilities]),
        np.concatenate([first.options, second.options]),
        np.concatenate([first.gold, second.gold]),
        letter_mass,
    )


@dataclass(frozen=True)
class Answers:
    """One model's predictions on a task under one method, with the questions' names.

    Attributes:
        questions_sha256: hash of the questions file that was put to the model, or of the files.
        truncated: shape (N,); whether a context lost its left to fit the model, or None where that
            is unknown.
    """

    question_ids: npt.NDArray[np.object_]
    predictions: Predictions
    questions_sha256: str
    truncated: Booleans | None = None


def truncated_questions(*answers: Answers) -> int | None:
    """Number of questions with a context cut in any of the answers to them; None if unknown."""
    known = [answer.truncated for answer in answers if answer.truncated is not None]
    return int(np.any(known, axis=0).sum()) if len(known) == len(answers) else None


def read_answers(path: str | Path, resample: str = "questions") -> dict[str, Answers]:
    """The answers in a confidences file, by method, questions in the order of their ids.

    Args:
        path: confidences file.
        resample: how its questions were drawn, by name in `drawing.DRAWINGS`.

    Raises:
        UserError: for a damaged file, one that says not which questions it answers, a question
            twice, a gold index that is no option, or probabilities that are none.
    """
    table = read_parquet(path, CONFIDENCES)
    identity = read_identity(path)
    answers = {}
    for method in sorted(pc.unique(table["method"]).to_pylist()):
        rows = table.filter(pc.field("method") == method).sort_by("question_id")
        answers[method] = Answers(
            rows["question_id"].to_numpy(),
            replace(
                _predictions(rows, f"{path} ({method})"),
                drawing=drawing_of(rows["group"].to_numpy(), resample),
            ),
            _questions_sha256(identity, method, path),
            None if rows["truncated"].null_count else rows["truncated"].to_numpy(),
        )
    return answers


def read_pair(
    base: str | Path, aligned: str | Path, resample: str = "questions"
) -> dict[str, tuple[Answers, Answers]]:
    """The answers of a pair's two models on a task, by the methods that both were read by.

    Of a model that somebody else has scored only sums over an option's tokens may be known.

    Args:
        base, aligned: confidences files.
        resample: how their questions were drawn, by name in `drawing.DRAWINGS`.

    Raises:
        UserError: as `read_answers`, or if the models did not answer the same questions, or one of
            them was not read by a method that sums would do for.
    """
    base_answers, aligned_answers = (read_answers(path, resample) for path in (base, aligned))
    if not same_methods(base_answers, aligned_answers):
        raise UserError(
            f"{aligned}: has the methods {', '.join(aligned_answers)}, "
            f"but {base} has {', '.join(base_answers)}; delete both and run the workflow again"
        )
    both = {
        method: (answers, aligned_answers[method])
        for method, answers in base_answers.items()
        if method in aligned_answers
    }
    for answers, aligned_of_method in both.values():
        check_same_questions(answers, aligned_of_method, str(base), str(aligned))
    return both


def same_methods(base: Iterable[str], aligned: Iterable[str]) -> bool:
    """Whether two models were read by the same methods, but for those that need tokens."""
    return not any(can_be_read(method, has_tokens=False) for method in set(base) ^ set(aligned))


def check_same_questions(base: Answers, aligned: Answers, base_path: str, path: str) -> None:
    """Check that two models answered the same questions, put in the same words.

    Raises:
        UserError: naming the first few questions that only one of them answered.
    """
    for ours, theirs, there in ((base, aligned, path), (aligned, base, base_path)):
        # As sets: NumPy compares each name with every other, seconds for a task of 10,000.
        missing = sorted(set(ours.question_ids) - set(theirs.question_ids))
        if missing:
            names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            raise UserError(
                f"{there}: {len(missing)} questions of the other model of the pair are missing: "
                f"{names}"
            )
    same_gold = np.array_equal(base.predictions.gold, aligned.predictions.gold)
    if base.questions_sha256 != aligned.questions_sha256 or not same_gold:
        raise UserError(
            f"{path}: answers another questions file than {base_path}; "
            "delete both and run the workflow again"
        )


def _questions_sha256(identity: Any, method: str, path: str | Path) -> str:
    try:
        cells = identity["cells"]
        return " ".join(cells[prompt]["questions_sha256"] for prompt in METHODS[method].prompts)
    except (KeyError, TypeError):
        raise UserError(
            f"{path}: does not say which questions file it answers ({method}); "
            "delete it and run the workflow again"
        ) from None


def _predictions(rows: pa.Table, where: str) -> Predictions:
    """Padded arrays of rows of the CONFIDENCES contract."""
    ids = rows["question_id"].to_numpy()
    _refuse(np.asarray(ids[1:] == ids[:-1]), ids[1:], where, "question stands twice")
    _refuse(rows["probabilities"].is_null().to_numpy(), ids, where, "has no probabilities")
    lists = rows["probabilities"].combine_chunks()
    options = np.diff(lists.offsets.to_numpy()).astype(np.int64)
    gold = rows["gold"].to_numpy().astype(np.int64)
    _refuse((gold < 0) | (gold >= options), ids, where, "gold is not an option")
    probabilities = padded(lists.flatten().to_numpy(), options)
    # Written so that NaN is refused too.
    valid = (probabilities >= 0) & (probabilities <= 1 + SUM_TOLERANCE)
    _refuse(np.asarray(~valid.all(axis=1)), ids, where, "probabilities are not numbers in [0, 1]")
    off = np.asarray(np.abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE)
    _refuse(off, ids, where, "probabilities do not sum to 1")
    letter_mass = None
    if rows["letter_mass"].null_count == 0:
        letter_mass = rows["letter_mass"].to_numpy()
        _refuse(~np.isfinite(letter_mass), ids, where, "letter_mass is not a number")
    return Predictions(probabilities, options, gold, letter_mass)


def _refuse(bad: Booleans, ids: npt.NDArray[np.object_], where: str, problem: str) -> None:
    """Raise a `UserError` that names the first few questions that are `bad`."""
    if bad.any():
        first = ", ".join(ids[bad][:3])
        raise UserError(f"{where}: {problem} for {int(bad.sum())} questions: {first}")


def questions_of(answers: Mapping[str, Answers]) -> dict[str, str]:
    """The hash of the questions file that each method's answers belong to."""
    return {method: answer.questions_sha256 for method, answer in answers.items()}
