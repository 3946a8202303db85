"""Loading of a checkpoint: safetensors weights and tokenizer, from a local folder."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from alignment_calibration.errors import UserError, one_line
from alignment_calibration.files.atomic import read_json
from alignment_calibration.inputs.sizes import local_size

_LOGGER = logging.getLogger(__name__)


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
        UserError: if config, tokenizer or weights are missing or unusable, or the GPUs too small.
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
    memory = free_memory(device, gpus)
    refuse_too_large(folder, dtype, memory)
    placement: dict[str, Any] = {}
    if device.type != "cpu":
        # Without the machine's own memory in it, what does not fit stays on disk, and is refused.
        spread = {"device_map": "auto", "max_memory": memory}
        placement = spread if len(memory) > 1 else {"device_map": {"": device}}
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            **placement,
            **source,
        )
    except torch.OutOfMemoryError:
        raise too_large(folder, dtype, memory) from None
    except MemoryError:
        raise
    except Exception as error:  # transformers raises whatever comes to hand
        raise UserError(f"{folder}: the model cannot be loaded ({one_line(error)})") from None
    if memory and outside_gpus(model):
        raise too_large(folder, dtype, memory)
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
    used = len({weight.device for weight in model.parameters()})
    if memory and used < gpus:
        _LOGGER.warning(
            "%s: its layers came to lie on %d of the %d GPUs that it was given, and the others "
            "idle; lower the model's `gpus`",
            folder,
            used,
            gpus,
        )
    if len(memory) > 1:
        from alignment_calibration.scoring.pipeline import line_up

        line_up(model)
    model.eval()
    return Checkpoint(model, tokenizer, model.get_input_embeddings().weight.device)


def free_memory(device: torch.device, gpus: int) -> dict[int, int]:
    """Bytes that are free on each GPU that a model is to be spread over; none on other devices."""
    if device.type != "cuda":
        return {}
    seen = min(gpus, torch.cuda.device_count())
    return {index: torch.cuda.mem_get_info(index)[0] for index in range(seen)}


def refuse_too_large(folder: str | Path, dtype: str, memory: Mapping[int, int]) -> None:
    """End before anything is loaded if a checkpoint is larger than the GPUs it is given.

    Args:
        folder: of the checkpoint.
        dtype: that its weights are loaded in.
        memory: free bytes of each GPU; none for other devices.

    Raises:
        UserError: with the sizes and the remedy.
    """
    if memory and (bytes_to_load(folder, dtype) or 0) > sum(memory.values()):
        raise too_large(folder, dtype, memory)


def too_large(folder: str | Path, dtype: str, memory: Mapping[int, int]) -> UserError:
    """The error of a checkpoint that does not fit the GPUs it was given: sizes and remedy."""
    size = bytes_to_load(folder, dtype)
    takes = f"takes {size / 1e9:.3g} GB" if size else "does not fit"
    free = " + ".join(f"{each / 1e9:.3g}" for each in memory.values())
    return UserError(
        f"{folder}: {takes} in {dtype}, and the {len(memory)} GPU{'s' * (len(memory) > 1)} that it "
        f"was given {'have' if len(memory) > 1 else 'has'} {free} GB free, of which layers are not "
        "split and some is needed to compute; raise the model's `gpus`, choose a smaller dtype, or "
        "free what others hold"
    )


def bytes_to_load(folder: str | Path, dtype: str) -> int | None:
    """What the weights of a checkpoint take in a number format; None if they cannot be read.

    Quantised ones stay as they are on disk.
    """
    size = local_size(folder)
    if "quantization_config" in read_json(Path(folder, "config.json")):
        return size.disk
    return None if size.weights is None else size.weights * getattr(torch, dtype).itemsize


def outside_gpus(model: Any) -> list[str]:
    """The parts of a model that accelerate has put elsewhere, `cpu` or `disk`, for lack of room."""
    places = getattr(model, "hf_device_map", {})
    return [part for part, place in places.items() if str(place) in ("cpu", "disk")]
