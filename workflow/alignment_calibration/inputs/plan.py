"""What a study will cost, before anything is submitted."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.sizes import Size
from alignment_calibration.inputs.sources import source_of
from alignment_calibration.study.config import Config
from alignment_calibration.study.vocabulary import prompts_of

#: The GPUs that `plan.gpu` names, with their peak in FLOP/s for 16-bit numbers without sparsity,
#: from the vendor's data sheets.
GPUS = {"A100": 312e12, "H100": 989e12, "L40S": 362e12, "V100": 125e12}

#: UTF-8 bytes per token of English text, about; counted tokens differ by model.
BYTES_PER_TOKEN = 4.0


@dataclass(frozen=True)
class Load:
    """The questions of one task and prompt; None where they are not made yet."""

    questions: int
    tokens: int


def load_of(questions: str | Path) -> Load | None:
    """Questions and tokens of a questions file: each context once, and every option.

    Tokens are bytes / BYTES_PER_TOKEN: no tokenizer is loaded, and each model has another.
    """
    if not Path(questions).exists():
        return None
    table = read_parquet(questions, QUESTIONS)
    contexts = set(zip(table["question_id"].to_pylist(), table["context"].to_pylist(), strict=True))
    texts = [context for _, context in contexts] + table["continuation"].to_pylist()
    tokens = sum(len(text.encode()) for text in texts) / BYTES_PER_TOKEN
    return Load(len(set(table["question_id"].to_pylist())), math.ceil(tokens))


def sizes(models: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, Size]:
    """Sizes of the models of a study, by slug.

    Args:
        models: spec of each.
        names: lm-eval tasks of the study.
    """
    return {slug: source_of(spec).size(spec, names) for slug, spec in models.items()}


def flops(weights: int, tokens: int) -> float:
    """Floating-point operations of a forward pass: two per weight and token (Kaplan et al. 2020,
    arXiv 2001.08361), attention's own part left out, which is small at these lengths."""
    return 2.0 * weights * tokens


def report(study: Config, results: str | Path) -> str:
    """The plan of a study as text: its models, its tasks, and what they cost together.

    Args:
        study: A checked config.
        results: Its folder of results, where its questions are if they are made.

    Raises:
        UserError: for damaged questions.
    """
    gpu, utilisation = study["plan"]["gpu"], study["plan"]["utilisation"]
    pairs = study["pairs"].values()
    used = sorted(
        {slug for pair in pairs for slug in pair.values()}.union(*study["ladders"].values())
    )
    prompts = prompts_of(study["methods"])
    cells = {
        (task, prompt): load_of(Path(results) / "questions" / task / f"{prompt}.parquet")
        for task, spec in study["tasks"].items()
        for prompt in prompts
        if spec[prompt]
    }
    names = sorted({name for task, prompt in cells for name in study["tasks"][task][prompt]})
    known = sizes({slug: study["models"][slug] for slug in used}, names)
    tokens = sum(load.tokens for load in cells.values() if load)
    costs = {slug: _cost(size, tokens, gpu, utilisation) for slug, size in known.items()}
    models = columns(
        ["model", "GPUs", "weights", "on disk", "download", "FLOP", f"{gpu} hours", "note"],
        [
            [slug, study["models"][slug].get("gpus", 0), _count(size.weights), _bytes(size.disk),
             _bytes(size.download), *costs[slug][1], size.note]
            for slug, size in known.items()
        ],
    )  # fmt: skip
    tasks = columns(
        ["task", "prompt", "questions", "tokens"],
        [
            [task, prompt, load.questions if load else "not made", load.tokens if load else "?"]
            for (task, prompt), load in cells.items()
        ],
    )
    hours = sum(cost for cost, _ in costs.values() if cost is not None)
    unknown = sum(load is None for load in cells.values())
    lines = [
        f"study {study['study']}: {len(used)} models × {len(cells)} task prompts = "
        f"{len(used) * len(cells)} cells",
        "",
        tasks,
        "",
        models,
        "",
        f"{hours:.2g} {gpu} hours at {utilisation:.0%} of its {GPUS[gpu] / 1e12:.0f} TFLOP/s, "
        "loading left out",
        f"{_bytes(_sum(size.download for size in known.values()))} to download, "
        f"{_bytes(_sum(size.disk for size in known.values()))} of checkpoints on disk",
        f"tokens are UTF-8 bytes / {BYTES_PER_TOKEN:g}; each context is counted once",
    ]
    if unknown:
        lines.append(
            f"{unknown} of {len(cells)} task prompts are not counted; make their questions with "
            "`snakemake all_questions`"
        )
    gaps = [slug for slug, size in known.items() if size.weights is None]
    if gaps:
        lines.append(f"not counted, since their size is not known: {', '.join(gaps)}")
    return "\n".join(lines) + "\n"


def _cost(
    size: Size, tokens: int, gpu: str, utilisation: float
) -> tuple[float | None, tuple[str, str]]:
    if size.weights is None or tokens == 0:
        return None, ("?", "?")
    work = flops(size.weights, tokens)
    hours = work / (GPUS[gpu] * utilisation) / 3600
    return hours, (f"{work:.2g}", f"{hours:.2g}")


def _sum(values: Iterable[int | None]) -> int:
    return sum(value for value in values if value is not None)


def _count(value: int | None) -> str:
    return _scaled(value, [("B", 1e9), ("M", 1e6)])


def _bytes(value: int | None) -> str:
    return _scaled(value, [("TB", 1e12), ("GB", 1e9), ("MB", 1e6)])


def _scaled(value: int | None, units: Sequence[tuple[str, float]]) -> str:
    if value is None:
        return "?"
    unit, size = next((u for u in units if value >= u[1]), units[-1])
    return f"{value / size:.1f} {unit}"


def columns(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows below their titles, in columns as wide as they need to be."""
    lines = [list(titles), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
