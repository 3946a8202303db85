"""Loading of a checkpoint: safetensors weights and tokenizer, from a local folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from alignment_calibration.errors import UserError, one_line


@dataclass(frozen=True)
class Checkpoint:
    """A causal language model in evaluation mode and its tokenizer."""

    model: Any
    tokenizer: Any
    device: torch.device  # where token ids go in


def resolve_device(device: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `mps` means on this machine.

    Raises:
        UserError: if the device is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        device = next(name for name, there in available.items() if there)
    if not available[device]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise UserError(f"scoring.device: found {device}, which this machine lacks; it has {there}")
    return torch.device(device)


def load_checkpoint(
    folder: str | Path,
    dtype: str,
    device: torch.device,
    gpus: int = 1,
    trust_remote_code: bool = False,
) -> Checkpoint:
    """Load model and tokenizer, from local files alone.

    Args:
        folder: checkpoint with config, tokenizer and safetensors weights.
        dtype: float32, bfloat16 or float16.
        device: where to run; with `gpus` above 1 the layers are spread over the visible GPUs.
        gpus: GPUs that the model's layers are spread over.
        trust_remote_code: run model code that lies in the folder.

    Raises:
        UserError: if config, tokenizer or weights are missing or unusable.
    """
    if not Path(folder, "config.json").is_file():
        raise UserError(f"{folder}: no config.json there; expected a checkpoint folder")
    source: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **source)
    except MemoryError:
        raise
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UserError(f"{folder}: the tokenizer cannot be loaded ({one_line(error)})") from None
    disable_progress_bar()  # its many redraws would fill the log
    placement: Any = "auto" if device.type == "cuda" and gpus > 1 else {"": device}
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            device_map=None if device.type == "cpu" else placement,
            output_loading_info=True,
            **source,
        )
    except torch.OutOfMemoryError:
        raise UserError(
            f"{folder}: does not fit into the memory of {gpus} GPU in {dtype}; raise the model's "
            "`gpus` or choose a smaller dtype"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # transformers raises whatever comes to hand
        raise UserError(f"{folder}: the model cannot be loaded ({one_line(error)})") from None
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"{folder}: the weights lack {len(missing)} tensors of this architecture, "
            f"{missing[0]} first"
        )
    if unexpected := sorted(info["unexpected_keys"]):
        raise UserError(
            f"{folder}: the weights hold {len(unexpected)} tensors that this architecture has no "
            f"place for, {unexpected[0]} first; does config.json belong to them?"
        )
    embedded, last = (
        model.get_input_embeddings().num_embeddings,
        max(tokenizer.get_vocab().values()),
    )
    if last >= embedded:
        raise UserError(
            f"{folder}: the tokenizer has ids up to {last}, the model {embedded} embeddings; "
            "they do not belong together"
        )
    model.eval()
    return Checkpoint(model, tokenizer, model.get_input_embeddings().weight.device)
