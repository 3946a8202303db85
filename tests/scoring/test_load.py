"""Checkpoints that do not fit the GPUs they are given, with made-up free memory on a CPU."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from alignment_calibration.errors import UserError
from alignment_calibration.scoring import load
from alignment_calibration.scoring.load import (
    bytes_to_load,
    load_checkpoint,
    outside_gpus,
    refuse_too_large,
)

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"  # 1.2 million weights in 16 bits


@pytest.mark.parametrize(("dtype", "itemsize"), [("float32", 4), ("bfloat16", 2)])
def test_what_a_checkpoint_takes_is_what_its_parameters_take(dtype: str, itemsize: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT)
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert bytes_to_load(CHECKPOINT, dtype) == weights * itemsize


def test_weights_of_a_layout_that_is_not_read_do_not_count(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "model.safetensors", tmp_path / "consolidated.safetensors")
    assert bytes_to_load(tmp_path, "float32") == bytes_to_load(CHECKPOINT, "float32")


def test_a_checkpoint_larger_than_its_gpus_is_refused_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "free_memory", lambda device, gpus: {0: 2_000_000, 1: 2_500_000})
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", None)
    with pytest.raises(UserError) as caught:
        load_checkpoint(CHECKPOINT, "float32", torch.device("cuda"), gpus=2)
    said = str(caught.value)
    assert "takes 0.00474 GB in float32" in said
    assert "the 2 GPUs that it was given have 0.002 + 0.0025 GB free" in said
    assert "raise the model's `gpus`" in said
    assert len(said.splitlines()) == 1


def test_a_checkpoint_that_fits_is_not_refused() -> None:
    refuse_too_large(CHECKPOINT, "float32", {0: 2_500_000, 1: 2_500_000})
    refuse_too_large(CHECKPOINT, "bfloat16", {0: 2_500_000})
    refuse_too_large(CHECKPOINT, "float32", {})  # no GPU


def test_layers_that_accelerate_leaves_on_disk_are_found() -> None:
    """Its map of this very model, with room for a part of it on the CPU in place of a GPU."""
    whole = AutoModelForCausalLM.from_pretrained(CHECKPOINT)
    assert not outside_gpus(whole)
    model = AutoModelForCausalLM.from_pretrained(
        CHECKPOINT, dtype=torch.float32, device_map="auto", max_memory={"cpu": 3_000_000}
    )
    assert "disk" in model.hf_device_map.values()
    assert set(outside_gpus(model)) == set(model.hf_device_map)


def test_a_checkpoint_of_which_layers_are_left_over_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Together the GPUs would do, but a layer is not split."""
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT)
    model.hf_device_map = {"model.embed_tokens": 0, "model.layers.0": 1, "lm_head": "disk"}
    loaded = (model, {"missing_keys": [], "unexpected_keys": []})
    monkeypatch.setattr(load, "free_memory", lambda device, gpus: {0: 3_000_000, 1: 3_000_000})
    asked: dict[str, object] = {}
    monkeypatch.setattr(
        AutoModelForCausalLM, "from_pretrained", lambda *_, **given: asked.update(given) or loaded
    )
    with pytest.raises(UserError, match="the 2 GPUs that it was given have "):
        load_checkpoint(CHECKPOINT, "float32", torch.device("cuda"), gpus=2)
    # The machine's own memory is not offered for layers.
    assert asked["max_memory"] == {0: 3_000_000, 1: 3_000_000}
    model.hf_device_map["lm_head"] = 1
    assert load_checkpoint(CHECKPOINT, "float32", torch.device("cuda"), gpus=2).model is model


@pytest.mark.parametrize(("gpus", "said"), [(2, []), (4, ["on 2 of the 4 GPUs"])])
def test_gpus_that_got_no_layers_are_told_of(
    gpus: int, said: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT)
    model.lm_head = torch.nn.Linear(1, 1, device="meta")  # as if on another GPU
    loaded = (model, {"missing_keys": [], "unexpected_keys": []})
    monkeypatch.setattr(load, "free_memory", lambda device, gpus: dict.fromkeys(range(gpus), 10**9))
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **given: loaded)
    load_checkpoint(CHECKPOINT, "float32", torch.device("cuda"), gpus=gpus)
    told = [record.getMessage() for record in caplog.records if record.name == load.__name__]
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))
