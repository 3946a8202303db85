"""Models whose rotary positions depend on how long the whole sequence is.

LongRoPE (Ding et al. 2024, arXiv 2402.13753) has two sets of angles, and transformers takes the
second for a whole forward pass if the longest sequence in it is longer than some length. So what is
computed together must lie on one side of that length, and a longer sequence cannot be computed bit
by bit.
"""

import math
from typing import Any

_LONGROPE = ("longrope", "su")  # `su` in configs of the first Phi-3


def longest_of_one_kind(model: Any) -> float:
    """Up to how many tokens all sequences have the same angles; infinite for most models.

    Args:
        model: a causal language model of transformers.
    """
    config = model.config.get_text_config()
    given = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    of_layers = [given, *given.values()]  # of each kind of layer, where these have their own
    limits = [
        parameters.get("original_max_position_embeddings")
        or getattr(config, "original_max_position_embeddings", 0)
        for parameters in of_layers
        if isinstance(parameters, dict)
        if (parameters.get("rope_type") or parameters.get("type")) in _LONGROPE
    ]
    return min(limits, default=math.inf)
