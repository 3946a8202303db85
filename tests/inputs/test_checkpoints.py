"""Checkpoints are checked before a GPU is asked for, and the hub's refusals are explained."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import gguf
import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import errors
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.checkpoints import checkpoint_files, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def spec(**keys: Any) -> dict[str, Any]:
    return {"gpus": 1, "trust_remote_code": False, "revision": "main", **keys}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros(8, np.float32)}, folder / "model.safetensors")
    return folder


def described(tmp_path: Path, slug: str = "m", **keys: Any) -> dict[str, Any]:
    output = tmp_path / "m.json"
    resolve(slug, spec(**keys), tmp_path / "converted", output)
    description: dict[str, Any] = json.loads(output.read_text())
    return description


def refused(tmp_path: Path, match: str, **keys: Any) -> None:
    with pytest.raises(UserError, match=match) as error:
        described(tmp_path, **keys)
    assert str(error.value).startswith("models.m")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "m.json").exists()


def test_a_local_checkpoint_is_described(tmp_path, checkpoint):
    found = described(tmp_path, path=str(checkpoint))
    assert found["model"] == "m"
    assert found["path"] == str(checkpoint)
    assert found["spec"]["path"] == str(checkpoint)
    names = ["config.json", "model.safetensors", "tokenizer.json"]
    assert [file["name"] for file in found["files"]] == names
    for file in found["files"]:
        content = (checkpoint / file["name"]).read_bytes()
        assert file["size"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_revision_follows_the_content_and_not_the_place(tmp_path, checkpoint):
    first = described(tmp_path, path=str(checkpoint))["revision"]
    shutil.copytree(checkpoint, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("not part of the model")
    (tmp_path / "copy" / "optimizer.pt").write_text("nor is this")
    assert described(tmp_path, path=str(tmp_path / "copy"))["revision"] == first
    (tmp_path / "copy" / "tokenizer.json").write_text('{"changed": 1}')
    assert described(tmp_path, path=str(tmp_path / "copy"))["revision"] != first


def test_missing_parts_are_named(tmp_path, checkpoint):
    refused(tmp_path, r"models\.m\.path: found .*absent", path=str(tmp_path / "absent"))
    (checkpoint / "tokenizer.json").unlink()
    refused(tmp_path, "checkpoint has no tokenizer", path=str(checkpoint))
    (checkpoint / "config.json").write_text("{")
    refused(tmp_path, "config.json is not valid JSON", path=str(checkpoint))
    (checkpoint / "config.json").unlink()
    refused(tmp_path, "has no config.json", path=str(checkpoint))
    (checkpoint / "adapter_config.json").write_text("{}")
    refused(tmp_path, "holds an adapter; merge it", path=str(checkpoint))


def test_only_safetensors_are_taken(tmp_path, checkpoint):
    (checkpoint / "model.safetensors").unlink()
    refused(tmp_path, "has no weights", path=str(checkpoint))
    (checkpoint / "pytorch_model.bin").write_bytes(b"\x80\x02")
    refused(tmp_path, r"only pickled weights \(pytorch_model.bin\)", path=str(checkpoint))


def test_a_file_cut_short_is_found(tmp_path, checkpoint):
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    refused(tmp_path, "model.safetensors is damaged or cut short", path=str(checkpoint))


def test_every_shard_of_an_index_must_be_there(tmp_path, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "model-00001-of-00002.safetensors")
    shards = {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    refused(tmp_path, "lacks 1 of 2 shards .* model-00002-of-00002", path=str(checkpoint))
    save_file({"w2": np.zeros(1)}, checkpoint / "model-00002-of-00002.safetensors")
    assert len(described(tmp_path, path=str(checkpoint))["files"]) == 5


def test_a_shard_in_a_folder_below_counts(tmp_path, checkpoint):
    """Not only what lies beside the index: all that is loaded."""
    (checkpoint / "parts").mkdir()
    shard = checkpoint / "parts" / "one.safetensors"
    (checkpoint / "model.safetensors").rename(shard)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"weight": "parts/one.safetensors"}}))
    first = described(tmp_path, path=str(checkpoint))
    assert [file["name"] for file in first["files"]] == [
        "config.json",
        "model.safetensors.index.json",
        "parts/one.safetensors",
        "tokenizer.json",
    ]
    assert shard in checkpoint_files(checkpoint, spec())
    save_file({"weight": np.ones(8, np.float32)}, shard)
    assert described(tmp_path, path=str(checkpoint))["revision"] != first["revision"]


def test_shards_outside_the_folder_are_refused(tmp_path, checkpoint):
    (checkpoint / "model.safetensors").rename(tmp_path / "other.safetensors")
    index = checkpoint / "model.safetensors.index.json"
    for name in ("../other.safetensors", str(tmp_path / "other.safetensors")):
        index.write_text(json.dumps({"weight_map": {"weight": name}}))
        refused(tmp_path, "which is outside the folder", path=str(checkpoint))
        assert tmp_path / "other.safetensors" not in checkpoint_files(checkpoint, spec())


def test_only_the_hubs_cache_names_files_by_their_content(tmp_path, monkeypatch, checkpoint):
    """A link to a file whose name looks like a hash, in the cache and anywhere else."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    weights = checkpoint / "model.safetensors"
    content = weights.read_bytes()
    name = "0" * 64
    for folder, trusted in (
        (cache / "models--org--name" / "blobs", True),
        (cache / "models--org--name" / "else", False),
        (tmp_path / "elsewhere" / "blobs", False),
    ):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
        weights.unlink()
        weights.symlink_to(folder / name)
        (found,) = [
            file["sha256"]
            for file in described(tmp_path, path=str(checkpoint))["files"]
            if file["name"] == "model.safetensors"
        ]
        assert found == (name if trusted else hashlib.sha256(content).hexdigest())


