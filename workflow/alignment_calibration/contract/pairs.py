"""Of pairs: changes and what they are made of, ranks, temperature, multiverse."""

from typing import Final

import pyarrow as pa

from alignment_calibration.contract.columns import (
    OF_METRIC,
    PROBABILITY,
    QUESTIONS,
    Column,
    keys,
    table,
)

_SHARE: Final = "share"
_RATE: Final = "share of the base"
_CHANGE: Final = {
    "base": Column(pa.float64(), "the metric of the base model", OF_METRIC, "undefined"),
    "aligned": Column(pa.float64(), "the metric of the aligned model", OF_METRIC, "undefined"),
    "change": Column(pa.float64(), "aligned − base", OF_METRIC, "a value is missing"),
}
_NO_ESTIMATE: Final = "the metric has no estimate of its bias"
_N: Final = Column(pa.int64(), "number of questions", QUESTIONS)

PERMUTATIONS: Final = table(
    "A task, method and metric of the pair",
    {
        **keys("pair", "task", "method", "metric"),
        "p_exchangeable": Column(
            pa.float64(),
            "two-sided p-value, by permutation, of predictions that can be exchanged",
            PROBABILITY,
            "the metric is undefined",
        ),
        "truncated": Column(
            pa.int64(), "how many lost the left of their context, in either model",
            QUESTIONS, "unknown",
        ),
    },
)  # fmt: skip

CHANGES: Final = table(
    "A pair, task, method and metric; sorted by them. Of the published study all is missing but "
    "change, change_rate and rank",
    {
        **keys("pair", "task", "method", "metric"),
        "base": _CHANGE["base"],
        "aligned": _CHANGE["aligned"],
        "base_debiased": Column(
            pa.float64(), "base less its estimated bias", OF_METRIC, _NO_ESTIMATE
        ),
        "aligned_debiased": Column(
            pa.float64(), "aligned less its estimated bias", OF_METRIC, _NO_ESTIMATE
        ),
        "change": _CHANGE["change"],
        "change_rate": Column(pa.float64(), "change / base", _RATE, "base is 0 or missing"),
        "change_ci_low": Column(
            pa.float64(), "lower end of the change's 95 % interval", OF_METRIC, "no interval"
        ),
        "change_ci_high": Column(
            pa.float64(), "upper end of the change's 95 % interval", OF_METRIC, "no interval"
        ),
        "rate_ci_low": Column(
            pa.float64(),
            "lower end of the rate's 95 % interval",
            _RATE,
            "no interval, or none of the metric's rates",
        ),
        "rate_ci_high": Column(
            pa.float64(),
            "upper end of the rate's 95 % interval",
            _RATE,
            "as for the lower end, or the interval has no upper end",
        ),
        "ci_covers": Column(
            pa.bool_(), "whether such intervals were seen to hold the truth", null="published study"
        ),
        "p_value": Column(
            pa.float64(),
            "of no change, two-sided; the change's interval is its inverse",
            PROBABILITY,
            "not tested, or no interval",
        ),
        "q_value": Column(
            pa.float64(),
            "p_value adjusted over the contrasts of the method and metric (Benjamini-Hochberg)",
            PROBABILITY,
            "not tested",
        ),
        "q_all": Column(
            pa.float64(), "p_value adjusted over all that were tested", PROBABILITY, "not tested"
        ),
        "p_exchangeable": Column(
            pa.float64(),
            "of predictions that can be exchanged, two-sided, by permutation",
            PROBABILITY,
            "not tested",
        ),
        "mde": Column(
            pa.float64(),
            "smallest change that four of five such samples would show",
            OF_METRIC,
            f"{_NO_ESTIMATE}, or nothing varies",
        ),
        "n": Column(pa.int64(), "number of questions", QUESTIONS, "published study"),
        "truncated": Column(
            pa.int64(), "how many lost the left of their context, in either model",
            QUESTIONS, "unknown",
        ),
        "rank": Column(
            pa.int64(),
            "of change_rate among the pairs, largest first; ties share the smaller (1, 2, 2, 4)",
            "rank from 1",
            "no rate",
        ),
    },
)  # fmt: skip

_BIAS: Final = {
    f"{stage}_bias_{side}": Column(
        pa.float64(), f"{word} bias that the {stage} model's debiased value may still have",
        OF_METRIC,
    )
    for stage in ("base", "aligned")
    for side, word in (("low", "least"), ("high", "largest"))
}  # fmt: skip

