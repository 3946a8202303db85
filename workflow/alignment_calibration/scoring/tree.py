"""Scoring by token trie: every distinct token prefix of the requests is computed once."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alignment_calibration.scoring.attention import (
    Kept,
    Row,
    attending_in,
    kernels,
    tree_attention_of,
)
from alignment_calibration.scoring.flight import InFlight, rows_ahead, sent
from alignment_calibration.scoring.head import logits_of
from alignment_calibration.scoring.memory import LOGITS_AT_ONCE, halved, is_out_of_memory
from alignment_calibration.scoring.onednn import linear_layers
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.positions import longest_of_one_kind
from alignment_calibration.scoring.scorer import Request, UnsupportedModelError, Work
from alignment_calibration.scoring.trie import Batch, Trie, build_trie, plan

_LOGGER = logging.getLogger(__name__)

#: Reads float32 logits of shape (rows, vocabulary) at (row, target token) pairs, each of shape
#: (targets,); gives shape (targets, numbers read).
Reader = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def target_logprobs(logits: torch.Tensor, row: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-probability (nats) of each target: a `Reader` of one number."""
    return (logits[row, target] - logits.logsumexp(dim=1)[row])[:, None]


class _Taken:
    """What has come of a trie so far.

    Args:
        trie: its predictions are read.
        progress: called with the number of requests that have newly been finished.
    """

    def __init__(self, trie: Trie, progress: Callable[[int], None]) -> None:
        self.values: npt.NDArray[np.float32] | None = None  # (targets, numbers read)
        self.left = np.bincount(trie.request)  # predictions still to come, by request
        self._trie = trie
        self._progress = progress

    def take(
        self, arrived: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]
    ) -> None:
        """Note what was read at places in `trie.targets`."""
        for part, read in arrived:
            if self.values is None:
                shape = len(self._trie.targets), read.shape[1]
                self.values = np.full(shape, np.nan, dtype=np.float32)
            self.values[part] = read
            before = int((self.left == 0).sum())
            np.subtract.at(self.left, self._trie.request[part], 1)
            self._progress(int((self.left == 0).sum()) - before)