def test_code_of_the_checkpoint_counts_only_if_it_is_trusted(tmp_path, checkpoint, capsys):
    (checkpoint / "modeling.py").write_text("")
    trusted = described(tmp_path, path=str(checkpoint), trust_remote_code=True)
    assert "modeling.py" in [file["name"] for file in trusted["files"]]
    assert "models.m: trust_remote_code is on" in capsys.readouterr().out
    found = described(tmp_path, path=str(checkpoint))
    assert "modeling.py" not in [file["name"] for file in found["files"]]
    assert capsys.readouterr().out == ""


def response(status: int) -> Any:
    """An answer of the hub, in the class that huggingface_hub itself uses."""
    http = __import__(errors.HTTPError.__module__.partition(".")[0])
    request = http.Request("GET", "https://huggingface.co/api/models/org/name")
    return http.Response(status, request=request)


def lost_connection() -> Exception:
    error: Exception = errors.LocalEntryNotFoundError(
        "An error happened\nwhile trying to locate the files"
    )
    http = __import__(errors.HTTPError.__module__.partition(".")[0])
    error.__cause__ = http.ConnectError("name resolution failed")
    return error


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (
            errors.GatedRepoError("403 Client Error.\nCannot access", response=response(403)),
            r"org/name is gated: accept its terms at https://.*/org/name and set HF_TOKEN",
        ),
        (
            errors.RepositoryNotFoundError("404\nNot Found", response=response(404)),
            "no repository 'org/name'",
        ),
        (
            errors.RevisionNotFoundError("404\nNot Found", response=response(404)),
            r"models\.m\.revision: org/name has no branch, tag or commit 'v9'",
        ),
        (lost_connection(), r"cannot be reached \(ConnectError\)"),
        (errors.HfHubHTTPError("500\nServer", response=response(500)), "the hub answered 500"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "no space left for org/name",
        ),
        (PermissionError(errno.EACCES, "denied", "/cache"), "cannot be downloaded .*denied"),
    ],
)
def test_the_hubs_refusals_in_one_line(tmp_path, monkeypatch, error, match):
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    refused(tmp_path, match, hub="org/name", revision="v9")


def test_a_snapshot_of_the_hub(tmp_path, monkeypatch, checkpoint):
    snapshot = tmp_path / "snapshots" / COMMIT
    asked: dict[str, Any] = {}

    def give(hub: str, **kwargs: Any) -> str:
        asked.update(kwargs, hub=hub)
        snapshot.parent.mkdir()
        checkpoint.rename(snapshot)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
    found = described(tmp_path, hub="org/name")
    assert found["revision"] == COMMIT
    assert found["path"] == str(snapshot)
    assert (asked["hub"], asked["revision"]) == ("org/name", "main")
    listing = {
        "config.json": True,
        "model-00001-of-00002.safetensors": True,
        "tokenizer.model": True,
        "pytorch_model.bin": False,
        "modeling_custom.py": False,
        "consolidated.safetensors": False,
        "original/params.json": False,
        "onnx/model.onnx": False,
    }
    taken = huggingface_hub.utils.filter_repo_objects(
        listing, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert list(taken) == [name for name, wanted in listing.items() if wanted]


def test_without_a_network_the_cache_is_asked(tmp_path, monkeypatch):
    """The real download function, forbidden to go out: it raises what the test above made up."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused(
        tmp_path, r"org/name is not complete in the cache .*OfflineModeIsEnabled", hub="org/name"
    )


def write_gguf(path: Path, model: Any) -> None:
    """A Llama as llama.cpp's converter would write it: float32, query and key rows interleaved."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", *"abcdefghijklmn", "ba"])
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * 15)
    writer.add_token_merges(["b a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        values = tensor.numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads
            rows = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1])
            values = rows.swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), values.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_becomes_the_checkpoint_it_was_made_of(tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    original = LlamaForCausalLM(config).eval()
    source = tmp_path / "tiny.gguf"
    write_gguf(source, original)

    found = described(tmp_path, path=str(tmp_path), gguf_file="tiny.gguf")

    assert found["revision"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert found["path"] == str(tmp_path / "converted")
    model = AutoModelForCausalLM.from_pretrained(found["path"])
    tokenizer = AutoTokenizer.from_pretrained(found["path"])
    ids = torch.tensor([tokenizer("badge")["input_ids"][-4:]])
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["ba", "d", "g", "e"]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original(ids).logits)
    refused_file = {"path": str(tmp_path), "gguf_file": "absent.gguf"}
    (tmp_path / "m.json").unlink()
    refused(tmp_path, r"models\.m\.gguf_file: .* has no file 'absent.gguf'", **refused_file)
