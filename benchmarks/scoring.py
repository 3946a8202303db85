"""Throughput of scoring by token trie beside lm-evaluation-harness's `HFLM`.

Both score the same requests with the same model object in this process, one after the other,
repeatedly; HFLM at each of several batch sizes, of which the fastest counts (one that was half as
slow again in the first round is not tried in the later ones). Times are CPU times of the process
(on a GPU: wall times), so that other programs on the machine disturb them little.

    python -m benchmarks.scoring --model CHECKPOINT --data FOLDER --workloads arc_easy piqa

FOLDER holds `arc_easy_test.jsonl` and `piqa_validation.jsonl`, as on the hub, or the questions of a
study, `results/{study}/questions`, each of whose files, as `arc_easy/choice`, is a workload. The
workloads `random`, `header` and `header_letters` need none: random tokens, in questions of 60 with
four options of 11 tokens (or one), without or below a common header of 400 tokens.
"""

import argparse
import ctypes
import datetime
import itertools
import json
import platform
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_eval.models.huggingface import HFLM

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.scoring.backends import choose
from alignment_calibration.scoring.load import load_checkpoint, resolve_device
from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.tokenization import encode, max_length
from alignment_calibration.scoring.tree import TreeScorer

LETTERS = "ABCDE"


def random_requests(
    number: int, vocabulary: int, header: int, option: int
) -> Iterator[list[Request]]:
    """Questions of random tokens: `header` common ones, 60 of their own, options of `option`."""
    rng = random.Random(0)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(rng.randrange(vocabulary) for _ in range(length))

    common = ids(header)
    for _ in range(number):
        context = common + ids(60)
        yield [Request(context, ids(option)) for _ in range(4)]


