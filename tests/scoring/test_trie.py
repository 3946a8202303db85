"""The token trie against its definition: the set of distinct prefixes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.trie import build_trie, plan

# Few token ids, so that prefixes are often shared; some long runs, so that stems appear.
IDS = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)
LONG = st.integers(1, 300).map(lambda length: (1,) * length)
REQUESTS = st.lists(st.builds(Request, IDS | LONG, IDS), min_size=1, max_size=25)


def prefix(trie, node):
    """The token ids from the first token to `node`."""
    ids = []
    while node >= 0:
        ids.append(int(trie.tokens[node]))
        node = int(trie.parent[node])
    return tuple(reversed(ids))


@given(REQUESTS)
def test_nodes_are_the_distinct_prefixes(requests):
    trie = build_trie(requests)
    found = [prefix(trie, node) for node in range(len(trie.tokens))]
    wanted = {
        request.input_ids[: length + 1]
        for request in requests
        for length in range(len(request.input_ids))
    }
    assert len(found) == len(wanted)
    assert set(found) == wanted
    assert [len(ids) - 1 for ids in found] == trie.depth.tolist()


@given(REQUESTS)
def test_intervals_are_the_ancestors(requests):
    trie = build_trie(requests)
    nodes = np.arange(len(trie.tokens))[:60]
    names = [prefix(trie, node) for node in nodes]
    for node in nodes:
        for other in nodes:
            is_ancestor = names[node][: len(names[other])] == names[other]
            assert (other <= node < trie.end[other]) == is_ancestor


@given(REQUESTS)
def test_probabilities_are_read_after_the_tokens_before(requests):
    trie = build_trie(requests)
    at = 0
    for number, request in enumerate(requests):
        whole = request.context_ids + request.continuation_ids
        for place in range(len(request.context_ids), len(whole)):
            assert trie.request[at] == number
            assert trie.targets[at] == whole[place]
            assert prefix(trie, trie.asked[at]) == whole[:place]
            at += 1
    assert at == len(trie.asked)


@settings(max_examples=200)
@given(REQUESTS, st.integers(1, 400))
def test_a_plan_computes_everything_in_an_order_that_can_be_run(requests, budget):
    trie = build_trie(requests)
    computed = []
    for group in plan(trie, budget):
        kept: set[int] = set()
        for batch in group.batches:
            assert len(batch.nodes) <= budget
            assert len({block.stem for block in batch.blocks}) == 1
            for block in batch.blocks:
                inside = set(block.nodes.tolist())
                # All ancestors of a block's nodes are in the block or kept before, root first.
                assert set(block.path.tolist()) <= kept
                assert trie.depth[block.path].tolist() == list(range(len(block.path)))
                above = set(block.path.tolist()) | {-1}
                assert all(int(trie.parent[node]) in inside | above for node in inside)
            kept |= {n for block in batch.blocks if block.stem for n in block.nodes.tolist()}
            computed += batch.nodes.tolist()
        assert kept == set(group.kept.tolist())
    assert set(computed) == set(range(len(trie.tokens)))


@pytest.mark.parametrize("options", [1, 4])
def test_a_shared_header_is_computed_once_per_group(options):
    header = tuple(range(400))
    requests = [
        Request((*header, 1000 + question), tuple(2000 + choice + n for n in range(5)))
        for question in range(100)
        for choice in range(options)
    ]
    trie = build_trie(requests)
    groups = list(plan(trie, 1024))
    assert len(groups) == 1
    assert sum(len(batch.nodes) for batch in groups[0].batches) == len(trie.tokens)


def test_stems_that_do_not_fit_together_are_kept_one_after_the_other():
    # 20 contexts of 1000 tokens: with a budget of 1024, at most 4096 nodes are kept at a time.
    requests = [
        Request((question,) * 1000, (50 + choice, 60, 61))
        for question in range(20)
        for choice in range(4)
    ]
    trie = build_trie(requests)
    groups = list(plan(trie, 1024))
    assert max(len(group.kept) for group in groups) <= 4096
    total = sum(len(batch.nodes) for group in groups for batch in group.batches)
    assert total == len(trie.tokens)
