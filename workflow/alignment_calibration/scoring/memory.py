"""How many tokens fit into memory at once."""

import gc
import logging
from typing import Any

import torch

from alignment_calibration.errors import lacks_memory

_LOGGER = logging.getLogger(__name__)


def automatic_budget(model: Any, device: torch.device) -> int:
    """A token budget that fits into the free memory of a GPU; on a CPU, one that is fast."""
    if device.type != "cuda":
        return 512
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    middle = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    # Per token: activations of one layer, and keys and values of up to four stem tokens.
    numbers = 12 * config.hidden_size + 3 * middle
    numbers += 4 * 2 * heads * width * config.num_hidden_layers
    free = min(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
    return int(min(8192, max(256, 0.5 * free / (numbers * model.dtype.itemsize))))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory, of a GPU or of the machine."""
    return isinstance(error, torch.OutOfMemoryError) or lacks_memory(error)


def halved(token_budget: int) -> int:
    """The budget to go on with after memory ran out; frees what is not in use.

    Raises:
        MemoryError: if the budget was one token.
    """
    if token_budget == 1:
        raise MemoryError("even with one token at a time")
    _LOGGER.warning("out of memory: goes on with a token budget of %d", token_budget // 2)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return token_budget // 2
