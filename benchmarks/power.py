"""What `snakemake plan` assumes of the spread of changes before a study is finished.

    OMP_NUM_THREADS=1 python -m benchmarks.power

Of the pairs of models that `benchmarks/bias_aware.py` simulates, the least favourable one for each
metric.
"""

import argparse

import numpy as np

from alignment_calibration.calibration.estimates import change
from alignment_calibration.pairs.power import Spread
from benchmarks.bias_aware import ERRORS, MEANS, SCENARIOS, SIZES, contrasts, table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--questions", type=int, default=1000)
    arguments = parser.parse_args()
    count, trials = arguments.questions, arguments.trials
    names = (*ERRORS, *MEANS)
    spreads: dict[str, dict[str, Spread]] = {name: {} for name in names}
    for seed, (scenario, (base, aligned, options)) in enumerate(SCENARIOS.items()):
        drawn = list(contrasts(700 + seed, base, aligned, options, count, trials, names))
        for name in names:
            moved = [change(b[name], a[name]) for b, a in drawn]
            spreads[name][scenario] = Spread(
                np.mean([m.standard_error for m in moved]) * np.sqrt(count),
                np.mean([m.bias_high - m.bias_low for m in moved]) * np.sqrt(count),
            )
    rows = []
    for name, of_name in spreads.items():
        widest = max(of_name, key=lambda scenario: of_name[scenario].mde(count))
        spread = of_name[widest]
        rows.append(
            [f"`{name}`", widest, f"{spread.deviation:.2f}", f"{spread.bias_width:.2f}"]
            + [f"{spread.mde(size):.3f}" for size in SIZES]
            + [f"{spread.questions_for(0.02):,}"]
        )
    table(
        f"the least favourable pair of models at {count} questions",
        ["metric", "base → aligned", "deviation", "bias width"]
        + [f"mde at {size}" for size in SIZES]
        + ["questions for 0.02"],
        rows,
    )


if __name__ == "__main__":
    main()
