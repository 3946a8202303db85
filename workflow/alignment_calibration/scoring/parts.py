"""The cells of a model, shared out to several jobs: for studies with fewer models than GPUs.

Every job works out the whole split by itself from the questions files, which all of them are given,
and from nothing else: neither from the store nor from what the others have done. So each cell is
some job's own, whatever became of the others, and a job that was killed finds the same cells to be
its own when it runs again; jobs may run at once, one after the other, or on nodes that share a file
system without locks. To let a job that is done take cells from another would balance better, but
it needs locks that hold between nodes and vanish with their owner, and many clusters have none.

The split cannot stand in the rules: tokens are not known when these are read, since the questions
are not made yet. So no job can promise Snakemake receipts; it leaves a mark that it is done, and
when all have, a step gives all receipts of the model for what is in the store.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def split(works: Sequence[int], parts: int) -> list[int]:
    """The part of each cell, numbered from 0: the largest cell first, each to the part that has
    least to do so far, so that the fullest part has at most 4/3 of what it would have in the best
    split (Graham 1969, doi 10.1137/0117039).

    Args:
        works: of the cells.
        parts: how many.
    """
    totals = [0] * parts
    part_of = [0] * len(works)
    for cell in sorted(range(len(works)), key=lambda cell: -works[cell]):
        part_of[cell] = totals.index(min(totals))
        totals[part_of[cell]] += works[cell]
    return part_of


def work_of(questions: "pa.Table") -> int:
    """What a cell takes, in UTF-8 bytes of its questions, about in proportion to its tokens: what
    contexts begin with in common, as worked examples, is computed once and so counted once.

    Args:
        questions: rows of the QUESTIONS contract.
    """
    contexts = sorted(text.encode() for text in questions["context"].unique().to_pylist())
    common = sum(_common(*two) for two in pairwise(contexts))
    options = sum(len(text.encode()) for text in questions["continuation"].to_pylist())
    return sum(map(len, contexts)) - common + options


def _common(one: bytes, other: bytes) -> int:
    """Bytes that both begin with."""
    lengths = range(1, min(len(one), len(other)) + 1)
    return bisect_left(lengths, True, key=lambda length: one[:length] != other[:length])
