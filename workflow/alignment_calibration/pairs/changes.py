"""The step `changes`: what alignment did to each metric of each pair."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment_calibration.calibration.estimates import Estimate, change, rate_interval
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.predictions import Floats, same_methods
from alignment_calibration.calibration.resampling import (
    benjamini_hochberg,
    bootstrap_p_value,
    interval,
)
from alignment_calibration.contract.calibration import (
    ALL_METRICS,
    MEASUREMENT,
    MODEL_METRICS,
    MODEL_RELIABILITY,
    RELIABILITY,
)
from alignment_calibration.contract.pairs import (
    CHANGES,
    EFFECTS,
    ESTIMATES,
    PAIR_EFFECTS,
    PERMUTATIONS,
    RANK_AGREEMENT,
    RANK_CORRELATIONS,
    RANK_PROBABILITIES,
    RATES_BY_METHOD,
)
from alignment_calibration.errors import UserError
from alignment_calibration.files.frames import read_frame, write_csv, write_frame
from alignment_calibration.files.parquet import read_identity
from alignment_calibration.pairs.mean_changes import effects, pair_effects
from alignment_calibration.pairs.ranks import (
    rank_agreement,
    rank_correlations,
    rank_pairs,
    rank_probabilities,
)
from alignment_calibration.pairs.rate_tests import rates_by_method
from alignment_calibration.study.settings import Permuting
from alignment_calibration.study.vocabulary import STAGES

#: Columns of metrics files of which changes are made, and which they replace.
_MADE_FROM: Final = (
    "base_replicates",
    "aligned_replicates",
    "contributions_base",
    "contributions_aligned",
)


def rates(change: Floats, base: Floats) -> Floats:
    """Change rates, change / base; NaN where the base is 0."""
    missing = np.full(change.shape, np.nan)
    return np.asarray(np.divide(change, base, out=missing, where=base != 0))


def debiased_rates(changes: pd.DataFrame) -> "pd.Series[float]":
    """Change rates of values less their estimated bias, of rows of the CHANGES contract.

    NaN where that of the base is not above 0, and for metrics without an estimate.
    """
    base = changes["base_debiased"]
    return changes["aligned_debiased"] / base.where(base > 0) - 1


def read_changes(
    metrics: Mapping[str, str | Path],
    pairs: Mapping[str, Mapping[str, str]],
    names: Iterable[str],
) -> Iterator[pd.DataFrame]:
    """Changes of all pairs with their estimates and bootstrap replicates, one metric at a time.

    (So memory holds what questions and resamples add of one metric. Files are read again for each.)

    Args:
        metrics: metrics file of each model.
        pairs: `base` and `aligned` model of each pair.
        names: of the metrics.

    Yields:
        Columns pair, task, method, metric, n, base, aligned, base_estimate and aligned_estimate
        (None for metrics without), base_debiased, aligned_debiased, change, change_rate,
        change_replicates and rate_replicates (arrays of shape (R,)); sorted by the first four.

    Raises:
        UserError: if the models of a pair were measured on different questions.
    """
    for pair, models in pairs.items():
        base, aligned = models["base"], models["aligned"]
        if not _same_questions(read_identity(metrics[base]), read_identity(metrics[aligned])):
            raise UserError(
                f"{metrics[aligned]}: measured on other questions than {metrics[base]} "
                f"(pair {pair}); delete both and run the workflow again"
            )
    for name in names:
        # Without a name, by which it would stay in memory while the next is made.
        yield pd.concat(
            [
                pair_changes(pair, *(_of_metric(metrics[models[stage]], name) for stage in STAGES))
                for pair, models in pairs.items()
            ]
        ).sort_values(["pair", *MEASUREMENT], ignore_index=True)


def _of_metric(path: str | Path, name: str) -> pd.DataFrame:
    """The rows of one metric of a metrics file."""
    frame = read_frame(path, MODEL_METRICS)
    return frame[frame["metric"] == name]


def _same_questions(base: Any, aligned: Any) -> bool:
    """Whether the identities of two metrics files speak of the same questions, under all methods
    that both models can be read by."""
    before, after = base["questions"], aligned["questions"]
    return before.keys() == after.keys() and all(
        same_methods(asked, after[task])
        and all(
            asked[method] == after[task][method] for method in asked.keys() & after[task].keys()
        )
        for task, asked in before.items()
    )


def pair_changes(pair: str, base: pd.DataFrame, aligned: pd.DataFrame) -> pd.DataFrame:
    """Changes of one pair with their estimates and bootstrap replicates.

    Args:
        pair: slug.
        base, aligned: the models' rows of the MODEL_METRICS contract, measured on the same
            questions with the same seed.

    Returns:
        Columns as of `read_changes`.
    """
    names = {
        "value_base": "base",
        "value_aligned": "aligned",
        "debiased_base": "base_debiased",
        "debiased_aligned": "aligned_debiased",
        "replicates_base": "base_replicates",
        "replicates_aligned": "aligned_replicates",
    }
    base, aligned = (model.assign(estimate=_estimates(model)) for model in (base, aligned))
    changes = base.merge(
        aligned, on=[*MEASUREMENT, "n"], suffixes=("_base", "_aligned"), validate="1:1"
    ).rename(columns=names | {f"estimate_{stage}": f"{stage}_estimate" for stage in STAGES})
    changes["pair"] = pair
    changes["change"] = changes["aligned"] - changes["base"]
    changes["change_rate"] = rates(changes["change"].to_numpy(), changes["base"].to_numpy())
    replicates = [_replicates(row) for row in changes.itertuples()]
    changes["change_replicates"] = pd.Series([change for change, _ in replicates])
    changes["rate_replicates"] = pd.Series([rate for _, rate in replicates])
    # What they were made from is as large as they are.
    return changes.drop(columns=list(_MADE_FROM))


def judged(changes: pd.DataFrame, tested: pd.DataFrame) -> pd.DataFrame:
    """Changes with intervals, p- and q-values and ranks among each other.

    Args:
        changes: as `read_changes` gives them, of one metric or several.
        tested: rows of the PERMUTATIONS contract.

    Returns:
        Columns and rows of the CHANGES contract.
    """
    judgements = pd.DataFrame([_judged(row) for row in changes.itertuples()], index=changes.index)
    changes = pd.concat([changes, judgements], axis=1)
    changes = changes.merge(tested, on=["pair", *MEASUREMENT], how="left", validate="1:1")
    families = changes.groupby(["method", "metric"])["p_value"]
    changes["q_value"] = families.transform(lambda p: benjamini_hochberg(p.to_numpy()))
    changes["q_all"] = benjamini_hochberg(changes["p_value"].to_numpy())
    changes["rank"] = rank_pairs(changes)
    return changes.reindex(columns=CHANGES.names)


def estimates_of(changes: pd.DataFrame) -> pd.DataFrame:
    """What it takes to test the rates of changes.

    Args:
        changes: as `read_changes` gives them, of one metric or several.

    Returns:
        Rows of the ESTIMATES contract.
    """
    estimated = changes[changes["base_estimate"].notna()]
    columns: dict[str, list[Any]] = {name: [] for name in ESTIMATES.names[4:]}
    for base, aligned in zip(
        estimated["base_estimate"], estimated["aligned_estimate"], strict=True
    ):
        for stage, found in zip(STAGES, (base, aligned), strict=True):
            columns[f"{stage}_bias_low"].append(found.bias_low)
            columns[f"{stage}_bias_high"].append(found.bias_high)
            columns[f"{stage}_variance"].append(found.standard_error**2)
        columns["covariance"].append(float(base.contributions @ aligned.contributions))
        columns["degrees"].append(base.contributions.size - 1)
    keys = ["pair", *MEASUREMENT]
    return estimated[keys].assign(**columns).reindex(columns=ESTIMATES.names)


def by_pair(
    frames: Mapping[str, pd.DataFrame], pairs: Mapping[str, Mapping[str, str]], schema: pa.Schema
) -> pd.DataFrame:
    """The frames of all models, by pair and stage, with the columns of `schema`.

    Args:
        frames: of each model.
        pairs: `base` and `aligned` model of each pair; a model may serve several.
    """
    return pd.concat(
        [
            frames[pairs[pair][stage]].assign(pair=pair, stage=stage)
            for pair in sorted(pairs)
            for stage in sorted(STAGES)
        ],
        ignore_index=True,
    ).reindex(columns=schema.names)


def join_metrics(
    metrics: Mapping[str, str | Path], pairs: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """The metrics of all models, without replicates, by pair and stage.

    Args:
        metrics: metrics file of each model.
        pairs: `base` and `aligned` model of each pair.

    Returns:
        Columns and rows of the ALL_METRICS contract.
    """
    columns = [name for name in ALL_METRICS.names if name in MODEL_METRICS.names]
    frames = {model: read_frame(path, MODEL_METRICS)[columns] for model, path in metrics.items()}
    return by_pair(frames, pairs, ALL_METRICS).sort_values(["pair", "stage", *MEASUREMENT])


def write_changes(
    metrics: Mapping[str, str | Path],
    reliability: Mapping[str, str | Path],
    pairs: Mapping[str, Mapping[str, str]],
    steps: Mapping[str, Mapping[str, str]],
    permutations: Sequence[str | Path],
    permuting: Permuting,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write the changes of a study, what follows from them, and the metrics by pair and stage.

    Args:
        metrics, reliability: files of each model.
        pairs: `base` and `aligned` model of each pair.
        steps: the same of each step of a ladder, of which the metrics alone are written here.
        permutations: permutations files, one of each pair.
        permuting: of the ranks of the pairs.
        outputs: Parquet files `metrics`, `reliability`, `changes`, `estimates`,
            `rates_by_method`, `alignment_effects`, `pair_effects`, `rank_probabilities`,
            `rank_agreement` and `rank_correlations`, and for spreadsheets `metrics_csv` and
            `changes_csv`.

    Raises:
        UserError: if a file is damaged, or the models of a pair answered different questions.
    """
    tested = pd.concat([read_frame(path, PERMUTATIONS) for path in permutations])
    values = join_metrics(metrics, {**pairs, **steps})
    names = sorted(values["metric"].unique())
    found = results_of_pairs(read_changes(metrics, pairs, names), tested, permuting)
    diagrams = {model: read_frame(path, MODEL_RELIABILITY) for model, path in reliability.items()}
    write_csv(outputs["metrics_csv"], values)
    write_csv(outputs["changes_csv"], found["changes"])
    write_frame(outputs["metrics"], values, ALL_METRICS)
    write_frame(outputs["reliability"], by_pair(diagrams, pairs, RELIABILITY), RELIABILITY)
    for name, frame in found.items():
        write_frame(outputs[name], frame, _RESULTS[name][0])


