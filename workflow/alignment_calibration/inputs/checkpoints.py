"""Checkpoints: found, checked, hashed and, where needed, downloaded or converted."""

import errno
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any

from alignment_calibration.errors import UserError, one_line, shown
from alignment_calibration.files.atomic import read_json, sha256, write_json
from alignment_calibration.inputs.chats import resolve_template

#: The files of a checkpoint that are read, in its top folder only. Weights that need unpickling,
#: which can run any code, are not among them.
PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken")
CODE_PATTERN = "*.py"
#: `consolidated*` repeats the weights in a layout that transformers does not read.
IGNORED = ("*/*", "consolidated*")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "*.tiktoken")
#: The weights that transformers loads, the first of the two that is there.
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")

Spec = Mapping[str, Any]


def resolve(
    slug: str,
    spec: Spec,
    converted: str | Path,
    output: str | Path,
    same: str | Path | None = None,
) -> None:
    """Write what the later steps need to know of a model's checkpoint.

    The JSON holds `model`, `spec`, `revision` (the hub's commit, or a SHA-256 over the names and
    hashes of a local checkpoint's files, or over a GGUF file), `path` of the folder that
    transformers loads, `files` with name, size in bytes and SHA-256, and of a model that is asked
    by its chat template what `chats.resolve_template` gives.

    Args:
        slug: The model's name in the config.
        spec: Its entry under `models`.
        converted: Folder for the safetensors made of a GGUF file; untouched without one.
        output: The JSON file.
        same: The JSON file of another model of the same checkpoint, which need not be hashed again.

    Raises:
        UserError: if the checkpoint is missing, incomplete, not safetensors or not to be had, or
            its chat template cannot be used.
    """
    where = f"models.{slug}"
    if same is None:
        found = _checkpoint(slug, spec, converted)
    else:
        found = {key: read_json(same)[key] for key in ("revision", "path", "files")}
    template = resolve_template(where, Path(found["path"]), spec)
    write_json(output, {"model": slug, "spec": dict(spec), **found, **template})


def _checkpoint(slug: str, spec: Spec, converted: str | Path) -> dict[str, Any]:
    """Revision, path and files of a checkpoint, found complete."""
    where = f"models.{slug}"
    if spec["trust_remote_code"]:
        print(f"{where}: trust_remote_code is on: code that comes with the checkpoint will run")
    if "path" in spec:
        check_local(slug, spec)
        folder = Path(spec["path"])
        revision = None
    else:
        folder = download(where, spec)
        revision = folder.name
    gguf_file = spec.get("gguf_file")
    if gguf_file:
        source = folder / gguf_file
        if not source.is_file():
            raise UserError(f"{where}.gguf_file: {folder} has no file {gguf_file!r}")
        if revision is None:
            revision = sha256(source)
        convert_gguf(where, source, Path(converted))
        folder = Path(converted)
    check(where, folder)
    files = [
        {
            "name": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "sha256": _hash(file),
        }
        for file in checkpoint_files(folder, spec)
    ]
    if revision is None:
        listing = "".join(f"{file['name']} {file['sha256']}\n" for file in files)
        revision = hashlib.sha256(listing.encode()).hexdigest()
    return {"revision": revision, "path": str(folder), "files": files}


def checkpoint_files(folder: str | Path, spec: Spec) -> list[Path]:
    """The files of a local checkpoint that decide what is computed, sorted by name: those of its
    top folder, and the shards of its weights wherever in it they are.

    Empty if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    patterns = [*PATTERNS, *([CODE_PATTERN] if spec["trust_remote_code"] else [])]
    top = {
        file
        for file in folder.iterdir()
        if file.is_file()
        and any(fnmatch(file.name, pattern) for pattern in patterns)
        and not any(fnmatch(file.name, pattern) for pattern in IGNORED)
    }
    try:
        shards = _weights("", folder)
    except UserError:  # the step itself says so best
        shards = []
    return sorted(top.union(shards))


def check_local(slug: str, spec: Spec) -> None:
    """Find all files of a local checkpoint in their place, without opening weights.

    Quick, so that a run can begin with it; does nothing for a checkpoint of the hub.

    Args:
        slug: The model's name in the config.
        spec: Its entry under `models`.

    Raises:
        UserError: naming the folder or file and what is wrong with it.
    """
    where = f"models.{slug}"
    if "path" not in spec:
        return
    folder = Path(spec["path"])
    if not folder.is_dir():
        raise UserError(f"{where}.path: found {spec['path']!r}, which is not a folder")
    if "gguf_file" not in spec:
        _check_files(where, folder)
    elif not (folder / spec["gguf_file"]).is_file():
        raise UserError(f"{where}.gguf_file: {folder} has no file {spec['gguf_file']!r}")


def check(where: str, folder: Path) -> None:
    """Find a checkpoint complete: configuration, tokenizer and every shard of its weights.

    Raises:
        UserError: naming the folder or file and what is wrong with it.
    """
    _check_files(where, folder)
    for file in _weights(where, folder):
        _check_safetensors(where, file)


def _check_files(where: str, folder: Path) -> None:
    if (folder / "adapter_config.json").is_file():
        # Beside whole weights, too: it would be loaded or not as `peft` is installed or not.
        raise UserError(
            f"{where}: {folder} holds an adapter; merge it with its base model and name the merged "
            "checkpoint"
        )
    if not (folder / "config.json").is_file():
        raise UserError(f"{where}: {folder} has no config.json, so it is not a checkpoint")
    if "transformers_weights" in _read_object(where, folder / "config.json"):
        raise UserError(
            f"{where}: {folder / 'config.json'} names weights of its own (transformers_weights); "
            f"expected {WEIGHTS} or {INDEX}"
        )
    if not _any(folder, TOKENIZERS):
        raise UserError(
            f"{where}: {folder} has no tokenizer; expected one of {', '.join(TOKENIZERS)}"
        )
    _weights(where, folder)


def _weights(where: str, folder: Path) -> list[Path]:
    """The safetensors files that transformers would load."""
    index = folder / INDEX
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not index.is_file():
        pickled = _any(folder, PICKLED)
        if pickled:
            raise UserError(
                f"{where}: {folder} has only pickled weights ({pickled}), which are not loaded "
                "because unpickling can run any code; save the model as safetensors"
            )
        raise UserError(f"{where}: {folder} has no weights; expected {WEIGHTS} or {INDEX}")
    shards = _read_object(where, index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise UserError(f"{where}: {index} lists no weights under 'weight_map'")
    names = sorted({str(name) for name in shards.values()})
    for name in names:
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise UserError(
                f"{where}: {index} lists the shard {shown(name)}, which is outside the folder"
            )
    files = [folder / name for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f"{where}: {folder} lacks {len(missing)} of {len(files)} shards that "
            f"{index.name} lists, first {missing[0]}"
        )
    return files


def _check_safetensors(where: str, file: Path) -> None:
    """Read the header, which a file cut short does not fit."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{where}: {file} is damaged or cut short ({one_line(error)})") from None


