"""`shared_prefix`, and the scorers, against lm-evaluation-harness's own `HFLM`."""

import json
import os
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
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment_calibration.errors import UserError
from alignment_calibration.scoring.lm_eval import SharedPrefixLM
from alignment_calibration.scoring.tokenization import EncodingError, encode, max_length
from alignment_calibration.scoring.tree import TreeScorer

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"

PAIRS = [
    ("The capital of France is", " Paris"),
    ("The capital of France is", " Rome and not Paris"),
    ("The capital of France is ", "Paris"),  # the space moves to the option
    ("The capital of France is \n", "Paris"),
    ("Question: what is iron?\nAnswer:", " a metal"),
    ("Question: what is iron?\nAnswer:", " a"),
    ("", "Iron is a metal"),  # no context: a token that begins a text
    ("", " Paris"),
    ("word " * 3000 + "is", " a metal"),  # too long: loses its left
    ("word " * 3000 + "is", " a"),
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def hflm(model, tokenizer) -> HFLM:
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)


@pytest.fixture(scope="module")
def shared_prefix(model, tokenizer) -> SharedPrefixLM:
    return SharedPrefixLM(pretrained=model, tokenizer=tokenizer)


def instances(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [Instance(kind, {}, given, number) for number, given in enumerate(arguments)]


def test_token_ids_are_those_of_hflm(model, tokenizer, hflm, monkeypatch):
    limit = max_length(model.config, tokenizer)
    assert limit == hflm.max_length
    caught: list[Any] = []
    monkeypatch.setattr(
        hflm, "_loglikelihood_tokens", lambda requests, **options: caught.extend(requests)
    )
    hflm.loglikelihood(instances("loglikelihood", *PAIRS), disable_tqdm=True)
    for encoding, (_, context, continuation) in zip(
        encode(PAIRS, tokenizer, limit), caught, strict=True
    ):
        whole = (context + continuation)[-(limit + 1) :]
        assert list(encoding.request.continuation_ids) == continuation
        assert [*encoding.request.context_ids, *continuation] == whole
        assert encoding.truncated == (len(whole) < len(context + continuation))


@pytest.mark.parametrize("pair", [("context", ""), ("context", " word" * 200)])
def test_options_that_cannot_be_scored(tokenizer, pair):
    with pytest.raises(EncodingError) as caught:
        encode([("context", " fine"), pair], tokenizer, 100)
    assert caught.value.index == 1


def test_scores_are_those_of_hflm(model, tokenizer, hflm):
    encodings = encode(PAIRS, tokenizer, hflm.max_length)
    scorer = TreeScorer(model, torch.device("cpu"), 512)
    found = scorer.score([encoding.request for encoding in encodings], lambda number: None)
    wanted = hflm.loglikelihood(instances("loglikelihood", *PAIRS), disable_tqdm=True)
    np.testing.assert_allclose(
        [values.sum() for values in found], [value for value, _ in wanted], atol=1e-3
    )


def test_loglikelihoods_are_those_of_hflm(hflm, shared_prefix):
    requests = instances("loglikelihood", *PAIRS)
    # The most likely next token, so that `is_greedy` is true somewhere.
    greedy = hflm.generate_until(
        instances("generate_until", ("The capital of France is", {"max_gen_toks": 1, "until": []}))
    )
    requests += instances("loglikelihood", ("The capital of France is", greedy[0]))
    wanted = hflm.loglikelihood(requests, disable_tqdm=True)
    found = shared_prefix.loglikelihood(requests, disable_tqdm=True)
    np.testing.assert_allclose([a for a, _ in found], [a for a, _ in wanted], atol=1e-3)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in wanted]
    assert wanted[-1][1]


def test_an_option_that_is_longer_than_the_model_reads_is_refused(shared_prefix):
    tokens = [5] * (shared_prefix.max_length + 1)
    with pytest.raises(UserError, match=f"reads at most {shared_prefix.max_length}"):
        shared_prefix._loglikelihood_tokens([(("", ""), [5], tokens)], disable_tqdm=True)


def test_other_requests_are_hflms(hflm, shared_prefix, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("computed by the token trie")

    monkeypatch.setattr(TreeScorer, "read", never)
    texts = instances("loglikelihood_rolling", ("Iron is a metal.",), ("Paris is a city.",))
    np.testing.assert_allclose(
        shared_prefix.loglikelihood_rolling(texts, disable_tqdm=True),
        hflm.loglikelihood_rolling(texts, disable_tqdm=True),
        rtol=1e-6,  # float32, summed in another order by another number of threads
    )
    prompts = instances("generate_until", ("Iron is", {"max_gen_toks": 3, "until": ["\n"]}))
    assert shared_prefix.generate_until(prompts) == hflm.generate_until(prompts)


@pytest.mark.parametrize("task", ["demo_physical", "demo_words"])
def test_a_task_gives_hflms_accuracy(hflm, shared_prefix, task, monkeypatch):
    monkeypatch.chdir(ROOT)
    manager = TaskManager(include_path=str(ROOT / "workflow" / "tasks"), include_defaults=False)
    values = [
        lm_eval.simple_evaluate(
            lm, tasks=[task], task_manager=manager, limit=50, bootstrap_iters=0
        )["results"][task]["acc,none"]
        for lm in (hflm, shared_prefix)
    ]
    assert values[0] == values[1]


def test_the_command_is_lm_evals_own_with_one_more_model(tmp_path):
    """A small local task through the command line, with both models."""
    (tmp_path / "facts.jsonl").write_text(
        "".join(
            json.dumps({"question": question, "options": options, "gold": gold}) + "\n"
            for question, options, gold in [
                ("The capital of France is", ["Paris", "Rome and not Paris", "a metal"], 0),
                ("Iron is", ["Paris", "a metal", "a city in France"], 1),
                ("Rome is", ["a city", "a metal that rusts"], 0),
            ]
        )
    )
    (tmp_path / "facts.yaml").write_text(
        yaml.safe_dump(
            {
                "task": "facts",
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(tmp_path / "facts.jsonl")}},
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": "{{question}}",
                "doc_to_choice": "{{options}}",
                "doc_to_target": "gold",
                "metric_list": [{"metric": "acc"}],
            }
        )
    )
    answers = {}
    for model in ("shared_prefix", "hf"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "alignment_calibration.scoring.lm_eval"),
                *("--model", model, "--model_args", f"pretrained={CHECKPOINT},dtype=float32"),
                *("--tasks", str(tmp_path / "facts.yaml"), "--device", "cpu", "--log_samples"),
                *("--output_path", str(tmp_path / model)),
            ],
            cwd=tmp_path,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (samples,) = (tmp_path / model).rglob("samples_facts_*.jsonl")
        answers[model] = [
            (float(logprob), greedy)
            for line in samples.read_text().splitlines()
            for ((logprob, greedy),) in json.loads(line)["resps"]
        ]
    assert len(answers["hf"]) == 8
    for (one, one_greedy), (other, other_greedy) in zip(*answers.values(), strict=True):
        assert one == pytest.approx(other, abs=1e-3)
        assert one_greedy == other_greedy
