"""How long do the statistics take? The section "Statistics" of docs/performance.md.

    OMP_NUM_THREADS=1 python -m benchmarks.calibration

Simulated models at the sizes of the paper's study: 14 models × 10 tasks × 3 methods, 34,653
questions per model. A job per model, and one per pair, as the workflow has them, on `--cores`
cores. Prints wall and CPU seconds, the most memory of a job, and the ratios of each metric's time
to that of other libraries on the same array.
"""

import argparse
import itertools
import resource
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from netcal.metrics import ECE, MCE
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from torchmetrics.functional.classification import (
    binary_auroc,
    multiclass_accuracy,
    multiclass_calibration_error,
)

from alignment_calibration.calibration.metrics.registry import METRICS, Metric, select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.resampling import bootstrap_weights
from alignment_calibration.pairs.multiverse import universes
from alignment_calibration.pairs.permutation_test import permutation_p_values
from alignment_calibration.study.settings import Permuting, Resampling, Settings
from tests.support.simulation import SETTINGS, simulate, simulate_pair

#: Questions and options of the study's tasks.
TASKS = {
    "arc_challenge": (1172, 4),
    "arc_easy": (2376, 4),
    "hellaswag": (10042, 4),
    "medmcqa": (4183, 4),
    "mmlu_humanities": (4705, 4),
    "mmlu_other": (3107, 4),
    "mmlu_social_sciences": (3077, 4),
    "mmlu_stem": (3153, 4),
    "piqa": (1838, 2),
    "sciq": (1000, 4),
}
METHODS = 3
READINGS = 5
MODELS = 14
PAIRS = 7
APART = ["smooth_ece", "auroc", "aurc"]


def cpu(function, *arguments):
    """CPU seconds of a call."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def memory():
    """The most memory this process had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure_model(seed, names, resamples):
    """Values and replicates of one model on all tasks, as the step `metrics` makes them."""
    names = select(names)
    for number, (task, (questions, options)) in enumerate(TASKS.items()):
        samples = [
            Sample(simulate(seed + 31 * number + method, questions, 0.7, options), names, SETTINGS)
            for method in range(METHODS)
        ]
        for sample in samples:
            sample.values()
        for weights in bootstrap_weights(task, questions, Resampling(0, resamples)):
            for sample in samples:
                sample.resampled(weights)


def permute_pair(seed, kind, permutations):
    """p-values of one pair on all tasks: of all metrics, or of the multiverse."""
    universes_of_cell: Sequence[tuple[Settings, Mapping[Any, Metric]]]
    if kind == "multiverse":
        universes_of_cell, cells_per_task = list(universes()), READINGS
    else:
        universes_of_cell, cells_per_task = [(SETTINGS, dict(METRICS))], METHODS
    for task, (questions, options) in TASKS.items():
        random = np.random.default_rng(seed)
        for _ in range(cells_per_task):
            pair = simulate_pair(random, questions, 1.0, 0.7, options=options)
            for settings, metrics in universes_of_cell:
                permutation_p_values(*pair, metrics, settings, task, Permuting(0, permutations))


def job(function, arguments):
    """CPU seconds and memory of a job, run in a process of its own."""
    return cpu(function, *arguments), memory()


def run_jobs(label, cores, function, arguments):
    """Run a job for each tuple of arguments; print what they took."""
    start = time.perf_counter()
    with ProcessPoolExecutor(cores, max_tasks_per_child=1) as pool:
        done = list(pool.map(job, itertools.repeat(function), arguments))
    wall = time.perf_counter() - start
    seconds, sizes = zip(*done, strict=True)
    print(
        f"  {label}: {wall:.0f} s, CPU {sum(seconds):.0f} s, at most {max(sizes):.2f} GB a job",
        flush=True,
    )


def matrix(models, pairs, resamples, permutations, cores):
    fast = [name for name in METRICS if name not in APART]
    print(f"{models} models, {resamples} resamples, {cores} cores:")
    for label, names in [
        ("drawing questions and simulating alone", []),
        ("means and fixed-bin metrics", fast),
        *((name, [name]) for name in APART),
        ("all metrics", list(METRICS)),
    ]:
        jobs = [(100 * model, names, resamples) for model in range(models)]
        run_jobs(label, cores, measure_model, jobs)
    print(f"{pairs} pairs, {permutations} permutations, {cores} cores:")
    for kind in ("all metrics", "multiverse"):
        of_pairs = [(7 * pair, kind, permutations) for pair in range(pairs)]
        run_jobs(kind, cores, permute_pair, of_pairs)


def median_time(function, repeats=50):
    function()
    return np.median([cpu(function) for _ in range(repeats)])


def compare():
    """Time of each metric that another library has, from probabilities and right options."""
    torch.set_num_threads(1)
    p = simulate(0, 14_042, 0.7)
    probabilities, gold = torch.tensor(p.probabilities), torch.tensor(p.gold)
    labels = range(4)

    def torch_auroc():
        confidence, predicted = probabilities.max(dim=1)
        return binary_auroc(confidence, predicted == gold)

    def sklearn_auroc():
        confidence, predicted = p.probabilities.max(axis=1), p.probabilities.argmax(axis=1)
        return roc_auc_score(predicted == p.gold, confidence)

    def torch_error(norm):
        return lambda: multiclass_calibration_error(probabilities, gold, 4, n_bins=15, norm=norm)

    others = [
        ("accuracy", "torchmetrics", lambda: multiclass_accuracy(probabilities, gold, 4, "micro")),
        ("ece", "torchmetrics", torch_error("l1")),
        ("ece", "netcal", lambda: ECE(15).measure(p.probabilities, p.gold)),
        ("mce", "torchmetrics", torch_error("max")),
        ("mce", "netcal", lambda: MCE(15).measure(p.probabilities, p.gold)),
        ("auroc", "torchmetrics", torch_auroc),
        ("auroc", "scikit-learn", sklearn_auroc),
        ("brier", "scikit-learn", lambda: brier_score_loss(p.gold, p.probabilities, labels=labels)),
        ("nll", "scikit-learn", lambda: log_loss(p.gold, p.probabilities, labels=labels)),
    ]
    print("One value from 14,042 questions of 4 options: time there / time here")
    for name, library, theirs in others:

        def ours(name=name):
            fresh = fixed_options(p.probabilities, p.gold)
            return Sample(fresh, select([name]), Settings(15, tace_threshold=0)).values()

        # Alternating, so that what else the machine does falls on both.
        ratios = [median_time(theirs, 20) / median_time(ours, 20) for _ in range(5)]
        print(f"  {name}, {library}: {np.median(ratios):.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--permutations", type=int, default=2000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--compare-only", action="store_true")
    arguments = parser.parse_args()
    compare()
    if not arguments.compare_only:
        matrix(
            arguments.models,
            arguments.pairs,
            arguments.resamples,
            arguments.permutations,
            arguments.cores,
        )


if __name__ == "__main__":
    main()
