"""Do the intervals of remedies, decomposition and SCE audit hold the truth? For docs/statistics.md.

    OMP_NUM_THREADS=1 python -m benchmarks.explanations

Pairs of simulated models (tests/support/gaussian_models.py) whose labels have a known posterior.
The truth of a remedied model is that of the temperatures, or means, that were fitted.
"""

import argparse
import functools
from collections import defaultdict
from typing import Any

import numpy as np

from alignment_calibration.calibration.bias_aware import added_gaps, estimate
from alignment_calibration.calibration.estimates import change, of_mean, ratio_interval
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from alignment_calibration.calibration.sce_audit import closed_form, larger_interval
from alignment_calibration.pairs.decomposition import contributions_of, parts
from alignment_calibration.pairs.remedies import remedies_of, with_base_confidence
from alignment_calibration.pairs.temperature import (
    at_temperature,
    calibrate_by_answers,
    calibrate_by_base,
)
from tests.support.gaussian_models import SHARED, Model, expected, separation, tallied
from tests.support.simulation import SETTINGS, answers, softmax

NAMES = ("ece", "sce")
OPTIONS = 4
LEANING = np.array([0.8, 0.0, 0.0, -0.6])
NOTHING = np.zeros(OPTIONS)
#: Base and aligned model, and how the aligned one leans towards letters, in nats.
SCENARIOS = {
    "calibrated, both": (Model(0.65), Model(0.65), NOTHING),
    "calibrated → over": (Model(0.61), Model(0.66, 0.6), NOTHING),
    "over → more so": (Model(0.61, 0.7), Model(0.66, 0.5), NOTHING),
    "calibrated → over and leaning": (Model(0.61), Model(0.66, 0.6), LEANING),
}
SIZES = (200, 1000)
LARGE = 300_000
#: Of each trial's own truth.
MANY = 20_000


class Pair:
    """Predictions of two models of the same questions, with the posteriors of the label.

    Attributes:
        models: base and aligned predictions.
        own: shape (2, N, K); posterior given what one model saw.
        joint: shape (N, K); given what both saw.
    """

    def __init__(self, random, count, base, aligned, lean):
        gold = random.integers(OPTIONS, size=count)
        noise = random.standard_normal((count, OPTIONS))
        separations = np.array([separation(m.accuracy, OPTIONS) for m in (base, aligned)])
        seen = np.sqrt(SHARED) * noise + np.sqrt(1 - SHARED) * random.standard_normal(
            (2, count, OPTIONS)
        )
        seen[:, np.arange(count), gold] += separations[:, None]
        weights = np.linalg.solve([[1, SHARED], [SHARED, 1]], separations)
        self.joint = softmax(np.einsum("m,mnk->nk", weights, seen))
        self.own = [softmax(d * x) for d, x in zip(separations, seen, strict=True)]
        leans = (NOTHING, lean)
        self.models = [
            fixed_options(softmax(np.log(p) / model.temperature + toward), gold)
            for p, model, toward in zip(self.own, (base, aligned), leans, strict=True)
        ]


def signed(predictions, posterior, name):
    """The true signed gaps of the bins of an error, shape (C,)."""
    return added_gaps(*expected(predictions, posterior, name)).mean_gaps


@functools.cache
def population(scenario):
    """A large pair, and its true errors, numbers of BaseCal and parts."""
    pair = Pair(np.random.default_rng(10**9), LARGE, *SCENARIOS[scenario])
    found: dict[str, Any] = {}
    for name in NAMES:
        gaps = [signed(model, p, name) for model, p in zip(pair.models, pair.own, strict=True)]
        found[name] = [float(np.abs(g).sum()) for g in gaps]
        found[f"parts of {name}"] = true_parts(
            pair, name, [np.where(np.abs(g) < 1e-9, 0, np.sign(g)) for g in gaps]
        )
    remedied = with_base_confidence(*pair.models)
    found["basecal"] = float(np.abs(signed(remedied, pair.joint, "ece")).sum())
    found["temperatures"] = [
        calibrate_by_answers(answers(model))[1].value for model in pair.models
    ] + [calibrate_by_base(*pair.models)[1].value]
    found["closed form"] = [
        float(closed_form(OPTIONS, own.max(axis=1).mean(), model.confidence.mean()))
        if not lean.any()
        else np.nan
        for own, model, lean in zip(
            pair.own, pair.models, (NOTHING, SCENARIOS[scenario][2]), strict=True
        )
    ]
    return found


def true_parts(pair, name, signs):
    """Contributions of parts to the true change of an error, by split and part."""
    found = defaultdict(float)
    for label in range(OPTIONS):
        gold = np.full(LARGE, label)
        models = [Predictions(m.probabilities, m.options, gold) for m in pair.models]
        members = parts(*models)
        for model, sign, of_stage in zip(models, signs, (-1, 1), strict=True):
            added = added_gaps(*tallied(model, name))
            for split, of_split in members.items():
                for part, rows in of_split.items():
                    weight = (pair.joint[:, label] * rows)[:, None]
                    means = added.means(added.gaps * weight)
                    found[split, part] += of_stage * float(sign @ means)
    return found


