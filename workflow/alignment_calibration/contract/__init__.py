"""Names and columns of the files by which the steps hand over their results."""

from typing import Final

from alignment_calibration.contract import calibration, pairs, published

#: The tidy files of a study that tables and figures read, `results/{study}/{name}.parquet`.
TIDY: Final = {
    "metrics": calibration.ALL_METRICS,
    "reliability": calibration.RELIABILITY,
    "sce_audit": calibration.SCE_AUDIT,
    "changes": pairs.CHANGES,
    "estimates": pairs.ESTIMATES,
    "alignment_effects": pairs.EFFECTS,
    "rank_probabilities": pairs.RANK_PROBABILITIES,
    "map_parts": pairs.MAP_PARTS,
    "temperature": pairs.TEMPERATURE,
    "multiverse": pairs.MULTIVERSE,
    "audit": published.PUBLISHED_AUDIT,
}
