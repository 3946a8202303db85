"""Normalisations: how the scores of a question's options become probabilities."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alignment_calibration.errors import UserError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """The scores of all options of a cell, question by question.

    Attributes:
        values: shape (options,), in nats.
        starts: shape (questions,); index of each question's first option.
    """

    values: Floats
    starts: Integers

    @property
    def options(self) -> Integers:
        """Shape (questions,): number of options of each question."""
        return np.diff(self.starts, append=self.values.size)


@dataclass(frozen=True)
class Probabilities:
    """Probabilities of all options of a cell, question by question.

    Attributes:
        values: shape (options,), summing to 1 over each question.
        options: shape (questions,); number of options of each question.
        mass: shape (questions,); sum of exp(score) over a question's options: of letters, the
            probability that they have of the whole vocabulary.
        spans: shape (questions, 2); first and end of the cell's questions that each was put as,
            one of them or its rotations.
    """

    values: Floats
    options: Integers
    mass: Floats
    spans: Integers


def softmax(scores: Scores) -> Probabilities:
    """exp(score), divided by its sum over the question's options."""
    highest = np.maximum.reduceat(scores.values, scores.starts)
    shifted = np.exp(scores.values - np.repeat(highest, scores.options))
    totals = np.add.reduceat(shifted, scores.starts)
    return Probabilities(
        shifted / np.repeat(totals, scores.options),
        scores.options,
        np.exp(highest + np.log(totals)),
        np.arange(scores.starts.size)[:, None] + np.array([0, 1]),
    )


def of_vocabulary(scores: Scores) -> Probabilities:
    """exp(score) as it is, and behind a question's options one that stands for all other text.

    That one is never right. A sum above 1, which only rounding makes, is divided out.
    """
    listed = softmax(scores)
    mass = np.minimum(listed.mass, 1.0)
    ends = np.cumsum(scores.options)
    values = np.insert(listed.values * np.repeat(mass, scores.options), ends, 1.0 - mass)
    return Probabilities(values, scores.options + 1, listed.mass, listed.spans)


def less_unconditional(scores: Scores, unconditional: Scores) -> Probabilities:
    """Softmax of log P(option | context) − log P(option), pointwise mutual information.

    What lm-eval's `acc_mutual_info` compares (Brown et al. 2020, section 2.4; Holtzman et al. 2021,
    arXiv 2104.08315): options that are likely in any text gain nothing by it.
    """
    return softmax(Scores(scores.values - unconditional.values, scores.starts))


def rotation_spans(scores: Scores) -> Integers:
    """First and end, shape (questions, 2), of the rotations of each question in a cell of them.

    A question of K options is put K times, one rotation after the other.
    """
    options, firsts, place = scores.options, [], 0
    while place < options.size:
        firsts.append(place)
        place += int(options[place])
    return np.column_stack([firsts, [*firsts[1:], place]])


def _rotated(values: Floats, scores: Scores, span: Integers) -> Floats:
    """Values of a question's options, shape (rotations, letters)."""
    begin = scores.starts[span[0]]
    count = span[1] - span[0]
    return values[begin : begin + count**2].reshape(count, count)


def mean_over_rotations(scores: Scores) -> Probabilities:
    """The mean probability of each option over all rotations of the options.

    Under rotation r, letter j stands before option j + r (of K, counted round): each option stands
    under each letter once, and what a letter has by itself is shared out alike.
    """
    listed, spans = softmax(scores), rotation_spans(scores)
    means = []
    for span in spans:
        by_letter = _rotated(listed.values, scores, span)
        turn = np.arange(len(by_letter))
        means.append(by_letter[turn[:, None], (turn - turn[:, None]) % len(turn)].mean(axis=0))
    mass = np.add.reduceat(listed.mass, spans[:, 0]) / (spans[:, 1] - spans[:, 0])
    return Probabilities(np.concatenate(means), spans[:, 1] - spans[:, 0], mass, spans)


