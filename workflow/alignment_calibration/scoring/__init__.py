"""Scoring: log-probabilities of the options of questions under a causal language model.

`trie` finds what the token sequences of a set of requests share, `tree` computes each shared token
once, `plain` computes them one by one for architectures that `tree` cannot run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

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


class Scorer(Protocol):
    """A way to compute log-probabilities. All ways give the same numbers, within rounding."""

    @property
    def work(self) -> Work:
        """Totals over all calls of `score`."""

    def score(
        self, requests: Sequence[Request], progress: Callable[[int], None]
    ) -> list[npt.NDArray[np.float32]]:
        """Log-probability of every continuation token given all tokens before it.

        Args:
            requests: what to score.
            progress: called with the number of requests that have newly been finished.

        Returns:
            For each request, in order, an array of shape (continuation tokens,), in nats.
        """
