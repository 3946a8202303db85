# Changes from base to aligned model of each pair, and how sure they are.


def confidences_of(stage):
    """Confidences of one stage of a pair, in the order of the tasks."""
    return lambda w: [
        f"{RESULTS}/confidences/{STUDY['pairs'][w.pair][stage]}/{task}.parquet"
        for task in TASKS
    ]


rule permutations:
    input:
        base=confidences_of("base"),
        aligned=confidences_of("aligned"),
        code=[*METRICS_CODE, *code("permutations")],
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
        code=code("changes", "ranks", "resampling"),
    output:
        parquet=f"{RESULTS}/changes.parquet",
        csv=f"{RESULTS}/changes.csv",
    log:
        f"{LOGS}/changes.log",
    benchmark:
        f"{BENCHMARKS}/changes.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        slice=canonical_json({"models": MODELS, "pairs": STUDY["pairs"]}),
    script:
        "../scripts/changes.py"
