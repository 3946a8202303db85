# Metrics of each model: values, intervals and bootstrap replicates.

# Of every model on every task, in this order.
CONFIDENCES = [
    f"{RESULTS}/confidences/{model}/{task}.parquet"
    for model in MODELS
    for task in TASKS
]


rule metrics:
    input:
        confidences=lambda w: [
            f"{RESULTS}/confidences/{w.model}/{task}.parquet" for task in TASKS
        ],
        code=code("metrics"),
    output:
        f"{RESULTS}/metrics/{{model}}.parquet",
    log:
        f"{LOGS}/metrics/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/metrics/{{model}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        slice=statistics_slice(
            "bins",
            "resamples",
            "seed",
            "tace_threshold",
            metrics=STUDY["metrics"],
            tasks=TASKS,
        ),
    script:
        "../scripts/metrics.py"


rule all_metrics:
    input:
        metrics=expand(f"{RESULTS}/metrics/{{model}}.parquet", model=MODELS),
        code=code("all_metrics"),
    output:
        parquet=f"{RESULTS}/metrics.parquet",
        csv=f"{RESULTS}/metrics.csv",
    log:
        f"{LOGS}/all_metrics.log",
    benchmark:
        f"{BENCHMARKS}/all_metrics.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        slice=canonical_json({"models": MODELS, "pairs": STUDY["pairs"]}),
    script:
        "../scripts/all_metrics.py"
