"""After an edit, the steps that touch a network repeat no more than they must."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from support import documents

ROOT = Path(__file__).parents[2]
Config = dict[str, Any]

TEMPLATE = "{{ question }} {% for option in options %}{{ option }} {% endfor %}?"


@pytest.fixture
def study(tmp_path) -> Config:
    documents.write(tmp_path / "arc.jsonl", documents.ARC)
    documents.write(tmp_path / "piqa.jsonl", documents.PIQA)
    for name in ("base", "aligned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "tokenizer.json").write_text("{}")
        save_file({"weight": np.zeros(1)}, tmp_path / name / "model.safetensors")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text("task: mine\nmetadata: {based_on: piqa}\n")

    def task(continuation: str, choice: str, file: str) -> Config:
        data = {"format": "json", "file": file}
        return {"continuation": continuation, "choice": choice, "letters": "mine", "data": data}

    return {
        "study": "edits",
        "models": {name: {"path": name} for name in ("base", "aligned")},
        "pairs": {"Pair": {"base": "base", "aligned": "aligned"}},
        "tasks": {
            "arc": task("arc_easy", "arc_easy_choice", "arc.jsonl"),
            "piqa": task("mine", "piqa_choice", str(tmp_path / "piqa.jsonl")),
        },
        "letters": {"mine": TEMPLATE},
        "task_folders": ["tasks"],
    }


FILES = [
    "models/aligned.json",
    "models/base.json",
    "questions/arc/choice.parquet",
    "questions/arc/continuation.parquet",
    "questions/piqa/choice.parquet",
    "questions/piqa/continuation.parquet",
]


@pytest.fixture
def snakemake(tmp_path) -> Callable[..., str]:
    def snakemake(study: Config, *options: str) -> str:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
        command = [
            *(sys.executable, "-m", "snakemake", *(f"results/edits/{file}" for file in FILES)),
            *("--snakefile", str(ROOT / "Snakefile"), "--configfile", "study.yaml"),
            *("--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", "2", *options),
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return snakemake


def test_only_what_an_edit_concerns_is_asked_again(tmp_path, study, snakemake):
    def planned() -> list[str]:
        text = snakemake(study, "--dry-run")
        return sorted(re.findall(r"^    output: results/edits/(\S+)$", text, re.MULTILINE))

    assert planned() == FILES
    snakemake(study)
    assert planned() == []

    study["tasks"]["arc"]["letters"] = "block"  # another template: only its lettered prompt
    study["tasks"]["arc"]["num_fewshot"] = 0  # the default spelt out: nothing
    assert planned() == ["questions/arc/choice.parquet"]
    study["tasks"]["arc"]["letters"] = "mine"

    study["tasks"]["piqa"]["limit"] = 1
    study["models"]["base"]["dtype"] = "bfloat16"
    assert planned() == [
        "models/base.json",
        "questions/piqa/choice.parquet",
        "questions/piqa/continuation.parquet",
    ]
    study["tasks"]["piqa"]["limit"] = None
    del study["models"]["base"]["dtype"]

    (tmp_path / "aligned" / "tokenizer.json").write_text('{"added": 1}')
    (tmp_path / "aligned" / "notes.md").write_text("not read by any step")
    documents.write(tmp_path / "arc.jsonl", documents.ARC[:2])
    (tmp_path / "tasks" / "mine.yaml").write_text("task: mine\nmetadata: {based_on: piqa, a: 1}\n")
    assert planned() == [
        "models/aligned.json",
        "questions/arc/choice.parquet",
        "questions/arc/continuation.parquet",
        "questions/piqa/continuation.parquet",
    ]
