"""Names and columns of the files by which the steps hand over their results."""

from typing import Final

import pyarrow as pa

CONTINUATION: Final = "continuation"
CHOICE: Final = "choice"
PROMPTS: Final = (CONTINUATION, CHOICE)

#: The prompt whose log-probabilities a method reads.
PROMPT_OF: Final = {
    "continuation_sum": CONTINUATION,
    "continuation_min": CONTINUATION,
    "choice": CHOICE,
}
METHODS: Final = tuple(PROMPT_OF)

#: A row per question and option, sorted by (question_id, choice).
QUESTIONS: Final = pa.schema(
    {
        "question_id": pa.string(),  # lm-eval task name + document id
        "choice": pa.int16(),
        "context": pa.string(),
        "continuation": pa.string(),  # with the leading space of lm-eval's target delimiter
        "source_choice": pa.int16(),  # the option's index in the source, before any shuffling
        "gold": pa.int16(),
        "group": pa.string(),  # the lm-eval task
    }
)

#: A row per question and option, in the order of the questions file.
LOGITS: Final = pa.schema(
    {
        "question_id": pa.string(),
        "choice": pa.int16(),
        "gold": pa.int16(),
        "group": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "token_logprobs": pa.list_(pa.float32()),  # nats
        "continuation_bytes": pa.int32(),  # UTF-8 bytes of the option's text
        "context_tokens": pa.int32(),
        "truncated": pa.bool_(),
    }
)

#: A row per question and method, sorted by (question_id, method).
CONFIDENCES: Final = pa.schema(
    {
        "question_id": pa.string(),
        "method": pa.string(),
        "gold": pa.int16(),
        "group": pa.string(),
        "probabilities": pa.list_(pa.float64()),  # sum to 1 over the question's options
        "letter_mass": pa.float64(),  # probability on the listed letters; null unless `choice`
    }
)

#: A row per model, task, method and metric.
METRICS: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "n": pa.int64(),
        "replicates": pa.list_(pa.float32()),  # bootstrap values; replicate r: the same questions
    }
)

#: A row per pair, task, method and metric.
CHANGES: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "base": pa.float64(),
        "aligned": pa.float64(),
        "change": pa.float64(),  # aligned - base
        "change_rate": pa.float64(),  # change / base; null where base is 0
        "change_ci_low": pa.float64(),
        "change_ci_high": pa.float64(),
        "rate_ci_low": pa.float64(),
        "rate_ci_high": pa.float64(),
        "p_value": pa.float64(),
        "q_value": pa.float64(),
        "n": pa.int64(),
        "rank": pa.int64(),  # of change_rate, largest first, ties share the smaller; null if none
    }
)

#: A row per pair, stage, task, method and metric: METRICS without replicates.
ALL_METRICS: Final = pa.schema(
    {
        "pair": pa.string(),
        "stage": pa.string(),  # base or aligned
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "n": pa.int64(),
    }
)

#: A row per task, method and metric of one pair.
PERMUTATIONS: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "metric": pa.string(),
        "p_value": pa.float64(),  # two-sided; null where the metric is undefined
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

#: A row per method and metric: what alignment did over all pairs.
EFFECTS: Final = pa.schema(
    {
        "method": pa.string(),
        "metric": pa.string(),
        "pairs": pa.int64(),
        "tasks": pa.int64(),
        "mean_change": pa.float64(),  # over pairs and tasks
        "ci_low": pa.float64(),  # pairs and questions resampled
        "ci_high": pa.float64(),
        "pairs_worse": pa.int64(),  # by their mean over tasks; null if no direction is worse
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
        "ci_low": pa.float64(),
        "ci_high": pa.float64(),
        "tasks_worse": pa.int64(),  # null if no direction is worse
        "share_worse": pa.float64(),
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

#: A row per model, task and method: what the published static calibration error measures.
SCE_AUDIT: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "options": pa.float64(),  # mean number per question
        "accuracy": pa.float64(),
        "confidence": pa.float64(),
        "ece": pa.float64(),
        "sce": pa.float64(),
        "sce_ovr": pa.float64(),
        "closed_form": pa.float64(),  # (K - 3 + 2 max(accuracy, confidence)) / K
        "n": pa.int64(),
    }
)

#: A row per pair, task, method and stage whose published values can be recovered closely enough.
PUBLISHED_AUDIT: Final = pa.schema(
    {
        "pair": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "stage": pa.string(),
        "options": pa.int64(),  # per question
        "accuracy": pa.float64(),
        "ece": pa.float64(),
        "confidence": pa.float64(),  # accuracy + ece, or accuracy - ece unless over_confident
        "over_confident": pa.bool_(),  # the sign, not published, with which the closed form fits
        "sce_recovered": pa.float64(),
        "sce_low": pa.float64(),  # what the rounding of the published figures allows
        "sce_high": pa.float64(),
        "sce_closed_form": pa.float64(),  # (K - 3 + 2 max(accuracy, confidence)) / K
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
        "p_value": pa.float64(),
    }
)

#: A row per universe: how much worse over all pair × task cells, and shares of these.
MULTIVERSE: Final = pa.schema(
    {
        "metric": pa.string(),
        "bins": pa.int64(),
        "binning": pa.string(),
        "reading": pa.string(),
        "cells": pa.int64(),
        "worsening": pa.float64(),  # factor; above 1 the metric got worse
        "worsening_ci_low": pa.float64(),
        "worsening_ci_high": pa.float64(),
        "worse": pa.float64(),  # significantly, at a false discovery rate of 5 %
        "better": pa.float64(),
        "undecided": pa.float64(),
    }
)

#: A row per task, method, part and confidence of one model.
RELIABILITY: Final = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "part": pa.string(),  # bin, or a point of the smooth curve
        "left": pa.float64(),  # edges of the bin; null on the curve
        "right": pa.float64(),
        "confidence": pa.float64(),  # mean of the bin; null where it is empty
        "accuracy": pa.float64(),
        "low": pa.float64(),  # pointwise 95 % bootstrap band of the curve; null in bins
        "high": pa.float64(),
        "questions": pa.float64(),  # in the bin; on the curve, their effective number nearby
    }
)
