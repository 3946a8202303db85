"""Layers spread over GPUs, on ones that are not there: what is waited for, and when all is done."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from accelerate.hooks import attach_align_device_hook_on_blocks

from alignment_calibration.scoring.pipeline import line_up
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.tree import TreeScorer
from tests.scoring.test_scorers import ids, ignore, largest_difference, requests
from tests.support.architectures import COMMON, TREE, tiny
from tests.support.gpus import Gpus

__all__ = ["requests"]  # a fixture

CPU = torch.device("cpu")
FIRST = torch.device("cuda", 0)
LAYERS = 4


def spread(
    model: Any, number: int, gpus: Gpus, layers_on: Callable[[int], int] | None = None
) -> None:
    """Put a model on so many GPUs as accelerate does, its hooks included; within `gpus`.

    Layers in order, or each on the GPU that `layers_on` says; what comes after them on the last,
    where the small module that makes angles of positions ends as well; an output layer that shares
    the embeddings' weights where these are.
    """
    layers = next(part for part in model.modules() if isinstance(part, torch.nn.ModuleList))
    layers_on = layers_on or (lambda place: place * number // len(layers))
    place_of = {layer: layers_on(place) for place, layer in enumerate(layers)}
    within = {part for layer in layers for part in layer.modules()} - set(layers)
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    tied = {head} if head.weight is embeddings.weight else set()
    places = {}
    for name, part in model.named_modules():
        if part in place_of or not (part in within or list(part.children())):
            early = isinstance(part, torch.nn.Embedding) or part in tied
            places[name] = place_of.get(part, 0 if early else number - 1)
            gpus.put(part, places[name])
    devices = {name: torch.device("cuda", place) for name, place in places.items()}
    attach_align_device_hook_on_blocks(
        model, execution_device={"": FIRST} | devices, offload=dict.fromkeys(devices, False)
    )


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    gpus = Gpus()
    gpus.install(monkeypatch)
    return gpus


def llama() -> Any:
    return tiny(transformers.LlamaConfig(**COMMON | {"num_hidden_layers": LAYERS}))


ROWS = 14


@pytest.mark.parametrize("number", [1, 2, 4])
def test_rows_pass_the_gpus_as_on_an_assembly_line(number, questions, gpus):
    """All GPUs work at once: what the busiest does in a row is all that a further row takes."""
    model = llama()
    wanted = TreeScorer(model, CPU, 70).score(questions, ignore)
    with gpus:
        spread(model, number, gpus)
        line_up(model)
        found = TreeScorer(model, FIRST, 70).score(questions, ignore)
    assert largest_difference(found, wanted) < 1e-5
    assert gpus.waits == 0
    assert len(gpus.busy) == number
    step = max(gpus.busy.values()) / ROWS
    assert max(gpus.free.values()) <= (ROWS + number - 1) * step


def test_left_to_accelerate_one_gpu_works_at_a_time(questions, gpus):
    """Why they are lined up: angles of positions go from one GPU to the layers of all."""
    model = llama()
    with gpus:
        spread(model, 2, gpus)
        TreeScorer(model, FIRST, 70).score(questions, ignore)
    assert max(gpus.free.values()) == sum(gpus.busy.values())


# Mixtral's experts are computed on GPUs by what there is on GPUs only.
@pytest.mark.parametrize("architecture", [name for name in TREE if name != "mixtral"])
def test_two_gpus_give_the_numbers_of_one_device(architecture, requests, gpus):
    model = tiny(TREE[architecture]())
    wanted = TreeScorer(model, CPU, 100).score(requests, ignore)
    with gpus:
        spread(model, 2, gpus)
        line_up(model)
        found = TreeScorer(model, FIRST, 100).score(requests, ignore)
    assert largest_difference(found, wanted) < 1e-5
    assert gpus.waits == 0
    assert len(gpus.busy) == 2


def test_layers_that_all_lie_on_another_gpu_than_the_embeddings(requests, gpus):
    """Their list is on one GPU, and nobody calls it."""
    model = llama()
    wanted = TreeScorer(model, CPU, 100).score(requests, ignore)
    with gpus:
        spread(model, 2, gpus, layers_on=lambda place: 1)
        line_up(model)
        found = TreeScorer(model, FIRST, 100).score(requests, ignore)
    assert largest_difference(found, wanted) < 1e-5
    assert gpus.waits == 0


def test_plain_batches_wait_as_often_for_many_requests_as_for_few(gpus):
    rng = random.Random(6)
    context = ids(rng, 9)
    requests = [Request(context, ids(rng, 3)) for _ in range(30)]
    model = llama()
    wanted = PlainScorer(model, CPU, 1000).score(requests, ignore)
    waits = []
    with gpus:
        spread(model, 1, gpus)
        scorer = PlainScorer(model, FIRST, 1000)
        for number in (1, 30):
            gpus.waits = 0
            found = scorer.score(requests[:number], ignore)
            waits.append(gpus.waits)
    assert largest_difference(found, wanted) < 1e-5
    assert waits[0] == waits[1]
