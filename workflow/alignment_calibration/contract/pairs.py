"""Of pairs: changes and what they are made of, ranks, temperature, multiverse."""

from typing import Final

import pyarrow as pa

#: A row per task, method and metric of one pair.
PERMUTATIONS: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "p_exchangeable": pa.float64(),  # two-sided; null where the metric is undefined
        "truncated": pa.int64(),  # questions whose context either model lost a part of, or null
    }
)

#: A row per pair, task, method and metric. Of the published study, all but the change, its rate and
#: rank is null.
CHANGES: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "base": pa.float64(),
        "aligned": pa.float64(),
        "base_debiased": pa.float64(),  # less the estimated bias; null without an estimate
        "aligned_debiased": pa.float64(),
        "change": pa.float64(),  # aligned - base
        "change_rate": pa.float64(),  # change / base; null where base is 0
        "change_ci_low": pa.float64(),
        "change_ci_high": pa.float64(),
        "rate_ci_low": pa.float64(),  # null if rates of the metric have no interval
        "rate_ci_high": pa.float64(),  # null as well if the interval has no upper end
        "ci_covers": pa.bool_(),  # whether such intervals were seen to hold the truth
        "p_value": pa.float64(),  # of no change, two-sided: change_ci is its inverse
        "q_value": pa.float64(),  # over the contrasts of the method and metric
        "q_all": pa.float64(),  # over all that were tested
        "p_exchangeable": pa.float64(),  # of predictions that can be exchanged, by permutation
        "mde": pa.float64(),  # smallest change that four of five such samples would show
        "n": pa.int64(),
        "truncated": pa.int64(),  # questions cut for base or aligned model; null where unknown
        "rank": pa.int64(),  # of change_rate, largest first, ties share the smaller; null if none
    }
)

#: A row per pair, task, method and metric with an estimate: beside CHANGES, what it takes to test
#: whether the change rate is above or below any number.
ESTIMATES: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "base_bias_low": pa.float64(),  # bounds of the bias that the debiased values still have
        "base_bias_high": pa.float64(),
        "aligned_bias_low": pa.float64(),
        "aligned_bias_high": pa.float64(),
        "base_variance": pa.float64(),  # of the debiased values
        "aligned_variance": pa.float64(),
        "covariance": pa.float64(),
    }
)

#: A row per method and metric: what alignment did over all pairs.
EFFECTS: Final = pa.schema(
    {
        "method": pa.string(),
        "metric": pa.string(),
        "pairs": pa.int64(),
        "tasks": pa.int64(),
        "mean_change": pa.float64(),  # over pairs and tasks
        "mean_debiased": pa.float64(),  # less the estimated bias
        "ci_low": pa.float64(),  # of the mean over all such pairs; with one, over its questions
        "ci_high": pa.float64(),
        "ci_covers": pa.bool_(),  # as in CHANGES
        "p_value": pa.float64(),  # of no change in the mean; null where the interval does not cover
        "pairs_worse": pa.int64(),  # by their mean over tasks; null if no direction is worse
        "tasks_worse": pa.int64(),  # by their mean over pairs
        "sign_p_value": pa.float64(),  # two-sided sign test over pairs
    }
)

#: A row per pair, method and metric: what alignment did over all tasks.
PAIR_EFFECTS: Final = pa.schema(
    {
        "pair": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "tasks": pa.int64(),
        "mean_change": pa.float64(),  # over tasks
        "mean_debiased": pa.float64(),  # less the estimated bias
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "tasks_worse": pa.int64(),  # null if no direction is worse
        "share_worse": pa.float64(),
    }
)

#: A row per task, method, metric, pair and possible rank.
RANK_PROBABILITIES: Final = pa.schema(
    {
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "pair": pa.string(),
        "rank": pa.int64(),
        "probability": pa.float64(),  # share of bootstrap resamples
    }
)

#: A row per method and metric.
RANK_AGREEMENT: Final = pa.schema(
    {
        "method": pa.string(),
        "metric": pa.string(),
        "tasks": pa.int64(),
        "pairs": pa.int64(),  # those with a rate on every task
        "kendall_w": pa.float64(),
        "p_value": pa.float64(),
    }
)

#: A row per method, metric and two tasks.
RANK_CORRELATIONS: Final = pa.schema(
    {
        "method": pa.string(),
        "metric": pa.string(),
        "task": pa.string(),
        "other_task": pa.string(),
        "pairs": pa.int64(),
        "kendall_tau": pa.float64(),
    }
)

#: A row per pair, task, method, variant and metric.
TEMPERATURE: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "variant": pa.string(),  # nll: each model by its answers; daca: aligned by base, no labels
        "metric": pa.string(),
        "base_temperature": pa.float64(),  # geometric mean of the folds'
        "aligned_temperature": pa.float64(),
        "base_before": pa.float64(),
        "base_after": pa.float64(),
        "aligned_before": pa.float64(),
        "aligned_after": pa.float64(),
        "change_before": pa.float64(),
        "change_after": pa.float64(),
        "removed": pa.float64(),  # share of the change: 1 - after / before; null if before is 0
        "n": pa.int64(),
    }
)

#: A row per pair, task, method, metric, split and part: shares of a change that add up to it.
DECOMPOSITION: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "split": pa.string(),  # agreement or correctness
        "part": pa.string(),
        "change": pa.float64(),  # this part's contribution to the change
        "questions": pa.int64(),
    }
)

#: A row per pair, task, method, metric (ece, sce) and part: parts of a change that add up to it.
MAP_PARTS: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        # The whole; another map of confidence to accuracy; other confidences; what only one uses.
        "part": pa.string(),  # whole, map, confidences or unshared
        "change": pa.float64(),  # this part's contribution to the change
        "debiased": pa.float64(),  # less the estimated bias
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "unshared_share": pa.float64(),  # of the two models' predictions
    }
)

#: A row per task and universe of one pair.
PAIR_MULTIVERSE: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "metric": pa.string(),
        "bins": pa.int64(),  # null for metrics without bins
        "binning": pa.string(),  # equal_width or equal_mass; null for metrics without bins
        "reading": pa.string(),  # sum, mean_token, mean_byte, min or letters
        "base": pa.float64(),
        "aligned": pa.float64(),
        "change": pa.float64(),
        "change_debiased": pa.float64(),  # its sign is that of what the test finds
        "p_value": pa.float64(),  # of no change, two-sided; null without an estimate
    }
)

#: A row per universe: how much worse over all contrasts, and shares of these.
MULTIVERSE: Final = pa.schema(
    {
        "metric": pa.string(),
        "bins": pa.int64(),
        "binning": pa.string(),
        "reading": pa.string(),
        "contrasts": pa.int64(),
        "worsening": pa.float64(),  # factor; above 1 the metric got worse
        "worsening_ci_low": pa.float64(),
        "worsening_ci_high": pa.float64(),
        # Significantly, at a false discovery rate of 5 %; null for metrics without an estimate.
        "worse": pa.float64(),
        "better": pa.float64(),
        "undecided": pa.float64(),
    }
)
