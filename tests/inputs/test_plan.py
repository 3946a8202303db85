"""The plan of a study, against counts made by hand and by other libraries."""

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


def test_the_plan_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = config.check(
        {
            "study": "s",
            "models": {"a": {"path": "a"}, "b": {"path": "b", "gpus": 4}, "unused": {"path": "c"}},
            "pairs": {"P": {"base": "a", "aligned": "b"}},
            "tasks": {"t": {"continuation": "t", "choice": "t_choice"}, "u": {"choice": "u"}},
            "plan": {"gpu": "A100", "utilisation": 0.5},
        },
        read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml"),
        "study.yaml",
    )
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
    assert "unused" not in text
    assert "2 of 3 task prompts are not counted" in text
