"""What scoring holds in memory, as torch's profiler sees it, and errors for want of it."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from torch.profiler import ProfilerActivity, profile

from alignment_calibration.errors import lacks_memory
from alignment_calibration.scoring import memory
from alignment_calibration.scoring.__main__ import let_memory_grow
from alignment_calibration.scoring.memory import (
    Footprint,
    fitting_budget,
    footprint,
    is_out_of_memory,
)
from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.tree import TreeScorer
from tests.scoring.test_scorers import ids, ignore
from tests.support.architectures import COMMON, MIXED, tiny

CPU = torch.device("cpu")
LONG = COMMON | {"max_position_embeddings": 4096}
ARCHITECTURES: dict[str, Any] = {
    "llama": lambda: transformers.LlamaConfig(**LONG),
    "gemma2": lambda: transformers.Gemma2Config(
        **LONG, **MIXED, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(**LONG, **MIXED),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=4096, bos_token_id=1
    ),
}


def most_bytes(call: Callable[[], object]) -> int:
    """Most bytes that torch held at once during a call, beyond those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """A context far longer than the budget; long ones with short options; many below a header."""
    rng = random.Random(0)
    made = [Request(ids(rng, 3000), ids(rng, 1))]
    for length in range(150, 700, 60):
        context = ids(rng, length)
        made += [Request(context, ids(rng, rng.randrange(2, 12))) for _ in range(4)]
    header = ids(rng, 400)
    for _ in range(10):
        context = header + ids(rng, 30)
        made += [Request(context, ids(rng, 8)) for _ in range(4)]
    return made


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_row_takes_more_memory_than_is_reckoned(architecture, requests, monkeypatch):
    """Nor much less: a bound of no use would make all rows short."""
    monkeypatch.setitem(memory.LOGITS_AT_ONCE, "cpu", 97 * 64)
    model = tiny(ARCHITECTURES[architecture]())
    scorer = TreeScorer(model, CPU, 256)
    held = footprint(model, CPU)
    reckoned = held.fixed + 256 * held.per_token
    most = most_bytes(partial(scorer.score, requests, ignore))
    assert reckoned / 4 < most < reckoned


def test_logits_are_reckoned_with(monkeypatch):
    """Where they are nearly all there is: a vocabulary of 20,000 in a model of width 8."""
    monkeypatch.setitem(memory.LOGITS_AT_ONCE, "cpu", 20_000 * 64)
    rng = random.Random(1)
    requests = [Request(ids(rng, 8), ids(rng, 8)) for _ in range(20)]
    few = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 20_000}
    for config in (
        transformers.LlamaConfig(**COMMON | few),
        transformers.Gemma2Config(**COMMON | few, final_logit_softcapping=3.0),
    ):
        model = tiny(config)
        scorer = TreeScorer(model, CPU, 256)
        most = most_bytes(partial(scorer.score, requests, ignore))
        assert most / 1.5 < footprint(model, CPU).fixed < 1.5 * most


def test_the_budget_takes_what_is_free_after_the_logits():
    held = Footprint(fixed=10**9, per_token=10**6)
    assert fitting_budget(held, free=5 * 10**9) == 3000  # four fifths are counted on
    assert fitting_budget(held, free=10**9) == 256
    assert fitting_budget(held, free=10**11) == 8192


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "MPS backend out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ],
)
def test_what_cuda_says_for_want_of_memory_is_known(message):
    assert is_out_of_memory(RuntimeError(message))
    assert lacks_memory(RuntimeError(message))
    assert not is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))


def test_memory_of_a_gpu_may_grow_unless_somebody_has_set_it():
    environment: dict[str, str] = {}
    let_memory_grow(environment)
    assert environment == {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        own = {name: "max_split_size_mb:512"}
        let_memory_grow(own)
        assert own == {name: "max_split_size_mb:512"}
