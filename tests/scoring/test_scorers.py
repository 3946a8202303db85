"""Log-probabilities of all scorers against plain forward passes, one sequence at a time."""

import logging
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Phi3Config

from alignment_calibration.scoring import onednn
from alignment_calibration.scoring.backends import choose, why_not
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.tree import TreeScorer
from tests.support.architectures import COMMON, PLAIN, TREE, VOCABULARY, tiny

CPU = torch.device("cpu")


def ids(rng: random.Random, length: int) -> tuple[int, ...]:
    return tuple(rng.randrange(3, VOCABULARY) for _ in range(length))


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """Seven questions below one header; shared first tokens, contexts that differ by option,
    options of one token, an option twice, and one that continues another."""
    rng = random.Random(0)
    header = ids(rng, 20)
    made = []
    for question in range(7):
        context = header + ids(rng, rng.randrange(3, 20))
        first = ids(rng, 2) if question % 2 else ()
        for choice in range(4):
            own = (*context, choice + 3) if question % 3 == 0 else context
            option = ids(rng, 1) if question == 4 else first + ids(rng, rng.randrange(1, 9))
            made.append(Request(own, option))
    made.append(made[0])
    made.append(Request(made[-1].context_ids, made[-1].continuation_ids + ids(rng, 3)))
    made.append(Request(ids(rng, 1), ids(rng, 1)))
    return made


def one_by_one(model: Any, requests: list[Request]) -> list[np.ndarray]:
    """The definition: log-softmax of a forward pass over each sequence alone."""
    results = []
    for request in requests:
        sequence = torch.tensor([request.context_ids + request.continuation_ids])
        with torch.inference_mode():
            # Without the last token, as HFLM: what follows it is not asked.
            logprobs = model(sequence[:, :-1]).logits[0].double().log_softmax(dim=-1)
        start = len(request.context_ids)
        positions = range(start - 1, sequence.shape[1] - 1)
        results.append(
            np.array([float(logprobs[place, sequence[0, place + 1]]) for place in positions])
        )
    return results


def largest_difference(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    assert [array.shape for array in found] == [array.shape for array in wanted]
    return max(float(np.abs(a - b).max()) for a, b in zip(found, wanted, strict=True))


def ignore(number: int) -> None:
    pass


@pytest.mark.parametrize("architecture", TREE)
def test_tree_agrees_with_single_sequences_under_any_budget(architecture, requests):
    model = tiny(TREE[architecture]())
    wanted = one_by_one(model, requests)
    assert choose(model, CPU)[0] == "tree"
    for budget in (30, 100, 100_000):
        scorer = TreeScorer(model, CPU, budget)
        assert largest_difference(scorer.score(requests, ignore), wanted) < 1e-5


@pytest.mark.parametrize(
    ("architecture", "scale"),
    [("granite", "logits_scaling"), ("hyperclovax", "logits_scaling"), ("cohere", "logit_scale")],
)
def test_the_scale_of_logits_matters_in_these_tests(architecture, scale, requests):
    config = TREE[architecture]()
    scaled = one_by_one(tiny(config), requests)
    setattr(config, scale, 1.0)
    assert largest_difference(scaled, one_by_one(tiny(config), requests)) > 0.1


@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "gemma3", "qwen2-window"])
def test_the_sliding_window_matters_in_these_tests(architecture, requests):
    config = TREE[architecture]()
    windowed = one_by_one(tiny(config), requests)
    config.sliding_window = 200
    assert largest_difference(windowed, one_by_one(tiny(config), requests)) > 0.1


@pytest.mark.parametrize("architecture", PLAIN)
def test_other_architectures_fall_back_and_say_so(architecture, requests, caplog):
    model = tiny(PLAIN[architecture]())
    with caplog.at_level(logging.WARNING, logger="alignment_calibration"):
        name, scorer = choose(model, CPU, 64)
    assert name == "plain"
    assert isinstance(scorer, PlainScorer)
    said = [r for r in caplog.records if r.name.startswith("alignment_calibration")]
    assert len(said) == 1
    assert type(model).__name__ in said[0].getMessage()
    assert largest_difference(scorer.score(requests, ignore), one_by_one(model, requests)) < 1e-4


