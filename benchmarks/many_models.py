"""Time and memory of the step `changes` of a study of many models.

    python -m benchmarks.many_models 50 150 500

Makes up the metrics of so many models on six tasks of 2,000 questions (three methods, four
metrics, 2,000 resamples), runs the step on them in a process of its own, and prints CPU time and
peak memory.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment_calibration.contract.calibration import MODEL_METRICS, MODEL_RELIABILITY
from alignment_calibration.contract.pairs import PERMUTATIONS
from alignment_calibration.files.frames import write_frame
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.pairs.changes import write_changes
from alignment_calibration.study.settings import Permuting

TASKS = [f"task_{number}" for number in range(6)]
METHODS = ("choice", "continuation_min", "continuation_sum")
MEASURED = ("accuracy", "ece", "sce", "sce_ovr")
QUESTIONS = 2000
RESAMPLES = 2000
OUTPUTS = {
    **{f"{name}_csv": f"{name}.csv" for name in ("metrics", "changes")},
    **{
        name: f"{name}.parquet"
        for name in ("metrics", "reliability", "changes", "estimates", "alignment_effects",
                     "rates_by_method", "pair_effects", "rank_probabilities", "rank_agreement",
                     "rank_correlations")
    },
}  # fmt: skip


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
    """Write what the step reads: pairs of models, each model in one."""
    random = np.random.default_rng(0)
    questions = {task: dict.fromkeys(METHODS, "made up") for task in TASKS}
    for number in range(models):
        model = f"model-{number:03}"
        rows = pa.Table.from_pandas(measured(model, random), MODEL_METRICS, preserve_index=False)
        write_parquet(folder / "metrics" / f"{model}.parquet", rows, {"questions": questions})
        path = folder / "reliability" / f"{model}.parquet"
        write_frame(path, diagram(model, random), MODEL_RELIABILITY)
    for number in range(models // 2):
        pair = f"pair-{number:03}"
        path = folder / "permutations" / f"{pair}.parquet"
        write_frame(path, tests(pair, random), PERMUTATIONS)


def run(folder: Path) -> None:
    """The step, on what `make` wrote."""
    metrics, reliability, permutations = (
        {path.stem: path for path in sorted((folder / name).iterdir())}
        for name in ("metrics", "reliability", "permutations")
    )
    models = iter(metrics)
    write_changes(
        metrics=metrics,
        reliability=reliability,
        pairs={pair: {"base": next(models), "aligned": next(models)} for pair in permutations},
        steps={},
        permutations=list(map(str, permutations.values())),
        permuting=Permuting(permutations=2000, seed=0),
        outputs={name: folder / file for name, file in OUTPUTS.items()},
    )


def measure(models: int) -> str:
    """What the step takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), models)
        step = subprocess.Popen([sys.executable, "-m", "benchmarks.many_models", "--run", folder])
        _, status, usage = os.wait4(step.pid, 0)
    if status:
        sys.exit(status)
    seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20
    return f"{models} models: CPU {seconds:.0f} s, {peak:.2f} GiB"


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        run(Path(sys.argv[2]))
    else:
        for number in map(int, sys.argv[1:]):
            print(measure(number), flush=True)
