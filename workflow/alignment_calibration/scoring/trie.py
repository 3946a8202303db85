"""The token trie of a set of requests, and its division into blocks that a model can compute.

Every distinct prefix of the requests' token sequences is one node, computed once. Nodes are
numbered in preorder, so that node j is an ancestor of node i, or i itself, exactly if
j ≤ i < end[j].

Long shared stretches (*stems*: a few-shot header, a long context) are computed first and their
keys and values kept; what hangs below them is cut into *blocks* of at most `BLOCK_TOKENS` nodes,
each of which attends to its own nodes and to the stems above it (its *path*).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_calibration.scoring.scorer import Request

Integers = npt.NDArray[np.int64]

#: Most nodes of a subtree that is computed as one block. Within a block, attention is a dense
#: square with a mask: more costs time, less makes more stems.
BLOCK_TOKENS = 128
#: Most nodes of a stem, which is as dense a square; a longer one is several, below each other.
STEM_TOKENS = 512
#: Neighbouring subtrees share a block while it is at most this long, or as long as their path.
_SMALL_BLOCK = 64

# Attention pads the blocks of a row to the longest, and copies for each block the keys and values
# of its path. Both are bounded, for each token of the budget, so that memory can be reckoned with.
#: Most nodes of a row's blocks, padding included.
PADDED_PER_TOKEN = 4
#: Most keys of a row's blocks: their nodes and those of their paths, padding included.
KEYS_PER_TOKEN = 16
#: Most nodes of a group's stems, whose keys and values are kept in all layers.
KEPT_PER_TOKEN = 4


@dataclass(frozen=True)
class Trie:
    """Nodes in preorder, and where the requests' log-probabilities are read."""

    tokens: Integers  # (nodes,) token id
    depth: Integers  # (nodes,) number of tokens before it
    parent: Integers  # (nodes,) -1 for a first token
    end: Integers  # (nodes,) one past the last node of its subtree
    asked: Integers  # (continuation tokens,) node after which the token is predicted
    targets: Integers  # (continuation tokens,) token id, request by request
    request: Integers  # (continuation tokens,) index of the request


@dataclass(frozen=True)
class Block:
    """Nodes computed together: all of one or several subtrees, or a stem."""

    nodes: Integers  # in preorder
    path: Integers  # ancestors outside the block, the first token first
    stem: bool  # its keys and values are read by later blocks
    level: int  # number of stems above it


@dataclass(frozen=True)
class Batch:
    """Blocks that go through the model in one row."""

    blocks: Sequence[Block]

    @property
    def nodes(self) -> Integers:
        """(tokens,) the row's nodes."""
        return np.concatenate([block.nodes for block in self.blocks])


@dataclass(frozen=True)
class Group:
    """Batches to be run in order, and the stems whose keys and values they share."""

    batches: Sequence[Batch]
    kept: Integers  # nodes of the stems, in order


def build_trie(requests: Sequence[Request]) -> Trie:
    """The trie over what a model must read: each request without its last token."""
    sequences = [request.input_ids for request in requests]
    distinct = sorted(set(sequences))  # options of one token each, as letters, read the same
    room = sum(map(len, distinct))
    tokens, parent, depth, end = (np.empty(room, dtype=np.int64) for _ in range(4))
    paths: dict[tuple[int, ...], Integers] = {}  # nodes of a sequence, the first token first
    path = previous = np.empty(0, dtype=np.int64)
    size = 0
    for ids in distinct:
        sequence = np.array(ids, dtype=np.int64)
        shared = _common_length(previous, sequence)
        new = np.arange(size, size + len(sequence) - shared)
        end[path[shared:]] = size
        path = paths[ids] = np.concatenate([path[:shared], new])
        tokens[new] = sequence[shared:]
        depth[new] = np.arange(shared, len(sequence))
        parent[new] = path[shared - 1 : -1] if shared else np.r_[-1, new[:-1]]
        previous, size = sequence, size + len(new)
    end[path] = size
    lengths = [len(request.continuation_ids) for request in requests]
    return Trie(
        tokens=tokens[:size],
        depth=depth[:size],
        parent=parent[:size],
        end=end[:size],
        asked=np.concatenate(
            [
                paths[ids][len(request.context_ids) - 1 :]
                for request, ids in zip(requests, sequences, strict=True)
            ]
        ),
        targets=np.concatenate([np.array(request.continuation_ids) for request in requests]),
        request=np.repeat(np.arange(len(requests)), lengths),
    )


def _common_length(first: Integers, second: Integers) -> int:
    """Length of the common beginning of two sequences."""
    length = min(len(first), len(second))
    differing = np.flatnonzero(first[:length] != second[:length])
    return int(differing[0]) if differing.size else length


