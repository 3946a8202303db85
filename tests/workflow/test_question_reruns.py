"""After an edit, the steps that touch a network repeat no more than they must."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.support import documents
from tests.support.study import STUDY, Study

TEMPLATE = "{{ question }} {% for option in options %}{{ option }} {% endfor %}?"

MODELS = ["model=aligned", "model=base"]
QUESTIONS = [
    f"task={task}, prompt={prompt}"
    for task in ("arc", "piqa")
    for prompt in ("choice", "continuation")
]
FILES = [
    *(f"results/{STUDY}/models/{model}.json" for model in ("base", "aligned")),
    *(
        f"results/{STUDY}/questions/{task}/{prompt}.parquet"
        for task in ("arc", "piqa")
        for prompt in ("choice", "continuation")
    ),
]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    documents.write(tmp_path / "arc.jsonl", documents.ARC)
    documents.write(tmp_path / "piqa.jsonl", documents.PIQA)
    for name in ("base", "aligned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "tokenizer.json").write_text("{}")
        save_file({"weight": np.zeros(1)}, tmp_path / name / "model.safetensors")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text("task: mine\nmetadata: {based_on: piqa}\n")

    def task(continuation: str, choice: str, file: str) -> dict[str, Any]:
        data = {"format": "json", "file": file}
        return {"continuation": continuation, "choice": choice, "letters": "mine", "data": data}

    return Study.reduced(
        tmp_path,
        {
            "arc": task("arc_easy", "arc_easy_choice", "arc.jsonl"),
            "piqa": task("mine", "piqa_choice", str(tmp_path / "piqa.jsonl")),
        },
        targets=FILES,
        models={name: {"path": name} for name in ("base", "aligned")},
        letters={"mine": TEMPLATE},
        task_folders=["tasks"],
    )


def test_only_what_an_edit_concerns_is_asked_again(tmp_path: Path, study: Study) -> None:
    assert study.planned() == {"models": MODELS, "questions": QUESTIONS}
    done = study.run()
    assert done.returncode == 0, done.stderr
    assert study.planned() == {}

    edited = study.config
    edited["tasks"]["arc"]["letters"] = "block"  # another template: only its lettered prompt
    edited["tasks"]["arc"]["num_fewshot"] = 0  # the default spelt out: nothing
    assert study.planned(**edited) == {"questions": ["task=arc, prompt=choice"]}

    edited = study.config
    edited["tasks"]["piqa"]["limit"] = 1
    edited["models"]["base"]["dtype"] = "bfloat16"
    assert study.planned(**edited) == {"models": ["model=base"], "questions": QUESTIONS[2:]}

    (tmp_path / "aligned" / "tokenizer.json").write_text('{"added": 1}')
    (tmp_path / "aligned" / "notes.md").write_text("not read by any step")
    documents.write(tmp_path / "arc.jsonl", documents.ARC[:2])
    (tmp_path / "tasks" / "mine.yaml").write_text("task: mine\nmetadata: {based_on: piqa, a: 1}\n")
    assert study.planned() == {
        "models": ["model=aligned"],
        "questions": [*QUESTIONS[:2], "task=piqa, prompt=continuation"],
    }


def test_braces_of_templates_and_subsets_are_no_wildcards(tmp_path: Path, study: Study) -> None:
    """Letters of one's own and `{subset}` go through the plan, and through every rule's params."""
    config = study.config
    (tmp_path / "arc").mkdir()
    documents.write(tmp_path / "arc" / "ARC-Easy.jsonl", documents.ARC)
    config["tasks"]["arc"]["data"]["file"] = "arc/{subset}.jsonl"
    study.write(config)
    done = study.run(targets=["plan"])
    assert done.returncode == 0, done.stderr
    assert "2 models × 4 task prompts = 8 cells" in done.stdout
    assert study.run("--dry-run", targets=["all"]).returncode == 0


@pytest.mark.parametrize("part", ["model", "data", "task folder"])
def test_a_path_with_braces_is_a_path_like_any_other(
    tmp_path: Path, study: Study, part: str
) -> None:
    config = study.config
    if part == "model":
        (tmp_path / "base").rename(tmp_path / "{x}")
        config["models"]["base"]["path"] = "{x}"
    elif part == "data":
        (tmp_path / "arc.jsonl").rename(tmp_path / "{x}.jsonl")
        config["tasks"]["arc"]["data"]["file"] = "{x}.jsonl"
    else:
        (tmp_path / "tasks").rename(tmp_path / "{x}")
        config["task_folders"] = ["{x}"]
    study.write(config)
    done = study.run()
    assert done.returncode == 0, done.stderr
    assert study.run("--dry-run", targets=["all"]).returncode == 0
