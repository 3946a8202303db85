"""The plan of a study, against counts made by hand and by other libraries."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.inputs import plan, sizes
from alignment_calibration.study import config
from alignment_calibration.study.strict_yaml import read_yaml

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"


def write_questions(path: Path) -> None:
    """Two questions of 40 and 80 bytes with two options of 8 bytes each."""
    rows = [
        {"question_id": f"q/{number}", "choice": choice, "context": "x" * length,
         "continuation": " option" + "ab"[choice], "source_choice": choice, "gold": 0, "group": "q"}
        for number, length in enumerate((40, 80))
        for choice in (0, 1)
    ]  # fmt: skip
    write_parquet(path, pa.Table.from_pylist(rows, schema=QUESTIONS))


def test_tokens_count_each_context_once(tmp_path: Path) -> None:
    write_questions(tmp_path / "questions.parquet")
    load = plan.load_of(tmp_path / "questions.parquet")
    assert load == plan.Load(questions=2, tokens=(40 + 80 + 4 * 8) // 4)
    assert plan.load_of(tmp_path / "missing.parquet") is None


def test_weights_are_those_that_numpy_reads() -> None:
    from safetensors.numpy import load_file

    weights = load_file(CHECKPOINT / "model.safetensors")
    size = sizes.local_size(CHECKPOINT)
    assert size.weights == sum(array.size for array in weights.values())
    assert size.disk == (CHECKPOINT / "model.safetensors").stat().st_size
    assert size.download == 0


def test_a_score_job_has_room_for_the_weights(tmp_path: Path) -> None:
    """Llama-2-7b: 9.98 and 3.50 GB of shards, which are 12,852.5 MiB; tokenizers do not count."""
    files = [
        {"name": "model-00001-of-00002.safetensors", "size": 9_976_576_152},
        {"name": "model-00002-of-00002.safetensors", "size": 3_500_296_424},
        {"name": "tokenizer.json", "size": 1_842_767},
    ]
    path = tmp_path / "m.json"
    with pytest.raises(FileNotFoundError):  # Snakemake then asks again
        sizes.memory_to_score(path)
    path.write_text(json.dumps({"files": files}))
    assert sizes.memory_to_score(path) == 16_000 + 12_853


def test_the_work_of_a_pass_is_that_of_kaplan() -> None:
    # Table 1 and section 2.1 of arXiv 2001.08361: 2 N operations per token.
    assert plan.flops(weights=175_000_000_000, tokens=1) == 3.5e11


def test_a_hub_model_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    names = ["config.json", "model.safetensors", "consolidated.safetensors", "old/x.safetensors"]
    info = SimpleNamespace(
        siblings=[SimpleNamespace(rfilename=name, size=1000) for name in [*names, "pytorch.bin"]],
        safetensors=SimpleNamespace(total=123),
        gated="manual",
        sha="0" * 40,
    )
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda hub, name, revision: "/cache/config.json" if name == "config.json" else None,
    )
    size = sizes.hub_size("owner/name", "main")
    assert (size.weights, size.disk, size.download) == (123, 2000, 1000)
    assert "owner/name" in size.note
    assert "gated" in size.note


def study_of(models: dict[str, dict[str, object]]) -> config.Config:
    """A study of the models `a` and `b`, planned for an A100 at half of its peak."""
    return config.check(
        {
            "study": "s",
            "models": models,
            "pairs": {"P": {"base": "a", "aligned": "b"}},
            "tasks": {"t": {"continuation": "t", "choice": "t_choice"}, "u": {"choice": "u"}},
            "plan": {"gpu": "A100", "utilisation": 0.5},
        },
        read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml"),
        "study.yaml",
    )


def test_the_plan_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of({"a": {"path": "a"}, "b": {"path": "b", "gpus": 4}, "unused": {"path": "c"}})
    known = {"a": sizes.Size(10**9, 2 * 10**9, 0), "b": sizes.Size(None, None, None, "gated: x")}
    monkeypatch.setattr(plan, "sizes", lambda models, names: {slug: known[slug] for slug in models})
    write_questions(tmp_path / "questions" / "t" / "choice.parquet")
    text = plan.report(study, tmp_path)
    lines = [line.split() for line in text.splitlines()]
    assert "2 models × 3 task prompts = 6 cells" in text
    assert ["t", "choice", "2", "38"] in lines
    assert ["u", "choice", "not", "made", "?"] in lines
    # 2 · 1e9 weights · 38 tokens = 7.6e10; / (0.5 · 312e12 / s) = 4.87e-4 s = 1.4e-7 h
    assert ["a", "1", "1.0", "B", "2.0", "GB", "0.0", "MB", "7.6e+10", "1.4e-07"] in lines
    assert ["b", "4", "?", "?", "?", "?", "?", "gated:", "x"] in lines
    assert ["text", "0", "×", "1", "0.5", "0", "assumed"] in lines
    assert ["letters", "38", "×", "1", "0.5", "1.4e-07", "assumed"] in lines
    assert "unused" not in text
    assert "2 of 3 task prompts are not counted" in text


def note_run(results: Path, cell: str, device: str, tokens: int, seconds: float) -> None:
    """What a score job leaves of a finished cell, but for the log-probabilities."""
    receipt = results / "logits" / f"{cell}.receipt.json"
    receipt.parent.mkdir(parents=True, exist_ok=True)
    receipt.write_text(json.dumps({"identity": {}, "values_sha256": cell}))
    record = {"device": device, "tokens_computed": tokens, "seconds": seconds}
    run_json = results / "logits" / f"{cell}.run.json"
    run_json.write_text(json.dumps(record | {"values_sha256": cell}))


def test_finished_cells_tell_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of their kind of prompt, on this kind of GPU; a checkpoint is downloaded once."""
    study = study_of({"a": {"path": "a"}, "b": {"path": "a", "gpus": 2}})
    size = sizes.Size(10**9, 2 * 10**9, 3 * 10**9)
    monkeypatch.setattr(plan, "sizes", lambda models, names: dict.fromkeys(models, size))
    write_questions(tmp_path / "questions" / "t" / "choice.parquet")
    write_questions(tmp_path / "questions" / "t" / "continuation.parquet")
    note_run(tmp_path, "a/t/choice", "NVIDIA A100-SXM4-80GB", 19, 1e-3)
    note_run(tmp_path, "b/t/choice", "NVIDIA A100-SXM4-80GB", 19, 2e-3)
    note_run(tmp_path, "a/t/continuation", "NVIDIA H100 80GB HBM3", 38, 1.0)
    note_run(tmp_path, "a/u/choice", "NVIDIA A100-SXM4-80GB", 19, 1.0)  # of unknown questions
    lines = [line.split() for line in plan.report(study, tmp_path).splitlines()]
    # 2 · 1e9 · (19 + 19) operations in 1 ms of one GPU and 2 ms of two: 7.6e10 / 5e-3 s of
    # 312e12 / s. Of the 76 tokens that were counted half were computed.
    assert [
        "letters", "38", "×", "0.5", "0.049", "1.4e-06", "measured,", "2", "cells",
    ] in lines  # fmt: skip
    # Nothing is known of text on an A100: 2 models · 2 · 1e9 · 38 / (0.5 · 312e12) = 9.7e-4 s.
    assert ["text", "38", "×", "1", "0.5", "2.7e-07", "assumed"] in lines
    assert ["3.0", "GB", "to", "download,", "2.0", "GB", "of", "checkpoints", "on", "disk"] in lines
    # The hours of a model: 2.5 ms on letters, 0.49 ms on text; 2 · 1e9 · (19 + 38) operations.
    assert ["a", "1", "1.0", "B", "2.0", "GB", "3.0", "GB", "1.1e+11", "8.3e-07"] in lines


@pytest.mark.parametrize("device", ["NVIDIA GH200 480GB", "NVIDIA H20", "cpu"])
def test_a_gpu_is_known_by_its_whole_name(device: str) -> None:
    assert plan.gpu_of(device) is None


@pytest.mark.parametrize(
    ("device", "gpu"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA RTX A6000", "A6000"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla V100-SXM2-32GB", "V100"),
    ],
)
def test_gpus_by_the_names_that_drivers_give(device: str, gpu: str) -> None:
    assert plan.gpu_of(device) == gpu


def test_the_config_allows_every_gpu() -> None:
    schema = read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    assert schema["properties"]["plan"]["properties"]["gpu"]["enum"] == list(plan.GPUS)
