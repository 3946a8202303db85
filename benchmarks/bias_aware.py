"""Do bias-aware intervals hold the truth, and do tests reject it? Tables of docs/statistics.md.

    OMP_NUM_THREADS=1 python -m benchmarks.bias_aware

Simulated models (tests/support/gaussian_models.py) of unequal accuracy have known calibration
errors. The sections: `errors` (changes, rates and values of one pair on one task), `equal` (pairs
of equal error: how often a change is found), `resampled` (changes, rates and values of metrics
without an estimate), `few_wrong` (values of models that are nearly always right), `tasks` and
`pairs` (means, of `--questions` a task), `map` (accuracy told apart), `claims` (Holm over 70
contrasts), `cost` (processor time).
"""

import argparse
import functools
import time
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import (
    Estimate,
    change,
    holm,
    mean_over_tasks,
    of_mean,
    rate_interval,
)
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import fixed_options
from alignment_calibration.calibration.resampling import bootstrap_weights, interval, significant
from alignment_calibration.pairs.changes import rates
from alignment_calibration.pairs.map_change import split
from alignment_calibration.pairs.map_parts import reach
from alignment_calibration.pairs.mean_estimates import mean_over_pairs
from alignment_calibration.pairs.rate_tests import rate_excess
from alignment_calibration.study.settings import Resampling
from tests.support.gaussian_models import (
    Model,
    answer,
    at_temperature,
    draw_questions,
    errors,
    expected,
    posterior,
    tallied,
)
from tests.support.simulation import SETTINGS, draw_gold

#: `ece_debiased` estimates what `ece` does: its interval is the same.
ERRORS = tuple(name for name, metric in METRICS.items() if metric.gaps and name != "ece_debiased")
MEANS = {
    "accuracy": "correct",
    "confidence": "confidence",
    "brier": "squared_error",
    "nll": "log_loss",
}
#: Base and aligned model, options.
SCENARIOS = {
    "calibrated, both": (Model(0.65), Model(0.65), 4),
    "calibrated, .55 → .75": (Model(0.55), Model(0.75), 4),
    "calibrated → over": (Model(0.61), Model(0.66, 0.6), 4),
    "over → calibrated, .55 → .75": (Model(0.55, 0.6), Model(0.75), 4),
    "over → more so": (Model(0.61, 0.7), Model(0.66, 0.5), 4),
    "under → over": (Model(0.61, 1.6), Model(0.66, 0.6), 4),
    "calibrated → over, .95": (Model(0.95), Model(0.95, 0.6), 4),
    "two options": (Model(0.7), Model(0.8, 0.6), 2),
    "five options": (Model(0.5, 0.6), Model(0.7), 5),
}
SIZES = (200, 1000, 5000)
LARGE = 200_000


def measured(predictions, names):
    """Estimates of errors and means of one model."""
    found = {}
    for name in names:
        if name in MEANS:
            found[name] = of_mean(getattr(predictions, MEANS[name]))
        else:
            found[name] = estimate(*tallied(predictions, name))
    return found


@functools.cache
def truth(model, options):
    """True errors and means of a model; an error of less than 1e-9 is 0."""
    random = np.random.default_rng(10**9)
    p = posterior(random, draw_questions(random, LARGE, options), model.accuracy)
    said = at_temperature(p, model.temperature)
    found = errors(ERRORS, model, options, LARGE)
    return {name: 0.0 if value < 1e-9 else value for name, value in found.items()} | {
        "accuracy": model.accuracy,
        "confidence": said.max(axis=1).mean(),
        "brier": ((said**2).sum(axis=1) - 2 * (said * p).sum(axis=1) + 1).mean(),
        "nll": -(p * np.log(said)).sum(axis=1).mean(),
    }


def contrasts(seed, base, aligned, options, questions, trials, names):
    """For every trial the estimates of base and aligned model, by name."""
    for trial in range(trials):
        random = np.random.default_rng([seed, questions, trial])
        asked = draw_questions(random, questions, options)
        yield [measured(answer(random, asked, model), names) for model in (base, aligned)]


def holds(interval, true):
    """Whether an interval, maybe without upper end, holds a number, maybe infinite."""
    low, high = interval
    return low <= true and (np.isnan(high) or true <= high)


def table(title, head, rows):
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for row in rows:
        print("|", " | ".join(row), "|", flush=True)


