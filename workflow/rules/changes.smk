# Changes from base to aligned model of each pair, how sure they are, and how they rank. Pairs enter
# here, so the metrics of all models are joined with them here too.


rule permutations:
    input:
        base=of_pair("base"),
        aligned=of_pair("aligned"),
    output:
        f"{RESULTS}/permutations/{{pair}}.parquet",
    log:
        f"{LOGS}/permutations/{{pair}}.log",
    benchmark:
        f"{BENCHMARKS}/permutations/{{pair}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("permutations"),
        slice=statistics_slice(
            "bins",
            "permutations",
            "resample",
            "seed",
            "tace_threshold",
            metrics=STUDY["metrics"],
            tasks=TASKS,
        ),
        origin=lambda w: origin(
            rules.permutations.params.slice,
            given_confidences(CONTRASTED[w.pair].values()),
        ),
    script:
        "../scripts/permutations.py"


rule changes:
    """Changes and change rates from base to aligned models, with ranks."""
    input:
        metrics=expand(f"{RESULTS}/metrics/{{model}}.parquet", model=MODELS),
        reliability=expand(f"{RESULTS}/reliability/{{model}}.parquet", model=MODELS),
        permutations=expand(f"{RESULTS}/permutations/{{pair}}.parquet", pair=PAIRS),
    output:
        metrics=f"{RESULTS}/metrics.parquet",
        metrics_csv=f"{RESULTS}/metrics.csv",
        reliability=f"{RESULTS}/reliability.parquet",
        changes=f"{RESULTS}/changes.parquet",
        changes_csv=f"{RESULTS}/changes.csv",
        estimates=f"{RESULTS}/estimates.parquet",
        rates_by_method=f"{RESULTS}/rates_by_method.parquet",
        alignment_effects=f"{RESULTS}/alignment_effects.parquet",
        pair_effects=f"{RESULTS}/pair_effects.parquet",
        rank_probabilities=f"{RESULTS}/rank_probabilities.parquet",
        rank_agreement=f"{RESULTS}/rank_agreement.parquet",
        rank_correlations=f"{RESULTS}/rank_correlations.parquet",
    log:
        f"{LOGS}/changes.log",
    benchmark:
        f"{BENCHMARKS}/changes.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("changes"),
        slice=statistics_slice(
            "permutations", "seed", models=MODELS, pairs=STUDY["pairs"], steps=STEPS
        ),
        origin=lambda w: origin(
            rules.changes.params.slice,
            {
                **given("metrics", "metrics/{model}.parquet", model=MODELS),
                **given("metrics", "reliability/{model}.parquet", model=MODELS),
                **given("permutations", "permutations/{pair}.parquet", pair=PAIRS),
            },
        ),
    script:
        "../scripts/changes.py"
