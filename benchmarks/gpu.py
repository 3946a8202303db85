"""Scoring by token trie on one GPU beside padded batches, in one command of under ten minutes.

    PYTHONPATH=workflow python benchmarks/gpu.py --size 7b

needs torch and transformers, no network and no checkpoint: a random model of the size is built on
the GPU. With lm-eval importable (its wheel beside `workflow` in PYTHONPATH will do) its `HFLM` is
measured; otherwise padded batches as it runs them. `--size tiny` runs on a CPU, to try the command.

Prints a table for docs/performance.md: questions a second, their ratio to the fastest padded
batches, tokens that are computed, and the share of the rate of a plain matrix product of the
model's size that the decoder layers' weights reach on them (MFU; attention, embeddings and output
layer are not counted as work). The first pass of a way over a workload is told apart. Below stand
the time to compile the layers, by which `scoring/compiled.py` knows when that pays, and errors of
summed log-probabilities against float32.
"""

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment_calibration.scoring.backends import why_not
from alignment_calibration.scoring.compiled import compiled
from alignment_calibration.scoring.memory import automatic_budget
from alignment_calibration.scoring.scorer import Request
from alignment_calibration.scoring.tree import TreeScorer

try:
    from lm_eval.models.huggingface import HFLM
except ImportError:
    HFLM = None

