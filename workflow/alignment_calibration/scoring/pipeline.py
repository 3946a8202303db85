"""Layers spread over several GPUs: stations of an assembly line that rows pass one after another.

A copy from one GPU to another begins when both have come to it, and both wait for its end; torch
sees to that. accelerate, which spreads the layers, brings each of them what it is called with from
wherever that was made: what all layers read, as the angles of rotary positions, goes from one GPU
to the layers of all, and that GPU takes up no other row before the last layer of this one. So here
each station hands on what it was given to the next, once, with the hidden states.

Where the output layer shares the weights of the embeddings it stands on their GPU, the first: rows
come back there, and one GPU works at a time.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

import torch
from accelerate.hooks import remove_hook_from_module
from accelerate.utils import recursively_apply
from torch.utils.weak import WeakTensorKeyDictionary

#: Where a tensor that stations hand on has come to, as a copy.
_Copies = MutableMapping[torch.Tensor, torch.Tensor]


def line_up(model: Any) -> None:
    """Let layers that accelerate has spread over several GPUs hand on rows to each other.

    Args:
        model: of transformers, all of whose weights are on GPUs.
    """
    remove_hook_from_module(model, recurse=True)
    first = model.get_input_embeddings().weight.device
    copies: _Copies = WeakTensorKeyDictionary()
    for module, device in _stations(model):
        if device is None:  # angles of positions, of which the embeddings' GPU is told
            module.to(first)
        else:
            module.register_forward_pre_hook(_Arrival(device, copies), with_kwargs=True)


def _stations(module: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, torch.device | None]]:
    """The largest parts of a model that are called, and on one device or without any weights."""
    devices = {weight.device for weight in module.parameters()}
    called = type(module).forward is not torch.nn.Module.forward  # a list of layers is not
    if called and len(devices) < 2:
        yield module, devices.pop() if devices else None
        return
    for child in module.children():
        yield from _stations(child)


class _Arrival:
    """Brings a station what it is called with, from the station where it was last."""

    def __init__(self, device: torch.device, copies: _Copies) -> None:
        self._device = device
        self._copies = copies

    def __call__(self, module: torch.nn.Module, given: Any, named: Any) -> Any:
        return recursively_apply(self._here, (given, named))

    def _here(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device == self._device:
            return tensor
        copy = self._copies.get(tensor, tensor)
        if copy.device != self._device:
            copy = self._copies[tensor] = copy.to(self._device, non_blocking=True)
        return copy