def plan(trie: Trie, token_budget: int) -> Iterator[Group]:
    """Divide a trie into groups of batches of at most `token_budget` tokens.

    A stem is computed once in each group that needs it; groups are as large as they can be with
    at most `KEPT_PER_TOKEN · token_budget` nodes kept.
    """
    blocks = _blocks(trie, token_budget)
    stems = [block for block in blocks if block.stem]
    stem_of = {node: stem for stem in stems for node in stem.nodes.tolist()}
    leaves = [block for block in blocks if not block.stem]
    needed: dict[int, Block] = {}  # first node -> stem
    kept = 0
    members: list[Block] = []
    for leaf in leaves:
        above = {int(stem.nodes[0]): stem for stem in _stems_above(leaf, stem_of)}
        more = sum(len(stem.nodes) for first, stem in above.items() if first not in needed)
        if members and more and kept + more > KEPT_PER_TOKEN * token_budget:
            yield _group([*needed.values(), *members], token_budget)
            needed, members = {}, []
            more = sum(len(stem.nodes) for stem in above.values())
            kept = 0
        needed |= above
        kept += more
        members.append(leaf)
    yield _group([*needed.values(), *members], token_budget)


def _stems_above(block: Block, stem_of: Mapping[int, Block]) -> list[Block]:
    """The stems that a block's path goes through, the first token's first.

    Args:
        block: a stem or not.
        stem_of: the stem of each stem's nodes.
    """
    stems: list[Block] = []
    while len(block.path):
        block = stem_of[int(block.path[-1])]
        stems.append(block)
    return stems[::-1]


def _group(blocks: Sequence[Block], token_budget: int) -> Group:
    """Order blocks so that stems come before what hangs below them, and blocks of like size meet
    in a batch."""
    stems = [block.nodes for block in blocks if block.stem]
    ordered = sorted(
        blocks,
        key=lambda block: (
            not block.stem,
            block.level if block.stem else 0,
            -len(block.path),
            -len(block.nodes),
        ),
    )
    batches: list[list[Block]] = []
    last: tuple[bool, int] | None = None
    tokens = longest = path = 0
    for block in ordered:
        kind = (block.stem, block.level if block.stem else 0)
        tokens += len(block.nodes)
        longest = max(longest, len(block.nodes))
        path = max(path, len(block.path))
        number = len(batches[-1]) + 1 if batches else 1
        if (
            kind != last
            or tokens > token_budget
            or number * longest > PADDED_PER_TOKEN * token_budget
            or number * (longest + path) > KEYS_PER_TOKEN * token_budget
        ):
            batches.append([])
            last = kind
            tokens, longest, path = len(block.nodes), len(block.nodes), len(block.path)
        batches[-1].append(block)
    kept = np.concatenate(stems) if stems else np.empty(0, dtype=np.int64)
    return Group([Batch(batch) for batch in batches], kept)


def _blocks(trie: Trie, token_budget: int) -> list[Block]:
    """All blocks of a trie, in the preorder of their first nodes."""
    limit = min(BLOCK_TOKENS, token_budget)
    size = trie.end - np.arange(len(trie.end))
    heavy = size > limit
    heavy_children = np.bincount(
        trie.parent[heavy & (trie.parent >= 0)], minlength=len(trie.parent)
    )
    blocks: list[Block] = []
    # Of each stem node: all nodes from the first token to its stem's last, and its stem's level.
    through: dict[int, tuple[Integers, int]] = {}

    def above(node: int) -> tuple[Integers, int]:
        """Path of a block that begins at `node`, and the block's level."""
        parent = int(trie.parent[node])
        if parent < 0:
            return np.empty(0, dtype=np.int64), 0
        nodes, level = through[parent]
        return nodes[: trie.depth[node]], level + 1

    longest = min(STEM_TOKENS, token_budget)
    for node in map(int, np.flatnonzero(heavy)):
        if node in through:
            continue
        chain = [node]
        while heavy_children[chain[-1]] == 1 and len(chain) < longest:
            chain.append(_heavy_child(trie, heavy, chain[-1]))
        nodes = np.array(chain, dtype=np.int64)
        path, level = above(node)
        full = np.concatenate([path, nodes])
        through |= dict.fromkeys(chain, (full, level))
        blocks.append(Block(nodes, path, stem=True, level=level))

    node = 0
    while node < len(trie.tokens):
        if heavy[node]:
            node += 1
            continue
        path, level = above(node)
        most = min(limit, max(_SMALL_BLOCK, len(path)))
        first, parent = node, trie.parent[node]
        node = int(trie.end[node])
        while (
            node < len(trie.tokens)
            and trie.parent[node] == parent
            and trie.end[node] - first <= most
        ):
            node = int(trie.end[node])
        blocks.append(Block(np.arange(first, node), path, stem=False, level=level))
    return sorted(blocks, key=lambda block: int(block.nodes[0]))


def _heavy_child(trie: Trie, heavy: npt.NDArray[np.bool_], node: int) -> int:
    child = node + 1
    while not heavy[child]:
        child = int(trie.end[child])
    return child