class TreeScorer:
    """Scores requests by their token trie.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        device: where its token ids go in.
        token_budget: most tokens of one forward pass; halved when memory runs out.

    Raises:
        UnsupportedModelError: if the model has layers of a kind that knows nothing of trees.
    """

    def __init__(self, model: Any, device: torch.device, token_budget: int) -> None:
        kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
        if other := kinds - {"full_attention", "sliding_attention"}:
            raise UnsupportedModelError(f"layers of the kind {sorted(other)[0]}")
        self.model = model
        self.device = device
        self.token_budget = token_budget
        self.work = Work()
        self._longest_of_one_kind = longest_of_one_kind(model)

    @property
    def attention(self) -> str:
        """See `Scorer.attention`: the function that `attention` calls with its mask."""
        config = self.model.config.get_text_config()
        soft = getattr(config, "attn_logit_softcapping", None) is not None
        return f"{'eager' if soft else 'sdpa'}, tree mask"

    @property
    def compiled(self) -> bool:
        """See `Scorer.compiled`."""
        return False

    def score(
        self, requests: Sequence[Request], progress: Callable[[int], None]
    ) -> list[npt.NDArray[np.float32]]:
        """See `Scorer.score`; raises as `read` does. What that cannot read is scored plainly."""
        results: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32) for _ in requests]
        readable = [index for index, request in enumerate(requests) if self.can_read(request)]
        read = self.read([requests[index] for index in readable], progress, target_logprobs)
        for index, values in zip(readable, read, strict=True):
            results[index] = values[:, 0]
        if rest := sorted({*range(len(requests))} - {*readable}):
            _LOGGER.warning(
                "%d of %d options are longer than the %d tokens beyond which %s turns positions "
                "otherwise, and are scored plainly: slower, with the same results",
                len(rest),
                len(requests),
                self._longest_of_one_kind,
                type(self.model).__name__,
            )
            plain = PlainScorer(self.model, self.device, self.token_budget)
            plain.work = self.work
            scored = plain.score([requests[index] for index in rest], progress)
            for index, logprobs in zip(rest, scored, strict=True):
                results[index] = logprobs
        return results

    def can_read(self, request: Request) -> bool:
        """Whether `read` gives a request the numbers that it has as a sequence of its own."""
        return len(request.input_ids) <= self._longest_of_one_kind

    def read(
        self, requests: Sequence[Request], progress: Callable[[int], None], reader: Reader
    ) -> list[npt.NDArray[np.float32]]:
        """Read the model's predictions before every continuation token.

        Args:
            requests: what to score, all of which it can read.
            progress: called with the number of requests that have newly been finished.
            reader: what to read from the logits.

        Returns:
            For each request, in order, an array of shape (continuation tokens, numbers read).

        Raises:
            MemoryError: if memory does not suffice for even one token.
            UnsupportedModelError: if the model's attention cannot be computed on a tree.
        """
        results: list[npt.NDArray[np.float32]] = [np.empty((0, 0), np.float32) for _ in requests]
        waiting = list(range(len(requests)))
        nodes = None
        while waiting:
            trie = build_trie([requests[index] for index in waiting])
            if nodes is None:
                nodes = len(trie.tokens)
                self.work.trie_nodes += nodes
            taken = _Taken(trie, progress)
            flying: InFlight[npt.NDArray[np.int64]] = InFlight(rows_ahead(self.model))
            exhausted = False
            try:
                for part, read in self._launched(trie, reader):
                    taken.take(flying.launch(part, read))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                exhausted = True
            taken.take(flying.land())  # what was launched before memory ran out comes as well
            if taken.values is not None:
                bounds = np.flatnonzero(np.diff(trie.request)) + 1
                for index, array in zip(waiting, np.split(taken.values, bounds), strict=True):
                    results[index] = array
            if not exhausted:
                break
            waiting = [index for index, count in zip(waiting, taken.left, strict=True) if count]
            self.token_budget = halved(self.token_budget)
        return results

    def _launched(
        self, trie: Trie, reader: Reader
    ) -> Iterator[tuple[npt.NDArray[np.int64], torch.Tensor]]:
        """Launch a trie row by row; yield places in `trie.targets` and what is read there.

        Every place comes once, with the first group that has its node: a stem may be in several.
        Nothing that holds for a forward pass holds while the caller has the word.
        """
        order = np.argsort(trie.asked, kind="stable")
        asked = trie.asked[order]
        unread = np.ones(len(trie.tokens), dtype=bool)
        for group in plan(trie, self.token_budget):
            kept = Kept(group.kept)
            for batch in group.batches:
                nodes = batch.nodes
                first = np.searchsorted(asked, nodes, side="left")
                count = np.searchsorted(asked, nodes, side="right") - first
                count *= unread[nodes]
                unread[nodes] = False
                offsets = np.cumsum(count) - count
                part = order[np.repeat(first - offsets, count) + np.arange(count.sum())]
                with torch.inference_mode(), tree_attention_of(self.model):
                    hidden = self._forward(trie, batch, kept)
                    if not part.size:
                        continue
                    rows = np.flatnonzero(count)
                    read = self._predictions(
                        hidden[sent(rows, hidden.device)],
                        np.repeat(np.arange(len(rows)), count[rows]),
                        trie.targets[part],
                        reader,
                    )
                yield part, read

    def _forward(self, trie: Trie, batch: Batch, kept: Kept) -> torch.Tensor:
        """Hidden states of a batch's tokens, shape (tokens, width)."""
        nodes = batch.nodes
        row = Row(trie, batch, kept, self.device)
        with (
            attending_in(row),
            kernels(self.device),
            linear_layers(self.device, self.model.dtype),
        ):
            output = self.model.base_model(
                input_ids=sent(trie.tokens[nodes][None], self.device),
                position_ids=sent(trie.depth[nodes][None], self.device),
                use_cache=False,
            )
        config = self.model.config.get_text_config()
        if len(row.windows) != config.num_hidden_layers:
            raise UnsupportedModelError("layers without ordinary attention")
        if "sliding_attention" in (getattr(config, "layer_types", None) or ()) and (
            config.sliding_window not in row.windows
        ):
            raise UnsupportedModelError("a sliding window that attention is not told of")
        self.work.tokens_computed += len(nodes)
        return output.last_hidden_state[0]

    def _predictions(
        self,
        hidden: torch.Tensor,
        rows: npt.NDArray[np.int64],
        targets: npt.NDArray[np.int64],
        reader: Reader,
    ) -> torch.Tensor:
        """Read the logits after each hidden state, a part of them at a time.

        Args:
            hidden: shape (rows, width).
            rows: shape (targets,), ascending.
            targets: shape (targets,), token ids.
            reader: what to read.

        Returns:
            Tensor of shape (targets, numbers read), on the device of the output layer.
        """
        vocabulary = self.model.config.get_text_config().vocab_size
        step = max(1, LOGITS_AT_ONCE[self.device.type] // vocabulary)
        results = []
        for start in range(0, len(hidden), step):
            with linear_layers(self.device, self.model.dtype):
                logits = logits_of(self.model, hidden[start : start + step])
            first, last = np.searchsorted(rows, [start, start + step])
            row = sent(rows[first:last] - start, logits.device)
            target = sent(targets[first:last], logits.device)
            results.append(reader(logits, row, target))
        return torch.cat(results)
