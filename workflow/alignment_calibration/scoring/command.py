"""Score cells of one model: `python -m alignment_calibration.scoring` gives each its receipt.

A cell that the store has already gets its receipt at once; if all have, torch is not even imported.
Where several jobs share the cells of a model (`--part`, see `scoring/parts.py`), none of them gives
receipts, and the same command gives all of them afterwards (`--scored`).
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import read_json
from alignment_calibration.files.logits import expected_identity
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.scoring.backends import AUTO, BACKENDS, choose, identity_settings
from alignment_calibration.scoring.cell import Cell, score_cell, take_from_store
from alignment_calibration.scoring.contexts import put_in_words
from alignment_calibration.scoring.lease import lease, show_only
from alignment_calibration.scoring.parts import split, work_of
from alignment_calibration.scoring.process import die_with, faults_of, output_to

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from alignment_calibration.scoring.load import Checkpoint

_STARTED = time.perf_counter()


def main() -> None:
    """Command line; see `--help`."""
    arguments = _parser().parse_args()
    die_with(arguments.parent)
    with output_to(arguments.log) as terminal:
        model = read_json(arguments.model)
        settings = identity_settings(arguments.dtype, arguments.backend)
        cells = [
            Cell(
                questions,
                receipt,
                expected_identity(arguments.model, questions, settings),
                gets_receipt=arguments.part is None,
            )
            for questions, receipt in zip(arguments.questions, arguments.receipts, strict=True)
        ]
        if arguments.part:
            cells = _own(cells, *arguments.part)
        missing = []
        for cell in cells:
            with faults_of(cell.name):
                if not take_from_store(cell):
                    missing.append(cell)
        if missing and arguments.scored:
            raise UserError(
                f"{missing[0].name}: its logit file is gone since its job ended; to mend it: "
                f"`rm {' '.join(arguments.scored)}`, then the same snakemake command again"
            )
        if missing:
            _score(missing, model, arguments, terminal)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alignment_calibration.scoring", description=__doc__)
    parser.add_argument("--model", required=True, metavar="JSON", help="models/{model}.json")
    parser.add_argument("--dtype", required=True, choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--backend", default=AUTO, choices=[AUTO, *BACKENDS])
    parser.add_argument(
        "--token-budget",
        type=_budget,
        metavar="N",
        help="most tokens of one forward pass; `auto` (the default) finds it from free memory",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument(
        "--parent",
        type=int,
        default=os.getppid(),
        metavar="PID",
        help="process that this one ends with (default: the one that started it)",
    )
    parser.add_argument("--log", metavar="FILE", help="messages go there, and a bar to a terminal")
    parser.add_argument(
        "--questions",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="questions file of each cell",
    )
    parser.add_argument(
        "--receipts",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="receipt of each cell, in the same order; NAME.receipt.json speaks of NAME.parquet",
    )
    shared = parser.add_mutually_exclusive_group()
    shared.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="score the cells of the K-th of N jobs that share these, and give no receipts",
    )
    shared.add_argument(
        "--scored",
        nargs="+",
        metavar="FILE",
        help="marks of the jobs that have scored the cells: give receipts, and score nothing",
    )
    return parser


def _part(text: str) -> tuple[int, int]:
    part, parts = map(int, text.split("/"))
    if not 1 <= part <= parts:
        raise ValueError
    return part, parts


def _own(cells: Sequence[Cell], part: int, parts: int) -> list[Cell]:
    """The cells of the job that is number `part`, from 1, of those that share all."""
    works = [work_of(read_parquet(cell.questions, QUESTIONS)) for cell in cells]
    own = [cell for cell, its in zip(cells, split(works, parts), strict=True) if its == part - 1]
    print(f"part {part} of {parts}: {len(own)} of {len(cells)} cells", file=sys.stderr, flush=True)
    return own


def _budget(text: str) -> int | None:
    if text == "auto":
        return None
    if (value := int(text)) < 1:
        raise ValueError
    return value


def _score(
    cells: Sequence[Cell], model: dict[str, Any], arguments: argparse.Namespace, terminal: TextIO
) -> None:
    """Lease GPUs, load the checkpoint and fill the logit files of `cells`, one after the other."""
    tables = [read_parquet(cell.questions, QUESTIONS) for cell in cells]
    # Compute nodes often have no network, and the files are all here.
    os.environ["HF_HUB_OFFLINE"] = "1"
    gpus = 0 if arguments.device in ("cpu", "mps") else model["spec"].get("gpus", 1)
    with faults_of(cells[0].name):
        # Never unwound: the GPUs are others' when this process has let go of all it has on them.
        leased = lease(gpus, cells[0].name, ExitStack())
        show_only(leased)
        device = _device(arguments.device, leased)
        print(f"{cells[0].name}: loading {model['path']} on {device}", file=sys.stderr, flush=True)
        checkpoint = _load(model, arguments, gpus, device)
        backend, scorer = choose(
            checkpoint.model, checkpoint.device, arguments.token_budget, arguments.backend
        )
        if "chat_template" in model:
            tables = [
                put_in_words(str(cell.questions), asked, checkpoint.tokenizer, model)
                for cell, asked in zip(cells, tables, strict=True)
            ]
        from alignment_calibration.scoring.compiled import compiled_where_it_pays

        scorer = compiled_where_it_pays(scorer, tables)
        startup = time.perf_counter() - _STARTED
        later = sum(map(_questions, tables))
        for cell, questions in zip(cells, tables, strict=True):
            later -= _questions(questions)
            with faults_of(cell.name):
                score_cell(cell, questions, checkpoint, backend, scorer, startup, later, terminal)
            startup = 0.0  # counted once for the job


def _questions(table: "pa.Table") -> int:
    """How many questions a questions file has, with a row for each option."""
    return len(table["question_id"].unique())


def _device(name: str, leased: Sequence[str]) -> "torch.device":
    """The device to score on; only now is torch imported.

    Raises:
        UserError: if that is none of the GPUs which are leased, or a GPU that is not.
    """
    import torch

    from alignment_calibration.scoring.load import resolve_device

    device = resolve_device(name)
    if device.type == "cuda" and not leased:  # all jobs of this machine would meet on the first
        raise UserError(
            "torch sees a GPU that nvidia-smi does not list, so that it cannot be leased; name "
            "those of this machine, as in `export ALIGNMENT_CALIBRATION_GPUS=0,1`"
        )
    if leased and device.type != "cuda":  # days of work for a CPU, while nobody gets the GPUs
        raise UserError(
            f"{', '.join(leased)}: leased, but torch {torch.__version__} cannot use GPUs here (the "
            "driver too old for it, or a build for CPUs?); `scoring: {device: cpu}` scores without"
        )
    return device


def _load(
    model: dict[str, Any], arguments: argparse.Namespace, gpus: int, device: "torch.device"
) -> "Checkpoint":
    """Load the checkpoint onto the device."""
    import torch

    from alignment_calibration.scoring.load import load_checkpoint

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
