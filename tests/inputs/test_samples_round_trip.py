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
from lm_eval.api.instance import Instance
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.frames import read_frame
from alignment_calibration.files.logits import expected_identity, read_logits, read_receipt
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_samples import (
    read_samples,
    resolve_samples,
    write_sampled_cell,
    write_sampled_questions,
)
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.inputs.sample_files import sample_files
from alignment_calibration.scoring.lm_eval import SharedPrefixLM
from alignment_calibration.study.letters import TEMPLATES
from alignment_calibration.study.settings import Resampling, Settings

ROOT = Path(__file__).parents[2]
OWN_TASKS = ROOT / "workflow" / "tasks"
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"
TASKS = {
    task: {prompt: spec[prompt] for prompt in ("continuation", "choice")}
    for task, spec in yaml.safe_load((ROOT / "config.yaml").read_text())["tasks"].items()
}
NAMES = [name for prompts in TASKS.values() for name in prompts.values()]
LIMIT = 60
METHODS = ["continuation_sum", "choice"]

pytestmark = pytest.mark.slow


def evaluate(model: Any, folder: Path, names: list[str]) -> Path:
    """The folder that lm-eval writes: samples of these tasks, and its results."""
    library = Library(OWN_TASKS)
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
        model=model,
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


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lm-eval writes of all tasks in both prompts."""
    model = HFLM(pretrained=str(CHECKPOINT), dtype=torch.float32, device="cpu", batch_size=16)
    return evaluate(model, tmp_path_factory.mktemp("lm_eval"), NAMES)


def write_metrics_of(folder: Path, settings: dict[str, str]) -> None:
    """Confidences and metrics of a model from its cells."""
    cells = {
        (task, prompt): (
            folder / f"{task}.{prompt}.receipt.json",
            expected_identity(
                folder / "model.json", folder / f"{task}.{prompt}.questions.parquet", settings
            ),
        )
        for task, prompts in TASKS.items()
        for prompt in prompts
    }
    confidences = {task: folder / f"{task}.confidences.parquet" for task in TASKS}
    write_confidences(cells, METHODS, confidences)
    write_metrics(
        "base",
        confidences,
        list(METRICS),
        Settings(bins=10, tace_threshold=0.01),
        Resampling(seed=0, resamples=20),
        folder / "metrics.parquet",
    )


def read_cell(folder: Path, task: str, prompt: str) -> Any:
    """Rows of the LOGITS contract."""
    receipt = folder / f"{task}.{prompt}.receipt.json"
    return read_logits(receipt, read_receipt(receipt)["identity"])


@pytest.fixture(scope="module")
def imported(logged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions, logits, confidences and metrics from the samples alone."""
    folder = tmp_path_factory.mktemp("imported")
    files = sample_files(str(logged), NAMES)
    model = folder / "model.json"
    resolve_samples("base", {"samples": str(logged)}, list(files.values()), model)
    for task, prompts in TASKS.items():
        for prompt, name in prompts.items():
            of_task = {name: files[name]}
            questions = folder / f"{task}.{prompt}.questions.parquet"
            receipt = folder / f"{task}.{prompt}.receipt.json"
            write_sampled_questions(of_task, None, questions)
            identity = expected_identity(model, questions, {})
            write_sampled_cell(of_task, None, questions, "the questions", identity, receipt)
    write_metrics_of(folder, {})
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same from the study's own steps: questions from lm-eval's tasks, then the scorer."""
    folder = tmp_path_factory.mktemp("scored")
    model = folder / "model.json"
    record = {"model": "base", "spec": {}, "revision": "", "path": str(CHECKPOINT)}
    model.write_text(json.dumps(record))
    all_questions, receipts = [], []
    for task, prompts in TASKS.items():
        for prompt, name in prompts.items():
            questions = folder / f"{task}.{prompt}.questions.parquet"
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
            all_questions.append(str(questions))
            receipts.append(str(folder / f"{task}.{prompt}.receipt.json"))
    subprocess.run(
        [
            *(sys.executable, "-m", "alignment_calibration.scoring", "--dtype", "float32"),
            *("--device", "cpu", "--threads", "1", "--model", str(model)),
            *("--questions", *all_questions, "--receipts", *receipts),
        ],
        check=True,
        cwd=ROOT,
    )
    write_metrics_of(folder, {"dtype": "float32"})
    return folder


def test_the_questions_are_the_same_file(imported: Path, scored: Path) -> None:
    for task, prompts in TASKS.items():
        for prompt in prompts:
            name = f"{task}.{prompt}.questions.parquet"
            assert (imported / name).read_bytes() == (scored / name).read_bytes(), name


def test_the_sums_are_the_same_within_float32(imported: Path, scored: Path) -> None:
    for task, prompts in TASKS.items():
        for prompt in prompts:
            ours, theirs = (
                [sum(row) for row in read_cell(folder, task, prompt)["token_logprobs"].to_pylist()]
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


def test_samples_of_shared_prefix_lack_nothing(scored: Path, tmp_path: Path) -> None:
    model = SharedPrefixLM(pretrained=str(CHECKPOINT), dtype=torch.float32, device="cpu")
    task = "demo_words"  # three to five options, of one and more tokens
    folder = evaluate(model, tmp_path, list(TASKS[task].values()))
    for prompt, name in TASKS[task].items():
        samples = read_samples(sample_files(str(folder), [name]))
        questions = read_parquet(scored / f"{task}.{prompt}.questions.parquet", QUESTIONS)
        assert samples.questions.equals(questions)
        expected = read_cell(scored, task, prompt)
        values = "token_logprobs"
        assert samples.logits.drop_columns(values).equals(expected.drop_columns(values))
        np.testing.assert_allclose(
            np.concatenate(samples.logits[values].to_pylist()),
            np.concatenate(expected[values].to_pylist()),
            rtol=1e-6,
            atol=1e-5,
        )
    # The same requests can be asked again.
    requests = [Instance("loglikelihood", {}, ("Iron is", " a metal"), 0)]
    assert model.loglikelihood(requests) == model.loglikelihood(requests)
