"""The parts of each change of a binned error: how much of it is another calibration map.

Parts are estimates, so they have means over tasks and pairs as the changes do: parts of the mean.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import Estimate, change, mean_over_tasks
from alignment_calibration.calibration.metrics.gaps import CLASS_WISE, TOP_LABEL
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.contract.calibration import MEASUREMENT
from alignment_calibration.contract.pairs import MAP_EFFECTS, MAP_PARTS
from alignment_calibration.pairs.contrasts import Contrast
from alignment_calibration.pairs.map_change import split
from alignment_calibration.pairs.mean_estimates import PairMean, mean_over_pairs
from alignment_calibration.study.settings import Settings

#: The errors that are split, both in equal-width bins, which are the same for both models.
SPLIT: Final = {"ece": TOP_LABEL, "sce": CLASS_WISE}

#: What names a contrast of MAP_PARTS.
CONTRAST: Final = ["metric", "method", "task", "pair"]


class Part(NamedTuple):
    """A part of the change of one contrast, or the whole.

    `with_unshared` is the part if all that the models do not share were of it; of the whole, and of
    what they do not share, it is the part itself.
    """

    pair: str
    task: str
    method: str
    metric: str
    part: str
    found: Estimate
    with_unshared: Estimate
    unshared_share: float


def map_parts(contrasts: Iterable[Contrast], settings: Settings) -> list[Part]:
    """Split the changes of some contrasts, in bins by the settings."""
    parts = []
    for pair, task, method, *answers in contrasts:
        models = [of_model.predictions for of_model in answers]
        for name, gaps in SPLIT.items():
            tally = METRICS[name].tally
            assert tally is not None
            before, after = (tally(model, settings, model) for model in models)
            drawing = models[0].drawing
            found = split(before, after, gaps, drawing=drawing)
            base_error, aligned_error = (
                estimate(of, gaps, drawing=drawing) for of in (before, after)
            )
            whole = change(base_error, aligned_error)
            of_part = {
                "whole": (whole, whole),
                "map": (found.map, found.with_unshared(found.map)),
                "confidences": (found.confidences, found.with_unshared(found.confidences)),
                "unshared": (found.unshared, found.unshared),
            }
            parts += [
                Part(pair, task, method, name, part, *numbers, found.unshared_share)
                for part, numbers in of_part.items()
            ]
    return parts


def parts_frame(parts: Sequence[Part]) -> pd.DataFrame:
    """Parts as rows of the MAP_PARTS contract."""
    rows = [
        (*part[:5], part.found.value, part.found.debiased, *reach(*part[5:7]), part[-1])
        for part in parts
    ]
    frame = pd.DataFrame(rows, columns=MAP_PARTS.names)
    return frame.sort_values(["pair", *MEASUREMENT], kind="stable")  # the whole before its parts


def map_effects(parts: Sequence[Part]) -> pd.DataFrame:
    """The mean of every part over tasks and pairs (`mean_estimates.mean_over_pairs`).

    Args:
        parts: of all pairs.

    Returns:
        Rows of the MAP_EFFECTS contract.
    """
    families: dict[tuple[str, str, str], dict[str, dict[str, Part]]] = {}
    for part in parts:
        by_pair = families.setdefault((part.method, part.metric, part.part), {})
        by_pair.setdefault(part.pair, {})[part.task] = part
    rows = []
    for key, by_pair in families.items():
        sizes = {
            task: part.found.contributions.size
            for by_task in by_pair.values()
            for task, part in by_task.items()
        }
        mean, with_unshared = (
            mean_over_pairs(
                [
                    mean_over_tasks({task: getattr(p, which) for task, p in by_task.items()}, sizes)
                    for by_task in by_pair.values()
                ]
            )
            for which in ("found", "with_unshared")
        )
        numbers = mean.value, mean.debiased, *reach(mean, with_unshared)
        rows.append((*key, len(by_pair), len(sizes), *numbers))
    return pd.DataFrame(rows, columns=MAP_EFFECTS.names).sort_values(MAP_EFFECTS.names[:3])


def reach(found: Estimate | PairMean, with_unshared: Estimate | PairMean) -> tuple[float, float]:
    """The interval of a part, from none to all of what the models do not share."""
    lows, highs = zip(found.interval(), with_unshared.interval(), strict=True)
    return float(np.min(lows)), float(np.max(highs))


def opposite_signs(parts: pd.DataFrame) -> dict[str, int]:
    """How often the whole and the map part speak against each other.

    Args:
        parts: rows of MAP_PARTS.

    Returns:
        `contrasts`; `opposite`, those whose whole and map part, less their estimated bias, differ
        in sign; `opposite_found`, those of them with both intervals off 0; `whole_found` and
        `map_found`, those whose interval of the whole, or of the map part, leaves out 0.
    """
    signs = {}
    for part in ("whole", "map"):
        rows = parts[parts["part"] == part].set_index(CONTRAST)
        sign = np.sign(rows["debiased"])
        signs[part] = sign, sign.where((rows["ci_low"] > 0) | (rows["ci_high"] < 0), 0)
    (whole, found_whole), (of_map, found_map) = signs["whole"], signs["map"]
    return {
        "contrasts": len(whole),
        "opposite": int((whole * of_map < 0).sum()),
        "opposite_found": int((found_whole * found_map < 0).sum()),
        "whole_found": int((found_whole != 0).sum()),
        "map_found": int((found_map != 0).sum()),
    }
