"""Compiled layers: the same numbers, few graphs, and none where they fail or do not pay.

The compiler's front, which finds the graphs, does its work here; what it finds is run as it is, as
that needs no C++ compiler. One test has the graphs compiled as well.
"""

import logging
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pytest
import torch

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.scoring import compiled as compiled_module
from alignment_calibration.scoring import tree
from alignment_calibration.scoring.compiled import compiled, compiled_where_it_pays, layers_of, pays
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.scorer import Request, Scorer
from alignment_calibration.scoring.tree import TreeScorer
from tests.scoring.test_scorers import ids, ignore, largest_difference
from tests.support.architectures import TREE, tiny

CPU = torch.device("cpu")
Graph: TypeAlias = torch.fx.GraphModule


class Backend:
    """Notes the graphs that it is given, and has them run by `made`, by default as they are."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []
        self.made: Callable[[Graph], Callable[..., Any]] = lambda graph: graph.forward

    def __call__(self, graph: Graph, inputs: list[Any]) -> Callable[..., Any]:
        self.graphs.append(graph)
        return self.made(graph)


@pytest.fixture
def without_onednn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products as a GPU has them: those of CPUs are by an operator that cannot be compiled."""
    monkeypatch.setattr(tree, "linear_layers", lambda device, dtype: nullcontext())
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def backend(without_onednn: None, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """In place of the compiler's own."""
    made = Backend()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=made))
    return made


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """Six questions below one header, none of one token."""
    rng = random.Random(0)
    header = ids(rng, 20)
    contexts = [header + ids(rng, 3 + 2 * question) for question in range(6)]
    return [Request(each, ids(rng, 1 + 3 * choice)) for each in contexts for choice in range(3)]


def said_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    own = (r for r in caplog.records if r.name.startswith("alignment_calibration"))
    return [record.getMessage() for record in own]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", TREE)
def test_numbers_are_the_same_and_no_shape_of_a_row_makes_graphs(architecture, backend, requests):
    model = tiny(TREE[architecture]())
    scorer = compiled(TreeScorer(model, CPU, 30))
    found = [scorer.score(requests, ignore)]
    assert scorer.compiled
    graphs = len(backend.graphs)
    calls = [str(node.target) for made in backend.graphs for node in made.graph.nodes]
    assert calls
    assert not any("scaled_dot_product_attention" in call for call in calls)
    for scorer.token_budget in (70, 100_000):
        found.append(scorer.score(requests, ignore))
    assert len(backend.graphs) == graphs
    for budget, values in zip((30, 70, 100_000), found, strict=True):
        wanted = TreeScorer(model, CPU, budget).score(requests, ignore)
        assert largest_difference(values, wanted) < 1e-5


def failing(graph: Graph) -> Callable[..., Any]:
    raise OSError("no compiler\non this machine")


def wrong(graph: Graph) -> Callable[..., Any]:
    def scaled(*inputs: Any) -> Any:
        values = graph.forward(*inputs)
        return [1.1 * v if isinstance(v, torch.Tensor) else v for v in values]

    return scaled


def raising(error: Exception) -> Callable[[Graph], Callable[..., Any]]:
    def made(graph: Graph) -> Callable[..., Any]:
        def raised(*inputs: Any) -> Any:
            raise error

        return raised

    return made


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (failing, "no compiler on this machine"),
        (wrong, "differ by up to"),
        (raising(RuntimeError("a kernel does not start")), "a kernel does not start"),
        (raising(torch.OutOfMemoryError("CUDA out of memory")), "one token at a time"),
        (raising(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")), "one token at a time"),
        (raising(MemoryError("no buffer")), "out of memory (no buffer)"),
    ],
)
def test_layers_that_cannot_be_compiled_or_compute_wrongly_are_left_as_they_are(
    made, reason, backend, requests, caplog
):
    model = tiny(TREE["llama"]())
    wanted = TreeScorer(model, CPU, 70).score(requests, ignore)
    backend.made = made
    with caplog.at_level(logging.WARNING):
        scorer = compiled(TreeScorer(model, CPU, 70))
        found = scorer.score(requests, ignore)
    assert not scorer.compiled
    assert scorer.token_budget == 70
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    *halvings, said = said_by(caplog)
    assert reason in said
    assert all("token budget" in line for line in halvings)
    assert len(said.splitlines()) == 1