def test_every_distinct_prefix_is_computed_once(requests):
    scorer = TreeScorer(tiny(TREE["llama"]()), CPU, 100_000)
    scorer.score(requests, ignore)
    prefixes = {
        request.input_ids[: length + 1]
        for request in requests
        for length in range(len(request.input_ids))
    }
    assert scorer.work.trie_nodes == scorer.work.tokens_computed == len(prefixes)


@pytest.mark.parametrize("kind", [TreeScorer, PlainScorer])
def test_letters_cost_one_pass_over_the_context(kind):
    context = ids(random.Random(1), 30)
    scorer = kind(tiny(TREE["llama"]()), CPU, 1000)
    scorer.score([Request(context, (letter,)) for letter in range(10, 14)], ignore)
    assert scorer.work.tokens_computed == len(context)


@pytest.mark.parametrize("architecture", [*TREE, *PLAIN])
def test_requests_that_share_a_sequence_keep_their_own_numbers(architecture):
    """Letters, letters of another length of context, and an option that ends where they begin."""
    rng = random.Random(2)
    contexts = [ids(rng, 9), ids(rng, 14)]
    requests = [Request(context, (letter,)) for context in contexts for letter in range(10, 14)]
    requests.insert(3, Request(contexts[0][:6], (*contexts[0][6:], 20)))
    model = tiny((TREE | PLAIN)[architecture]())
    scorer = PlainScorer(model, CPU, 1000)
    found = scorer.score(requests, ignore)
    assert scorer.work.tokens_computed == 2 * 14
    alone = [PlainScorer(model, CPU, 1000).score([request], ignore)[0] for request in requests]
    assert largest_difference(found, alone) < 1e-5
    assert largest_difference(found, one_by_one(model, requests)) < 1e-5


def longrope() -> Any:
    """Its angles are others from the 65th token on, for the tokens before as well."""
    long = [1.0 + 4 * number for number in range(4)]
    scaling = {"type": "longrope", "short_factor": [1.0] * 4, "long_factor": long}
    return tiny(Phi3Config(**COMMON, original_max_position_embeddings=64, rope_scaling=scaling))


@pytest.mark.parametrize("budget", [40, 300, 10_000])
def test_angles_that_depend_on_the_longest_sequence_are_those_of_each_alone(budget, caplog):
    rng = random.Random(3)
    model = longrope()
    assert choose(model, CPU)[0] == "tree"
    asked = []
    for length in (10, 60, 90, 140):  # below, across and beyond the limit
        context = ids(rng, length)
        asked += [Request(context, ids(rng, number)) for number in (3, 5, 9)]
    wanted = one_by_one(model, asked)
    kinds = {kind: kind(model, CPU, budget) for kind in (PlainScorer, TreeScorer)}
    for scorer in kinds.values():
        assert largest_difference(scorer.score(asked, ignore), wanted) < 1e-5
    assert f"{sum(len(r.input_ids) > 64 for r in asked)} of 12 options" in caplog.text
    joined = torch.tensor([asked[0].input_ids + (0,) * 100])
    with torch.inference_mode():
        long, short = (
            model(sequence).logits[0, 11]
            for sequence in (joined, torch.tensor([asked[0].input_ids]))
        )
    assert float((long - short).abs().max()) > 1e-3  # the limit matters in this test


def test_progress_counts_every_request_once(requests):
    model = tiny(TREE["llama"]())
    for scorer in (TreeScorer(model, CPU, 60), PlainScorer(model, CPU, 60)):
        done: list[int] = []
        scorer.score(requests, done.append)
        assert sum(done) == len(requests)


def beneath_repeated_stems(seed: int) -> list[Request]:
    """Contexts and options so long for a budget of 32 that a context's last token, at which
    options are asked, is computed in several groups; options that continue others as well."""
    rng = random.Random(seed)
    made = []
    for _ in range(3):
        context = ids(rng, rng.randrange(75, 100))
        for _ in range(4):
            option = ids(rng, rng.randrange(55, 75))
            made.append(Request(context, option))
            made.append(Request(context, option[: rng.randrange(1, 30)] + ids(rng, 1)))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_a_prediction_is_read_once_however_often_its_stem_is_computed(seed):
    made = beneath_repeated_stems(seed)
    model = tiny(TREE["llama"]())
    scorer = TreeScorer(model, CPU, 32)
    done: list[int] = []
    found = scorer.score(made, done.append)
    assert scorer.work.tokens_computed > scorer.work.trie_nodes  # a stem was repeated
    assert min(done) >= 0
    assert sum(done) == len(made)
    assert largest_difference(found, one_by_one(model, made)) < 1e-5


