"""Power: what change of the primary metric a study can show, and how many questions another takes.

The smallest change that is found with probability `POWER` is a sum of a multiple of the standard
error and of the width of the bias's bounds. Both fall with the root of the number of questions, the
latter faster where there is an error to see: from a measured study to a larger one the number of
questions is rather too large, to a smaller one rather too small. So two numbers of a task, its
`Spread`, decide it for any number of questions. Once a study
is finished they are measured; before, they are assumed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from alignment_calibration.calibration.estimates import LEVEL, POWER, smallest_change
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.contract.pairs import CHANGES, ESTIMATES
from alignment_calibration.files.frames import read_frame
from alignment_calibration.inputs.plan import columns, load_of
from alignment_calibration.study.vocabulary import METHODS, STAGES


@dataclass(frozen=True)
class Spread:
    """How uncertain a change is, for any number of questions.

    Attributes:
        deviation: standard deviation of what one question adds to the change.
        bias_width: width of the bounds of the bias that a change may still have, times the root of
            the number of questions.
    """

    deviation: float
    bias_width: float

    def mde(self, questions: int) -> float:
        """The smallest change that so many questions show."""
        return mde_of_mean({"task": (self, questions)})

    def questions_for(self, size: float) -> int:
        """How many questions it takes to show a change of this size."""
        count = 2
        for _ in range(20):  # Student's quantile hangs on the number, hardly: a fixed point
            needed = max(2, math.ceil(count * (self.mde(count) / size) ** 2))
            if needed == count:
                break
            count = needed
        return count


def mde_of_mean(tasks: Mapping[str, tuple[Spread, int]]) -> float:
    """The smallest mean change over tasks that is found, by spread and number of questions.

    Errors of sampling average out over tasks, bias does not.
    """
    variance = sum(spread.deviation**2 / count for spread, count in tasks.values())
    bias = sum(spread.bias_width / math.sqrt(count) for spread, count in tasks.values())
    questions = sum(count for _, count in tasks.values())
    return smallest_change(math.sqrt(variance) / len(tasks), bias / len(tasks), questions)


#: Before a study is finished: those of the least favourable of nine pairs of simulated models
#: (`python -m benchmarks.power`; docs/statistics.md).
ASSUMED: Final = {
    "ece": Spread(0.62, 1.26),
    "ece_equal_mass": Spread(0.62, 1.52),
    "ece_debiased": Spread(0.62, 1.26),
    "sce": Spread(0.56, 1.16),
    "sce_ovr": Spread(0.33, 0.72),
    "ace": Spread(0.56, 1.18),
    "tace": Spread(0.58, 1.26),
    "accuracy": Spread(0.52, 0.0),
    "confidence": Spread(0.22, 0.0),
    "brier": Spread(0.55, 0.0),
    "nll": Spread(1.22, 0.0),
}


def measured(
    changes: pd.DataFrame, estimates: pd.DataFrame, metric: str, method: str
) -> dict[str, Spread]:
    """The spread of each task of a finished study, of the pair with the least power there.

    Args:
        changes: rows of the CHANGES contract.
        estimates: rows of the ESTIMATES contract.
        metric, method: by name.

    Returns:
        By task; those without an estimate are left out.
    """
    keys = ["pair", "task", "method", "metric"]
    rows = changes.merge(estimates, on=keys, validate="1:1")
    rows = rows[(rows["metric"] == metric) & (rows["method"] == method)]
    found: dict[str, Spread] = {}
    for row in rows.sort_values("mde", na_position="first").to_dict("records"):
        variance = row["base_variance"] + row["aligned_variance"] - 2 * row["covariance"]
        width = sum(row[f"{s}_bias_high"] - row[f"{s}_bias_low"] for s in STAGES)
        root = math.sqrt(row["n"])
        found[str(row["task"])] = Spread(math.sqrt(max(variance, 0)) * root, width * root)
    return found


def report(study: Mapping[str, Any], results: str | Path) -> str:
    """What the questions of a study can show of its primary metric, as text.

    Args:
        study: a checked config.
        results: its folder of results, where its questions are if they are made, and its changes if
            it is finished.

    Raises:
        UserError: for damaged files.
    """
    primary, size = study["statistics"]["primary"], study["plan"]["change"]
    metric, method = primary["metric"], primary["method"]
    counts = _questions(study, Path(results), method)
    known = _measured(Path(results), metric, method)
    assumed = ASSUMED.get(metric)
    spreads = {task: known.get(task, assumed) for task in counts}
    ready = {
        task: (spread, counts[task])
        for task, spread in spreads.items()
        if spread is not None and counts[task] > 1
    }
    unit = METRICS[metric].unit
    rows = [
        [
            task,
            count or "not made",
            f"{spread.mde(count):.3f}" if spread and count > 1 else "?",
            f"{spread.questions_for(size):,}" if spread else "?",
            "measured" if task in known else "assumed" if spread else "not known",
        ]
        for task, count in counts.items()
        for spread in [spreads[task]]
    ]
    lines = [
        f"primary analysis: change of {metric} under {method}",
        f"change: the smallest of one pair ({unit}) that {POWER:.0%} of such studies find, at "
        f"{1 - LEVEL:.0%}",
        "",
        columns(["task", "questions", "change", f"questions for {size:g}", "spread"], rows),
        "",
    ]
    if len(ready) > 1:
        lines.append(f"mean over {len(ready)} tasks: {mde_of_mean(ready):.3f}")
    if known:
        lines.append(
            "measured: of the finished study, the pair with the least power on each task; rather "
            "too many questions for a larger study, too few for a smaller one"
        )
    if any(task not in known for task in counts):
        lines.append(
            "assumed: as of simulated models that are the least favourable of nine pairs "
            "(docs/statistics.md, Power); real ones may differ"
            if assumed
            else f"not known: {metric} has no spread before models are scored"
        )
    return "\n".join(lines) + "\n"


def _questions(study: Mapping[str, Any], results: Path, method: str) -> dict[str, int]:
    """Number of questions of each task that has the method's prompt; 0 where they are not made."""
    prompt = METHODS[method].prompt
    loads = {
        task: load_of(results / "questions" / task / f"{prompt}.parquet")
        for task, spec in study["tasks"].items()
        if spec[prompt]
    }
    return {task: load.questions if load else 0 for task, load in loads.items()}


def _measured(results: Path, metric: str, method: str) -> dict[str, Spread]:
    files = [results / f"{name}.parquet" for name in ("changes", "estimates")]
    if not all(file.exists() for file in files):
        return {}
    changes, estimates = map(read_frame, files, (CHANGES, ESTIMATES))
    return measured(changes, estimates, metric, method)
