# Changes from base to aligned model of each pair, and how sure they are.


rule permutations:
    input:
        base=of_pair("base"),
        aligned=of_pair("aligned"),
        code=code("permutations"),
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
        slice=statistics_slice(
            "bins",
            "permutations",
            "seed",
            "tace_threshold",
            metrics=STUDY["metrics"],
            tasks=TASKS,
        ),
    script:
        "../scripts/permutations.py"


rule changes:
    input:
        metrics=expand(f"{RESULTS}/metrics/{{model}}.parquet", model=MODELS),
        permutations=expand(f"{RESULTS}/permutations/{{pair}}.parquet", pair=PAIRS),
        code=code("changes"),
    output:
        parquet=f"{RESULTS}/changes.parquet",
        csv=f"{RESULTS}/changes.csv",
        alignment_effects=f"{RESULTS}/alignment_effects.parquet",
        pair_effects=f"{RESULTS}/pair_effects.parquet",
        rank_probabilities=f"{RESULTS}/rank_probabilities.parquet",
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
        slice=statistics_slice("seed", models=MODELS, pairs=STUDY["pairs"]),
    script:
        "../scripts/changes.py"


rule rank_agreement:
    input:
        changes="results/{study}/changes.parquet",
        code=code("rank_agreement"),
    output:
        agreement="results/{study}/rank_agreement.parquet",
        correlations="results/{study}/rank_correlations.parquet",
    log:
        "results/{study}/logs/rank_agreement.log",
    benchmark:
        "results/{study}/benchmarks/rank_agreement.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        slice=statistics_slice("permutations", "seed"),
    script:
        "../scripts/rank_agreement.py"
