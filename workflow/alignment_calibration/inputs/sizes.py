"""How large checkpoints are, on disk and to download.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import json
import math
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from alignment_calibration.inputs.checkpoints import CODE_PATTERN, IGNORED, PATTERNS


@dataclass(frozen=True)
class Size:
    """A checkpoint: weights, bytes on disk, bytes still to download; None where not known."""

    weights: int | None
    disk: int | None
    download: int | None
    note: str = ""


#: UTF-8 bytes per token of English text, about; counted tokens differ by model.
BYTES_PER_TOKEN = 4.0

#: Memory that a score job takes beside the weights, in MiB: libraries, CUDA, questions and results.
BESIDE_WEIGHTS = 16_000


def memory_to_score(model_json: str | Path) -> int:
    """Memory of the machine that a score job asks for, in MiB: the checkpoint's weights, which are
    mapped to memory on their way to the GPU, and `BESIDE_WEIGHTS`.

    Args:
        model_json: `models/{model}.json`, with the sizes of the checkpoint's files.

    Raises:
        FileNotFoundError: if the checkpoint was not found yet. (Snakemake knows this error: it asks
            again when the file is there.)
    """
    with open(model_json, encoding="utf-8") as stream:
        files = json.load(stream)["files"]
    weights: int = sum(file["size"] for file in files if file["name"].endswith(".safetensors"))
    return BESIDE_WEIGHTS + math.ceil(weights / 2**20)


def local_size(folder: str | Path) -> Size:
    """Size of a checkpoint folder; its weights are counted from the safetensors headers."""
    from safetensors import SafetensorError, safe_open

    files = sorted(
        file
        for file in Path(folder).glob("*.safetensors")
        if not any(fnmatch(file.name, pattern) for pattern in IGNORED)
    )
    if not files:
        return Size(None, None, 0, "no safetensors there")
    weights = 0
    try:
        for file in files:
            with safe_open(file, framework="numpy") as tensors:
                weights += sum(
                    math.prod(tensors.get_slice(name).get_shape())
                    for name in tensors.keys()  # noqa: SIM118
                )
    except (SafetensorError, OSError):
        return Size(None, None, 0, f"{file.name} is damaged")
    return Size(weights, sum(file.stat().st_size for file in files), 0)


def hub_size(hub: str, revision: str) -> Size:
    """Size of a hub repository, asked of the hub; what the cache has of it need not come."""
    import huggingface_hub
    from huggingface_hub import errors
    from huggingface_hub.utils import filter_repo_objects

    try:
        info = huggingface_hub.HfApi().model_info(
            hub, revision=revision, files_metadata=True, timeout=20
        )
    except errors.RepositoryNotFoundError:
        return Size(None, None, None, "no such repository, or private: set HF_TOKEN")
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, errors.HTTPError, OSError) as error:
        return Size(None, None, None, f"the hub did not answer ({type(error).__name__})")
    wanted = filter_repo_objects(
        info.siblings or [],
        allow_patterns=list(PATTERNS),
        ignore_patterns=[*IGNORED, CODE_PATTERN],
        key=lambda file: file.rfilename,
    )
    files = {file.rfilename: file.size or 0 for file in wanted}
    missing = [
        name
        for name in files
        if not isinstance(huggingface_hub.try_to_load_from_cache(hub, name, revision=info.sha), str)
    ]
    return Size(
        info.safetensors.total if info.safetensors else None,
        sum(files.values()),
        sum(files[name] for name in missing),
        f"gated: accept its terms at https://huggingface.co/{hub}" if info.gated else "",
    )
