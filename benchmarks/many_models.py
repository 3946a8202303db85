"""Time and memory of the steps of a study of many models that lm-eval has scored.

    python -m benchmarks.many_models 50 150 500

Six tasks of 2,000 questions, three methods, four metrics, 2,000 resamples, each step in a process
of its own. The steps of one model and of one pair run on sample files that are made up for two
models. Those of the whole study run once for each number of models: on metrics that are made up,
and on the confidences and the multiverse of the two models, which stand for those of all. Prints a
table of CPU time and peak memory.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.calibration.reliability import write_reliability
from alignment_calibration.contract.calibration import MODEL_METRICS, MODEL_RELIABILITY
from alignment_calibration.contract.pairs import MULTIVERSE, PAIR_MULTIVERSE, PERMUTATIONS
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.files.logits import expected_identity, identified_cells
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.inputs.lm_eval_samples import (
    resolve_samples,
    write_sampled_cell,
    write_sampled_questions,
)
from alignment_calibration.inputs.sample_files import sample_files
from alignment_calibration.pairs.changes import write_changes
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.explanations import write_explanations
from alignment_calibration.pairs.multiverse import count_conclusions, pair_multiverse
from alignment_calibration.pairs.permutation_test import permutation_tests
from alignment_calibration.report.figures.step import write_figures
from alignment_calibration.report.registry import (
    FIGURES,
    TABLES,
    of_config,
    of_study,
    pages,
    reads_of,
)
from alignment_calibration.report.tables.step import write_tables
from alignment_calibration.study.config import load
from alignment_calibration.study.settings import Permuting, Primary, Resampling, Settings
from alignment_calibration.study.vocabulary import STAGES
from tests.support.made_samples import write_samples
from tests.support.study import ROOT

TASKS = [f"task_{number}" for number in range(6)]
#: The name of the lm-eval task that puts a task so.
PROMPTS = {"continuation": "{}", "choice": "{}_choice"}
CELLS = [(task, prompt) for task in TASKS for prompt in PROMPTS]
METHODS = ("choice", "continuation_mean_byte", "continuation_sum")
MEASURED = ("accuracy", "ece", "sce", "sce_ovr")
QUESTIONS = 2000
CHANGES = ("metrics", "reliability", "changes", "estimates", "rates_by_method",
           "alignment_effects", "pair_effects", "rank_probabilities", "rank_agreement",
           "rank_correlations")  # fmt: skip
EXPLANATIONS = ("remedies", "decomposition", "map_parts", "map_effects", "sce_audit")
WORKFLOW = ROOT / "workflow"


def config(models: int) -> dict[str, Any]:
    """The config of a study of so many models, each in one pair."""
    names = [f"model-{number:03}" for number in range(models)]
    study = {
        "study": "many",
        "models": {name: {"samples": f"runs/{name}"} for name in names},
        "pairs": {
            f"pair-{number:03}": dict(zip(STAGES, names[2 * number :], strict=False))
            for number in range(models // 2)
        },
        "tasks": {
            task: {prompt: name.format(task) for prompt, name in PROMPTS.items()} for task in TASKS
        },
        "methods": list(METHODS),
        "metrics": list(MEASURED),
    }
    return load([], study, WORKFLOW / "schemas" / "config.schema.yaml")


#: Of the two models whose samples are made up, and their pair.
TWO = config(2)
STATISTICS = TWO["statistics"]
(PAIR,) = TWO["pairs"]
SETTINGS = Settings.of(STATISTICS)
RESAMPLES = STATISTICS["resamples"]


# The steps of one model


def sampled_questions(folder: Path, model: str) -> None:
    for task, prompt in CELLS:
        files = samples_of(folder, model, task, prompt)
        write_sampled_questions(files, None, prompt, questions_file(folder, task, prompt))


def sampled_cells(folder: Path, model: str) -> None:
    files = [file for cell in CELLS for file in samples_of(folder, model, *cell).values()]
    record = folder / "models" / f"{model}.json"
    resolve_samples(model, TWO["models"][model], files, CELLS, record)
    for task, prompt in CELLS:
        questions = questions_file(folder, task, prompt)
        write_sampled_cell(
            files=samples_of(folder, model, task, prompt),
            limit=None,
            prompt=prompt,
            questions=questions,
            asked="the first model",
            identity=expected_identity(record, questions, {}),
            receipt=receipt_file(folder, model, task, prompt),
        )


def confidences(folder: Path, model: str) -> None:
    write_confidences(cells_of(folder, model), METHODS, confidences_of(folder, model))


def metrics(folder: Path, model: str) -> None:
    answers, drawn = confidences_of(folder, model), Resampling.of(STATISTICS)
    write_metrics(model, answers, MEASURED, SETTINGS, drawn, folder / "metrics.parquet")
    write_reliability(model, answers, SETTINGS, drawn, folder / "reliability.parquet")


# The steps of one pair


def permutations(folder: Path, pair: str) -> None:
    base, aligned = (confidences_of(folder, model) for model in TWO["pairs"][pair].values())
    contrasts = read_contrasts(pair, base, aligned, STATISTICS["resample"])
    found = permutation_tests(contrasts, MEASURED, SETTINGS, Permuting.of(STATISTICS))
    write_frame(folder / "permutations.parquet", found, PERMUTATIONS)


def multiverse_of_pair(folder: Path, pair: str) -> None:
    base, aligned = (cells_of(folder, model) for model in TWO["pairs"][pair].values())
    found = pair_multiverse(pair, base, aligned, STATISTICS["resample"])
    write_frame(folder / "multiverse.parquet", found, PAIR_MULTIVERSE)


# The steps of the whole study


def changes(folder: Path, models: str) -> None:
    study, place = config(int(models)), folder / models
    write_changes(
        metrics={model: place / "metrics" / f"{model}.parquet" for model in study["models"]},
        reliability={
            model: place / "reliability" / f"{model}.parquet" for model in study["models"]
        },
        pairs=study["pairs"],
        steps={},
        permutations=[place / "permutations" / f"{pair}.parquet" for pair in study["pairs"]],
        permuting=Permuting.of(STATISTICS),
        outputs={name: tidy_file(place, name) for name in CHANGES}
        | {f"{name}_csv": place / f"{name}.csv" for name in ("metrics", "changes")},
    )


def explanations(folder: Path, models: str) -> None:
    study, place = config(int(models)), folder / models
    two = itertools.cycle(confidences_of(folder, model) for model in TWO["models"])
    write_explanations(
        confidences=dict(zip(study["models"], two, strict=False)),
        pairs=study["pairs"],
        metrics=MEASURED,
        settings=SETTINGS,
        resample=STATISTICS["resample"],
        outputs={name: tidy_file(place, name) for name in EXPLANATIONS},
    )


def multiverse(folder: Path, models: str) -> None:
    place = folder / models
    parts = [read_frame(part, PAIR_MULTIVERSE) for part in sorted((place / "multiverse").iterdir())]
    write_frame(tidy_file(place, "multiverse"), count_conclusions(pd.concat(parts)), MULTIVERSE)


def tables(folder: Path, models: str) -> None:
    study, place = config(int(models)), folder / models
    made = of_study(of_config(TABLES, study, NOTHING_PUBLISHED), study["study"])
    tidy = {name: tidy_file(place, name) for name in reads_of(made, study["study"])}
    outputs = [
        place / "tables" / f"{name}.{suffix}"
        for name in made
        for suffix in ("csv", "html", "md", "tex")
    ]
    write_tables(tidy, Primary.of(STATISTICS["primary"]), outputs, notes=[])


def figures(folder: Path, models: str) -> None:
    study, place = config(int(models)), folder / models
    made = of_study(of_config(FIGURES, study, NOTHING_PUBLISHED), study["study"])
    values = {"pair": list(study["pairs"]), "task": TASKS, "method": study["methods"]}
    shown = list(pages(made, study["study"], values))
    write_figures(
        pages=shown,
        tidy={name: tidy_file(place, name) for name in reads_of(made, study["study"])},
        primary=Primary.of(STATISTICS["primary"]),
        templates=[WORKFLOW / "report" / f"{name}.rst" for name in made],
        notes=[],
        **{
            f"{form}s": [place / "figures" / f"{'/'.join(page)}.{form}" for page in shown]
            for form in ("pdf", "png", "caption", "html")
        },
    )


Step = Callable[[Path, str], None]
OF_MODEL: tuple[Step, ...] = (sampled_questions, sampled_cells, confidences, metrics)
OF_PAIR: tuple[Step, ...] = (permutations, multiverse_of_pair)
OF_STUDY: tuple[Step, ...] = (changes, explanations, multiverse, tables, figures)
NOTHING_PUBLISHED: dict[str, list[str]] = {"pair": [], "task": []}


# Their files


def samples_of(folder: Path, model: str, task: str, prompt: str) -> dict[str, Path]:
    return sample_files(str(folder / "runs" / model), [PROMPTS[prompt].format(task)])


def questions_file(folder: Path, task: str, prompt: str) -> Path:
    return folder / "questions" / task / f"{prompt}.parquet"


def receipt_file(folder: Path, model: str, task: str, prompt: str) -> Path:
    return folder / "logits" / model / task / f"{prompt}.receipt.json"


def cells_of(folder: Path, model: str) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    return identified_cells(
        CELLS,
        [str(receipt_file(folder, model, *cell)) for cell in CELLS],
        [str(questions_file(folder, *cell)) for cell in CELLS],
        str(folder / "models" / f"{model}.json"),
        {},
    )


def confidences_of(folder: Path, model: str) -> dict[str, Path]:
    return {task: folder / "confidences" / model / f"{task}.parquet" for task in TASKS}


def tidy_file(place: Path, name: str) -> Path:
    return place / f"{name}.parquet"


# What is made up


def measured(model: str, random: np.random.Generator) -> pd.DataFrame:
    """Made-up rows of MODEL_METRICS: values, and errors of the size that 2,000 questions leave."""
    keys = pd.MultiIndex.from_product(
        [TASKS, METHODS, MEASURED], names=["task", "method", "metric"]
    )
    value = 0.1 + 0.2 * random.random(len(keys))
    contributions = random.normal(0, 0.01 / QUESTIONS**0.5, (len(keys), QUESTIONS))
    replicates = value[:, None] + random.normal(0, 0.01, (len(keys), RESAMPLES))
    rows: pd.DataFrame = keys.to_frame(index=False).assign(
        model=model,
        value=value,
        ci_low=value - 0.02,
        ci_high=value + 0.02,
        debiased=value - 0.002,
        bias_low=-0.001,
        bias_high=0.001,
        contributions=list(contributions.astype(np.float32)),
        n=QUESTIONS,
        truncated=0,
        replicates=list(replicates.astype(np.float32)),
    )
    return rows.reindex(columns=MODEL_METRICS.names)


def diagram(model: str, random: np.random.Generator) -> pd.DataFrame:
    """Made-up rows of MODEL_RELIABILITY: 10 bins and a curve of 80 points."""
    parts = pd.Series(["bin"] * 10 + ["curve"] * 80, name="part")
    rows = pd.MultiIndex.from_product([TASKS, METHODS, parts], names=["task", "method", "part"])
    numbers = ["left", "right", "confidence", "accuracy", "low", "high", "questions"]
    columns = dict(zip(numbers, random.random((len(numbers), len(rows))), strict=True))
    frame: pd.DataFrame = rows.to_frame(index=False).assign(model=model, **columns)
    return frame.reindex(columns=MODEL_RELIABILITY.names)


def tests(pair: str, random: np.random.Generator) -> pd.DataFrame:
    """Made-up rows of PERMUTATIONS."""
    keys = pd.MultiIndex.from_product(
        [TASKS, METHODS, MEASURED], names=["task", "method", "metric"]
    )
    p_values = random.random(len(keys))
    rows = keys.to_frame(index=False).assign(pair=pair, p_exchangeable=p_values, truncated=0)
    return rows.reindex(columns=PERMUTATIONS.names)


def make(folder: Path, models: int) -> None:
    """Write what the steps of the whole study read, but for confidences."""
    random = np.random.default_rng(0)
    study, place = config(models), folder / str(models)
    questions = {task: dict.fromkeys(METHODS, "made up") for task in TASKS}
    of_pair = read_frame(folder / "multiverse.parquet", PAIR_MULTIVERSE)
    for model in study["models"]:
        rows = pa.Table.from_pandas(measured(model, random), MODEL_METRICS, preserve_index=False)
        path = place / "metrics" / f"{model}.parquet"
        write_parquet(path, rows, {"questions": questions})
        path = place / "reliability" / f"{model}.parquet"
        write_frame(path, diagram(model, random), MODEL_RELIABILITY)
    for pair in study["pairs"]:
        path = place / "permutations" / f"{pair}.parquet"
        write_frame(path, tests(pair, random), PERMUTATIONS)
        path = place / "multiverse" / f"{pair}.parquet"
        write_frame(path, of_pair.assign(pair=pair), PAIR_MULTIVERSE)


def measure(step: Step, folder: str, of: str) -> str:
    """What a step takes in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.many_models", "--run", step.__name__, folder, of]
    _, status, usage = os.wait4(subprocess.Popen(command, stdout=subprocess.DEVNULL).pid, 0)
    if status:
        sys.exit(status)
    return f"{usage.ru_utime + usage.ru_stime:.1f} s, {usage.ru_maxrss / 2**20:.2f} GiB"


def main(numbers: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for model, name in enumerate(TWO["models"]):
            for form in PROMPTS.values():
                for task in TASKS:
                    write_samples(Path(folder, "runs", name), form.format(task), QUESTIONS, model)
        for step in OF_MODEL:
            for name in TWO["models"]:
                taken = measure(step, folder, name)
            print(f"{step.__name__}, a model: {taken}", flush=True)
        for step in OF_PAIR:
            print(f"{step.__name__}, a pair: {measure(step, folder, PAIR)}", flush=True)
        for models in numbers:
            make(Path(folder), models)
            for step in OF_STUDY:
                taken = measure(step, folder, str(models))
                print(f"{step.__name__}, {models} models: {taken}", flush=True)
            shutil.rmtree(Path(folder, str(models)))


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        name, folder, of = sys.argv[2:]
        globals()[name](Path(folder), of)
    else:
        main([int(number) for number in sys.argv[1:]])
