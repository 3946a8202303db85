"""Linear layers of float32 models on a CPU by oneDNN.

torch gives these to MKL, which on processors of other makers than its own leaves part of the speed
unused; oneDNN comes with torch as well. The operator is one that torch's compiler uses and does not
document: it is tried before it is used, and without it MKL goes on doing the work.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def linear_layers(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """A context in which linear layers of models of this dtype are computed the fastest way."""
    wanted = device.type == "cpu" and dtype == torch.float32 and torch.backends.mkldnn.enabled
    return _ByOneDnn() if wanted and _is_usable() else nullcontext()


class _ByOneDnn(TorchFunctionMode):  # type: ignore[misc]  # torch does not type it
    """Replaces `torch.nn.functional.linear`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        function = _linear if func is torch.nn.functional.linear else func
        return function(*args, **(kwargs or {}))


def _linear(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return result


@cache
def _is_usable() -> bool:
    """Whether this torch has the operator, and it does what it should."""
    if not torch.backends.mkldnn.is_available():
        return False
    rows, weight, bias = torch.eye(2, 3)[None], torch.arange(12.0).view(4, 3), torch.ones(4)
    expected = torch.nn.functional.linear(rows, weight, bias)
    try:
        return bool(torch.equal(_linear(rows, weight, bias), expected))
    except (AttributeError, RuntimeError, TypeError):
        return False