ESTIMATES: Final = table(
    "A pair, task, method and metric with an estimate: beside the changes, what it takes to test "
    "whether a rate is above or below any number",
    {
        **keys("pair", "task", "method", "metric"),
        **_BIAS,
        "base_variance": Column(
            pa.float64(), "of the base model's debiased value", "the metric's, squared"
        ),
        "aligned_variance": Column(
            pa.float64(), "of the aligned model's debiased value", "the metric's, squared"
        ),
        "covariance": Column(pa.float64(), "of the two", "the metric's, squared"),
        "degrees": Column(
            pa.int64(),
            "degrees of freedom of Student's t: questions, or groups drawn, less one",
            "1",
        ),
    },
    may_be_empty=True,
)

RATES_BY_METHOD: Final = table(
    "A pair, task, metric with an estimate that is not negative, and two methods: is the change "
    "rate under the first above that under the other, paired question by question?",
    {
        **keys("pair", "task", "metric", "method"),
        "other_method": Column(pa.string(), "the method that it is compared with"),
        "change_rate": Column(pa.float64(), "under the method", _RATE, "base is 0"),
        "other_rate": Column(pa.float64(), "under the other method", _RATE, "base is 0"),
        "p_above": Column(
            pa.float64(), "one-sided p-value of a rate that is not above the other", PROBABILITY
        ),
        "p_below": Column(
            pa.float64(), "one-sided p-value of a rate that is not below the other", PROBABILITY
        ),
    },
    may_be_empty=True,
)

_MEAN: Final = {
    "mean_debiased": Column(
        pa.float64(), "the mean change less the estimated bias", OF_METRIC, "as mean_change"
    ),
    "ci_low": Column(
        pa.float64(), "lower end of the mean's 95 % interval", OF_METRIC, "no interval"
    ),
    "ci_high": Column(
        pa.float64(), "upper end of the mean's 95 % interval", OF_METRIC, "no interval"
    ),
}
_UNDEFINED: Final = "undefined on a task"
_NO_DIRECTION: Final = f"no direction of the metric is worse, or it is {_UNDEFINED}"

EFFECTS: Final = table(
    "A method and metric: what alignment did over all pairs. With several pairs intervals and "
    "p-values are of the mean over all such pairs, with one of the mean over its questions",
    {
        **keys("method", "metric"),
        "pairs": Column(pa.int64(), "number of pairs", "pairs"),
        "tasks": Column(pa.int64(), "number of tasks", "tasks"),
        "mean_change": Column(pa.float64(), "over pairs and tasks", OF_METRIC, _UNDEFINED),
        **_MEAN,
        "ci_covers": Column(
            pa.bool_(), "whether intervals of single contrasts were seen to hold the truth"
        ),
        "p_value": Column(
            pa.float64(),
            "of no change in the mean",
            PROBABILITY,
            "the interval does not cover, or there is none",
        ),
        "pairs_worse": Column(
            pa.int64(), "pairs that are worse in the mean over tasks, less its bias", "pairs",
            _NO_DIRECTION,
        ),
        "tasks_worse": Column(
            pa.int64(), "tasks that are worse in the mean over pairs, less its bias", "tasks",
            _NO_DIRECTION,
        ),
        "sign_p_value": Column(
            pa.float64(), "two-sided sign test over pairs, of as many rising as falling",
            PROBABILITY, _UNDEFINED,
        ),
    },
)  # fmt: skip

PAIR_EFFECTS: Final = table(
    "A pair, method and metric: what alignment did over all tasks",
    {
        **keys("pair", "method", "metric"),
        "tasks": Column(pa.int64(), "number of tasks", "tasks"),
        "mean_change": Column(pa.float64(), "over tasks", OF_METRIC, _UNDEFINED),
        **_MEAN,
        "tasks_worse": Column(pa.int64(), "tasks that are worse", "tasks", _NO_DIRECTION),
        "share_worse": Column(pa.float64(), "of the tasks", _SHARE, _NO_DIRECTION),
    },
)

RANK_PROBABILITIES: Final = table(
    "A pair and a rank that it has in some resample, of a task, method and metric; sorted by "
    "task, method, metric, pair, rank",
    {
        **keys("task", "method", "metric", "pair"),
        "rank": Column(
            pa.int64(), "by change rate among the pairs, largest first", "rank from 1"
        ),
        "probability": Column(
            pa.float64(), "share of the bootstrap resamples in which the pair has it", PROBABILITY
        ),
    },
)  # fmt: skip

