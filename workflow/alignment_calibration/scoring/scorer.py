"""What a scorer is: requests go in, log-probabilities of their continuations come out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Request:
    """One option of one question, as token ids; neither part is empty."""

    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]

    @property
    def input_ids(self) -> tuple[int, ...]:
        """What a model reads to predict the continuation: all but the last token."""
        return self.context_ids + self.continuation_ids[:-1]


@dataclass
class Work:
    """What a scorer has done so far."""

    tokens_computed: int = 0  # positions that went through the model, padding included
    trie_nodes: int = 0  # distinct token prefixes of the requests: the least possible work


class UnsupportedModelError(Exception):
    """A scorer meets a model that it cannot compute rightly; the message says why."""


class Scorer(Protocol):
    """A way to compute log-probabilities of one model."""

    @property
    def work(self) -> Work:
        """Totals over all calls of `score`."""

    @property
    def token_budget(self) -> int:
        """Most tokens of one forward pass, as it stands after any halving."""

    @property
    def attention(self) -> str:
        """How attention is computed, for the record of a run."""

    @property
    def compiled(self) -> bool:
        """Whether the model's layers are compiled, for the record of a run."""

    def score(
        self, requests: Sequence[Request], progress: Callable[[int], None]
    ) -> "list[npt.NDArray[np.float32]]":
        """Log-probability of every continuation token given all tokens before it.

        Args:
            requests: what to score.
            progress: called with the number of requests that have newly been finished.

        Returns:
            For each request, in order, an array of shape (continuation tokens,), in nats.

        Raises:
            MemoryError: if memory does not suffice for even one token.
            UnsupportedModelError: if the model cannot be computed in this way.
        """
