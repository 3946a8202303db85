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

#: How a question is put: the options' texts continue the context, or the letters of listed options.
CONTINUATION: Final = "continuation"
CHOICE: Final = "choice"
PROMPTS: Final = (CONTINUATION, CHOICE)


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
    """How an option's token log-probabilities become one score (nats), and of which prompts.

    Attributes:
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
        normalisation: how the scores become probabilities: name in `NORMALISATIONS` of
            `calibration/normalisations.py`.
    """

    prompt: str
    reading: str
    normalisation: str = "softmax"


#: Every method, by name. Figures and tables show them in this order, and figures give them marks by
#: their place: so the paper's three come first.
METHODS: Final = {
    "continuation_sum": Method(CONTINUATION, "sum"),
    "continuation_min": Method(CONTINUATION, "min"),
    "choice": Method(CHOICE, "letters"),
    "continuation_mean_token": Method(CONTINUATION, "mean_token"),
    "continuation_mean_byte": Method(CONTINUATION, "mean_byte"),
    "choice_raw": Method(CHOICE, "letters", "of_vocabulary"),
}


def can_be_read(method: str, has_tokens: bool) -> bool:
    """Whether a method can read a cell of whose options the tokens, or only sums, are known."""
    return has_tokens or not READINGS[METHODS[method].reading].per_token


def prompts_of(methods: Iterable[str]) -> list[str]:
    """The prompts that some methods read, in the order of `PROMPTS`."""
    read = {METHODS[method].prompt for method in methods}
    return [prompt for prompt in PROMPTS if prompt in read]
