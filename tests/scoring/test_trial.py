"""The trial of the tree, with models that raise and with models that are wrong in small ways."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from transformers import AttentionInterface

from alignment_calibration.scoring import attention, tree
from alignment_calibration.scoring.backends import choose, why_not
from alignment_calibration.scoring.head import logits_of
from tests.support.architectures import TREE, tiny

CPU = torch.device("cpu")
LONG = 200  # tokens: a window far longer than the trial
NOT_MADE_FOR_TREES = [
    AssertionError("a mask of four dimensions"),
    AttributeError("no such part"),
    IndexError("beyond the cache"),
    KeyError("mask"),
    NotImplementedError("this attention"),
    RuntimeError("shapes do not match"),
    TypeError("an argument too many"),
    ValueError("an unknown attention"),
    ZeroDivisionError("no heads"),
]

Attention = Callable[..., Any]


@pytest.fixture
def replace_attention() -> Iterator[Callable[[Callable[[Attention], Attention]], None]]:
    """Put another attention in place of that on trees, made from it, until the test ends."""
    own = AttentionInterface()[attention._NAME]
    yield lambda made: AttentionInterface.register(attention._NAME, made(own))
    AttentionInterface.register(attention._NAME, own)


def with_long_window(architecture: str) -> Any:
    config = TREE[architecture]()
    config.sliding_window = LONG
    return tiny(config)


@pytest.mark.parametrize("architecture", ["mistral", "gemma3", "qwen2-window"])
def test_a_long_window_is_crossed_and_left_as_it_was(architecture, replace_attention):
    windows = set()

    def noting(own: Attention) -> Attention:
        def noted(*arguments, sliding_window=None, **named):
            windows.add(sliding_window)
            return own(*arguments, sliding_window=sliding_window, **named)

        return noted

    replace_attention(noting)
    model = with_long_window(architecture)
    assert why_not("tree", model, CPU) is None
    (tried,) = windows - {None}
    assert tried < 13  # tokens of the trial's longest sequence
    left = {vars(part).get("sliding_window") for part in model.modules()}
    assert {model.config.sliding_window, *left} - {None} == {LONG}


def test_a_long_window_read_wrongly_by_one_token_is_noticed(replace_attention):
    def too_wide(own: Attention) -> Attention:
        return lambda *arguments, sliding_window=None, **named: own(
            *arguments, sliding_window=sliding_window + 1, **named
        )

    model = with_long_window("mistral")
    replace_attention(too_wide)
    assert "differ by up to" in (why_not("tree", model, CPU) or "")


@pytest.mark.parametrize("error", NOT_MADE_FOR_TREES, ids=lambda error: type(error).__name__)
def test_whatever_a_model_raises_on_trees_leads_to_plain_batches(error, replace_attention, caplog):
    def raising(own: Attention) -> Attention:
        def raised(*arguments, **named):
            raise error

        return raised

    replace_attention(raising)
    with caplog.at_level(logging.WARNING, logger="alignment_calibration"):
        name, _ = choose(tiny(TREE["llama"]()), CPU, 64)
    assert name == "plain"
    (said,) = [r.getMessage() for r in caplog.records if r.name.startswith("alignment_calibration")]
    assert f"{type(error).__name__}: {error}" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "ends_in"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), MemoryError),
        (MemoryError("of the machine"), MemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_too_little_memory_and_ctrl_c_are_no_fault_of_a_model(error, ends_in, replace_attention):
    def raising(own: Attention) -> Attention:
        def raised(*arguments, **named):
            raise error

        return raised

    replace_attention(raising)
    with pytest.raises(ends_in):
        choose(tiny(TREE["llama"]()), CPU, 64)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "mistral", "granite", "mixtral"])
def test_half_precision_that_only_rounds_passes(architecture):
    assert why_not("tree", tiny(TREE[architecture]()).to(torch.bfloat16), CPU) is None


def test_half_precision_is_held_to_a_bound_on_the_mean(monkeypatch):
    """A scale of the logits that is wrong by a seventh moves no log-probability by half a nat."""
    model = tiny(TREE["llama"]()).to(torch.bfloat16)
    monkeypatch.setattr(tree, "logits_of", lambda model, hidden: logits_of(model, hidden) * 8 / 7)
    reason = why_not("tree", model, CPU)
    assert reason is not None
    most, mean = (float(word) for word in reason.split() if word[0].isdigit())
    assert mean < most < 0.5
