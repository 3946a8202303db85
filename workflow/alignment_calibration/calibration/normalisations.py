"""Normalisations: how the scores of a question's options become probabilities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

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
    """

    values: Floats
    options: Integers
    mass: Floats


def softmax(scores: Scores) -> Probabilities:
    """exp(score), divided by its sum over the question's options."""
    highest = np.maximum.reduceat(scores.values, scores.starts)
    shifted = np.exp(scores.values - np.repeat(highest, scores.options))
    totals = np.add.reduceat(shifted, scores.starts)
    return Probabilities(
        shifted / np.repeat(totals, scores.options),
        scores.options,
        np.exp(highest + np.log(totals)),
    )


def of_vocabulary(scores: Scores) -> Probabilities:
    """exp(score) as it is, and behind a question's options one that stands for all other text.

    That one is never right. A sum above 1, which only rounding makes, is divided out.
    """
    listed = softmax(scores)
    mass = np.minimum(listed.mass, 1.0)
    ends = np.cumsum(scores.options)
    values = np.insert(listed.values * np.repeat(mass, scores.options), ends, 1.0 - mass)
    return Probabilities(values, scores.options + 1, listed.mass)


def less_unconditional(scores: Scores, unconditional: Scores) -> Probabilities:
    """Softmax of log P(option | context) − log P(option), pointwise mutual information.

    What lm-eval's `acc_mutual_info` compares (Brown et al. 2020, section 2.4; Holtzman et al. 2021,
    arXiv 2104.08315): options that are likely in any text gain nothing by it.
    """
    return softmax(Scores(scores.values - unconditional.values, scores.starts))


#: Every normalisation, by name, of the scores of a method's prompts; methods name one each.
NORMALISATIONS: Final[dict[str, Callable[..., Probabilities]]] = {
    "softmax": softmax,
    "less_unconditional": less_unconditional,
    "of_vocabulary": of_vocabulary,
}
