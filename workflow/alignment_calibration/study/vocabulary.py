"""The words of a study: stages, prompts, readings, methods.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

#: The two models of a pair, before and after alignment tuning.
BASE: Final = "base"
ALIGNED: Final = "aligned"
STAGES: Final = (BASE, ALIGNED)

#: How a question is put: the options' texts continue the context, or stand without one; the letters
#: of listed options continue it, once or once for every rotation of the options.
CONTINUATION: Final = "continuation"
UNCONDITIONAL: Final = "unconditional"
CHOICE: Final = "choice"
CHOICE_CYCLIC: Final = "choice_cyclic"
#: Every prompt, and the key of a task under which the lm-eval tasks stand that it puts.
PROMPTS: Final = {
    CONTINUATION: CONTINUATION,
    UNCONDITIONAL: CONTINUATION,
    CHOICE: CHOICE,
    CHOICE_CYCLIC: CHOICE,
}

#: Between a question's id and the number of its rotation, of two digits, in CHOICE_CYCLIC.
ROTATION: Final = "@"


class OptionTokens(Protocol):
    """The tokens of all options of a cell, as far as readings need them; arrays (options,)."""

    @property
    def total(self) -> Any:
        """Sum of an option's token log-probabilities, in nats."""

    @property
    def least(self) -> Any:
        """The least of them, in nats."""

    @property
    def count(self) -> Any:
        """Number of an option's tokens."""

    @property
    def text_bytes(self) -> Any:
        """UTF-8 bytes of an option's text."""


@dataclass(frozen=True)
class Reading:
    """How an option's token log-probabilities become one score (nats).

    Attributes:
        prompts: under which the multiverse reads so; a method may do so under others.
        per_token: whether it needs the tokens one by one, and not only their sum.
    """

    prompts: tuple[str, ...]
    score: Callable[[OptionTokens], Any]
    per_token: bool = False


#: Every reading, by name. The multiverse goes through all of them; methods name one each.
READINGS: Final = {
    "sum": Reading((CONTINUATION,), lambda tokens: tokens.total),
    "mean_token": Reading(
        (CONTINUATION,), lambda tokens: tokens.total / tokens.count, per_token=True
    ),
    "mean_byte": Reading((CONTINUATION,), lambda tokens: tokens.total / tokens.text_bytes),
    "min": Reading((CONTINUATION,), lambda tokens: tokens.least, per_token=True),
    "letters": Reading((CHOICE,), lambda tokens: tokens.total),
}


@dataclass(frozen=True)
class Method:
    """A way of reading a confidence: a prompt, and a reading of its options' tokens.

    Attributes:
        prompt: whose questions it answers.
        normalisation: how the scores become probabilities: name in `NORMALISATIONS` of
            `calibration/normalisations.py`.
        beside: further prompts, whose scores the normalisation takes as well.
    """

    prompt: str
    reading: str
    normalisation: str = "softmax"
    beside: tuple[str, ...] = ()

    @property
    def prompts(self) -> tuple[str, ...]:
        """All that it reads."""
        return (self.prompt, *self.beside)


#: Every method, by name. Figures and tables show them in this order, and figures give them marks by
#: their place: so the paper's three come first.
METHODS: Final = {
    "continuation_sum": Method(CONTINUATION, "sum"),
    "continuation_min": Method(CONTINUATION, "min"),
    "choice": Method(CHOICE, "letters"),
    "continuation_mean_token": Method(CONTINUATION, "mean_token"),
    "continuation_mean_byte": Method(CONTINUATION, "mean_byte"),
    "continuation_pmi": Method(CONTINUATION, "sum", "less_unconditional", (UNCONDITIONAL,)),
    "choice_raw": Method(CHOICE, "letters", "of_vocabulary"),
    "choice_cyclic": Method(CHOICE_CYCLIC, "letters", "mean_over_rotations"),
    "choice_pride": Method(CHOICE_CYCLIC, "letters", "less_prior"),
}


#: Metrics of the probability that the listed letters have: those that are `letters_only` in the
#: registry of metrics, which is too heavy for whoever parses the workflow.
LETTERS_ONLY: Final = frozenset({"letter_mass"})


def lists_letters(method: str) -> bool:
    """Whether a method reads the letters of listed options."""
    return PROMPTS[METHODS[method].prompt] == CHOICE


def has_metric(method: str, metric: str) -> bool:
    """Whether there is such a metric under a method."""
    return metric not in LETTERS_ONLY or lists_letters(method)


def can_be_read(method: str, has_tokens: bool) -> bool:
    """Whether a method can read a cell of whose options the tokens, or only sums, are known."""
    return has_tokens or not READINGS[METHODS[method].reading].per_token


def prompts_of(methods: Iterable[str]) -> list[str]:
    """The prompts that some methods read, in the order of `PROMPTS`."""
    read = {prompt for method in methods for prompt in METHODS[method].prompts}
    return [prompt for prompt in PROMPTS if prompt in read]