#: What follows from changes: schema, and by which of its columns rows are sorted (the others as
#: they come).
_RESULTS: Final = {
    "changes": (CHANGES, ["pair", *MEASUREMENT]),
    "estimates": (ESTIMATES, ["pair", *MEASUREMENT]),
    "rates_by_method": (RATES_BY_METHOD, ["pair", "task", "metric", "method"]),
    "alignment_effects": (EFFECTS, ["method", "metric"]),
    "pair_effects": (PAIR_EFFECTS, ["pair", "method", "metric"]),
    "rank_probabilities": (RANK_PROBABILITIES, [*MEASUREMENT, "pair", "rank"]),
    "rank_agreement": (RANK_AGREEMENT, ["method", "metric"]),
    "rank_correlations": (RANK_CORRELATIONS, ["method", "metric"]),
}


def results_of_pairs(
    by_metric: Iterable[pd.DataFrame], tested: pd.DataFrame, permuting: Permuting
) -> dict[str, pd.DataFrame]:
    """The changes of all pairs with intervals, p- and q-values and ranks, and what follows.

    Args:
        by_metric: as `read_changes` gives them.
        tested: rows of the PERMUTATIONS contract.
        permuting: of the ranks of the pairs.

    Returns:
        Frames by name, with the columns and rows of the contract: `changes`, `estimates`,
        `rates_by_method`, `alignment_effects`, `pair_effects`, `rank_probabilities`,
        `rank_agreement` and `rank_correlations`.
    """
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in _RESULTS}
    for replicates in by_metric:
        changes = judged(replicates, tested)
        for name, frame in {
            "changes": changes,
            "estimates": estimates_of(replicates),
            "rates_by_method": rates_by_method(replicates),
            "alignment_effects": effects(replicates),
            "pair_effects": pair_effects(replicates),
            "rank_probabilities": rank_probabilities(replicates),
            "rank_agreement": rank_agreement(changes, permuting, replicates),
            "rank_correlations": rank_correlations(changes),
        }.items():
            parts[name].append(frame)
        del replicates
    found = {
        name: _joined(frames).sort_values(_RESULTS[name][1], kind="stable", ignore_index=True)
        for name, frames in parts.items()
    }
    found["changes"]["q_all"] = benjamini_hochberg(found["changes"]["p_value"].to_numpy())
    return found


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames beneath each other. (Those without rows have types of their own, and are left out.)"""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1])


def _estimates(metrics: pd.DataFrame) -> "pd.Series[Any]":
    """The estimates of rows of the MODEL_METRICS contract, None for metrics without."""
    found = [estimate_of(row) for row in metrics.itertuples()]
    return pd.Series(found, metrics.index, dtype=object)


def estimate_of(row: Any) -> Estimate | None:
    """The estimate in a row of the MODEL_METRICS contract; None for a metric without."""
    if row.contributions is None:
        return None
    contributions = np.asarray(row.contributions, dtype=np.float64)
    return Estimate(row.value, row.debiased, row.bias_low, row.bias_high, contributions)


def _judged(row: Any) -> dict[str, Any]:
    """What is said of a change: its intervals, the test they are the inverse of, and its power."""
    metric = METRICS[row.metric]
    found = {"ci_covers": metric.interval_covers, "mde": np.nan}
    change_ends, rate_ends, p_value = (np.nan, np.nan), (np.nan, np.nan), np.nan
    if row.base_estimate is None:
        change_ends = interval(row.change, row.change_replicates, metric.interval)
        if metric.has_rate_interval:
            rate_ends = interval(row.change_rate, row.rate_replicates, metric.interval)
        if metric.interval_covers:
            p_value = bootstrap_p_value(row.change, row.change_replicates, metric.interval)
    else:
        moved = change(row.base_estimate, row.aligned_estimate)
        change_ends, p_value = moved.interval(), moved.p_value
        found["mde"] = moved.mde
        if metric.has_rate_interval:
            rate_ends = rate_interval(row.base_estimate, row.aligned_estimate)
    found["change_ci_low"], found["change_ci_high"] = change_ends
    found["rate_ci_low"], found["rate_ci_high"] = rate_ends
    return found | {"p_value": p_value}


def _replicates(row: Any) -> tuple[Floats, Floats]:
    """Replicates of the change and of its rate: the models answered the same resamples."""
    base = row.base_replicates.astype(np.float64)
    change = row.aligned_replicates - base
    return change, rates(change, base)