@dataclass(frozen=True)
class Prior:
    """What letters have by themselves, whatever stands beside them.

    Attributes:
        logs: shape (letters,), in nats, up to a constant.
        influence: shape (questions, letters); what each question says of `logs`, less their value:
            the mean over questions is 0, that of the squares N times the variance.
    """

    logs: Floats
    influence: Floats


def letter_prior(scores: Scores, spans: Integers) -> Prior:
    """The prior of the letters, from the rotations of some questions (arXiv 2309.03882, PriDe).

    A letter's score is taken for log prior + log of what the option deserves. The mean over all
    rotations holds every option once under each letter, so letters differ by their prior alone.
    Priors of questions are averaged as logarithms: least squares with a constant for each question,
    so that questions with fewer options, and no word on the last letters, bias nothing.

    Args:
        scores: of a cell of rotations.
        spans: shape (questions, 2), of those to use; each letter is among the options of one.
    """
    letters = int((spans[:, 1] - spans[:, 0]).max())
    projections = np.zeros((len(spans), letters, letters))
    means = np.zeros((len(spans), letters))
    for question, span in enumerate(spans):
        by_letter = _rotated(scores.values, scores, span)
        count = len(by_letter)
        projections[question, :count, :count] = np.eye(count) - 1 / count
        means[question, :count] = by_letter.mean(axis=0)
    inverse = np.linalg.pinv(projections.sum(axis=0))
    logs = inverse @ np.einsum("qij,qj->i", projections, means)
    left = np.einsum("qij,qj->qi", projections, means - logs)
    return Prior(logs, len(spans) * left @ inverse)


#: Share of a task's questions on which `less_prior` estimates the prior.
PRIOR_SHARE: Final = 0.1


def prior_questions(options: Integers) -> Integers:
    """Which questions the prior is estimated on: the same for all models, drawn with a seed.

    A tenth of those with each number of options, and at least one, so that each letter occurs.

    Args:
        options: shape (questions,), number of options of each.

    Raises:
        UserError: if they are fewer than there are letters.
    """
    random = np.random.default_rng(0)
    drawn = [
        random.choice(same, size=math.ceil(PRIOR_SHARE * same.size), replace=False)
        for count in np.unique(options)
        for same in [np.flatnonzero(options == count)]
    ]
    chosen = np.sort(np.concatenate(drawn))
    if chosen.size < options.max() or chosen.size == options.size:
        raise UserError(
            f"choice_pride: the prior of {options.max()} letters is estimated on "
            f"{PRIOR_SHARE:.0%} of the {options.size} questions, {chosen.size}, which are fewer "
            "than letters; take more questions, or leave choice_pride out"
        )
    return chosen


def less_prior(scores: Scores) -> Probabilities:
    """Softmax of the score of each letter, options as they stand, less the letter's log prior.

    The prior comes from the rotations of a share of the questions, which are left out: no question
    is answered with a prior that it had a part in.

    Raises:
        UserError: as `prior_questions`.
    """
    spans = rotation_spans(scores)
    options = spans[:, 1] - spans[:, 0]
    estimating = prior_questions(options)
    logs = letter_prior(scores, spans[estimating]).logs
    spans = np.delete(spans, estimating, axis=0)
    options = np.delete(options, estimating)
    as_they_stand = np.concatenate([_rotated(scores.values, scores, span)[0] for span in spans])
    starts = np.cumsum(options) - options
    letter = np.arange(as_they_stand.size) - np.repeat(starts, options)
    found = softmax(Scores(as_they_stand - logs[letter], starts))
    return Probabilities(found.values, options, softmax(Scores(as_they_stand, starts)).mass, spans)


#: Every normalisation, by name, of the scores of a method's prompts; methods name one each.
NORMALISATIONS: Final[dict[str, Callable[..., Probabilities]]] = {
    "softmax": softmax,
    "less_unconditional": less_unconditional,
    "of_vocabulary": of_vocabulary,
    "mean_over_rotations": mean_over_rotations,
    "less_prior": less_prior,
}
