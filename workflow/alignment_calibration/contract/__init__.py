"""Names and columns of the files by which the steps hand over their results."""

from typing import Final

from alignment_calibration.contract import calibration, pairs, published, records, scoring

#: Every file of a study for programs, below `results/{study}/`, in the order of the data flow.
FILES: Final = {
    "models/{model}.json": records.MODEL,
    "questions/{task}/{prompt}.parquet": scoring.QUESTIONS,
    "logits/{model}/{task}/{prompt}.parquet": scoring.LOGITS,
    "logits/{model}/{task}/{prompt}.receipt.json": records.RECEIPT,
    "logits/{model}/{task}/{prompt}.run.json": records.RUN,
    "confidences/{model}/{task}.parquet": calibration.CONFIDENCES,
    "metrics/{model}.parquet": calibration.MODEL_METRICS,
    "metrics.parquet": calibration.ALL_METRICS,
    "reliability/{model}.parquet": calibration.MODEL_RELIABILITY,
    "reliability.parquet": calibration.RELIABILITY,
    "sce_audit.parquet": calibration.SCE_AUDIT,
    "permutations/{pair}.parquet": pairs.PERMUTATIONS,
    "changes.parquet": pairs.CHANGES,
    "estimates.parquet": pairs.ESTIMATES,
    "rates_by_method.parquet": pairs.RATES_BY_METHOD,
    "alignment_effects.parquet": pairs.EFFECTS,
    "pair_effects.parquet": pairs.PAIR_EFFECTS,
    "rank_probabilities.parquet": pairs.RANK_PROBABILITIES,
    "rank_agreement.parquet": pairs.RANK_AGREEMENT,
    "rank_correlations.parquet": pairs.RANK_CORRELATIONS,
    "steps.parquet": pairs.CHANGES,
    "stages.parquet": pairs.LADDER_STAGES,
    "trends.parquet": pairs.TRENDS,
    "remedies.parquet": pairs.REMEDY_EFFECTS,
    "decomposition.parquet": pairs.DECOMPOSITION,
    "map_parts.parquet": pairs.MAP_PARTS,
    "map_effects.parquet": pairs.MAP_EFFECTS,
    "letter_parts.parquet": pairs.LETTER_PARTS,
    "option_order.parquet": pairs.OPTION_ORDER,
    "multiverse/{pair}.parquet": pairs.PAIR_MULTIVERSE,
    "multiverse.parquet": pairs.MULTIVERSE,
    "audit.parquet": published.PUBLISHED_AUDIT,
    "run_summary.json": records.RUN_SUMMARY,
}

#: The tidy files of a study, of which tables and figures read some: schemas by name.
TIDY: Final = {
    file.removesuffix(".parquet"): schema
    for file, schema in FILES.items()
    if "/" not in file and file.endswith(".parquet")
}