def slashed(numbers, digits=2):
    return " / ".join("–" if np.isnan(number) else f"{number:.{digits}f}" for number in numbers)


def print_errors(trials):
    names = (*ERRORS, *MEANS)
    held: dict[Any, Any] = {}
    widths: dict[Any, Any] = {}
    found: dict[Any, Any] = {}
    signs = 0
    for number, (scenario, (base, aligned, options)) in enumerate(SCENARIOS.items()):
        true = [truth(model, options) for model in (base, aligned)]
        for questions in SIZES:
            drawn = contrasts(number, base, aligned, options, questions, trials, names)
            for of_base, of_aligned in drawn:
                for name in names:
                    key = name, scenario, questions
                    before, after = true[0][name], true[1][name]
                    moved = change(of_base[name], of_aligned[name])
                    rate = rate_interval(of_base[name], of_aligned[name])
                    low, high = moved.interval()
                    signs += (low > 0) != (rate[0] > 0) or (high < 0) != (rate[1] < 0)
                    held.setdefault(("change", *key), []).append(holds((low, high), after - before))
                    held.setdefault(("value", *key), []).append(
                        holds(of_aligned[name].interval(), after)
                    )
                    held.setdefault(("rate", *key), []).append(
                        holds(rate, after / before - 1 if before else np.inf)
                        if before or after
                        else np.nan
                    )
                    plain = 2 * 1.96 * moved.standard_error
                    widths.setdefault(key, []).append((high - low, plain, moved.mde))
                    found.setdefault(key, []).append(low > 0 or high < 0)
    head = ["base → aligned", *(f"`{name}`" for name in names)]
    for quantity in ("change", "rate", "value"):
        shares = {
            key[1:]: np.mean(of_trials) for key, of_trials in held.items() if key[0] == quantity
        }
        rows = [
            [s, *(slashed([shares[name, s, n] for n in SIZES]) for name in names)]
            for s in SCENARIOS
        ]
        least = [
            slashed([np.nanmin([shares[name, s, n] for s in SCENARIOS for n in SIZES])])
            for name in names
        ]
        table(
            f"{quantity}: coverage at {' / '.join(map(str, SIZES))} questions, {trials} trials",
            head,
            [*rows, ["least", *least]],
        )
    print("\n1000 questions: mean width of the change's interval (of ± 1.96 errors; mde)")
    table(
        "the price",
        head,
        [
            [
                s,
                *(
                    "{:.3f} ({:.3f}; {:.3f})".format(*np.mean(widths[name, s, 1000], axis=0))
                    for name in names
                ),
            ]
            for s in SCENARIOS
        ],
    )
    table(
        "share of trials in which a change is found",
        head,
        [
            [s, *(slashed([np.mean(found[name, s, n]) for n in SIZES]) for name in names)]
            for s in SCENARIOS
        ],
    )
    print(f"\nrate and change of different sign: {signs}")