RANK_AGREEMENT: Final = table(
    "A method and metric: do the tasks rank the pairs alike?",
    {
        **keys("method", "metric"),
        "tasks": Column(pa.int64(), "number of tasks", "tasks"),
        "pairs": Column(pa.int64(), "those with a rate on every task", "pairs"),
        "kendall_w": Column(
            pa.float64(),
            "Kendall's coefficient of concordance: 0 none, 1 the same ranking",
            "number from 0 to 1",
            "fewer than two tasks or pairs, or all tied",
        ),
        "ci_low": Column(
            pa.float64(),
            "lower end of its 95 % interval",
            "number from 0 to 1",
            "no kendall_w, or no resamples",
        ),
        "ci_high": Column(
            pa.float64(),
            "upper end of its 95 % interval",
            "number from 0 to 1",
            "no kendall_w, or no resamples",
        ),
        "p_value": Column(
            pa.float64(), "of so much agreement among random rankings", PROBABILITY, "no kendall_w"
        ),
    },
)

RANK_CORRELATIONS: Final = table(
    "Two tasks, of a method and metric: do they rank the pairs alike?",
    {
        **keys("method", "metric", "task"),
        "other_task": Column(pa.string(), "the other task, by its slug in the config"),
        "pairs": Column(pa.int64(), "those with a rate on every task", "pairs"),
        "kendall_tau": Column(
            pa.float64(), "Kendall's τ-b", "number from −1 to 1", "a task ties all pairs"
        ),
    },
    may_be_empty=True,
)

#: What is told of a metric under a remedy, and what it is.
REMEDIED: Final = {
    "base_before": "the metric of the base model as it is",
    "base_after": "the metric of the base model with the remedy",
    "aligned_before": "the metric of the aligned model as it is",
    "aligned_after": "the metric of the aligned model with the remedy",
    "change_before": "aligned − base, as they are",
    "change_after": "aligned − base, with the remedy",
    "aligned_effect": "aligned_after − aligned_before",
}


def _with_interval(name: str, meaning: str) -> dict[str, Column]:
    """A number of a metric, it less its estimated bias, and the ends of its interval."""
    return {
        name: Column(pa.float64(), meaning, OF_METRIC, "undefined"),
        f"{name}_debiased": Column(
            pa.float64(), f"{name} less its estimated bias", OF_METRIC, _NO_ESTIMATE
        ),
        f"{name}_ci_low": Column(
            pa.float64(), f"lower end of the 95 % interval of {name}", OF_METRIC, _NO_ESTIMATE
        ),
        f"{name}_ci_high": Column(
            pa.float64(), f"upper end of the 95 % interval of {name}", OF_METRIC, _NO_ESTIMATE
        ),
    }


def _temperature(stage: str) -> dict[str, Column]:
    name = f"{stage}_temperature"
    return {
        name: Column(
            pa.float64(),
            f"of the {stage} model; where it is fitted in two folds, their geometric mean",
            "above 0",
            "the remedy is none of this model, or it could not be fitted",
        ),
        f"{name}_ci_low": Column(
            pa.float64(),
            "lower end of its 95 % interval, for another sample of questions",
            "above 0",
            "as for the temperature, or it is at a bound of the search",
        ),
        f"{name}_ci_high": Column(
            pa.float64(), "upper end of it", "above 0", "as for the lower end"
        ),
    }


REMEDY_EFFECTS: Final = table(
    "A pair, task, method, remedy and metric that has a meaning under it; sorted by them: what a "
    "remedy makes of the metric and of its change",
    {
        **keys("pair", "task", "method"),
        "remedy": Column(
            pa.string(),
            "`temperature`: each model at the temperature that fits its answers, in two folds; "
            "`daca`: the aligned model at that which fits the base model; `basecal`: the aligned "
            "model's answers with the base model's confidence; `batch`: letters less their mean "
            "log-probability",
        ),
        **keys("metric"),
        **{
            column: said
            for name, meaning in REMEDIED.items()
            for column, said in _with_interval(name, meaning).items()
        },
        "removed": Column(
            pa.float64(),
            "1 − change_after / change_before",
            "share of the change",
            "the change is not found: its interval holds 0, or there is none",
        ),
        "removed_ci_low": Column(
            pa.float64(), "lower end of its 95 % interval", "share of the change", "as for removed"
        ),
        "removed_ci_high": Column(
            pa.float64(), "upper end of it", "share of the change", "as for removed"
        ),
        **_temperature("base"),
        **_temperature("aligned"),
        "n": _N,
    },
)