def _read_object(where: str, file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: {file} is not valid JSON ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise UserError(f"{where}: {file} is not a JSON object")
    return value


def _any(folder: Path, patterns: Sequence[str]) -> str | None:
    """Name of the first file that matches one of the patterns."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    return next((n for n in names if any(fnmatch(n, pattern) for pattern in patterns)), None)


def _hash(file: Path) -> str:
    """SHA-256 of a file.

    The hub's cache names the content of a large file by its SHA-256, so that 140 GB need not be
    read again just after they were downloaded. Elsewhere a link may bear any name.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    blob = file.resolve()
    if (
        file.is_symlink()
        and blob.parent.name == "blobs"
        and blob.is_relative_to(Path(HF_HUB_CACHE).resolve())
        and re.fullmatch("[0-9a-f]{64}", blob.name)
    ):
        return blob.name
    return sha256(file)


def download(where: str, spec: Spec) -> Path:
    """Snapshot of a hub repository in the local cache, downloaded as far as it is not there.

    An interrupted download goes on where it stopped. `HF_HUB_CACHE` places the cache and
    `HF_TOKEN` opens gated repositories; without a network a complete snapshot in the cache will do.

    Returns:
        The snapshot's folder, named by the commit.

    Raises:
        UserError: if the repository, the revision, the permission, the network or the disk space
            is wanting.
    """
    import huggingface_hub

    patterns = [*PATTERNS, *([CODE_PATTERN] if spec["trust_remote_code"] else [])]
    if spec.get("gguf_file"):
        patterns = ["*.json", spec["gguf_file"]]
    with _hub_errors(where, spec):
        snapshot = huggingface_hub.snapshot_download(
            spec["hub"],
            revision=spec["revision"],
            allow_patterns=patterns,
            ignore_patterns=list(IGNORED),
        )
    return Path(snapshot)


@contextmanager
def _hub_errors(where: str, spec: Spec) -> Iterator[None]:
    """Turn the hub's exceptions into one line each that says what to do."""
    from huggingface_hub import constants, errors

    hub, revision = spec["hub"], spec["revision"]
    page = f"{constants.ENDPOINT}/{hub}"
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            f"{where}.hub: {hub} is gated: accept its terms at {page} "
            "and set HF_TOKEN to a token of that account"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{where}.hub: the hub has no repository {hub!r}, or it is private "
            "(then set HF_TOKEN to a token that may read it)"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(
            f"{where}.revision: {hub} has no branch, tag or commit {revision!r}; see {page}/refs"
        ) from None
    except errors.HFValidationError as error:
        raise UserError(f"{where}.hub: {one_line(error)}") from None
    except errors.HfHubHTTPError as error:
        raise UserError(f"{where}.hub: {hub}: the hub answered {one_line(error)}") from None
    except (errors.LocalEntryNotFoundError, errors.HTTPError) as error:
        cause = error.__cause__ or error
        raise UserError(
            f"{where}.hub: {hub} is not complete in the cache ({constants.HF_HUB_CACHE}) and the "
            f"hub cannot be reached ({type(cause).__name__}); "
            "download it where there is a network, or name a local folder with `path`"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"{where}.hub: no space left for {hub} in {constants.HF_HUB_CACHE}; free some, or "
                "set HF_HUB_CACHE to a folder on a larger disk (the download will go on)"
            ) from None
        raise UserError(f"{where}.hub: {hub} cannot be downloaded ({one_line(error)})") from None


def convert_gguf(where: str, source: Path, target: Path) -> None:
    """Write the model and tokenizer in a GGUF file as a float32 safetensors checkpoint.

    `target` is replaced as a whole once everything in it is written.

    Raises:
        UserError: if transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = str(source.parent), source.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        quantised = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=name, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise UserError(f"{where}.gguf_file: {source} cannot be read ({one_line(error)})") from None
    # The weights are plain numbers by now, but a model marked as quantised refuses to be saved.
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(quantised.state_dict())
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        fresh = Path(scratch) / target.name
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