@functools.cache
def temperature(name, accuracy, error, low, high):
    """The temperature between two at which a model of this accuracy has this error."""
    return brentq(
        lambda t: errors((name,), Model(accuracy, t), 4, LARGE // 4)[name] - error,
        low,
        high,
        xtol=1e-4,
    )


def equal_pairs(name):
    """Pairs of equal true error, by the rows of S1."""

    def over(accuracy, error):
        return Model(accuracy, temperature(name, accuracy, error, 0.3, 1.0))

    small, large = {"ece": (0.03, 0.06), "ece_equal_mass": (0.03, 0.06)}.get(name, (0.02, 0.03))
    under = Model(0.6, temperature(name, 0.6, large, 1.0, 3.0))
    return {
        "exchangeable": (Model(0.65), Model(0.65)),
        "both calibrated, .55 → .75": (Model(0.55), Model(0.75)),
        "same small error, .55 → .75": (over(0.55, small), over(0.75, small)),
        "under → over, same error": (under, over(0.6, large)),
        "under → over, same error, .60 → .75": (under, over(0.75, large)),
    }


def print_equal(trials):
    rows: dict[str, list[str]] = {}
    for name in ("ece", "ece_equal_mass", "sce", "ace"):
        for number, (row, (base, aligned)) in enumerate(equal_pairs(name).items()):
            rates = []
            for questions in SIZES:
                drawn = contrasts(100 + number, base, aligned, 4, questions, trials, (name,))
                rates.append(np.mean([change(b[name], a[name]).p_value <= 0.05 for b, a in drawn]))
            rows.setdefault(row, []).append(slashed(rates))
    table(
        f"equal true error: share of {trials} pairs with a change found, at "
        f"{' / '.join(map(str, SIZES))} questions",
        ["true situation", "`ece`", "`ece_equal_mass`", "`sce`", "`ace`"],
        [[row, *cells] for row, cells in rows.items()],
    )
    sizes: dict[str, list[Any]] = {name: [] for name in ("McNemar, accuracy", *MEANS)}
    for questions in SIZES:
        p: dict[str, list[float]] = {name: [] for name in sizes}
        for trial in range(2 * trials):
            random = np.random.default_rng([200, questions, trial])
            asked = draw_questions(random, questions)
            pair = [answer(random, asked, Model(0.65)) for _ in range(2)]
            p["McNemar, accuracy"].append(mcnemar(*(model.correct for model in pair)))
            base, aligned = (measured(model, MEANS) for model in pair)
            for name in MEANS:
                p[name].append(change(base[name], aligned[name]).p_value)
        for name, values in p.items():
            sizes[name].append(np.mean(np.array(values) <= 0.05))
    table(
        f"means of equal models: share of {2 * trials} pairs with p ≤ 0.05",
        ["test", "size"],
        [[name, slashed(shares, 3)] for name, shares in sizes.items()],
    )


def mcnemar(base, aligned):
    """The exact test of McNemar (1947): do two models answer rightly equally often?"""
    only_base, only_aligned = np.count_nonzero(base & ~aligned), np.count_nonzero(aligned & ~base)
    either = only_base + only_aligned
    return binomtest(only_base, either).pvalue if either else 1.0


#: Metrics whose intervals are the bootstrap's, of those that are printed without a flag.
RESAMPLED = {
    name: metric
    for name, metric in METRICS.items()
    if metric.interval_covers and not metric.is_estimated and not metric.letters_only
}
RESAMPLES = 400


def valued(predictions):
    """The metrics without an estimate of one model."""
    return Sample(predictions, RESAMPLED, SETTINGS).values()


@functools.cache
def population(model, options):
    """The same of a model's population: their mean over five parts of it."""
    random = np.random.default_rng(10**9)
    parts = [
        valued(answer(random, draw_questions(random, LARGE, options), model)) for _ in range(5)
    ]
    return {name: np.mean([part[name] for part in parts]) for name in RESAMPLED}


def replicates(samples, blocks):
    """Values of every sample's metrics in the same resamples, of which `blocks` are the weights."""
    values = [[sample.resampled(weights) for sample in samples] for weights in blocks]
    return [
        {name: np.concatenate([v[name] for v in of_sample]).astype(float) for name in of_sample[0]}
        for of_sample in zip(*values, strict=True)
    ]


def print_resampled(trials):
    held: dict[Any, Any] = {}
    for number, (scenario, (base, aligned, options)) in enumerate(SCENARIOS.items()):
        true = [population(model, options) for model in (base, aligned)]
        for questions in SIZES:
            for trial in range(trials):
                random = np.random.default_rng([700 + number, questions, trial])
                asked = draw_questions(random, questions, options)
                samples = [
                    Sample(answer(random, asked, model), RESAMPLED, SETTINGS)
                    for model in (base, aligned)
                ]
                drawn = replicates(
                    samples, bootstrap_weights("task", questions, Resampling(trial, RESAMPLES))
                )
                values = [sample.values() for sample in samples]
                for name, metric in RESAMPLED.items():
                    of_base, of_aligned = (of_stage[name] for of_stage in drawn)
                    (before, after), (was, is_) = (
                        [of_stage[name] for of_stage in stages] for stages in (values, true)
                    )
                    found = {
                        "change": (after - before, of_aligned - of_base, is_ - was),
                        "value": (after, of_aligned, is_),
                    }
                    if metric.has_rate_interval:
                        changed = rates(of_aligned - of_base, of_base)
                        found["rate"] = (after / before - 1, changed, is_ / was - 1)
                    for quantity, (value, resamples, truth_) in found.items():
                        ends = interval(value, resamples, metric.interval)
                        held.setdefault((quantity, name, scenario, questions), []).append(
                            holds(ends, truth_) if np.isfinite(ends).all() else np.nan
                        )
    for quantity in ("change", "rate", "value"):
        names = [n for n in RESAMPLED if (quantity, n, next(iter(SCENARIOS)), SIZES[0]) in held]
        rows = [
            [s, *(slashed([np.nanmean(held[quantity, n, s, q]) for q in SIZES]) for n in names)]
            for s in SCENARIOS
        ]
        table(
            f"{quantity}: coverage of the bootstrap's intervals, {RESAMPLES} resamples, at "
            f"{' / '.join(map(str, SIZES))} questions, {trials} trials",
            ["base → aligned", *(f"`{name}`" for name in names)],
            rows,
        )


def nearly_always_right(random, questions, confidence, spread):
    """A calibrated model whose confidences all lie near one number."""
    top = np.clip(confidence + spread * random.normal(size=questions), 0.5, 0.9999)
    p = np.repeat((1 - top[:, None]) / 3, 4, axis=1)
    p[:, 0] = top
    return fixed_options(p, draw_gold(random, p)), p


def print_few_wrong(trials):
    names = ("ece", "sce", "accuracy", "brier", "nll")
    rows = []
    for number, (confidence, spread) in enumerate(((0.95, 0.03), (0.98, 0.005))):
        random = np.random.default_rng(950 + number)
        _, p = nearly_always_right(random, LARGE, confidence, spread)
        true = {"ece": 0.0, "sce": 0.0, "accuracy": p[:, 0].mean()}
        true |= {"brier": (1 - (p**2).sum(axis=1)).mean()}
        true |= {"nll": -(p * np.log(p)).sum(axis=1).mean()}
        for questions in (50, 200, 500, 1000):
            held: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(trials):
                answers, _ = nearly_always_right(random, questions, confidence, spread)
                for name, found in measured(answers, names).items():
                    ends = found.interval()
                    told = np.isfinite(ends).all()
                    held[name].append(holds(ends, true[name]) if told else np.nan)
            wrong = f"{(1 - true['accuracy']) * questions:.1f}"
            cells = (f"{np.nanmean(held[name]):.2f}" for name in names)
            rows.append([f"{confidence} ± {spread}", str(questions), wrong, *cells])
    table(
        f"coverage of the values of calibrated, nearly always right models, {trials} trials",
        ["confidences", "questions", "wrong answers", *(f"`{name}`" for name in names)],
        rows,
    )


def print_tasks(trials, questions):
    tasks = (1, 4, 10)
    chosen = [
        s
        for s in SCENARIOS
        if s
        in (
            "calibrated → over",
            "calibrated, .55 → .75",
            "over → calibrated, .55 → .75",
            "calibrated, both",
            "over → more so",
        )
    ]
    rows: dict[str, list[str]] = {name: [] for name in ERRORS}
    for number, scenario in enumerate(chosen):
        base, aligned, options = SCENARIOS[scenario]
        true = [truth(model, options) for model in (base, aligned)]
        changes: dict[str, list[Estimate]] = {name: [] for name in ERRORS}
        for of_base, of_aligned in contrasts(
            300 + number, base, aligned, options, questions, trials * tasks[-1], ERRORS
        ):
            for name in ERRORS:
                changes[name].append(change(of_base[name], of_aligned[name]))
        for name in ERRORS:
            shares = []
            for count in tasks:
                layout = {str(task): questions for task in range(count)}
                held = []
                for study in range(trials):
                    part = changes[name][study * tasks[-1] :][:count]
                    mean = mean_over_tasks(dict(zip(layout, part, strict=True)), layout)
                    held.append(holds(mean.interval(), true[1][name] - true[0][name]))
                shares.append(np.mean(held))
            rows[name].append(slashed(shares))
    table(
        f"mean change over {' / '.join(map(str, tasks))} tasks of {questions} questions: coverage, "
        f"{trials} studies",
        ["metric", *chosen],
        [[f"`{name}`", *cells] for name, cells in rows.items()],
    )


#: From which pairs are drawn.
BASES = (Model(0.55), Model(0.65), Model(0.6, 0.8))
ALIGNED = (Model(0.6), Model(0.7), Model(0.65, 0.85), Model(0.65, 0.7), Model(0.7, 0.55))


def print_pairs(trials, questions, tasks=2):
    names = ("ece", "sce", "accuracy", "brier")
    counts = (2, 3, 7, 15)
    designs = {
        "different pairs": (BASES, ALIGNED, False),
        "pairs much the same": ((Model(0.6),), (Model(0.65, 0.6),), False),
        "calibrated, both": ((Model(0.55), Model(0.6)), (Model(0.65), Model(0.7)), False),
        "of one base": (BASES, ALIGNED, True),
    }
    rows: dict[Any, list[str]] = {(name, count): [] for name in names for count in counts}
    widths: dict[Any, list[str]] = {key: [] for key in rows}
    layout = {str(task): questions for task in range(tasks)}
    for number, (bases, aligneds, one_base) in enumerate(designs.values()):
        true = {
            name: np.mean([truth(m, 4)[name] for m in aligneds])
            - np.mean([truth(m, 4)[name] for m in bases])
            for name in names
        }
        held: dict[Any, list[bool]] = {key: [] for key in rows}
        width: dict[Any, list[float]] = {key: [] for key in rows}
        for study in range(trials):
            random = np.random.default_rng([400 + number, study])
            pairs = [
                (bases[random.integers(len(bases))], aligneds[random.integers(len(aligneds))])
                for _ in range(counts[-1])
            ]
            if one_base:
                pairs = [(pairs[0][0], aligned) for _, aligned in pairs]
            asked = {task: draw_questions(random, questions) for task in layout}
            changes: dict[str, list[Estimate]] = {name: [] for name in names}
            for base, aligned in pairs:
                of_tasks = {
                    task: [measured(answer(random, q, model), names) for model in (base, aligned)]
                    for task, q in asked.items()
                }
                for name in names:
                    by_task = {t: change(b[name], a[name]) for t, (b, a) in of_tasks.items()}
                    changes[name].append(mean_over_tasks(by_task, layout))
            for name, count in rows:
                ends = mean_over_pairs(changes[name][:count]).interval()
                held[name, count].append(holds(ends, true[name]))
                width[name, count].append(ends[1] - ends[0])
        for key in rows:
            rows[key].append(f"{np.mean(held[key]):.3f}")
            widths[key].append(f"{np.median(width[key]):.3f}")
    table(
        f"mean change over pairs, {tasks} tasks of {questions} questions: coverage (median width), "
        f"{trials} studies",
        ["metric", "pairs", *designs],
        [
            [
                f"`{name}`",
                str(count),
                *(f"{c} ({w})" for c, w in zip(cells, widths[name, count], strict=True)),
            ]
            for (name, count), cells in rows.items()
        ],
    )


def sharpened(random, questions, accuracy):
    """Over-confident, with an accuracy that is one function of confidence for every model: of a
    calibrated top probability a, 1/4 + 3/4·((a − 1/4)/(3/4))^0.6 is told.
    """
    p = posterior(random, questions, accuracy)
    rows, top = np.arange(len(p)), p.argmax(axis=1)
    right = p[rows, top]
    told = 0.25 + 0.75 * ((right - 0.25) / 0.75) ** 0.6
    said = p * ((1 - told) / (1 - right))[:, None]
    said[rows, top] = told
    return said, p


def flattened(random, questions, accuracy):
    """Under-confident in the same way, of every option: 0.8 p + 0.2/K is told."""
    p = posterior(random, questions, accuracy)
    return 0.8 * p + 0.2 / p.shape[1], p


def tempered(temperature):
    """A temperature on top: of two options, the accuracy is one function of confidence."""

    def model(random, questions, accuracy):
        p = posterior(random, questions, accuracy)
        return at_temperature(p, temperature), p

    return model


def rest(parts):
    """All of a change but its map part."""
    numbers = ("value", "debiased", "bias_low", "bias_high", "contributions")
    return Estimate(
        *(getattr(parts.confidences, name) + getattr(parts.unshared, name) for name in numbers)
    )


#: Scenarios whose models have different maps.
OTHER_MAPS = (
    "calibrated → over",
    "over → calibrated, .55 → .75",
    "calibrated → over, .95",
    "two options",
    "five options",
)


def print_map(trials):
    both = "ece", "sce"
    over, more, two = tempered(0.7), tempered(0.5), tempered(0.6)
    designs = {
        "calibrated": (4, tempered(1.0), tempered(1.0), 0.55, 0.75, both),
        "over-confident, one map": (4, sharpened, sharpened, 0.55, 0.75, ("ece",)),
        "under-confident, one map": (4, flattened, flattened, 0.55, 0.75, both),
        "two options, over-confident, one map": (2, two, two, 0.65, 0.85, ("ece",)),
        "over-confident → more so": (4, over, more, 0.55, 0.75, both),
        **{
            name: (options, tempered(base.temperature), tempered(aligned.temperature),
                   base.accuracy, aligned.accuracy, both)
            for name, (base, aligned, options) in SCENARIOS.items()
            if name in OTHER_MAPS
        },
    }  # fmt: skip
    rows = []
    for number, (design, (options, base, aligned, low, high, names)) in enumerate(designs.items()):
        random = np.random.default_rng(10**9)
        asked = draw_questions(random, LARGE, options)
        large = [model(random, asked, acc) for model, acc in ((base, low), (aligned, high))]
        for name in names:
            before, after = (
                expected(fixed_options(said, np.zeros(LARGE, dtype=np.int64)), p, name)
                for said, p in large
            )
            gaps = before[1]
            true = split(before[0], after[0], gaps)
            shares = {}
            for questions in SIZES:
                held = []
                for trial in range(trials):
                    random = np.random.default_rng([500 + number, questions, trial])
                    asked = draw_questions(random, questions, options)
                    of_base, of_aligned = (
                        tallied(fixed_options(model(random, asked, acc)[0], asked.gold), name)[0]
                        for model, acc in ((base, low), (aligned, high))
                    )
                    parts = split(of_base, of_aligned, gaps)
                    of_map = reach(parts.map, parts.with_unshared(parts.map))
                    raw = change(estimate(of_base, gaps), estimate(of_aligned, gaps)).interval()
                    held.append(
                        (
                            holds(of_map, 0),
                            holds(of_map, true.map.value),
                            holds(rest(parts).interval(), rest(true).value),
                            holds(raw, 0),
                            np.ptp(of_map),
                            parts.unshared_share,
                        )
                    )
                shares[questions] = np.mean(held, axis=0)
            rows.append(
                [
                    design,
                    f"`{name}`",
                    f"{true.map.value:+.4f}",
                    f"{rest(true).value:+.4f}",
                    *(slashed([shares[n][k] for n in SIZES], 3) for k in range(6)),
                ]
            )
    table(
        f"accuracy told apart, {trials} trials at {' / '.join(map(str, SIZES))} questions",
        [
            "design",
            "metric",
            "true map part",
            "true rest",
            "map part holds 0",
            "holds the true map part",
            "holds the true rest",
            "raw change holds 0",
            "width of the map part",
            "unshared share",
        ],
        rows,
    )


def print_claims(trials, questions):
    studies = max(1, trials // 2)
    names = ("ece", "sce")
    rises = (Model(0.61), Model(0.66, 0.5))
    designs = {
        "exchangeable": {name: (Model(0.65), Model(0.65)) for name in names},
        "both calibrated, .55 → .75": {name: (Model(0.55), Model(0.75)) for name in names},
        "under → over, same error": {
            name: equal_pairs(name)["under → over, same error"] for name in names
        },
    }
    clear = [
        {name: change(b[name], a[name]).p_below() for name in names}
        for b, a in contrasts(600, rises[0], rises[1], 4, questions, 40 * studies, names)
    ]
    rows: list[list[str]] = []
    for number, (design, pairs) in enumerate(designs.items()):
        row = [design]
        for name in names:
            null = [
                change(b[name], a[name]).p_below()
                for b, a in contrasts(
                    601 + number,
                    pairs[name][0],
                    pairs[name][1],
                    4,
                    questions,
                    30 * studies,
                    (name,),
                )
            ]
            p_values = np.concatenate(
                [
                    np.array([p[name] for p in clear]).reshape(studies, 40),
                    np.array(null).reshape(studies, 30),
                ],
                axis=1,
            )
            some = np.mean([significant(holm(of_study)).any() for of_study in p_values])
            each = np.mean(significant(p_values[:, 40:]))
            row += [f"{some:.3f}", f"{each:.3f}"]
        rows.append(row)
    table(
        f"claims: 40 clear rises and 30 nulls, {studies} studies, {questions} questions: share of "
        "studies with some fall found (Holm), and of nulls with a one-sided p ≤ 0.05",
        ["nulls", "`ece` study", "`ece` null", "`sce` study", "`sce` null"],
        rows,
    )
    # Claim 7: the rates of two pairs of models on the same questions, as under two methods.
    over, more = (Model(0.61, 0.8), Model(0.66, 0.5)), (Model(0.61, 0.8), Model(0.66, 0.4))
    designs_of_two = {
        "equal": (over, over),
        "equal, calibrated bases": ((Model(0.61), Model(0.66)), (Model(0.61), Model(0.66))),
        "equal, calibrated → over": (
            (Model(0.61), Model(0.66, 0.5)),
            (Model(0.61), Model(0.66, 0.5)),
        ),
        "higher": (more, over),
    }
    rows = []
    for number, (design, (first, other)) in enumerate(designs_of_two.items()):
        row = [design]
        for name in names:
            shares = []
            for size in SIZES[:2]:
                found = []
                for trial in range(trials):
                    random = np.random.default_rng([800 + number, size, trial])
                    asked = draw_questions(random, size)
                    models = [
                        measured(answer(random, asked, model), (name,))[name]
                        for model in (*first, *other)
                    ]
                    excess = rate_excess((models[0], models[1]), (models[2], models[3]))
                    found.append((excess.p_above(), excess.p_below()))
                shares += list(np.mean(significant(found), axis=0))
            row.append(slashed(shares, 3))
        rows.append(row)
    table(
        f"claim 7: share of {trials} contrasts in which a rate is found above another, and below, "
        f"at {SIZES[0]} and at {SIZES[1]} questions",
        ["rates", "`ece`", "`sce`"],
        rows,
    )


def print_cost(trials, questions):
    """Processor time of the intervals of a pair, and of those of a bootstrap of its values."""
    metrics = {name: METRICS[name] for name in ERRORS}
    spent = {"bias-aware": 0.0, "bootstrap": 0.0}
    for trial in range(trials):
        random = np.random.default_rng([900, questions, trial])
        asked = draw_questions(random, questions)
        pair = [answer(random, asked, model) for model in SCENARIOS["calibrated → over"][:2]]
        start = time.process_time()
        base, aligned = (measured(model, ERRORS) for model in pair)
        for name in ERRORS:
            change(base[name], aligned[name]).interval()
            rate_interval(base[name], aligned[name])
        middle = time.process_time()
        samples = [Sample(model, metrics, SETTINGS) for model in pair]
        values = [sample.values() for sample in samples]
        drawn = replicates(samples, bootstrap_weights("cost", questions, Resampling(trial, 2000)))
        for name in ERRORS:
            of_base, of_aligned = (of_stage[name] for of_stage in drawn)
            before, after = (float(of_stage[name]) for of_stage in values)
            interval(after - before, of_aligned - of_base, "hull")
            interval(after / before - 1, rates(of_aligned - of_base, of_base), "hull")
        spent["bias-aware"] += middle - start
        spent["bootstrap"] += time.process_time() - middle
    table(
        f"processor time of a pair at {questions} questions, {len(ERRORS)} errors, changes and "
        "rates; the bootstrap has 2,000 resamples",
        ["intervals", "seconds", "ratio"],
        [
            [kind, f"{seconds / trials:.4f}", f"{seconds / spent['bias-aware']:.1f}"]
            for kind, seconds in spent.items()
        ],
    )


SECTIONS: dict[str, Any] = {
    "errors": print_errors,
    "equal": print_equal,
    "resampled": print_resampled,
    "few_wrong": print_few_wrong,
    "tasks": print_tasks,
    "pairs": print_pairs,
    "map": print_map,
    "claims": print_claims,
    "cost": print_cost,
}
#: Those of one size of task.
OF_ONE_SIZE = ("tasks", "pairs", "claims", "cost")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--questions", type=int, default=500, help=f"of {', '.join(OF_ONE_SIZE)}")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args()
    for section in arguments.sections:
        start = time.perf_counter()
        of_size = [arguments.questions] if section in OF_ONE_SIZE else []
        SECTIONS[section](arguments.trials, *of_size)
        print(f"\n({section}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
