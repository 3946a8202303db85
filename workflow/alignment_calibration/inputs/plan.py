"""What a study will cost, before anything is submitted."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.logits import run_record
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.sizes import BYTES_PER_TOKEN, Size
from alignment_calibration.inputs.sources import source_of
from alignment_calibration.study.config import Config
from alignment_calibration.study.ladders import same_checkpoint
from alignment_calibration.study.vocabulary import CHOICE, PROMPTS, prompts_of

#: The GPUs that `plan.gpu` names, by the word that torch's name of them has, with their peak in
#: FLOP/s for 16-bit numbers without sparsity, from the vendor's data sheets (of SXM modules, where
#: there are any).
GPUS = {
    "A100": 312e12,
    "A6000": 154.8e12,
    "B200": 2250e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "V100": 125e12,
}


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


def flops(weights: int, tokens: float) -> float:
    """Floating-point operations of a forward pass: two per weight and token (Kaplan et al. 2020,
    arXiv 2001.08361), attention's own part left out, which is small at these lengths."""
    return 2.0 * weights * tokens


@dataclass(frozen=True)
class Cell:
    """A finished cell whose run was recorded on the GPU of the plan.

    Attributes:
        weights: of its model.
        counted: tokens of its questions, as `load_of` counts them.
        computed: tokens that went through the model.
        seconds: it took, times the GPUs that it held.
    """

    weights: int
    counted: int
    computed: int
    seconds: float


@dataclass(frozen=True)
class Speed:
    """How fast cells of a kind are scored.

    Attributes:
        utilisation: share of the GPU's peak that is reached.
        computed: tokens that go through the model for each that is counted: less than 1 where
            questions share worked examples, more where a chat template adds its own.
        source: where the two come from.
    """

    utilisation: float
    computed: float
    source: str


def speed_of(cells: Sequence[Cell], peak: float, assumed: float) -> Speed:
    """The speed that finished cells had together; without one, the assumed utilisation.

    Args:
        cells: of one kind.
        peak: of the GPU, in FLOP/s.
        assumed: share of the peak.
    """
    if not cells:
        return Speed(assumed, 1.0, "assumed")
    work = sum(flops(cell.weights, cell.computed) for cell in cells)
    return Speed(
        work / peak / sum(cell.seconds for cell in cells),
        sum(cell.computed for cell in cells) / sum(cell.counted for cell in cells),
        f"measured, {len(cells)} cell{'s' * (len(cells) > 1)}",
    )


def gpu_of(device: str) -> str | None:
    """The key of `GPUS` for a device's name, as torch gives it; None for others."""
    words = re.findall(r"\w+", device)
    return next((gpu for gpu in GPUS if gpu in words), None)


def kind_of(prompt: str) -> str:
    """What is counted apart: letters, single tokens that are read and not computed, and text."""
    return "letters" if PROMPTS[prompt] == CHOICE else "text"


def report(study: Config, results: str | Path) -> str:
    """The plan of a study as text: its models, its tasks, and what they cost together.

    Args:
        study: A checked config.
        results: Its folder of results, where its questions are if they are made.

    Raises:
        UserError: for damaged questions.
    """
    gpu, peak = study["plan"]["gpu"], GPUS[study["plan"]["gpu"]]
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
    specs = {slug: study["models"][slug] for slug in used}
    known = sizes(specs, names)
    kinds = list(dict.fromkeys(map(kind_of, prompts)))
    tokens = dict.fromkeys(kinds, 0)
    finished: dict[str, list[Cell]] = {kind: [] for kind in kinds}
    for (task, prompt), load in cells.items():
        if load:
            tokens[kind_of(prompt)] += load.tokens
            place = f"{task}/{prompt}.receipt.json"
            finished[kind_of(prompt)] += _finished(specs, known, Path(results), place, load, gpu)
    speeds = {kind: speed_of(finished[kind], peak, study["plan"]["utilisation"]) for kind in kinds}
    computed = {kind: tokens[kind] * speeds[kind].computed for kind in kinds}
    # GPU seconds for each weight of a model.
    seconds = {kind: flops(1, computed[kind]) / (peak * speeds[kind].utilisation) for kind in kinds}
    weights = _sum(size.weights for size in known.values())
    ready = any(tokens.values())
    models = columns(
        ["model", "GPUs", "weights", "on disk", "download", "FLOP", f"{gpu} hours", "note"],
        [
            [slug, specs[slug].get("gpus", 0), _count(size.weights), _bytes(size.disk),
             _bytes(size.download),
             *(["?", "?"] if size.weights is None or not ready else
               [f"{flops(size.weights, sum(computed.values())):.2g}",
                _hours(size.weights * sum(seconds.values()))]),
             size.note]
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
    by_kind = columns(
        ["prompts", "tokens", "computed", "of the peak", f"{gpu} hours", "speed"],
        [
            [kind, tokens[kind], f"× {speed.computed:.3g}", f"{speed.utilisation:.2g}",
             _hours(weights * seconds[kind]), speed.source]
            for kind, speed in speeds.items()
        ],
    )  # fmt: skip
    checkpoints = [
        size
        for place, (slug, size) in enumerate(known.items())
        if not any(same_checkpoint(specs[slug], specs[other]) for other in used[:place])
    ]
    unknown = sum(load is None for load in cells.values())
    lines = [
        f"study {study['study']}: {len(used)} models × {len(cells)} task prompts = "
        f"{len(used) * len(cells)} cells",
        "",
        tasks,
        "",
        models,
        "",
        by_kind,
        "",
        f"{_hours(weights * sum(seconds.values()))} {gpu} hours, of a peak of "
        f"{peak / 1e12:g} TFLOP/s; loading left out",
        f"{_bytes(_sum(size.download for size in checkpoints))} to download, "
        f"{_bytes(_sum(size.disk for size in checkpoints))} of checkpoints on disk",
        f"tokens are UTF-8 bytes / {BYTES_PER_TOKEN:g}; each context is counted once",
    ]
    if unknown:
        lines.append(
            f"{unknown} of {len(cells)} task prompts are not counted; make their questions with "
            "`snakemake all_questions --cores 1`"
        )
    gaps = [slug for slug, size in known.items() if size.weights is None]
    if gaps:
        lines.append(f"not counted, since their size is not known: {', '.join(gaps)}")
    return "\n".join(lines) + "\n"


def _finished(
    specs: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Size],
    results: Path,
    place: str,
    load: Load,
    gpu: str,
) -> Iterator[Cell]:
    """The cells of one task and prompt that were scored on this GPU, as far as records are left."""
    for slug, size in known.items():
        receipt = results / "logits" / slug / place
        record = run_record(receipt) if receipt.exists() else None
        if record is None or not size.weights or gpu_of(record["device"]) != gpu:
            continue
        seconds = record["seconds"] * specs[slug]["gpus"]
        yield Cell(size.weights, load.tokens, record["tokens_computed"], seconds)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2g}"


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
