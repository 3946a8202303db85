"""Attention on trees: in a row of trie blocks a token sees its ancestors only.

A row holds many blocks of the trie. Everything in a model but attention looks at one token at a
time; so the model's own forward runs on the row, with the depths as position ids and with the
attention function of this module, which is handed to it through transformers' attention interface.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface

from alignment_calibration.scoring.flight import pinned, sent
from alignment_calibration.scoring.scorer import UnsupportedModelError
from alignment_calibration.scoring.trie import Batch, Integers, Trie

_NAME = "alignment_calibration_tree"

#: The kernels that may compute attention on a GPU. cuDNN's, which comes first on recent GPUs, makes
#: a plan for every shape, and hardly two rows are of one shape; flash attention takes no mask.
_KERNELS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
#: Rows of the mask that the first of them takes as they are, and copies none to pad it, are a
#: multiple of so many numbers; paths and blocks are padded to one.
_ROUNDED_TO = {"cuda": 8}


def _padded(lengths: Integers, device: torch.device) -> int:
    """The length to which things of these lengths are padded; nothing stays nothing."""
    multiple = _ROUNDED_TO.get(device.type, 1)
    return -(-int(lengths.max()) // multiple) * multiple


def kernels(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which a device computes attention by the kernels that suit rows."""
    if device.type != "cuda":
        return nullcontext()
    context: AbstractContextManager[Any] = sdpa_kernel(_KERNELS)
    return context


class Kept:
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


class Row:
    """What attention must know about the blocks in a row: who sees whom.

    Args:
        trie: of which the row computes nodes.
        batch: the row's blocks.
        kept: keys and values of the stems above them, and of the row's own.
        device: where the row goes in; others of the same kind may hold layers as well.
    """

    def __init__(self, trie: Trie, batch: Batch, kept: Kept, device: torch.device) -> None:
        blocks = batch.blocks
        nodes = batch.nodes
        lengths = np.array([len(block.nodes) for block in blocks])
        paths = np.array([len(block.path) for block in blocks])
        starts = np.cumsum(lengths) - lengths
        places = np.arange(_padded(lengths, device))
        inside = places < lengths[:, None]
        take = np.where(inside, starts[:, None] + places, 0)
        above = np.arange(_padded(paths, device)) < paths[:, None]
        path = np.zeros(above.shape, dtype=np.int64)
        if above.any():
            path[above] = kept.slots(np.concatenate([block.path for block in blocks]))
        stem = blocks[0].stem
        self.kept = kept
        self.is_stem = stem
        self.windows: list[int | None] = []  # sliding window of each attention asked for
        arrays = {
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
        # For all devices before the first one computes: none has to wait for the program then.
        self._arrays = {name: pinned(array, device) for name, array in arrays.items()}
        self._layouts: dict[torch.device, _Layout] = {}
        self._masks: dict[tuple[torch.device, int | None, int], torch.Tensor] = {}

    def layout(self, device: torch.device) -> _Layout:
        """The index tensors; a model spread over several GPUs needs them on each."""
        if device not in self._layouts:
            tensors = {name: sent(tensor, device) for name, tensor in self._arrays.items()}
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
            # Not −∞: kernels go by tiles, and over a tile of nothing else (a block without a path
            # beside one with a long path) a softmax is not a number. Half of the least number is as
            # good as −∞ and stays a number where a kernel multiplies it by log₂ e.
            mask.masked_fill_(~visible, torch.finfo(dtype).min / 2)
            self._masks[key] = mask.repeat(1, repeats, 1)[:, None]
        return self._masks[key]


_ROW: ContextVar[Row] = ContextVar("row")


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
            raise UnsupportedModelError(f"attention with {name}")
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


# No compiler looks inside: every row is of another shape there.
AttentionInterface.register(_NAME, torch.compiler.disable(_tree_attention))


@contextmanager
def tree_attention_of(model: Any) -> Iterator[None]:
    """Let a model's layers compute attention on trees."""
    before = model.config._attn_implementation
    model.config._attn_implementation = _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


@contextmanager
def attending_in(row: Row) -> Iterator[None]:
    """Let attention on trees see the blocks of this row."""
    token = _ROW.set(row)
    try:
        yield
    finally:
        _ROW.reset(token)
