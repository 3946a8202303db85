"""Attention as GPUs are made to compute it, tried without one."""

import math
import random
from typing import Any

import pytest
import torch

from alignment_calibration.scoring import attention
from alignment_calibration.scoring.attention import Kept, Row, kernels
from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.tree import TreeScorer
from alignment_calibration.scoring.trie import Batch, Trie, build_trie, plan
from tests.scoring.test_scorers import ids, ignore, largest_difference, one_by_one, requests
from tests.support.architectures import TREE, tiny

__all__ = ["requests"]  # a fixture

CPU = torch.device("cpu")


def allowed() -> dict[str, bool]:
    """The kernels that torch may take for attention."""
    cuda = torch.backends.cuda
    return {
        "cudnn": cuda.cudnn_sdp_enabled(),
        "flash": cuda.flash_sdp_enabled(),
        "efficient": cuda.mem_efficient_sdp_enabled(),
        "math": cuda.math_sdp_enabled(),
    }


def test_a_gpu_computes_attention_without_plans_for_each_shape():
    before = allowed()
    with kernels(torch.device("cuda")):
        assert allowed() == {"cudnn": False, "flash": False, "efficient": True, "math": True}
    assert allowed() == before
    with kernels(CPU):
        assert allowed() == before


@pytest.fixture(scope="module")
def mixed() -> list[Request]:
    """Options below a context of 240 tokens, and short questions that have no path."""
    rng = random.Random(3)
    context = ids(rng, 240)
    made = [Request(context, ids(rng, 5)) for _ in range(4)]
    return made + [Request(ids(rng, 9), ids(rng, 3)) for _ in range(5)]


def mixed_row(requests: list[Request]) -> tuple[Trie, Batch, Kept]:
    """A row in which a block without a path stands beside one with a long path."""
    trie = build_trie(requests)
    (group,) = plan(trie, 250)
    for batch in group.batches:
        paths = [len(block.path) for block in batch.blocks]
        if min(paths) == 0 and max(paths) >= 128:
            return trie, batch, Kept(group.kept)
    raise AssertionError("no such row")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_softmax_by_tiles_is_a_number_where_whole_tiles_are_masked(dtype, mixed):
    """As kernels go: 64 keys at a time, powers of 2 of the scores times log₂ e, in float32."""
    mask = Row(*mixed_row(mixed), CPU).mask(CPU, dtype, None, 1)
    torch.manual_seed(0)
    scores = 4 * torch.randn(mask.shape)
    visible = mask == 0
    assert not visible[..., :64].any(dim=-1).all()  # there are such tiles

    def by_tiles(mask: torch.Tensor) -> torch.Tensor:
        """Sum of exp(score), relative to the largest, and of its product with the key's number."""
        largest = torch.full(mask.shape[:-1], -torch.inf)
        total, weighted = torch.zeros(2, *mask.shape[:-1])
        for start in range(0, mask.shape[-1], 64):
            tile = (scores + mask.float())[..., start : start + 64] * math.log2(math.e)
            new = torch.maximum(largest, tile.amax(dim=-1))
            weights = torch.exp2(tile - new[..., None])
            shrink = torch.exp2(largest - new)
            total = total * shrink + weights.sum(dim=-1)
            places = torch.arange(start, start + tile.shape[-1]).float()
            weighted = weighted * shrink + (weights * places).sum(dim=-1)
            largest = new
        return weighted / total

    probabilities = scores.double().masked_fill(~visible, -torch.inf).softmax(dim=-1)
    wanted = (probabilities * torch.arange(mask.shape[-1])).sum(dim=-1)
    torch.testing.assert_close(by_tiles(mask).double(), wanted, rtol=1e-4, atol=1e-3)
    assert by_tiles(mask.masked_fill(~visible, -torch.inf)).isnan().any()  # why it is not −∞


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gemma3", "gpt2"])
def test_blocks_without_a_path_beside_long_ones(architecture, mixed):
    mixed_row(mixed)  # there is such a row
    model = tiny(TREE[architecture]())
    found = TreeScorer(model, CPU, 250).score(mixed, ignore)
    assert largest_difference(found, one_by_one(model, mixed)) < 1e-4


@pytest.mark.parametrize("architecture", TREE)
def test_padding_of_paths_and_blocks_changes_nothing(architecture, requests, monkeypatch):
    """As on a GPU, where every row of a mask begins at a multiple of 8 numbers."""
    model = tiny(TREE[architecture]())
    wanted = TreeScorer(model, CPU, 60).score(requests, ignore)
    masks: list[torch.Tensor] = []
    mask_of = Row.mask

    def noted(self: Row, *arguments: Any) -> torch.Tensor:
        masks.append(mask_of(self, *arguments))
        return masks[-1]

    monkeypatch.setitem(attention._ROUNDED_TO, "cpu", 8)
    monkeypatch.setattr(Row, "mask", noted)
    found = TreeScorer(model, CPU, 60).score(requests, ignore)
    assert largest_difference(found, wanted) < 1e-5
    assert max(mask.shape[-1] for mask in masks) > 24  # with paths
    assert all(stride % 8 == 0 for mask in masks for stride in mask.stride()[:-1])
    assert all(bool(mask.isfinite().all()) for mask in masks)
