"""What lm-eval scored and logged, imported, beside what the study's own scorer makes of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pytest
import torch
import yaml
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.calibration.metrics import METRICS
from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.files.frames import read_frame
from alignment_calibration.files.logits import expected_identity
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.library import TEMPLATES, Library, build
from alignment_calibration.inputs.lm_eval_samples import (
    resolve_samples,
    write_sampled_logits,
    write_sampled_questions,
)
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.inputs.sample_files import sample_files

ROOT = Path(__file__).parents[2]
OWN_TASKS = ROOT / "workflow" / "tasks"
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"
TASKS = {
    task: {prompt: spec[prompt] for prompt in ("continuation", "choice")}
    for task, spec in yaml.safe_load((ROOT / "config.yaml").read_text())["tasks"].items()
}
LIMIT = 60
METHODS = ["continuation_sum", "choice"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that lm-eval wrote: samples of all tasks in both prompts, and its results."""
    folder = tmp_path_factory.mktemp("lm_eval")
    library = Library(OWN_TASKS)
    names = [name for prompts in TASKS.values() for name in prompts.values()]
    tasks = [
        build(
            library,
            definition,
            scratch=folder / "tasks",
            num_fewshot=0,
            letters=TEMPLATES["block"],
            data=None,
        )
        for definition in library.definitions(names)
    ]
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(CHECKPOINT), dtype=torch.float32, device="cpu", batch_size=16),
        model_args=f"pretrained={CHECKPOINT}",
        tasks=tasks,
        task_manager=TaskManager(include_defaults=False),
        limit=LIMIT,
        bootstrap_iters=0,
        log_samples=True,
        evaluation_tracker=tracker,
    )
    assert results is not None
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, of_task in samples.items():
        tracker.save_results_samples(name, of_task)
    return folder / "out"


def write_files(folder: Path, model: Path, logits: dict[str, dict[str, Any]], dtype: Any) -> Path:
    """Confidences and metrics of a model from its cells."""
    confidences = {}
    for task, prompts in logits.items():
        identities = {
            prompt: expected_identity(model, folder / f"{task}.{prompt}.parquet", dtype)
            for prompt in prompts
        }
        confidences[task] = folder / f"{task}.confidences.parquet"
        write_confidences(prompts, identities, METHODS, confidences[task])
    statistics = {"bins": 10, "tace_threshold": 0.01, "seed": 0, "resamples": 20}
    write_metrics("base", confidences, list(METRICS), statistics, folder / "metrics.parquet")
    return folder / "metrics.parquet"


@pytest.fixture(scope="module")
def imported(logged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions, logits, confidences and metrics from the samples alone."""
    folder = tmp_path_factory.mktemp("imported")
    names = [name for prompts in TASKS.values() for name in prompts.values()]
    files = sample_files(str(logged), names)
    model = folder / "model.json"
    resolve_samples("base", {"samples": str(logged)}, list(files.values()), model)
    logits: dict[str, dict[str, Any]] = {}
    for task, prompts in TASKS.items():
        for prompt, name in prompts.items():
            questions = folder / f"{task}.{prompt}.parquet"
            write_sampled_questions({name: files[name]}, None, questions)
            logits.setdefault(task, {})[prompt] = folder / f"{task}.{prompt}.logits.parquet"
            write_sampled_logits(
                {name: files[name]},
                None,
                questions,
                expected_identity(model, questions, None),
                logits[task][prompt],
            )
    write_files(folder, model, logits, None)
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same from the study's own steps: questions from lm-eval's tasks, then the scorer."""
    folder = tmp_path_factory.mktemp("scored")
    model = folder / "model.json"
    record = {"model": "base", "spec": {}, "revision": "", "path": str(CHECKPOINT)}
    model.write_text(json.dumps(record))
    cells: list[str] = []
    logits: dict[str, dict[str, Any]] = {}
    for task, prompts in TASKS.items():
        for prompt, name in prompts.items():
            questions = folder / f"{task}.{prompt}.parquet"
            write_questions(
                [name],
                limit=LIMIT,
                num_fewshot=0,
                letters=TEMPLATES["block"],
                data=None,
                task_folders=[],
                own_tasks=OWN_TASKS,
                where=f"tasks.{task}.{prompt}",
                output=questions,
            )
            logits.setdefault(task, {})[prompt] = folder / f"{task}.{prompt}.logits.parquet"
            cells += ["--cell", str(questions), str(logits[task][prompt])]
    subprocess.run(
        [
            *(sys.executable, "-m", "alignment_calibration.scoring", "--dtype", "float32"),
            *("--device", "cpu", "--threads", "1", "--model", str(model), *cells),
        ],
        check=True,
        cwd=ROOT,
    )
    write_files(folder, model, logits, "float32")
    return folder


def test_the_questions_are_the_same_file(imported: Path, scored: Path) -> None:
    for task, prompts in TASKS.items():
        for prompt in prompts:
            name = f"{task}.{prompt}.parquet"
            assert (imported / name).read_bytes() == (scored / name).read_bytes(), name


def test_the_sums_are_the_same_within_float32(imported: Path, scored: Path) -> None:
    for task, prompts in TASKS.items():
        for prompt in prompts:
            ours, theirs = (
                [
                    sum(row)
                    for row in read_parquet(folder / f"{task}.{prompt}.logits.parquet", LOGITS)[
                        "token_logprobs"
                    ].to_pylist()
                ]
                for folder in (imported, scored)
            )
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5)


def test_accuracy_is_lm_evals_own(logged: Path, imported: Path) -> None:
    (results,) = logged.rglob("results_*.json")
    theirs = json.loads(results.read_text())["results"]
    metrics = read_frame(imported / "metrics.parquet", MODEL_METRICS)
    accuracies = metrics[metrics["metric"] == "accuracy"].set_index(["task", "method"])["value"]
    assert len(accuracies) == 2 * len(TASKS)
    for task, prompts in TASKS.items():
        for method, prompt in zip(METHODS, ("continuation", "choice"), strict=True):
            assert accuracies[task, method] == pytest.approx(theirs[prompts[prompt]]["acc,none"])


def test_every_metric_is_that_of_the_scored_study(imported: Path, scored: Path) -> None:
    ours, theirs = (
        read_frame(folder / "metrics.parquet", MODEL_METRICS) for folder in (imported, scored)
    )
    keys = ["task", "method", "metric"]
    assert ours[keys].equals(theirs[keys])
    assert {"sce", "smooth_ece", "letter_mass"} <= set(ours["metric"])
    np.testing.assert_allclose(ours["value"], theirs["value"], atol=1e-6, rtol=1e-6)
