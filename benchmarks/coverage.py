"""How often do intervals hold the truth, and tests reject it? The tables of docs/statistics.md.

    OMP_NUM_THREADS=1 python -m benchmarks.coverage

Simulated pairs of models (tests/support/simulation.py) have known changes; each trial draws
questions, takes the intervals of every metric and looks whether they hold the population's.
"""

import argparse
import itertools
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.resampling import Interval, bootstrap_weights, interval
from alignment_calibration.pairs.changes import rates
from alignment_calibration.pairs.permutation_test import permutation_p_values
from alignment_calibration.study.settings import Permuting, Resampling
from tests.support.simulation import SETTINGS, simulate_exchangeable_pair, simulate_pair

#: Temperatures of base and aligned model; 1 is calibrated, less is over-confident.
SCENARIOS = {
    "calibrated, calibrated": (1.0, 1.0),
    "calibrated, over-confident": (1.0, 0.6),
    "over-confident, more so": (0.7, 0.5),
    "over-confident, calibrated": (0.6, 1.0),
}
KINDS: tuple[Interval, ...] = ("percentile", "basic", "hull")
MEASURED = {name: metric for name, metric in METRICS.items() if not metric.letters_only}
POPULATION = 50_000
PARTS = 10


def population(temperatures):
    """Metrics of base and aligned model over half a million questions, summed in parts."""
    random = np.random.default_rng(10**9)
    reference = simulate_pair(random, POPULATION, *temperatures)
    sums: list[dict[Any, Any]] = [{}, {}]
    curves: list[dict[str, float]] = [{}, {}]
    for _ in range(PARTS):
        for stage, p in enumerate(simulate_pair(random, POPULATION, *temperatures)):
            sample = Sample(p, MEASURED, SETTINGS, reference=reference[stage])
            for tally, columns in sample.tallies.items():
                sums[stage][tally] = sums[stage].get(tally, 0) + columns.total()[None]
            for name, metric in MEASURED.items():
                if metric.curve:
                    value = metric.curve(p.confidence, p.correct, np.ones((1, POPULATION)))[0]
                    curves[stage][name] = curves[stage].get(name, 0) + value / PARTS
    return [
        {
            name: metric.formula(sums[stage][metric.tally])[0]
            if metric.formula
            else curves[stage][name]
            for name, metric in MEASURED.items()
        }
        for stage in (0, 1)
    ]


def trial(seed, temperatures, questions, resamples):
    """Values and replicates of base and aligned model, by metric."""
    pair = simulate_pair(np.random.default_rng(seed), questions, *temperatures)
    samples = [Sample(p, MEASURED, SETTINGS) for p in pair]
    blocks = [
        [sample.resampled(weights) for sample in samples]
        for weights in bootstrap_weights("coverage", questions, Resampling(seed, resamples))
    ]
    values = [sample.values() for sample in samples]
    replicates = [
        {name: np.concatenate([block[stage][name] for block in blocks]) for name in MEASURED}
        for stage in (0, 1)
    ]
    return values, replicates


def quantities(values, replicates, name):
    """The value of the aligned model, the change and its rate, each with its replicates."""
    (base, aligned), (of_base, of_aligned) = (
        [float(of_stage[name]) for of_stage in values],
        [np.asarray(of_stage[name], dtype=np.float64) for of_stage in replicates],
    )
    change, of_change = aligned - base, of_aligned - of_base
    rate = change / base if base else np.nan
    return {
        "value": (aligned, of_aligned),
        "change": (change, of_change),
        "rate": (rate, rates(of_change, of_base)),
    }


def cover(temperatures, questions, trials, resamples):
    """Share of trials whose interval holds the truth, by (quantity, metric, kind)."""
    truth = population(temperatures)
    held: dict[tuple[str, str, str], list[bool]] = {}
    for seed in range(trials):
        values, replicates = trial(seed, temperatures, questions, resamples)
        for name in MEASURED:
            true = quantities(truth, [{name: [0]}, {name: [0]}], name)
            for quantity, (value, drawn) in quantities(values, replicates, name).items():
                for kind in KINDS:
                    low, high = interval(value, drawn, kind)
                    held.setdefault((quantity, name, kind), []).append(
                        low <= true[quantity][0] <= high
                    )
    return {key: np.mean(found) for key, found in held.items()}


def size(seed, questions, permutations):
    """p-values of a pair whose models cannot be told apart, by metric."""
    pair = simulate_exchangeable_pair(np.random.default_rng(seed), questions)
    return permutation_p_values(*pair, MEASURED, SETTINGS, "size", Permuting(seed, permutations))


def print_sizes(trials, questions, permutations):
    tested = [size(seed, questions, permutations) for seed in range(trials)]
    print(f"\nshare of {trials} pairs of equal models with p ≤ 0.05, {questions} questions\n")
    for name in MEASURED:
        print(f"{name}: {np.mean([p_values[name] <= 0.05 for p_values in tested]):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=150, help="0: only the sizes of tests")
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--size-trials", type=int, default=300)
    parser.add_argument("--questions", type=int, nargs="+", default=[300, 1500])
    arguments = parser.parse_args()
    print_sizes(arguments.size_trials, 300, 199)
    if not arguments.trials:
        return
    settings = list(itertools.product(SCENARIOS, arguments.questions))
    with ProcessPoolExecutor(2) as pool:
        covered = pool.map(
            cover,
            [SCENARIOS[scenario] for scenario, _ in settings],
            [questions for _, questions in settings],
            itertools.repeat(arguments.trials),
            itertools.repeat(arguments.resamples),
        )
        found = dict(zip(settings, covered, strict=True))
    for quantity in ("change", "value", "rate"):
        print(f"\n{quantity}: coverage at {' / '.join(map(str, arguments.questions))} questions\n")
        print("| metric | interval |", " | ".join(SCENARIOS), "|")
        print("| --- " * (len(SCENARIOS) + 2) + "|")
        for name, metric in MEASURED.items():
            for kind in KINDS:
                cells = [
                    " / ".join(
                        f"{found[scenario, questions][quantity, name, kind]:.2f}"
                        for questions in arguments.questions
                    )
                    for scenario in SCENARIOS
                ]
                used = f"**{kind}**" if kind == metric.interval else kind
                print(f"| `{name}` | {used} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
