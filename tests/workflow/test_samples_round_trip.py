"""What lm-eval scored and logged, as models of a study beside one that the study scores itself."""

import json
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml
from lm_eval.api.instance import Instance
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.files.frames import read_frame
from alignment_calibration.files.logits import read_logits, read_receipt
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.scoring.lm_eval import SharedPrefixLM
from alignment_calibration.study.letters import TEMPLATES
from tests.support.study import ALL_MESSAGES, CHECKPOINTS, ROOT, Study

OWN_TASKS = ROOT / "workflow" / "tasks"
CHECKPOINT = CHECKPOINTS["base"]
TASKS = {
    task: {prompt: spec[prompt] for prompt in ("continuation", "choice")}
    for task, spec in yaml.safe_load((ROOT / "config.yaml").read_text())["tasks"].items()
}
NAMES = [name for prompts in TASKS.values() for name in prompts.values()]
LIMIT = 60
#: Of which `shared_prefix` says all that scoring says.
MODELS = ("tokens", "scored")
ABSENT = (
    "continuation_min is missing for sums: of their options only the sums over tokens are known"
)

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


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the model `shared_prefix` of this package, which writes tokens."""
    model = SharedPrefixLM(pretrained=str(CHECKPOINT), dtype=torch.float32, device="cpu")
    folder = evaluate(model, tmp_path_factory.mktemp("shared_prefix"), NAMES)
    # The same requests can be asked again.
    requests = [Instance("loglikelihood", {}, ("Iron is", " a metal"), 0)]
    assert model.loglikelihood(requests) == model.loglikelihood(requests)
    return folder


@pytest.fixture(scope="module")
def study(logged: Path, with_tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One checkpoint as three models: scored by the study, and taken from either samples."""
    study = Study.reduced(
        tmp_path_factory.mktemp("study"),
        {task: {**prompts, "limit": LIMIT} for task, prompts in TASKS.items()},
        models={
            "scored": {"path": str(CHECKPOINT)},
            "sums": {"samples": str(logged)},
            "tokens": {"samples": str(with_tokens)},
        },
        pairs={
            "Sums": {"base": "scored", "aligned": "sums"},
            "Tokens": {"base": "scored", "aligned": "tokens"},
        },
        metrics=list(METRICS),
    )
    run = study.run()
    assert run.returncode == 0, run.stderr
    assert f"note: {ABSENT}" in run.stderr
    return study


def metrics_of(study: Study, model: str) -> pd.DataFrame:
    keys = ["task", "method", "metric"]
    return read_frame(study.results / f"metrics/{model}.parquet", MODEL_METRICS).set_index(keys)


def read_cell(study: Study, model: str, task: str, prompt: str) -> pa.Table:
    """Rows of the LOGITS contract."""
    receipt = study.results / f"logits/{model}/{task}/{prompt}.receipt.json"
    return read_logits(receipt, read_receipt(receipt)["identity"])


def test_accuracy_is_lm_evals_own(logged: Path, study: Study) -> None:
    (results,) = logged.rglob("results_*.json")
    theirs = json.loads(results.read_text())["results"]
    ours = metrics_of(study, "sums")["value"]
    assert len(ours.xs("accuracy", level="metric")) == 2 * len(TASKS)
    for task, prompts in TASKS.items():
        for method, prompt in (("continuation_sum", "continuation"), ("choice", "choice")):
            expected = theirs[prompts[prompt]]["acc,none"]
            assert ours[task, method, "accuracy"] == pytest.approx(expected)


# torch's log-softmax in float32, which HFLM takes, errs to one side: by 2.3e-6 in the mean on 30 of
# these questions, against 5e-8 of the scored model (both against float64). Probabilities among the
# letters do not feel it, the mass of all letters does.
@pytest.mark.parametrize(
    ("model", "absent", "of_letter_mass"),
    [("sums", {"continuation_min"}, 1e-5), ("tokens", set[str](), 1e-6)],
)
def test_every_metric_is_that_of_the_scored_model(
    study: Study, model: str, absent: set[str], of_letter_mass: float
) -> None:
    ours, theirs = metrics_of(study, model), metrics_of(study, "scored")
    methods = set(theirs.index.unique("method"))
    assert methods - set(ours.index.unique("method")) == absent
    assert set(METRICS) == set(ours.index.unique("metric"))
    for metric, found in ours["value"].groupby(level="metric"):
        expected = theirs.loc[found.index, "value"]
        tolerance = of_letter_mass if metric == "letter_mass" else 1e-6
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)


def test_samples_of_shared_prefix_lack_nothing(study: Study) -> None:
    for task, prompts in TASKS.items():
        for prompt in prompts:
            ours, expected = (read_cell(study, model, task, prompt) for model in MODELS)
            values = "token_logprobs"
            assert ours.drop_columns(values).equals(expected.drop_columns(values))
            np.testing.assert_allclose(
                np.concatenate(ours[values].to_pylist()),
                np.concatenate(expected[values].to_pylist()),
                rtol=1e-6,
                atol=1e-5,
            )


def test_what_a_pair_lacks_is_absent_and_said_so(study: Study) -> None:
    changes = read_frame(study.results / "changes.parquet", CHANGES)
    assert set(changes[changes["method"] == "continuation_min"]["pair"]) == {"Tokens"}
    assert set(changes[changes["method"] == "choice"]["pair"]) == {"Sums", "Tokens"}
    for table in ("models", "changes", "headline"):
        assert ABSENT in (study.results / f"tables/{table}.md").read_text()
    # Nor is there a figure of it, which would be empty.
    run = study.run("--dry-run", ALL_MESSAGES, targets=["figures"])
    planned = run.stdout + run.stderr
    assert "reliability/Tokens/continuation_min.png" in planned
    assert "reliability/Sums/continuation_sum.png" in planned
    assert "reliability/Sums/continuation_min.png" not in planned
