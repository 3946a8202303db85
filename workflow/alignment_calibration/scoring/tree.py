"""Scoring by token trie: every distinct token prefix of the requests goes through the model once.

A row holds many blocks of the trie. Everything in a model but attention looks at one token at a
time; so the model's own forward runs on the row, with the depths as position ids and with an
attention function of ours, in which a token sees its ancestors only. That function is handed to
the model through transformers' attention interface.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AttentionInterface

from alignment_calibration.scoring import Request, Work
from alignment_calibration.scoring.memory import automatic_budget, halved, is_out_of_memory
from alignment_calibration.scoring.onednn import linear_layers
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.trie import Batch, Trie, build_trie, plan

_NAME = "alignment_calibration_tree"
_LOGGER = logging.getLogger(__name__)
#: Logits held at once, in numbers of float32: as much as keeps the matrix product busy.
_LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**27, "mps": 2**25}


#: Reads float32 logits of shape (rows, vocabulary) at (row, target token) pairs, each of shape
#: (targets,); gives shape (targets, numbers read).
Reader = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def target_logprobs(logits: torch.Tensor, row: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-probability (nats) of each target: a `Reader` of one number."""
    return (logits[row, target] - logits.logsumexp(dim=1)[row])[:, None]


class UnsupportedAttentionError(Exception):
    """A model asks for attention that cannot be computed on a tree."""


