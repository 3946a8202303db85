"""Logits of hidden states, by the model's own forward.

Architectures differ in what they do behind their last layer: Granite divides logits by a number of
its config, HyperCLOVA X multiplies by the number of the same name, Cohere by another, Gemma 2 bends
them. So nothing is read from a config here: the forward itself runs, and what it has for a body
answers with hidden states that are there already.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from alignment_calibration.scoring.output_layer import float32_product
from alignment_calibration.scoring.scorer import UnsupportedModelError


class _Answer(BaseModelOutputWithPast):  # type: ignore[misc]  # transformers does not type it
    """Hidden states; whatever else a forward hands on of its body's output is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def logits_of(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """The logits that a model makes of hidden states.

    Args:
        model: a causal language model of transformers.
        hidden: shape (rows, width), as the body's last layer and norm leave them.

    Returns:
        Float32 tensor of shape (rows, vocabulary).

    Raises:
        UnsupportedModelError: if the model's forward is more than its body and then its head.
    """
    answers: list[_Answer] = []

    def answer(*arguments: Any, **named: Any) -> _Answer:
        answers.append(_Answer(last_hidden_state=hidden[None]))
        return answers[-1]

    with ExitStack() as replaced:
        # OPT's forward passes by its base model and calls the decoder in it.
        for body in {model.base_model, model.get_decoder()}:
            replaced.enter_context(with_forward(body, answer))
        replaced.enter_context(float32_head(model))
        # On the device of the hidden states, so that accelerate leaves the logits there.
        token = torch.zeros(1, 1, dtype=torch.long, device=hidden.device)
        logits: torch.Tensor = model(input_ids=token, use_cache=False).logits
    if len(answers) != 1 or logits.shape[:2] != (1, len(hidden)):
        raise UnsupportedModelError("a forward pass that is more than body and head")
    return logits[0]


def float32_head(model: Any) -> AbstractContextManager[None]:
    """Let a model's output layer answer in float32, so that what comes after it is computed so too.

    A model that names no output layer is left as it is.
    """
    head = model.get_output_embeddings()
    return nullcontext() if head is None else with_forward(head, float32_product(head))


@contextmanager
def with_forward(module: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module compute something else."""
    own = vars(module).get("forward")  # accelerate's, where it has one
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
