"""The product of hidden states with the output layer, in float32.

In half precision a logit between 16 and 32 lies on a grid of 0.125 (bfloat16), so that two letters
have exactly the same probability now and then. The products of a GPU are summed in float32 anyway;
only the sums' last rounding is left out.
"""

from collections.abc import Callable
from typing import Any

import torch


def float32_product(head: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What makes float32 logits of hidden states.

    Args:
        head: a model's output layer.

    Returns:
        A function of hidden states of shape (*rows, width), to logits of shape (*rows, vocabulary).
        On a GPU it adds half precision up in float32; elsewhere torch has no such product, and the
        layer's own result is converted.
    """
    own = head.forward
    if type(head) is not torch.nn.Linear:
        return lambda states: own(states).float()
    weight, bias = head.weight, head.bias

    def product(states: torch.Tensor) -> torch.Tensor:
        if weight.device.type != "cuda" or weight.dtype not in (torch.bfloat16, torch.float16):
            result: torch.Tensor = own(states)
            return result.float()
        rows = states.to(weight.device).flatten(0, -2)
        logits = torch.mm(rows, weight.T, out_dtype=torch.float32)
        if bias is not None:
            logits += bias
        return logits.view(*states.shape[:-1], -1)

    return product