def test_a_job_goes_on_after_out_of_memory_and_when_compiling_fails_later(
    backend, requests, caplog
):
    """Five layers have the four graphs of one: before the products of attention, up to it, its
    output, and the rest of the layer. A row of one token needs graphs of its own."""
    config = TREE["llama"]()
    config.num_hidden_layers = 5
    model = tiny(config)
    asked = [*requests, Request((5,), (6,))]
    wanted = PlainScorer(model, CPU, 1000).score(asked, ignore)
    scorer = compiled(TreeScorer(model, CPU, 100))
    rows: list[int] = []

    def run_short(layer: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        rows.append(given[0].shape[1])
        if rows[-1] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")

    layers_of(model)[3].register_forward_pre_hook(run_short)
    assert largest_difference(scorer.score(requests, ignore), wanted[:-1]) < 1e-5
    assert max(rows) > 40
    assert scorer.token_budget <= 50
    assert scorer.compiled
    assert len(backend.graphs) == 4

    backend.made = failing
    caplog.clear()
    done: list[int] = []
    with caplog.at_level(logging.WARNING):
        assert largest_difference(scorer.score(asked[-1:], done.append), wanted[-1:]) < 1e-5
        assert largest_difference(scorer.score(asked, done.append), wanted) < 1e-5
    assert sum(done) == 1 + len(asked)
    assert not scorer.compiled
    assert len(said_by(caplog)) == 1


def test_it_pays_from_a_number_of_hidden_states_on():
    """By hand: 32 layers of width 4096 at 8,388,608 tokens are 2^40; two of 32, at 2^34."""
    assert 32 * 4096 * 8_388_608 == 2**40
    model = tiny(TREE["llama"]())
    assert pays(model, 2**34)
    assert not pays(model, 2**34 - 1)
    model.lm_head.to("meta")  # as if on another GPU
    assert not pays(model, 2**34)


@pytest.mark.parametrize(
    ("device", "kind", "bytes_", "expected"),
    [
        ("cuda", TreeScorer, 4 * 2**10, True),
        ("cuda", TreeScorer, 4 * 2**10 - 1, False),
        ("cuda", PlainScorer, 4 * 2**10, False),
        ("cpu", TreeScorer, 4 * 2**10, False),
    ],
)
def test_large_jobs_on_gpus_alone_are_compiled(device, kind, bytes_, expected, monkeypatch):
    """Two cells of a job: questions of so many bytes, four to a token, beside one of 16."""
    tables = [
        pa.Table.from_pylist(
            [dict.fromkeys(QUESTIONS.names) | {"context": text[:-1], "continuation": text[-1:]}],
            schema=pa.schema([field.with_nullable(True) for field in QUESTIONS]),
        )
        for text in ("x" * (bytes_ - 16), "y" * 16)
    ]
    monkeypatch.setattr(compiled_module, "_PAYS_FROM", 2**16)  # two layers of 32, 2^10 tokens
    monkeypatch.setattr(compiled_module, "compiled", lambda scorer: "compiled")
    scorer: Scorer = kind(tiny(TREE["llama"]()), torch.device(device), 8)
    assert compiled_where_it_pays(scorer, tables) == ("compiled" if expected else scorer)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles for CPUs by a C++ compiler")
def test_what_the_compiler_makes_of_the_graphs_gives_the_same_numbers(without_onednn, requests):
    model = tiny(TREE["llama"]())
    wanted = TreeScorer(model, CPU, 70).score(requests, ignore)
    scorer = compiled(TreeScorer(model, CPU, 70))
    assert largest_difference(scorer.score(requests, ignore), wanted) < 1e-5
    assert scorer.compiled