class _Kept:
    """Keys and values of a group's stems, by attention module."""

    def __init__(self, nodes: npt.NDArray[np.int64]) -> None:
        self._nodes = np.sort(nodes)
        self._keys: dict[torch.nn.Module, torch.Tensor] = {}  # (kept, key heads, width)
        self._values: dict[torch.nn.Module, torch.Tensor] = {}

    def slots(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Places of kept nodes."""
        return np.searchsorted(self._nodes, nodes)

    def keep(
        self, module: torch.nn.Module, slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Note keys and values, of shape (tokens, key heads, width), of the nodes at `slots`."""
        for store, new in ((self._keys, keys), (self._values, values)):
            if module not in store:
                store[module] = new.new_empty(len(self._nodes), *new.shape[1:])
            store[module][slots] = new

    def get(
        self, module: torch.nn.Module, slots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values at `slots`, each of shape (*slots.shape, key heads, width)."""
        return self._keys[module][slots], self._values[module][slots]


@dataclass(frozen=True)
class _Layout:
    """A row's blocks as index tensors on one device. Blocks are padded to the longest."""

    take: torch.Tensor  # (blocks, longest) place in the row of a block's tokens; padding: 0
    back: torch.Tensor  # (tokens,) place among the padded tokens of a row's tokens
    nodes: torch.Tensor  # (blocks, longest) trie node
    end: torch.Tensor  # (blocks, longest) one past the last node of its subtree
    depth: torch.Tensor  # (blocks, longest)
    inside: torch.Tensor  # (blocks, longest) False for padding
    path: torch.Tensor  # (blocks, longest path) slot of the kept node at that depth; padding: 0
    above: torch.Tensor  # (blocks, longest path) False for padding
    kept: torch.Tensor  # (tokens,) slots of a row of stems, else empty


class _Row:
    """What attention must know about the blocks in a row: who sees whom."""

    def __init__(self, trie: Trie, batch: Batch, kept: _Kept) -> None:
        blocks = batch.blocks
        nodes = batch.nodes
        lengths = np.array([len(block.nodes) for block in blocks])
        paths = np.array([len(block.path) for block in blocks])
        starts = np.cumsum(lengths) - lengths
        inside = np.arange(lengths.max()) < lengths[:, None]
        take = np.where(inside, starts[:, None] + np.arange(lengths.max()), 0)
        above = np.arange(paths.max()) < paths[:, None]
        path = np.zeros(above.shape, dtype=np.int64)
        if above.any():
            path[above] = kept.slots(np.concatenate([block.path for block in blocks]))
        stem = blocks[0].stem
        self.kept = kept
        self.is_stem = stem
        self.windows: list[int | None] = []  # sliding window of each attention asked for
        self._arrays = {
            "take": take,
            "back": np.flatnonzero(inside),
            "nodes": nodes[take],
            "end": trie.end[nodes][take],
            "depth": trie.depth[nodes][take],
            "inside": inside,
            "path": path,
            "above": above,
            "kept": kept.slots(nodes) if stem else np.empty(0, dtype=np.int64),
        }
        self._layouts: dict[torch.device, _Layout] = {}
        self._masks: dict[tuple[torch.device, int | None, int], torch.Tensor] = {}

    def layout(self, device: torch.device) -> _Layout:
        """The index tensors; a model spread over several GPUs needs them on each."""
        if device not in self._layouts:
            tensors = {
                name: torch.from_numpy(array).to(device) for name, array in self._arrays.items()
            }
            self._layouts[device] = _Layout(**tensors)
        return self._layouts[device]

    def mask(
        self, device: torch.device, dtype: torch.dtype, window: int | None, repeats: int
    ) -> torch.Tensor:
        """Additive mask of shape (blocks, 1, repeats · longest, longest path + longest).

        A token sees the tokens of its path and its ancestors in the block, itself included. A
        sliding window counts depth: it leaves the last `window` of these.
        """
        key = (device, window, repeats)
        if key not in self._masks:
            layout = self.layout(device)
            node, other = layout.nodes[:, :, None], layout.nodes[:, None, :]
            sees = (other <= node) & (node < layout.end[:, None, :]) & layout.inside[:, None, :]
            above = layout.above[:, None, :].expand(-1, sees.shape[1], -1)
            if window is not None:
                depth = layout.depth[:, :, None]
                sees = sees & (depth - layout.depth[:, None, :] < window)
                above = above & (depth - torch.arange(above.shape[2], device=device) < window)
            # Padding sees the first of its block: a softmax over nothing is not a number.
            sees[:, :, 0] |= ~layout.inside
            visible = torch.cat([above, sees], dim=2)
            mask = torch.zeros(visible.shape, dtype=dtype, device=device)
            mask.masked_fill_(~visible, -torch.inf)
            self._masks[key] = mask.repeat(1, repeats, 1)[:, None]
        return self._masks[key]


_ROW: ContextVar[_Row] = ContextVar("row")


def _tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a row's tokens to their ancestors; signature of transformers' interface.

    Args:
        query: shape (1, query heads, tokens, width).
        key: shape (1, key heads, tokens, width).
        value: shape (1, key heads, tokens, value width).

    Returns:
        Tensor of shape (1, tokens, query heads, value width), and no attention weights.
    """
    for name in ("s_aux", "position_bias"):
        if others.get(name) is not None:
            raise UnsupportedAttentionError(f"attention with {name}")
    row = _ROW.get()
    row.windows.append(sliding_window)
    layout = row.layout(query.device)
    blocks, longest = layout.take.shape
    queries, keys, values = (part[0].transpose(0, 1) for part in (query, key, value))
    heads, key_heads = queries.shape[1], keys.shape[1]
    repeats = heads // key_heads
    if row.is_stem:
        row.kept.keep(module, layout.kept, keys, values)
    block_keys, block_values = keys[layout.take], values[layout.take]
    if layout.path.shape[1]:
        path_keys, path_values = row.kept.get(module, layout.path)
        block_keys = torch.cat([path_keys, block_keys], dim=1)
        block_values = torch.cat([path_values, block_values], dim=1)
    # The query heads that share a key head stand below each other, so that keys are not repeated.
    block_queries = (
        queries[layout.take]
        .view(blocks, longest, key_heads, repeats, -1)
        .permute(0, 2, 3, 1, 4)
        .reshape(blocks, key_heads, repeats * longest, -1)
    )
    mask = row.mask(query.device, query.dtype, sliding_window, repeats)
    block_keys, block_values = block_keys.transpose(1, 2), block_values.transpose(1, 2)
    if softcap is None:
        output = torch.nn.functional.scaled_dot_product_attention(
            block_queries, block_keys, block_values, attn_mask=mask, scale=scaling
        )
    else:
        scale = block_queries.shape[-1] ** -0.5 if scaling is None else scaling
        scores = softcap * torch.tanh(block_queries @ block_keys.transpose(2, 3) * scale / softcap)
        weights = (scores + mask).softmax(dim=-1, dtype=torch.float32)
        output = weights.to(block_values.dtype) @ block_values
    output = output.view(blocks, key_heads, repeats, longest, -1).permute(0, 3, 1, 2, 4)
    return output.reshape(blocks * longest, heads, -1)[layout.back][None], None


AttentionInterface.register(_NAME, _tree_attention)


class TreeScorer:
    """Scores requests by their token trie.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        device: where its token ids go in.
        token_budget: most tokens of one forward pass; halved when memory runs out.
    """

    def __init__(self, model: Any, device: torch.device, token_budget: int) -> None:
        self.model = model
        self.device = device
        self.token_budget = token_budget
        self.work = Work()

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
            UnsupportedAttentionError: if the model's attention cannot be computed on a tree.
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
        with torch.inference_mode(), _tree_attention_of(self.model):
            for group in plan(trie, self.token_budget):
                kept = _Kept(group.kept)
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

    def _forward(self, trie: Trie, batch: Batch, kept: _Kept) -> torch.Tensor:
        """Hidden states of a batch's tokens, shape (tokens, width)."""
        nodes = batch.nodes
        row = _Row(trie, batch, kept)
        token = _ROW.set(row)
        try:
            with linear_layers(self.device, self.model.dtype):
                output = self.model.base_model(
                    input_ids=torch.from_numpy(trie.tokens[nodes])[None].to(self.device),
                    position_ids=torch.from_numpy(trie.depth[nodes])[None].to(self.device),
                    use_cache=False,
                )
        finally:
            _ROW.reset(token)
        config = self.model.config.get_text_config()
        if len(row.windows) != config.num_hidden_layers:
            raise UnsupportedAttentionError("layers without ordinary attention")
        if "sliding_attention" in (getattr(config, "layer_types", None) or ()) and (
            config.sliding_window not in row.windows
        ):
            raise UnsupportedAttentionError("a sliding window that attention is not told of")
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


@contextmanager
def _tree_attention_of(model: Any) -> Iterator[None]:
    """Let a model's layers compute attention on trees."""
    before = model.config._attn_implementation
    model.config._attn_implementation = _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def why_not(model: Any, device: torch.device) -> str | None:
    """Why a model cannot be scored by token trie, or None if it can: found by trying.

    A few tokens with branches go through the model as a tree and one by one.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if other := kinds - {"full_attention", "sliding_attention"}:
        return f"layers of the kind {sorted(other)[0]}"
    some = [(7 + 11 * number) % config.vocab_size for number in range(12)]
    context = tuple(some[:4])
    requests = [
        Request(context, tuple(some[4:8])),
        Request(context, tuple(some[6:9])),
        Request(context, tuple(some[8:12])),
    ]
    # With so small a budget the context is a stem, below which the options are a block.
    tree = TreeScorer(model, device, token_budget=8)
    plain = PlainScorer(model, device, token_budget=64)
    try:
        found = tree.score(requests, lambda number: None)
    except UnsupportedAttentionError as error:
        return str(error)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"its forward pass differs ({type(error).__name__})"
    wanted = plain.score(requests, lambda number: None)
    difference = max(
        float(np.abs(one - other).max()) for one, other in zip(found, wanted, strict=True)
    )
    # Half precision rounds; attention to the wrong tokens is off by more.
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.5
    if not difference <= tolerance:
        return f"its results differ by {difference:.2g} nats"
    return None


def best_scorer(
    model: Any, device: torch.device, token_budget: int | None
) -> TreeScorer | PlainScorer:
    """The token trie where the architecture allows it, else plain batches, saying so.

    Args:
        token_budget: most tokens of one forward pass; None finds it from the free memory.
    """
    budget = token_budget or automatic_budget(model, device)
    if reason := why_not(model, device):
        _LOGGER.warning(
            "%s cannot share the computation of common tokens (%s); "
            "every option is computed on its own: slower, with the same results",
            type(model).__name__,
            reason,
        )
        return PlainScorer(model, device, budget)
    return TreeScorer(model, device, budget)