#: The shapes of Llama 2 7B, of Llama 3 8B, and of a toy.
SIZES: dict[str, dict[str, int]] = {
    "7b": {
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
    "8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 500,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


@dataclass(frozen=True)
class Workload:
    """Questions of four options, in tokens: `header` for all, the others about so many each."""

    header: int
    context: int
    option: int


WORKLOADS = {
    "random": Workload(0, 60, 11),
    "arc-like": Workload(0, 30, 5),
    "hellaswag-like": Workload(0, 70, 25),
    "letters": Workload(0, 110, 1),
    "header": Workload(600, 90, 8),
}


def requests_of(name: str, questions: int, vocabulary: int) -> list[Request]:
    """The options of so many questions of random tokens, the same in every run."""
    rng = random.Random(name)
    workload = WORKLOADS[name]

    def ids(length: int) -> tuple[int, ...]:
        return tuple(rng.randrange(vocabulary) for _ in range(length))

    def about(length: int) -> int:
        return max(1, rng.randint(2 * length // 3, 4 * length // 3))

    header = ids(workload.header)
    requests = []
    for _ in range(questions):
        context = header + ids(about(workload.context))
        requests += [Request(context, ids(about(workload.option))) for _ in range(4)]
    return requests


def built(size: str, dtype: torch.dtype, device: torch.device) -> Any:
    """A random Llama; its weights are spread so that attention and single tokens matter, and not so
    far that half precision decides what it says."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SIZES[size], max_position_embeddings=4096)
    torch.set_default_dtype(dtype)
    with device:
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(2)
    return model


def words(vocabulary: int) -> Any:
    """A tokenizer with a word for each id, which HFLM wants to have."""
    from tokenizers import Tokenizer, models

    known = {"<s>": 0, **{f"w{number}": number for number in range(1, vocabulary)}}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(known, unk_token="<s>")),
        bos_token="<s>",
        eos_token="<s>",
    )


class Padded:
    """Sums of log-probabilities by padded batches: HFLM's, or the same without it.

    Longest first, padding on the right, options of one token in one row for their context, and the
    log-softmax over all positions in the model's number format.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.hflm = HFLM and HFLM(pretrained=model, tokenizer=words(model.config.vocab_size))

    def __call__(self, requests: Sequence[Request], size: int) -> npt.NDArray[np.float64]:
        if self.hflm:
            self.hflm.batch_size_per_gpu = size
            given = [
                (("", ""), list(request.context_ids), list(request.continuation_ids))
                for request in requests
            ]
            found = self.hflm._loglikelihood_tokens(given, disable_tqdm=True)
            return np.array([value for value, _ in found])
        rows: dict[tuple[int, ...], list[int]] = {}
        for index, request in enumerate(requests):
            rows.setdefault(request.input_ids, []).append(index)
        order = sorted(rows, key=len, reverse=True)
        sums = np.empty(len(requests))
        with torch.inference_mode():
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                ids = torch.zeros(len(batch), len(batch[0]), dtype=torch.long)
                for row, sequence in enumerate(batch):
                    ids[row, : len(sequence)] = torch.tensor(sequence)
                logits = self.model(input_ids=ids.to(self.model.device), use_cache=False).logits
                logprobs = logits.log_softmax(-1)
                places, values = [], []
                for row, sequence in enumerate(batch):
                    for index in rows[sequence]:
                        wanted = requests[index].continuation_ids
                        read = logprobs[row, len(sequence) - len(wanted) : len(sequence)]
                        targets = torch.tensor(wanted, device=read.device)
                        values.append(read.gather(1, targets[:, None]).sum())
                        places.append(index)
                sums[places] = torch.stack(values).float().cpu().numpy()
        return sums


#: Ways to score by trie, by name: what makes them of the scorer that a model has.
VARIANTS: dict[str, Callable[[TreeScorer], TreeScorer]] = {
    "as it is": lambda scorer: scorer,
    "compiled": compiled,  # whatever a job's size
}


class Measured:
    """Calls with their seconds, the tokens that went through the model, and peak memory in GiB."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.tokens = 0
        model.get_input_embeddings().register_forward_hook(self._count)

    def _count(self, module: Any, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        self.tokens += inputs[0].numel()

    def __call__(self, call: Callable[[], Any]) -> tuple[Any, float, int, str]:
        self.tokens = 0
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        result = call()
        if self.cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        peak = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if self.cuda else ""
        return result, seconds, self.tokens, peak


def product_rate(model: Any, measured: Measured) -> float:
    """Floating-point operations a second of a plain product of the model's size."""
    config, rows = model.config, 8192 if measured.cuda else 256
    options = {"device": model.device, "dtype": model.dtype}
    one = torch.randn(rows, config.hidden_size, **options)
    other = torch.randn(config.hidden_size, config.intermediate_size, **options)

    def products() -> None:
        for _ in range(20):
            torch.mm(one, other)

    products()
    seconds = min(measured(products)[1] for _ in range(3))
    return float(20 * 2 * one.numel() * config.intermediate_size / seconds)


HEADINGS = [
    "workload",
    "way",
    "questions/s",
    "ratio",
    "first pass",
    "tokens/question",
    "MFU",
    "peak GiB",
    "max difference (nats)",
]


def sums_of(scorer: TreeScorer, requests: Sequence[Request]) -> npt.NDArray[np.float64]:
    """Summed log-probabilities by trie, in nats."""
    found = scorer.score(requests, lambda number: None)
    return np.array([float(values.sum()) for values in found])


class Table:
    """The rows of a run; none after its time."""

    def __init__(self, model: Any, device: torch.device, arguments: argparse.Namespace) -> None:
        self.model, self.arguments = model, arguments
        self.measured = Measured(model, device)
        self.padded = Padded(model)
        self.rate = product_rate(model, self.measured)
        self.weights = sum(weight.numel() for weight in model.model.layers.parameters())
        self.end = time.perf_counter() + 60 * arguments.minutes
        self.fastest: dict[str, float] = {}
        self.sums: dict[str, npt.NDArray[np.float64]] = {}

    def late(self, what: str) -> bool:
        """Whether the time is up; then it says what is left out."""
        over: bool = time.perf_counter() > self.end
        if over:
            print(f"left out, since the time was up: {what}", flush=True)
        return over

    def row(
        self, workload: str, way: str, first: float | None, measures: tuple[Any, float, int, str]
    ) -> None:
        """Print what a pass over a workload took."""
        sums, seconds, tokens, peak = measures
        number = self.arguments.questions
        fastest = self.fastest.get(workload)
        cells = [
            workload,
            way,
            f"{number / seconds:.2f}",
            f"{fastest / seconds:.2f}" if fastest and first else "",
            f"{number / first:.2f}" if first else "",
            f"{tokens / number:.1f}",
            f"{2 * self.weights * tokens / seconds / self.rate:.2f}",
            peak,
            f"{np.abs(sums - self.sums[workload]).max():.1e}" if first else "",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)

    def pad(self, workload: str) -> None:
        """The rows of padded batches."""
        requests = self.requests(workload)
        for size in self.arguments.batch_sizes:
            way = f"{'HFLM' if HFLM else 'padded'}, {size}"
            if self.late(f"{workload}, {way}"):
                return
            # No plans by cuDNN for them either: their shapes repeat as little.
            with sdpa_kernel(
                [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
            ):
                try:
                    self.padded(requests[: 4 * size], size)
                    measures = self.measured(partial(self.padded, requests, size))
                except torch.OutOfMemoryError:
                    print(f"left out, since memory does not suffice: {workload}, {way}", flush=True)
                    continue
            self.fastest[workload] = min(measures[1], self.fastest.get(workload, np.inf))
            self.sums[workload] = measures[0]
            self.row(workload, way, None, measures)

    def score(self, workload: str, way: str, scorer: TreeScorer) -> None:
        """The row of a way to score by trie, of its second pass."""
        if workload not in self.sums or self.late(f"{workload}, {way}"):
            return
        requests = self.requests(workload)
        first = self.measured(lambda: sums_of(scorer, requests))[1]
        self.row(workload, way, first, self.measured(lambda: sums_of(scorer, requests)))

    def requests(self, workload: str) -> list[Request]:
        """Of a workload."""
        return requests_of(workload, self.arguments.questions, self.model.config.vocab_size)


def print_errors(table: Table, scorers: Mapping[str, TreeScorer], questions: int) -> None:
    """Errors of all ways against float32, one sequence at a time; the model is float32 then."""
    model = table.model
    requests = requests_of("hellaswag-like", questions, model.config.vocab_size)
    name = str(model.dtype).removeprefix("torch.")
    found = {f"{way}, {name}": sums_of(scorer, requests) for way, scorer in scorers.items()}
    found[f"padded, {name}"] = table.padded(requests, 16)
    torch.set_float32_matmul_precision("highest")  # no TF32
    model.float()
    wanted = table.padded(requests, 1)
    found["trie, float32"] = sums_of(TreeScorer(model, model.device, 2048), requests)
    print("\n| way | rms error (nats) | largest |\n| --- | ---: | ---: |")
    for way, sums in found.items():
        error = sums - wanted
        print(f"| {way} | {np.sqrt((error**2).mean()):.1e} | {np.abs(error).max():.1e} |")
    print(f"\nof sums around {wanted.mean():.0f} nats, {questions} questions like HellaSwag's")


def main() -> None:
    """Print the tables."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="7b", choices=SIZES)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--questions", type=int, default=400, help="of each workload")
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS)[: None if cuda else 1], choices=VARIANTS
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--errors", type=int, default=24, help="questions for errors; 0 for none")
    parser.add_argument("--minutes", type=float, default=7, help="after these nothing is begun")
    arguments = parser.parse_args()
    device = torch.device("cuda" if cuda else "cpu")
    model = built(arguments.size, getattr(torch, arguments.dtype), device)
    if fault := why_not("tree", model, device):
        print(f"the trial of the tree fails, and a job would score plainly: {fault}\n")
    scorer = TreeScorer(model, device, automatic_budget(model, device))
    table = Table(model, device, arguments)
    print(
        f"{torch.cuda.get_device_name() if cuda else 'cpu'}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, {arguments.size}, {arguments.dtype}, "
        f"{arguments.questions} questions, token budget {scorer.token_budget}, "
        f"{table.rate / 1e12:.3g} TFLOP/s in a plain product\n"
    )
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " --- |" * len(HEADINGS))
    for workload in arguments.workloads:
        table.pad(workload)
    scorers, seconds = {}, {}
    for variant in arguments.variants:
        if table.late(f"trie, {variant}"):
            continue
        made, seconds[variant], *_ = table.measured(partial(VARIANTS[variant], scorer))
        way = "trie, compiled" if made.compiled else "trie, as it is"  # after a failure as well
        scorers[way] = made
        for workload in arguments.workloads:
            table.score(workload, way, made)
    print(f"\nto compile, trial included: {seconds.get('compiled', 0):.1f} s")
    if arguments.errors and not table.late("errors"):
        print_errors(table, scorers, arguments.errors)


if __name__ == "__main__":
    main()
