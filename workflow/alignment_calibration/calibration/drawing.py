"""How the questions of a sample came to be drawn: one by one, within groups, or as whole groups.

A task may pool several lm-eval tasks, as the subjects of MMLU: its *groups*. What an interval says
hangs on what another sample would be: other questions, of whatever group; as many others of each
group (stratified); or other groups, with all their questions (clustered; Miller 2024, arXiv
2411.00640). Errors of sampling, resamples and permutations follow from that.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawing(ABC):
    """Questions that were not drawn one by one.

    Attributes:
        groups: shape (N,); the group of each question, numbered from 0.
    """

    groups: Integers

    @cached_property
    def sizes(self) -> Integers:
        """Shape (G,): the number of questions of each group."""
        return np.bincount(self.groups)

    def subset(self, rows: npt.NDArray[np.bool_]) -> "Drawing | None":
        """That of some of the questions, `rows` of shape (N,); None if they are of one group."""
        names = self.groups[rows]
        return type(self)(np.unique(names, return_inverse=True)[1]) if np.ptp(names) else None

    @abstractmethod
    def units(self, influence: Floats) -> Floats:
        """What is drawn independently adds to the error of a mean over all questions.

        Args:
            influence: shape (N, …); the numbers that the mean is over.

        Returns:
            Shape (U, …), summing to 0: the squares' sum estimates the variance of the mean.
        """

    @abstractmethod
    def resamples(self, random: np.random.Generator, rows: int) -> Integers:
        """How often each question is in each of some bootstrap resamples, shape (rows, N)."""

    def swaps(self, random: np.random.Generator, rows: int) -> Integers:
        """Which questions have a pair's answers swapped, 0 or 1, shape (rows, N): what is drawn
        independently, each with probability 1/2.
        """
        return random.integers(2, size=(rows, self.groups.size))


class WholeGroups(Drawing):
    """Groups are drawn, with all their questions: a mean is a ratio of sums over groups."""

    def units(self, influence: Floats) -> Floats:
        count = self.sizes.size
        sums = _sums(influence - influence.mean(axis=0), self.groups, count)
        return np.asarray(sums / len(influence) * np.sqrt(count / (count - 1)))

    def resamples(self, random: np.random.Generator, rows: int) -> Integers:
        count = self.sizes.size
        return _counts(random.integers(count, size=(rows, count)), count)[:, self.groups]

    def swaps(self, random: np.random.Generator, rows: int) -> Integers:
        return random.integers(2, size=(rows, self.sizes.size))[:, self.groups]


class WithinGroups(Drawing):
    """As many questions of each group are drawn.

    A group of one question shows no error: such groups count as one, a single one with the next
    smallest (collapsed strata; Cochran 1977, chapter 5A). On average that takes the error for too
    large rather than too small.
    """

    @cached_property
    def strata(self) -> Integers:
        """Shape (N,): where each question is drawn from, numbered from 0."""
        names = np.arange(self.sizes.size)
        if single := int((self.sizes == 1).sum()):
            smallest = np.argsort(self.sizes, kind="stable")[: max(single, 2)]
            names[smallest] = smallest[0]
        return np.asarray(np.unique(names[self.groups], return_inverse=True)[1], dtype=np.int64)

    def units(self, influence: Floats) -> Floats:
        sizes = np.bincount(self.strata)
        sums = _sums(influence, self.strata, sizes.size)
        shape = (-1, *(1 for _ in influence.shape[1:]))
        sizes = sizes.reshape(shape)
        correction = np.sqrt(sizes / np.maximum(sizes - 1, 1))
        centred = (influence - (sums / sizes)[self.strata]) * correction[self.strata]
        return np.asarray(centred / len(influence))

    def resamples(self, random: np.random.Generator, rows: int) -> Integers:
        drawn = np.zeros((rows, self.groups.size), dtype=np.int64)
        for stratum, size in enumerate(np.bincount(self.strata)):
            members = np.flatnonzero(self.strata == stratum)
            drawn[:, members] = _counts(random.integers(size, size=(rows, size)), int(size))
        return drawn


#: Ways to draw, by the name that `statistics.resample` has for them; None: one by one.
DRAWINGS: Final[dict[str, type[Drawing] | None]] = {
    "questions": None,
    "groups": WholeGroups,
    "within_groups": WithinGroups,
}


def drawing_of(groups: Sequence[str] | npt.NDArray[np.object_], resample: str) -> Drawing | None:
    """How questions of these groups were drawn, shape (N,); None for one by one, as also where the
    task has a single group.
    """
    kind, (names, numbers) = DRAWINGS[resample], np.unique(groups, return_inverse=True)
    return None if kind is None or names.size < 2 else kind(numbers)


def _sums(values: Floats, groups: Integers, count: int) -> Floats:
    """Sums over the questions of each group: (N, …) to (count, …)."""
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, groups, values)
    return sums


def _counts(drawn: Integers, count: int) -> Integers:
    """How often each number below `count` stands in each row."""
    rows = len(drawn)
    flat = (drawn + count * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * count).reshape(rows, count)