def holds(held, key, interval, true):
    low, high = interval
    if not np.isnan(low):
        held[key].append(low <= true <= high)


def remedied(held, scenario, pair, random):
    """The intervals of the remedies of one pair."""
    true, many = population(scenario), Pair(random, MANY, *SCENARIOS[scenario])
    given = [answers(model) for model in pair.models]
    before = [{n: estimate(*tallied(m, n)) for n in NAMES} for m in pair.models]
    for name, remedy in remedies_of("choice").items():
        found = remedy.apply(*given)
        for metric in remedy.metrics({n: METRICS[n] for n in NAMES}):
            truths = true_errors(true, many, pair, name, found, metric)
            after = [estimate(*tallied(m, metric)) for m in (found.base, found.aligned)]
            was = change(before[0][metric], before[1][metric])
            became = change(after[0], after[1])
            change_before = true[metric][1] - true[metric][0]
            change_after = truths[1] - truths[0]
            key = (name, metric)
            holds(held, (*key, "aligned_after"), after[1].interval(), truths[1])
            holds(held, (*key, "change_after"), became.interval(), change_after)
            holds(
                held,
                (*key, "aligned_effect"),
                change(before[1][metric], after[1]).interval(),
                truths[1] - true[metric][1],
            )
            if change_before > 1e-9:
                left = ratio_interval(became, was)
                holds(held, (*key, "removed"), left, change_after / change_before)
    temperatures = [calibrate_by_answers(of_model)[1] for of_model in given]
    temperatures.append(calibrate_by_base(*pair.models)[1])
    for label, fitted, true_t in zip(
        ("base", "aligned", "daca"), temperatures, true["temperatures"], strict=True
    ):
        holds(held, ("temperature", "T", label), fitted.interval(), true_t)


def true_errors(true, many, pair, name, found, metric):
    """True errors of base and aligned model under the remedy as it was fitted."""
    if name == "basecal":
        return [true["ece"][0], true["basecal"]]
    errors = []
    for stage, (model, after) in enumerate(
        zip(pair.models, (found.base, found.aligned), strict=True)
    ):
        if after is model:
            errors.append(true[metric][stage])
            continue
        other = many.models[stage]
        if name == "batch":
            lean = model.log_probabilities.mean(axis=0)
            variants = [(1.0, other.with_scores(other.log_probabilities - lean))]
        else:  # the temperatures of the questions, by what they made of the odds
            odds = [p.log_probabilities[:, 0] - p.log_probabilities[:, 1] for p in (model, after)]
            used, counts = np.unique(np.round(odds[0] / odds[1], 6), return_counts=True)
            variants = [
                (count / len(model), at_temperature(other, t))
                for t, count in zip(used, counts, strict=True)
            ]
        gaps = sum(share * signed(p, many.own[stage], metric) for share, p in variants)
        errors.append(float(np.abs(gaps).sum()))
    return errors


def decomposed(held, scenario, pair):
    """The intervals of the parts of one pair's changes."""
    chosen = {name: METRICS[name] for name in NAMES}
    samples = [Sample(model, chosen, SETTINGS) for model in pair.models]
    members = parts(*pair.models)
    before, after = (contributions_of(sample, members) for sample in samples)
    for key, contributed in before.items():
        metric, split, part = key
        true = population(scenario)[f"parts of {metric}"][split, part]
        holds(held, key, change(contributed, after[key]).interval(), true)


def audited(held, scenario, pair):
    for stage, (model, true) in enumerate(
        zip(pair.models, population(scenario)["closed form"], strict=True)
    ):
        ends = larger_interval(of_mean(model.correct), of_mean(model.confidence))
        if not np.isnan(true):
            held_ends = tuple(float(closed_form(OPTIONS, end, end)) for end in ends)
            holds(held, ("closed form", ("base", "aligned")[stage], ""), held_ends, true)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    arguments = parser.parse_args()
    held = {}
    for scenario in arguments.scenarios:
        for size in SIZES:
            of_size = held[scenario, size] = defaultdict(list)
            for trial in range(arguments.trials):
                random = np.random.default_rng([7, size, trial])
                pair = Pair(random, size, *SCENARIOS[scenario])
                remedied(of_size, scenario, pair, random)
                decomposed(of_size, scenario, pair)
                audited(of_size, scenario, pair)
    keys = dict.fromkeys(key for of_size in held.values() for key in of_size)
    print("coverage at " + " / ".join(map(str, SIZES)) + " questions (of so many trials)\n")
    print(f"| | {' | '.join(arguments.scenarios)} | least |")
    print("| --- |" + " --- |" * (len(arguments.scenarios) + 1))
    for key in keys:
        cells, shares = [], []
        for scenario in arguments.scenarios:
            found = [held[scenario, size][key] for size in SIZES]
            shares += [np.mean(each) for each in found if len(each) >= 100]
            texts = [
                (f"{np.mean(each):.2f}" if each else "–")
                + (f" ({len(each)})" if 0 < len(each) < arguments.trials else "")
                for each in found
            ]
            cells.append(" / ".join(texts))
        least = f"{min(shares):.2f}" if shares else "–"
        print(f"| {' '.join(map(str, key))} | {' | '.join(cells)} | {least} |")


if __name__ == "__main__":
    main()
