"""The step `explanations`: what stands behind the changes of a study, and behind its errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from alignment_calibration.calibration.sce_audit import audit
from alignment_calibration.contract.calibration import SCE_AUDIT
from alignment_calibration.contract.pairs import (
    DECOMPOSITION,
    MAP_EFFECTS,
    MAP_PARTS,
    REMEDY_EFFECTS,
)
from alignment_calibration.files.frames import write_frame
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.decomposition import decompose_pair
from alignment_calibration.pairs.map_parts import map_effects, map_parts, parts_frame
from alignment_calibration.pairs.remedy_effects import remedy_effects
from alignment_calibration.study.settings import Settings
from alignment_calibration.study.vocabulary import STAGES


def write_explanations(
    confidences: Mapping[str, Mapping[str, str | Path]],
    pairs: Mapping[str, Mapping[str, str]],
    metrics: Sequence[str],
    settings: Settings,
    resample: str,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write remedies, decompositions and map parts of all pairs, and the SCE audit of models.

    Args:
        confidences: confidences file of each model and task.
        pairs: `base` and `aligned` model of each pair.
        metrics: names in the registry.
        settings: of the binned metrics.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.
        outputs: Parquet files `remedies`, `decomposition`, `map_parts`, `map_effects` and
            `sce_audit`.

    Raises:
        UserError: if the models of a pair did not answer the same questions, or a file is damaged.
    """
    remedies, decompositions, parts = [], [], []
    for pair, models in sorted(pairs.items()):
        base, aligned = (confidences[models[stage]] for stage in STAGES)
        contrasts = list(read_contrasts(pair, base, aligned, resample))
        remedies.append(remedy_effects(contrasts, metrics, settings))
        decompositions.append(decompose_pair(contrasts, metrics, settings))
        parts += map_parts(contrasts, settings)
    audits = [audit(model, confidences[model], settings, resample) for model in sorted(confidences)]
    write_frame(outputs["remedies"], pd.concat(remedies), REMEDY_EFFECTS)
    write_frame(outputs["decomposition"], pd.concat(decompositions), DECOMPOSITION)
    write_frame(outputs["map_parts"], parts_frame(parts), MAP_PARTS)
    write_frame(outputs["map_effects"], map_effects(parts), MAP_EFFECTS)
    write_frame(outputs["sce_audit"], pd.concat(audits), SCE_AUDIT)