def test_whenever_memory_runs_out_every_prediction_is_read(monkeypatch):
    made = beneath_repeated_stems(0)[:8]
    model = tiny(TREE["llama"]())
    wanted = one_by_one(model, made)
    forward = TreeScorer._forward
    rows: Iterator[int] = iter(())

    def failing(self, *arguments):
        if next(rows, None) == 0:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, *arguments)

    monkeypatch.setattr(TreeScorer, "_forward", failing)
    scorer = TreeScorer(model, CPU, 32)
    for earlier in range(0, 99, 3):
        rows = iter(range(earlier, -1, -1))
        scorer.token_budget = 32
        assert largest_difference(scorer.score(made, ignore), wanted) < 1e-5
        if scorer.token_budget == 32:  # fewer rows than that: memory sufficed
            break
    assert 5 < earlier < 96


def test_a_budget_shorter_than_any_context(requests):
    model = tiny(TREE["llama"]())
    found = TreeScorer(model, CPU, 5).score(requests[:5], ignore)
    assert largest_difference(found, one_by_one(model, requests[:5])) < 1e-4


def test_linear_layers_are_the_same_by_onednn():
    rows, weight, bias = torch.randn(2, 5, 7), torch.randn(11, 7), torch.randn(11)
    linear = torch.nn.functional.linear
    wanted = rows.double() @ weight.double().T + bias.double()
    with onednn.linear_layers(CPU, torch.float32):
        assert torch.allclose(linear(rows, weight, bias).double(), wanted, atol=1e-5)
        assert torch.allclose(linear(rows, weight).double() + bias, wanted, atol=1e-5)


def test_a_torch_without_the_onednn_operator_does_without(monkeypatch, requests):
    model = tiny(TREE["llama"]())
    wanted = one_by_one(model, requests)

    def gone(*arguments):
        raise AttributeError("no such operator")

    monkeypatch.setattr(onednn, "_linear", gone)
    onednn._is_usable.cache_clear()
    try:
        found = TreeScorer(model, CPU, 100).score(requests, ignore)
    finally:
        onednn._is_usable.cache_clear()
    assert largest_difference(found, wanted) < 1e-4


def test_two_runs_give_the_same_bits(requests):
    model = tiny(TREE["llama"]())
    one, other = (TreeScorer(model, CPU, 60).score(requests, ignore) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_bfloat16_is_near_float32(requests):
    model = tiny(TREE["llama"]())
    wanted = one_by_one(model, requests)
    half = model.to(torch.bfloat16)
    assert why_not("tree", half, CPU) is None
    found = TreeScorer(half, CPU, 1000).score(requests, ignore)
    plain = PlainScorer(half, CPU, 1000).score(requests, ignore)
    # Both round; the tree must not stray further than the plain passes do.
    assert largest_difference(found, wanted) < 2 * largest_difference(plain, wanted)


@pytest.mark.parametrize("kind", [TreeScorer, PlainScorer])
def test_out_of_memory_halves_the_budget_and_goes_on(kind, requests, monkeypatch, caplog):
    model = tiny(TREE["llama"]())
    wanted = one_by_one(model, requests)
    forward = type(model.model).forward

    def small_memory(self, input_ids, **others):
        if input_ids.numel() > 40:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, input_ids=input_ids, **others)

    monkeypatch.setattr(type(model.model), "forward", small_memory)
    scorer = kind(model, CPU, 100)
    assert largest_difference(scorer.score(requests, ignore), wanted) < 1e-4
    assert scorer.token_budget <= 50


def test_too_little_memory_for_anything_is_an_error(requests, monkeypatch):
    model = tiny(TREE["llama"]())

    def no_memory(self, **others):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(type(model.model), "forward", no_memory)
    for scorer in (TreeScorer(model, CPU, 100), PlainScorer(model, CPU, 100)):
        with pytest.raises(MemoryError, match="even with one token"):
            scorer.score(requests, ignore)
