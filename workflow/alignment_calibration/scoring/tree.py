"""Scoring by token trie: every distinct token prefix of the requests is computed once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alignment_calibration.scoring.attention import Kept, Row, attending_in, tree_attention_of
from alignment_calibration.scoring.memory import halved, is_out_of_memory
from alignment_calibration.scoring.onednn import linear_layers
from alignment_calibration.scoring.scorer import Request, UnsupportedModelError, Work
from alignment_calibration.scoring.trie import Batch, Trie, build_trie, plan

#: Logits held at once, in numbers of float32: as much as keeps the matrix product busy.
_LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**27, "mps": 2**25}

#: Reads float32 logits of shape (rows, vocabulary) at (row, target token) pairs, each of shape
#: (targets,); gives shape (targets, numbers read).
Reader = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def target_logprobs(logits: torch.Tensor, row: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-probability (nats) of each target: a `Reader` of one number."""
    return (logits[row, target] - logits.logsumexp(dim=1)[row])[:, None]


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

    @property
    def attention(self) -> str:
        """See `Scorer.attention`: the function that `attention` calls with its mask."""
        config = self.model.config.get_text_config()
        soft = getattr(config, "attn_logit_softcapping", None) is not None
        return f"{'eager' if soft else 'sdpa'}, tree mask"

    def score(
        self, requests: Sequence[Request], progress: Callable[[int], None]
    ) -> list[npt.NDArray[np.float32]]:
        """See `Scorer.score`; raises as `read` does."""
        return [values[:, 0] for values in self.read(requests, progress, target_logprobs)]

    def read(
        self, requests: Sequence[Request], progress: Callable[[int], None], reader: Reader
    ) -> list[npt.NDArray[np.float32]]:
        """Read the model's predictions before every continuation token.

        Args:
            requests: what to score.
            progress: called with the number of requests that have newly been finished.
            reader: what to read from the logits.

        Returns:
            For each request, in order, an array of shape (continuation tokens, numbers read).

        Raises:
            UserError: if memory does not suffice for even one token.
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
            values: npt.NDArray[np.float32] | None = None
            left = np.bincount(trie.request)  # log-probabilities still to come, by request
            exhausted = False
            try:
                for part, read in self._run(trie, reader):
                    if values is None:
                        values = np.empty((len(trie.targets), read.shape[1]), dtype=np.float32)
                    values[part] = read
                    before = int((left == 0).sum())
                    np.subtract.at(left, trie.request[part], 1)
                    progress(int((left == 0).sum()) - before)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                exhausted = True
            if values is not None:
                bounds = np.flatnonzero(np.diff(trie.request)) + 1
                for index, array in zip(waiting, np.split(values, bounds), strict=True):
                    results[index] = array
            waiting = [index for index, count in zip(waiting, left, strict=True) if count]
            if exhausted:
                self.token_budget = halved(self.token_budget)
        return results

    def _run(
        self, trie: Trie, reader: Reader
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Run a trie; yield places in `trie.targets` and what is read there."""
        order = np.argsort(trie.asked, kind="stable")
        asked = trie.asked[order]
        with torch.inference_mode(), tree_attention_of(self.model):
            for group in plan(trie, self.token_budget):
                kept = Kept(group.kept)
                for batch in group.batches:
                    nodes = batch.nodes
                    first = np.searchsorted(asked, nodes, side="left")
                    count = np.searchsorted(asked, nodes, side="right") - first
                    offsets = np.cumsum(count) - count
                    part = order[np.repeat(first - offsets, count) + np.arange(count.sum())]
                    hidden = self._forward(trie, batch, kept)
                    if part.size:
                        rows = np.flatnonzero(count)
                        yield (
                            part,
                            self._predictions(
                                hidden[torch.from_numpy(rows).to(hidden.device)],
                                np.repeat(np.arange(len(rows)), count[rows]),
                                trie.targets[part],
                                reader,
                            ),
                        )

    def _forward(self, trie: Trie, batch: Batch, kept: Kept) -> torch.Tensor:
        """Hidden states of a batch's tokens, shape (tokens, width)."""
        nodes = batch.nodes
        row = Row(trie, batch, kept)
        with attending_in(row), linear_layers(self.device, self.model.dtype):
            output = self.model.base_model(
                input_ids=torch.from_numpy(trie.tokens[nodes])[None].to(self.device),
                position_ids=torch.from_numpy(trie.depth[nodes])[None].to(self.device),
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
    ) -> npt.NDArray[np.float32]:
        """Read the logits after each hidden state, a part of them at a time.

        Args:
            hidden: shape (rows, width).
            rows: shape (targets,), ascending.
            targets: shape (targets,), token ids.
            reader: what to read.

        Returns:
            Array of shape (targets, numbers read).
        """
        head = self.model.get_output_embeddings()
        config = self.model.config.get_text_config()
        softcap = getattr(config, "final_logit_softcapping", None)
        step = max(1, _LOGITS_AT_ONCE[self.device.type] // config.vocab_size)
        results = []
        for start in range(0, len(hidden), step):
            with linear_layers(self.device, self.model.dtype):
                logits = head(hidden[start : start + step]).float()
            if softcap is not None:
                logits = softcap * torch.tanh(logits / softcap)
            first, last = np.searchsorted(rows, [start, start + step])
            row = torch.from_numpy(rows[first:last] - start).to(logits.device)
            target = torch.from_numpy(targets[first:last]).to(logits.device)
            results.append(reader(logits, row, target))
        return np.asarray(torch.cat(results).cpu().numpy())