def arc_easy(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """Context and option texts as lm-eval's `arc_easy` puts them."""
    for line in (folder / "arc_easy_test.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        context = f"Question: {row['question']}\nAnswer:"
        yield [(context, f" {text}") for text in row["choices"]["text"]]


def arc_easy_letters(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """Context and letters in the block form of the letters prompt."""
    for line in (folder / "arc_easy_test.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        listed = zip(LETTERS, row["choices"]["text"], strict=False)
        choices = "\n".join(f"{letter}) {text}" for letter, text in listed)
        context = (
            "Return the label of the correct answer for the question below.\n\n"
            f"Question: {row['question']}\nChoices:\n{choices}\nAnswer:"
        )
        yield [(context, f" {letter}") for letter in LETTERS[: len(row["choices"]["text"])]]


def piqa(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """Context and option texts as lm-eval's `piqa` puts them."""
    for line in (folder / "piqa_validation.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        context = f"Question: {row['goal']}\nAnswer:"
        yield [(context, f" {row[name]}") for name in ("sol1", "sol2")]


def questions_file(path: Path) -> Iterator[list[tuple[str, str]]]:
    """Context and option texts of a study's questions file."""
    rows = read_parquet(path, QUESTIONS).to_pylist()
    for _, options in itertools.groupby(rows, key=lambda row: row["question_id"]):
        yield [(option["context"], option["continuation"]) for option in options]


RANDOM = {"random": (0, 11), "header": (400, 11), "header_letters": (400, 1)}
TEXTS = {"arc_easy": arc_easy, "arc_easy_letters": arc_easy_letters, "piqa": piqa}


def questions_of(workload: str, arguments: argparse.Namespace, checkpoint: Any) -> Any:
    """The first questions of a workload, each a list of requests."""
    if workload in RANDOM:
        header, option = RANDOM[workload]
        vocabulary = checkpoint.model.config.vocab_size
        return list(random_requests(arguments.questions, vocabulary, header, option))
    limit = max_length(checkpoint.model.config, checkpoint.tokenizer)
    if workload in TEXTS:
        all_texts = TEXTS[workload](arguments.data)
    else:
        all_texts = questions_file(arguments.data / f"{workload}.parquet")
    texts = list(itertools.islice(all_texts, arguments.questions))
    return [
        [encoding.request for encoding in encode(pairs, checkpoint.tokenizer, limit)]
        for pairs in texts
    ]


class Measured:
    """Time, peak memory and tokens of calls, with the model's forward passes counted."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.device = device
        self.tokens = 0
        embeddings = model.get_input_embeddings()
        embeddings.register_forward_hook(self._count)

    def _count(self, module: Any, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        self.tokens += inputs[0].numel()

    def __call__(self, call: Callable[[], Any]) -> tuple[Any, float, int, int]:
        """Result of `call`, its seconds, the tokens it computed and its peak memory in bytes."""
        self.tokens = 0
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        else:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        clock = time.perf_counter if cuda else time.process_time
        start = clock()
        result = call()
        if cuda:
            torch.cuda.synchronize()
        seconds = clock() - start
        if cuda:
            return result, seconds, self.tokens, torch.cuda.max_memory_allocated()
        status = Path("/proc/self/status").read_text()
        (peak,) = (int(kib) * 1024 for kib in re.findall(r"VmHWM:\s*(\d+)", status))
        return result, seconds, self.tokens, peak


def matmul_rate(model: Any, device: torch.device) -> float:
    """Floating-point operations per second of products of the size of the model's."""
    config = model.config
    one = torch.randn(1024, config.hidden_size, dtype=model.dtype, device=device)
    other = torch.randn(
        config.hidden_size, config.intermediate_size, dtype=model.dtype, device=device
    )
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    rates: list[float] = []
    for _ in range(5):
        start = clock()
        for _ in range(20):
            torch.mm(one, other)
        if cuda:
            torch.cuda.synchronize()
        rates.append(20 * 2 * one.numel() * other.shape[1] / (clock() - start))
    return sorted(rates)[-2]  # the first call may be slow; the best may be luck


def operations(model: Any, tokens: int, requests: Sequence[Request]) -> int:
    """Floating-point operations of the products with weights, in a pass over the requests.

    The layers take every token, the output layer the places after which a token is asked for, and
    the embeddings none: a row of them is looked up.
    """
    asked = {
        request.input_ids[: len(request.context_ids) + place]
        for request in requests
        for place in range(len(request.continuation_ids))
    }
    embedding = model.get_input_embeddings().weight.numel()
    head = model.get_output_embeddings().weight.numel()
    parameters = sum(parameter.numel() for parameter in model.base_model.parameters())
    return int(2 * ((parameters - embedding) * tokens + head * len(asked)))


def compare(workload: str, arguments: argparse.Namespace, checkpoint: Any) -> list[str]:
    """One row of the table."""
    model, device = checkpoint.model, checkpoint.device
    questions = questions_of(workload, arguments, checkpoint)
    requests = [request for question in questions for request in question]
    given = [
        (("", ""), list(request.context_ids), list(request.continuation_ids))
        for request in requests
    ]
    _, scorer = choose(model, device, arguments.token_budget)
    assert isinstance(scorer, TreeScorer)
    hflm = HFLM(pretrained=model, tokenizer=checkpoint.tokenizer)
    measured = Measured(model, device)
    ours: list[float] = []
    by_mkl: list[float] = []
    theirs: dict[int, list[float]] = {size: [] for size in arguments.batch_sizes}
    their_tokens: dict[int, int] = {}
    peaks: dict[int, int] = {}
    rates = []
    scorer.score(requests[:8], lambda number: None)  # the first pass of a process is slower
    for _ in range(arguments.repeats):
        rates.append(matmul_rate(model, device))
        scorer.work.trie_nodes = 0
        found, seconds, tokens, peak = measured(lambda: scorer.score(requests, lambda number: None))
        ours.append(seconds)
        nodes = scorer.work.trie_nodes
        if device.type == "cpu":
            with torch.backends.mkldnn.flags(enabled=False):
                by_mkl.append(measured(lambda: scorer.score(requests, lambda number: None))[1])
        fastest = min((min(times) for times in theirs.values() if times), default=np.inf)
        for size, times in theirs.items():
            if times and min(times) > 1.5 * fastest:
                continue
            hflm.batch_size_per_gpu = size
            wanted, seconds, their_tokens[size], peaks[size] = measured(
                lambda: hflm._loglikelihood_tokens(given, disable_tqdm=True)
            )
            times.append(seconds)
    best = min(theirs, key=lambda size: min(theirs[size]))
    sums = np.array([float(values.sum()) for values in found])
    reference = np.array([value for value, _ in wanted])
    ends = np.cumsum([len(question) for question in questions])[:-1]
    changed = sum(
        int(mine.argmax() != other.argmax())
        for mine, other in zip(np.split(sums, ends), np.split(reference, ends), strict=True)
    )
    share = operations(model, tokens, requests) / min(ours) / max(rates)
    number = len(questions)
    return [
        workload,
        str(number),
        f"{number / min(theirs[best]):.2f} ({best})",
        f"{number / min(ours):.2f}",
        f"{min(theirs[best]) / min(ours):.2f}",
        f"{min(theirs[best]) / min(by_mkl):.2f}" if by_mkl else "",
        f"{their_tokens[best] / number:.1f}",
        f"{tokens / number:.1f}",
        f"{tokens / nodes:.3f}",
        f"{share:.2f}",
        f"{peaks[best] / 2**20:.0f}",
        f"{peak / 2**20:.0f}",
        f"{np.abs(sums - reference).max():.1e}",
        str(changed),
    ]


HEADINGS = [
    "workload",
    "questions",
    "HFLM q/s (batch)",
    "trie q/s",
    "ratio",
    "ratio with MKL",
    "HFLM tokens/q",
    "trie tokens/q",
    "tokens / trie nodes",
    "share of matmul rate",
    "HFLM peak MiB",
    "trie peak MiB",
    "max difference (nats)",
    "argmax changed",
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a checkpoint")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument(
        "--workloads",
        nargs="+",
        default=["random"],
        help=f"{', '.join([*RANDOM, *TEXTS])}, or a questions file of the folder, as TASK/choice",
    )
    parser.add_argument("--questions", type=int, default=100, help="of each workload")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of each counts")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--token-budget", type=int, help="default: found from free memory")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    if arguments.data is None and not set(arguments.workloads) <= set(RANDOM):
        parser.error(f"without --data there are the workloads {', '.join(RANDOM)}")
    torch.set_num_threads(arguments.threads)
    checkpoint = load_checkpoint(arguments.model, arguments.dtype, resolve_device(arguments.device))
    print(
        f"{datetime.date.today()}, {platform.machine()}, {checkpoint.device}, "
        f"{arguments.threads} threads, {arguments.dtype}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "lm_eval"))
    )
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " --- |" * len(HEADINGS))
    for workload in arguments.workloads:
        print("| " + " | ".join(compare(workload, arguments, checkpoint)) + " |", flush=True)


if __name__ == "__main__":
    main()
