"""The step `remedies`: what a remedy makes of a pair's metrics, and of their changes.

Numbers with a remedy are of the predictions that it gave, its temperature or its means as they were
fitted: another sample of questions would be answered with the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import Estimate, change, ratio_interval
from alignment_calibration.calibration.metrics.registry import METRICS, Metric, select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Predictions
from alignment_calibration.contract.pairs import REMEDY_EFFECTS
from alignment_calibration.pairs.contrasts import Contrast
from alignment_calibration.pairs.remedies import remedies_of
from alignment_calibration.pairs.temperature import Temperature
from alignment_calibration.study.settings import Settings


@dataclass(frozen=True)
class _Measured:
    """The metrics of a model: numbers, and estimates of those that have one."""

    values: Mapping[str, float]
    estimates: Mapping[str, Estimate]


def remedy_effects(
    contrasts: Iterable[Contrast], metrics: Sequence[str], settings: Settings
) -> pd.DataFrame:
    """Metrics of one pair before and after every remedy.

    Args:
        contrasts: of the pair.
        metrics: names in the registry.
        settings: of the binned metrics.

    Returns:
        Rows of the REMEDY_EFFECTS contract.
    """
    chosen = select(metrics)
    rows = []
    for pair, task, method, *answers in contrasts:
        models = [of_model.predictions for of_model in answers]
        before = [_measured(model, chosen, settings) for model in models]
        for name, remedy in remedies_of(method).items():
            found, seen = remedy.apply(*answers), remedy.metrics(chosen)
            after = [
                was if model is remedied else _measured(remedied, seen, settings)
                for was, model, remedied in zip(
                    before, models, (found.base, found.aligned), strict=True
                )
            ]
            keys = {"pair": pair, "task": task, "method": method, "remedy": name}
            temperatures = _temperature("base", found.base_temperature) | _temperature(
                "aligned", found.aligned_temperature
            )
            rows += [
                keys | {"metric": metric, "n": len(models[0])} | temperatures | effects
                for metric, effects in _effects(before, after).items()
            ]
        print(f"{task}, {method}: remedies applied")
    frame = pd.DataFrame(rows).sort_values(["task", "method", "remedy", "metric"])
    return frame.reindex(columns=REMEDY_EFFECTS.names)


def _measured(
    predictions: Predictions, metrics: Mapping[str, Metric], settings: Settings
) -> _Measured:
    sample = Sample(predictions, metrics, settings)
    return _Measured(sample.values(), sample.estimates())


def _effects(
    before: Sequence[_Measured], after: Sequence[_Measured]
) -> dict[str, dict[str, float]]:
    """What is told of every metric that is measured before and after, of base and aligned model."""
    names = [name for name in after[1].values if name in after[0].values]
    effects = {}
    for metric in names:
        values = [model.values[metric] for model in (*before, *after)]
        if metric in before[0].estimates:
            estimates = [model.estimates[metric] for model in (*before, *after)]
            effects[metric] = _estimated(metric, *estimates)
        else:
            base, aligned, base_after, aligned_after = values
            effects[metric] = {
                "base_before": base,
                "base_after": base_after,
                "aligned_before": aligned,
                "aligned_after": aligned_after,
                "change_before": aligned - base,
                "change_after": aligned_after - base_after,
                "aligned_effect": aligned_after - aligned,
            }
    return effects


def _estimated(
    metric: str, base: Estimate, aligned: Estimate, base_after: Estimate, aligned_after: Estimate
) -> dict[str, float]:
    changed, changed_after = change(base, aligned), change(base_after, aligned_after)
    values = {
        "base_before": base,
        "base_after": base_after,
        "aligned_before": aligned,
        "aligned_after": aligned_after,
    }
    changes = {
        "change_before": changed,
        "change_after": changed_after,
        "aligned_effect": change(aligned, aligned_after),
    }
    bounds = METRICS[metric].bounds
    effects = {
        key: value
        for name, estimate in (values | changes).items()
        for key, value in _columns(name, estimate, bounds if name in values else None).items()
    }
    # An interval of the ratio exists where the change is found, and so a share of it.
    low, high = ratio_interval(changed_after, changed)
    if np.isfinite(low):
        effects["removed"] = 1 - changed_after.value / changed.value
        effects["removed_ci_low"], effects["removed_ci_high"] = 1 - high, 1 - low
    return effects


def _columns(name: str, estimate: Estimate, bounds: tuple[float, float] | None) -> dict[str, float]:
    ends = estimate.interval()
    low, high = ends if bounds is None else np.clip(ends, *bounds)
    return {
        name: estimate.value,
        f"{name}_debiased": estimate.debiased,
        f"{name}_ci_low": float(low),
        f"{name}_ci_high": float(high),
    }


def _temperature(stage: str, temperature: Temperature | None) -> dict[str, float]:
    if temperature is None:
        return {}
    low, high = temperature.interval()
    name = f"{stage}_temperature"
    return {name: temperature.value, f"{name}_ci_low": low, f"{name}_ci_high": high}
