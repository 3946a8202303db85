"""How many tokens fit into memory at once."""

import gc
import logging
from dataclasses import dataclass
from typing import Any

import torch

from alignment_calibration.errors import lacks_memory
from alignment_calibration.scoring.trie import (
    KEPT_PER_TOKEN,
    KEYS_PER_TOKEN,
    PADDED_PER_TOKEN,
    STEM_TOKENS,
)

_LOGGER = logging.getLogger(__name__)


#: Logits held at once, in numbers of float32: as much as keeps the matrix product busy.
LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**27, "mps": 2**25}
#: The budgets that are chosen for a GPU: more tokens make no row faster.
_LEAST, _MOST = 256, 8192
#: Of the free memory, so much is counted on; the rest is lost between what is held.
_USABLE = 0.8


@dataclass(frozen=True)
class Footprint:
    """Most bytes that scoring by trie holds on one device beside the weights."""

    fixed: int  # whatever the token budget is
    per_token: int  # for each token of the budget


def footprint(model: Any, device: torch.device) -> Footprint:
    """What scoring by trie will hold at most.

    Counted are the tensors that live at once in a layer of a Llama, for a row whose blocks, paths
    and padding are as long as `plan` lets them be. A path of more than `KEYS_PER_TOKEN` times the
    budget is not counted, since a row has at least one block.

    Args:
        model: a causal language model of transformers.
        device: where it runs; layers on several devices are taken to be spread evenly.
    """
    config = model.config.get_text_config()
    size = model.dtype.itemsize
    heads = config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    middle = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    experts = getattr(config, "num_experts_per_tok", None) or 1
    kinds = len(set(getattr(config, "layer_types", None) or [None]))
    layers = -(-config.num_hidden_layers // len({weight.device for weight in model.parameters()}))

    # Keys and values of stems, in all layers.
    numbers = KEPT_PER_TOKEN * 2 * key_heads * width * layers
    # Residual, norm (in float32) and rotated queries and keys, then gate, up and their product.
    numbers += 12 * config.hidden_size + 3 * middle * experts
    # Queries by block, what attention makes of them, and that in the order of the row.
    numbers += PADDED_PER_TOKEN * 3 * heads * width
    # Keys and values of paths, and joined to those of the blocks.
    numbers += KEYS_PER_TOKEN * 2 * 2 * key_heads * width
    # Of the mask, what is visible, the mask of a head, and that of the heads that share keys.
    places = KEYS_PER_TOKEN * STEM_TOKENS
    bytes_a_place = 3 + size + kinds * size * (heads // key_heads)
    if getattr(config, "attn_logit_softcapping", None) is not None:
        bytes_a_place += (2 * size + 4) * heads  # no kernel of torch's own: scores, weights
    # Logits in the model's numbers and in float32, and exp of them; to cap them takes one more.
    capped = getattr(config, "final_logit_softcapping", None) is not None
    logits = LOGITS_AT_ONCE[device.type] * (size + 4 * (3 if capped else 2))
    return Footprint(logits, numbers * size + places * bytes_a_place)


def automatic_budget(model: Any, device: torch.device) -> int:
    """A token budget that fits into the free memory of a GPU; on a CPU, one that is fast."""
    if device.type != "cuda":
        return 512
    own = {weight.device for weight in model.parameters() if weight.device.type == "cuda"}
    free = min(torch.cuda.mem_get_info(device)[0] for device in own)
    return fitting_budget(footprint(model, device), free)


def fitting_budget(held: Footprint, free: int) -> int:
    """The token budget for so many free bytes, within what is sensible."""
    fits = int((_USABLE * free - held.fixed) / held.per_token)
    return min(_MOST, max(_LEAST, fits))


def is_out_of_memory(error: Exception) -> bool:
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
    free_unused()
    return token_budget // 2


def free_unused() -> None:
    """Free what is not in use, on GPUs too, for tensors of other sizes."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
