"""Score cells: `python -m alignment_calibration.scoring` fills logit files for one model.

A cell whose logit file is current is only touched; if all are, torch is not even imported.
"""

import argparse
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError, run_cli
from alignment_calibration.files.atomic import read_json, write_json
from alignment_calibration.files.logits import (
    expected_identity,
    is_current,
    logit_rows,
    write_logits,
)
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.scoring.lease import lease

if TYPE_CHECKING:
    from alignment_calibration.scoring import Scorer
    from alignment_calibration.scoring.load import Checkpoint

_STARTED = time.perf_counter()
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")


@dataclass(frozen=True)
class Cell:
    """A questions file, the logit file to fill from it, and the identity that file must have."""

    questions: Path
    logits: Path
    identity: dict[str, Any]

    @property
    def name(self) -> str:
        """model/task/prompt, from the logit file's place."""
        return "/".join((*self.logits.parent.parts[-2:], self.logits.stem))

    @property
    def run_json(self) -> Path:
        """Where times and sizes of the run are noted."""
        return self.logits.with_suffix(".run.json")


def main() -> None:
    """Command line; see `--help`."""
    arguments = _parser().parse_args()
    _die_with_parent()
    with _output_to(arguments.log) as terminal:
        model = read_json(arguments.model)
        _bring_back_from_the_future(
            arguments.model, *(questions for questions, _ in arguments.cell)
        )
        cells = [
            Cell(
                Path(questions),
                Path(logits),
                expected_identity(arguments.model, questions, arguments.dtype),
            )
            for questions, logits in arguments.cell
        ]
        stale = [cell for cell in cells if not _keep_if_current(cell)]
        if stale:
            _score_cells(stale, model, arguments, terminal)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alignment_calibration.scoring", description=__doc__)
    parser.add_argument("--model", required=True, metavar="JSON", help="models/{model}.json")
    parser.add_argument("--dtype", required=True, choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument(
        "--token-budget",
        type=_budget,
        metavar="N",
        help="most tokens of one forward pass; `auto` (the default) finds it from free memory",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--log", metavar="FILE", help="messages go there, and a bar to a terminal")
    parser.add_argument(
        "--cell",
        required=True,
        action="append",
        nargs=2,
        metavar=("QUESTIONS", "LOGITS"),
        help="questions file and logit file; may be given several times",
    )
    return parser


def _budget(text: str) -> int | None:
    if text == "auto":
        return None
    if (value := int(text)) < 1:
        raise ValueError
    return value


def _bring_back_from_the_future(*inputs: str) -> None:
    """Date inputs now that are dated later, as after a clock that ran ahead.

    Snakemake would throw away what was scored because it looks older than its inputs.
    """
    for path in map(Path, inputs):
        with suppress(OSError):  # missing, which is said elsewhere, or not ours to touch
            if path.stat().st_mtime > time.time():
                path.touch()


def _keep_if_current(cell: Cell) -> bool:
    """Touch the files of a current cell; remove those of any other."""
    current = is_current(cell.logits, cell.identity)
    if current:
        print(f"{cell.name}: current", file=sys.stderr)
        if not cell.run_json.exists():
            write_json(cell.run_json, {"note": "scored earlier; the record of that run is lost"})
        cell.run_json.touch()
        cell.logits.touch()
    else:
        # Now and not when the new one is there: a failed job must not leave a file behind that
        # the workflow would take for its result.
        cell.run_json.unlink(missing_ok=True)
        cell.logits.unlink(missing_ok=True)
    return current


def _score_cells(
    cells: Sequence[Cell], model: dict[str, Any], arguments: argparse.Namespace, terminal: TextIO
) -> None:
    """Lease GPUs, load the checkpoint and fill the logit files of `cells`, one after the other."""
    tables = [read_parquet(cell.questions, QUESTIONS) for cell in cells]
    # Compute nodes often have no network, and the files are all here.
    os.environ["HF_HUB_OFFLINE"] = "1"
    gpus = 0 if arguments.device in ("cpu", "mps") else model["spec"].get("gpus", 1)
    with lease(gpus, holder=cells[0].name) as leased:
        if leased:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(leased)
        checkpoint = _load(model, arguments, gpus)
        from alignment_calibration.scoring.tree import best_scorer

        scorer = best_scorer(checkpoint.model, checkpoint.device, arguments.token_budget)
        startup = time.perf_counter() - _STARTED
        for cell, questions in zip(cells, tables, strict=True):
            _score_cell(cell, questions, checkpoint, scorer, startup, terminal)


def _load(model: dict[str, Any], arguments: argparse.Namespace, gpus: int) -> "Checkpoint":
    """Load the checkpoint onto the device; only now is torch imported."""
    import torch

    from alignment_calibration.scoring.load import load_checkpoint, resolve_device

    device = resolve_device(arguments.device)
    if device.type == "cpu":
        # Snakemake sets OMP_NUM_THREADS to the threads of the rule, which is 1.
        torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    return load_checkpoint(
        model["path"],
        arguments.dtype,
        device,
        gpus=gpus,
        trust_remote_code=model["spec"].get("trust_remote_code", False),
    )


def _score_cell(
    cell: Cell,
    questions: pa.Table,
    checkpoint: "Checkpoint",
    scorer: "Scorer",
    startup: float,
    terminal: TextIO,
) -> None:
    """Fill one logit file and its `.run.json`."""
    import torch

    from alignment_calibration.scoring.tokenization import EncodingError, encode, max_length

    started = time.perf_counter()
    tokens_before = scorer.work.tokens_computed
    nodes_before = scorer.work.trie_nodes
    question_ids = questions["question_id"].to_pylist()
    pairs = list(
        zip(questions["context"].to_pylist(), questions["continuation"].to_pylist(), strict=True)
    )
    limit = max_length(checkpoint.model.config, checkpoint.tokenizer)
    try:
        encodings = encode(pairs, checkpoint.tokenizer, limit)
    except EncodingError as error:
        question = question_ids[error.index]
        raise UserError(f"{cell.questions}: question {question}: {error}") from None
    requests = [encoding.request for encoding in encodings]
    with Progress(cell.name, len(requests), terminal) as progress:
        logprobs = scorer.score(requests, progress.advance)
    for question, values in zip(question_ids, logprobs, strict=True):
        if not np.isfinite(values).all():
            raise UserError(
                f"{cell.name}: question {question}: log-probability {values.min()}, not a finite "
                f"number; {cell.identity['dtype']} may be too narrow for this model"
            )
    rows = logit_rows(questions, encodings, logprobs)
    seconds = time.perf_counter() - started
    number = len(set(question_ids))
    tokens = scorer.work.tokens_computed - tokens_before
    record = {
        "device": _device_name(checkpoint.device),
        "seconds": round(seconds, 3),
        "startup_seconds": round(startup, 3),
        "questions": number,
        "questions_per_second": round(number / seconds, 3),
        "tokens_computed": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "trie_nodes": scorer.work.trie_nodes - nodes_before,
        "peak_memory_bytes": _peak_memory(checkpoint.device),
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    # The logit file last: where it stands, the cell is done.
    write_json(cell.run_json, record)
    write_logits(cell.logits, rows, cell.identity)
    print(
        f"{cell.name}: {number} questions in {seconds:.1f} s, {number / seconds:.1f} questions/s, "
        f"{tokens / seconds:.0f} tokens/s",
        file=sys.stderr,
    )


class Progress:
    """A bar on a terminal, and percentages as plain lines on standard error elsewhere."""

    def __init__(self, name: str, total: int, terminal: TextIO) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._bar = tqdm(
            total=total, desc=name, unit="option", file=terminal, disable=not terminal.isatty()
        )
        self._plain = terminal is not sys.stderr or not terminal.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def advance(self, number: int) -> None:
        """Note that `number` more options are scored."""
        before = 10 * self._done // self._total
        self._done += number
        self._bar.update(number)
        if self._plain and (now := 10 * self._done // self._total) > before:
            print(f"{self._name}: {10 * now} %", file=sys.stderr, flush=True)


@contextmanager
def _output_to(log: str | None) -> Iterator[TextIO]:
    """Send all output, that of libraries included, to `log`; yield the terminal."""
    if log is None:
        yield sys.stderr
        return
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(2), "w")
    with open(log, "wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield terminal
    except UserError as error:  # goes to the log as well, where it ends
        print(f"error: {error}", file=terminal, flush=True)
        raise


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, even if that was killed.

    Otherwise an orphan would go on writing into the output of a restarted workflow.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it ended just before
        sys.exit(1)


def _device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)


def _peak_memory(device: Any) -> int:
    """Most memory in use so far, in bytes: of the GPU, else of this process."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    run_cli(main)
