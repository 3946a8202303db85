"""Every demo task, from questions to accuracy, beside lm-evaluation-harness's own `HFLM`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from lm_eval.api.registry import get_metric, get_metric_aggregation
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer

from alignment_calibration.calibration.confidences import read_method
from alignment_calibration.inputs.checkpoints import resolve
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.scoring.tokenization import encode
from alignment_calibration.scoring.trie import build_trie
from alignment_calibration.study.chats import chat_of
from alignment_calibration.study.letters import TEMPLATES
from alignment_calibration.study.vocabulary import METHODS

ROOT = Path(__file__).parents[2]
OWN_TASKS = ROOT / "workflow" / "tasks"
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
CELLS = [
    (prompt, task[prompt])
    for task in CONFIG["tasks"].values()
    for prompt in ("continuation", "choice")
]
WITHOUT_CONTEXT = [("unconditional", name) for prompt, name in CELLS if prompt == "continuation"]

pytestmark = pytest.mark.slow


def put(prompt: str, name: str, output: Path, **chat: Any) -> None:
    """Write the questions of a demo task."""
    write_questions(
        [name],
        limit=None,
        num_fewshot=0,
        letters=TEMPLATES["block"],
        data=None,
        task_folders=[],
        own_tasks=OWN_TASKS,
        where=f"tasks.{name}.{prompt}",
        output=output,
        prompt=prompt,
        **chat,
    )


MODELS: dict[str, dict[str, Any]] = CONFIG["models"]


@pytest.fixture(scope="module", params=list(MODELS))
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model's spec, and the folder with the logit files of all its cells."""
    spec = {**MODELS[request.param], "trust_remote_code": False}
    spec["path"] = str(ROOT / spec["path"])
    chat = chat_of(spec)
    folder = tmp_path_factory.mktemp(request.param)
    names = [f"{name}.{prompt}" for prompt, name in CELLS + WITHOUT_CONTEXT]
    for prompt, name in CELLS + WITHOUT_CONTEXT:
        questions = folder / f"{name}.{prompt}.questions.parquet"
        if chat is None:
            put(prompt, name, questions)
        else:
            text = folder / f"{name}.{prompt}.text.parquet"
            put(prompt, name, text)
            put(prompt, name, questions, chat=chat, as_text=text)
    resolve(request.param, spec, folder / "converted", folder / "model.json")
    subprocess.run(
        [
            *(sys.executable, "-m", "alignment_calibration.scoring", "--dtype", "float32"),
            *("--device", "cpu", "--threads", "1", "--model", str(folder / "model.json")),
            *("--questions", *(str(folder / f"{name}.questions.parquet") for name in names)),
            *("--receipts", *(str(folder / f"{name}.receipt.json") for name in names)),
        ],
        check=True,
        cwd=ROOT,
    )
    return spec, folder


@pytest.fixture(scope="module")
def hflm(scored: Any) -> HFLM:
    return HFLM(pretrained=scored[0]["path"], dtype=torch.float32, device="cpu", batch_size=16)


def measure(task: Any, metric: str) -> None:
    """Have lm-eval report a metric of its own beside the two that are its default."""
    task._metric_fn_list[metric] = get_metric(metric)
    task._metric_fn_kwargs[metric] = {}
    task._aggregation_list[metric] = get_metric_aggregation(metric)
    task._higher_is_better[metric] = True


@pytest.mark.parametrize(("prompt", "name"), CELLS)
def test_log_probabilities_and_accuracy_equal_lm_evals(
    scored: Any, hflm: HFLM, prompt: str, name: str, tmp_path: Path
) -> None:
    library = Library(OWN_TASKS)
    (definition,) = library.definitions([name])
    task = build(
        library, definition, scratch=tmp_path, num_fewshot=0, letters=TEMPLATES["block"], data=None
    )
    measure(task, "acc_bytes")
    if prompt == "continuation":
        measure(task, "acc_mutual_info")
    results = lm_eval.simple_evaluate(
        model=hflm,
        tasks=[task],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        apply_chat_template=chat_of(scored[0]) is not None,
        fewshot_as_multiturn=False,
    )
    assert results is not None
    theirs = {
        sample["doc_id"]: [float(answer[0]) for (answer,) in sample["resps"]]
        for sample in results["samples"][name]
    }
    logits = pq.read_table(scored[1] / f"{name}.{prompt}.parquet")
    tables = [logits]
    if prompt == "continuation":  # lm-eval asks for the options without a context after them
        tables.append(pq.read_table(scored[1] / f"{name}.unconditional.parquet"))
    ours: dict[int, list[float]] = {}
    for row in [row for table in tables for row in table.to_pylist()]:
        document = row["question_id"].rpartition("/")[2]
        ours.setdefault(int(document), []).append(sum(row["token_logprobs"]))
    assert len(ours) == len(theirs) > 150
    for document, values in ours.items():
        np.testing.assert_allclose(values, theirs[document], atol=1e-3, rtol=0)

    # The demo's options are ASCII: bytes, which acc_bytes counts, and acc_norm's characters agree.
    same = {
        "continuation": {
            "continuation_sum": ["acc"],
            "continuation_mean_byte": ["acc_bytes", "acc_norm"],
            "continuation_pmi": ["acc_mutual_info"],
        },
        "choice": {"choice": ["acc"]},
    }
    for method, accuracies in same[prompt].items():
        beside = tables[1:] if METHODS[method].beside else []
        confidences = read_method(logits, method, *beside).to_pylist()
        right = [np.argmax(row["probabilities"]) == row["gold"] for row in confidences]
        for accuracy in accuracies:
            assert np.mean(right) == pytest.approx(results["results"][name][f"{accuracy},none"])


def test_options_without_a_context_cost_little(tmp_path: Path) -> None:
    """Trie nodes beside those of the continuation prompt, over the demo's tasks."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / CONFIG["models"]["demo-base"]["path"])
    nodes = {"continuation": 0, "unconditional": 0}
    output = tmp_path / "questions.parquet"
    for prompt, name in CELLS + WITHOUT_CONTEXT:
        if prompt in nodes:
            put(prompt, name, output)
            rows = pq.read_table(output, columns=["context", "continuation"]).to_pylist()
            pairs = [(row["context"], row["continuation"]) for row in rows]
            encodings = encode(pairs, tokenizer, limit=512)
            nodes[prompt] += build_trie([encoding.request for encoding in encodings]).tokens.size
    assert nodes["unconditional"] < 0.15 * nodes["continuation"]
