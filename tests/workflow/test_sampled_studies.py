"""Studies of lm-eval's samples alone, and what of them is refused before the first job or after."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.files.frames import read_frame
from tests.support.study import Study

SAMPLES = Path(__file__).parents[1] / "inputs" / "samples" / "0.4.13" / "base"

Line = dict[str, Any]


def rewritten(source: Path, folder: Path, change: Callable[[Line], Line]) -> None:
    """A copy of sample files with each line changed."""
    shutil.copytree(source, folder)
    for file in folder.glob("samples_*"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(change(line)) + "\n" for line in lines))


def surer(line: Line) -> Line:
    """Log-probabilities doubled, which changes no prediction."""
    return line | {"resps": [[[str(2 * float(answer[0][0])), "x"]] for answer in line["resps"]]}


def chatted(line: Line) -> Line:
    """The context as a chat, where that of a plain run stood."""
    requests = {
        key: {"arg_0": f"<|user|>{request['arg_0']}<|end|>", "arg_1": request["arg_1"]}
        for key, request in line["arguments"].items()
    }
    return line | {"arguments": requests}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two models of three questions: lm-eval wrote one, the other is made of it."""
    shutil.copytree(SAMPLES, tmp_path / "runs" / "base")
    rewritten(SAMPLES, tmp_path / "runs" / "aligned", surer)
    return Study.reduced(
        tmp_path,
        {"words": {"continuation": "demo_words", "choice": "demo_words_choice"}},
        models={model: {"samples": f"runs/{model}"} for model in ("base", "aligned")},
    )


def sample_file(study: Study, model: str) -> Path:
    (file,) = study.folder.glob(f"runs/{model}/samples_demo_words_2*")
    return file


@pytest.mark.slow
def test_a_study_of_samples_needs_neither_lm_eval_nor_a_scorer(study: Study) -> None:
    (study.folder / "lm_eval.py").write_text("raise ImportError('blocked')")
    (study.folder / "torch.py").write_text("raise ImportError('blocked')")
    env = {**os.environ, "PYTHONPATH": f"{study.folder}:{study.root / 'workflow'}"}
    run = study.run(env=env)
    assert run.returncode == 0, run.stderr
    changes = read_frame(study.results / "changes.parquet", CHANGES).set_index(["method", "metric"])
    assert set(changes.index.unique("method")) == {"continuation_sum", "choice"}
    # p² normalised is as accurate as p, and surer.
    assert (changes.xs("accuracy", level="metric")["change"] == 0).all()
    # An older file in place of one of them: the model's steps run again, and no other's.
    older = study.folder / "older.jsonl"
    older.write_text(sample_file(study, "aligned").read_text().replace("-14.5", "-14.6"))
    os.utime(older, (10**9, 10**9))
    older.rename(sample_file(study, "aligned"))
    planned = study.planned()
    assert planned["sampled_models"] == planned["sampled_cells"] == ["model=aligned"]
    assert planned["metrics"] == ["model=aligned"]
    assert "sampled_questions" not in planned


@pytest.mark.parametrize(
    ("spec", "tasks", "message"),
    [
        ("runs/nowhere", {}, "models.aligned.samples: runs/nowhere: no such folder"),
        ("runs/aligned", {"sciq": {"continuation": "sciq"}}, "no sample file of 'sciq'; there are"),
    ],
)
@pytest.mark.slow
def test_what_is_not_there_is_said_before_the_first_job(
    study: Study, spec: str, tasks: dict[str, Any], message: str
) -> None:
    config = study.config
    config["models"]["aligned"] = {"samples": spec}
    study.write(config | {"tasks": config["tasks"] | tasks})
    run = study.run("--dry-run")
    assert run.returncode
    assert message in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_samples_that_cannot_be_compared_are_refused_by_file_and_line(study: Study) -> None:
    """A chat beside plain text; a line cut short."""
    rewritten(SAMPLES, study.folder / "runs" / "chat", chatted)
    with open(sample_file(study, "aligned"), "a") as lines:
        lines.write('{"doc_id": 3, "doc"')
    config = study.config
    config["models"]["chat"] = {"samples": "runs/chat"}
    config["pairs"]["Chat"] = {"base": "base", "aligned": "chat"}
    study.write(config)
    run = study.run("--keep-going", targets=["all_cells"])
    assert run.returncode
    logs = study.results / "logs" / "sampled_cells"
    assert (logs / "aligned.log").read_text().count("\n") == 1
    assert (
        f"{sample_file(study, 'aligned').name}:4: not a whole" in (logs / "aligned.log").read_text()
    )
    said = (logs / "chat.log").read_text()
    assert "237111.jsonl:1: question demo_words/000000 has another text around it (a chat" in said
    assert "than in models.base.samples" in said
    assert len(said.splitlines()) <= 3, said