DECOMPOSITION: Final = table(
    "A part of a change that adds up over a split's parts, of a pair, task, method and metric",
    {
        **keys("pair", "task", "method", "metric"),
        "split": Column(pa.string(), "`agreement` of the two models, or `correctness`"),
        "part": Column(
            pa.string(),
            "`agree`, `disagree`; or `both_right`, `only_base_right`, `only_aligned_right`, "
            "`both_wrong`",
        ),
        "change": Column(pa.float64(), "what the part's questions add to the change", OF_METRIC),
        "debiased": Column(pa.float64(), "the same less its estimated bias", OF_METRIC),
        "ci_low": Column(
            pa.float64(), "lower end of its 95 % interval", OF_METRIC, "nothing varies"
        ),
        "ci_high": Column(
            pa.float64(), "upper end of its 95 % interval", OF_METRIC, "nothing varies"
        ),
        "questions": Column(pa.int64(), "in the part", QUESTIONS),
    },
)

MAP_PARTS: Final = table(
    "A part of a change of ece or sce that adds up to it, of a pair, task and method; intervals of "
    "`map` and `confidences` reach from none to all of `unshared`, which could be of either",
    {
        **keys("pair", "task", "method", "metric"),
        "part": Column(
            pa.string(),
            "`whole`; `map`: another map of confidence to accuracy; `confidences`: others at the "
            "same map; `unshared`: what only one of the models uses",
        ),
        "change": Column(pa.float64(), "what the part adds to the change", OF_METRIC),
        "debiased": Column(pa.float64(), "the same less its estimated bias", OF_METRIC),
        "ci_low": Column(pa.float64(), "lower end of its 95 % interval", OF_METRIC),
        "ci_high": Column(pa.float64(), "upper end of its 95 % interval", OF_METRIC),
        "unshared_share": Column(
            pa.float64(), "of the two models' predictions in bins that one does not use", _SHARE
        ),
    },
)

MAP_EFFECTS: Final = table(
    "A method, metric (ece or sce) and part as in map_parts: its mean over all pairs and tasks, "
    "with intervals as in alignment_effects",
    {
        **keys("method", "metric"),
        "part": Column(pa.string(), "`whole`, `map`, `confidences` or `unshared`"),
        "pairs": Column(pa.int64(), "number of pairs", "pairs"),
        "tasks": Column(pa.int64(), "number of tasks", "tasks"),
        "mean_change": Column(pa.float64(), "what the part adds to the mean change", OF_METRIC),
        **_MEAN,
    },
)

LETTER_PARTS: Final = table(
    "A part of a change under `choice_raw` that adds up to it, of a pair, task and metric; only in "
    "studies with the methods `choice` and `choice_raw`",
    {
        **keys("pair", "task", "metric"),
        "part": Column(
            pa.string(),
            "`whole`; `answer`: another split among the listed letters; `format`: another letter "
            "mass",
        ),
        "change": Column(pa.float64(), "what the part adds to the change", OF_METRIC),
        "debiased": Column(pa.float64(), "the same less its estimated bias", OF_METRIC),
        "ci_low": Column(pa.float64(), "lower end of its 95 % interval", OF_METRIC),
        "ci_high": Column(pa.float64(), "upper end of its 95 % interval", OF_METRIC),
    },
)

OPTION_ORDER: Final = table(
    "A letter of a pair and task: what it has by itself, whatever option stands beside it, in a "
    "question with the task's most options; only in studies with the method `choice_cyclic`",
    {
        **keys("pair", "task"),
        "letter": Column(pa.string(), "the letter"),
        **{
            f"{number}{end}": Column(pa.float64(), f"{meaning}{what}", PROBABILITY)
            for number, what in {
                "base": "the base model's prior",
                "aligned": "the aligned model's prior",
                "change": "aligned − base",
            }.items()
            for end, meaning in {
                "": "",
                "_ci_low": "lower end of the 95 % interval of ",
                "_ci_high": "upper end of the 95 % interval of ",
            }.items()
        },
        "n": _N,
    },
)

_UNIVERSE: Final = {
    "metric": Column(pa.string(), "one of the multiverse's, whether or not the config lists it"),
    "bins": Column(pa.int64(), "number of bins", "bins", "the metric has no bins"),
    "binning": Column(pa.string(), "`equal_width` or `equal_mass`", null="the metric has no bins"),
    "reading": Column(pa.string(), "`sum`, `mean_token`, `mean_byte`, `min` or `letters`"),
}

PAIR_MULTIVERSE: Final = table(
    "A task of the pair in a universe: a metric, its bins and a reading; sorted by them",
    {
        **keys("pair", "task"),
        **_UNIVERSE,
        **_CHANGE,
        "change_debiased": Column(
            pa.float64(), "the change less its estimated bias", OF_METRIC, _NO_ESTIMATE
        ),
        "p_value": Column(pa.float64(), "of no change, two-sided", PROBABILITY, _NO_ESTIMATE),
    },
)

_SHARE_OF_CONTRASTS: Final = (_SHARE, "the metric has no test")

MULTIVERSE: Final = table(
    "A universe: a metric, its bins and a reading",
    {
        **_UNIVERSE,
        "contrasts": Column(pa.int64(), "pairs × tasks", "contrasts"),
        "worsening": Column(
            pa.float64(),
            "mean of aligned over mean of base (accuracy: the inverse), so that above 1 is worse",
            "factor", "a mean is 0",
        ),
        "worsening_ci_low": Column(
            pa.float64(), "lower end of its 95 % interval", "factor", "one contrast, or a mean is 0"
        ),
        "worsening_ci_high": Column(
            pa.float64(), "upper end of its 95 % interval", "factor", "one contrast, or a mean is 0"
        ),
        "worse": Column(
            pa.float64(), "contrasts that are worse, at a false discovery rate of 5 %",
            *_SHARE_OF_CONTRASTS,
        ),
        "better": Column(
            pa.float64(), "contrasts that are better, at a false discovery rate of 5 %",
            *_SHARE_OF_CONTRASTS,
        ),
        "undecided": Column(pa.float64(), "the other contrasts", *_SHARE_OF_CONTRASTS),
    },
)  # fmt: skip

_LADDER: Final = Column(pa.string(), "ladder, by its name in the config")
_ENDS: Final = {
    "ci_low": Column(pa.float64(), "lower end of its 95 % interval", OF_METRIC, "no interval"),
    "ci_high": Column(pa.float64(), "upper end of its 95 % interval", OF_METRIC, "no interval"),
}

LADDER_STAGES: Final = table(
    "A method and metric at one model of a ladder, as mean over tasks; sorted by ladder, method, "
    "metric, number",
    {
        "ladder": _LADDER,
        **keys("method", "metric"),
        "number": Column(pa.int64(), "place of the model in its ladder", "index from 0"),
        **keys("model"),
        "tasks": Column(pa.int64(), "over which the mean is", "tasks"),
        "value": Column(pa.float64(), "the mean of the metric", OF_METRIC, "undefined on a task"),
        "debiased": Column(
            pa.float64(), "the mean less its estimated bias", OF_METRIC, _NO_ESTIMATE
        ),
        **_ENDS,
    },
)

TRENDS: Final = table(
    "A task, method and metric of a ladder; sorted by ladder and them",
    {
        "ladder": _LADDER,
        **keys("task", "method", "metric"),
        "stages": Column(pa.int64(), "models of the ladder", "models"),
        "trend": Column(
            pa.float64(), "slope of the line fitted to its models' values: change per stage",
            f"{OF_METRIC}, per stage", "a value is missing",
        ),
        "debiased": Column(
            pa.float64(), "the trend less its estimated bias", f"{OF_METRIC}, per stage",
            _NO_ESTIMATE,
        ),
        **_ENDS,
        "ci_covers": Column(pa.bool_(), "whether such intervals were seen to hold the truth"),
        "p_value": Column(pa.float64(), "of no trend, two-sided", PROBABILITY, "not tested"),
        "q_value": Column(
            pa.float64(),
            "p_value adjusted over the ladders and tasks of the method and metric "
            "(Benjamini-Hochberg)",
            PROBABILITY,
            "not tested",
        ),
        "n": _N,
    },
)  # fmt: skip
