# Metrics of each model: values, intervals and bootstrap replicates; and its reliability diagrams.


rule metrics:
    input:
        confidences=lambda w: [
            f"{RESULTS}/confidences/{w.model}/{task}.parquet" for task in TASKS
        ],
    output:
        metrics=f"{RESULTS}/metrics/{{model}}.parquet",
        reliability=f"{RESULTS}/reliability/{{model}}.parquet",
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
        code=code("metrics"),
        slice=statistics_slice(
            "bins",
            "resample",
            "resamples",
            "seed",
            "tace_threshold",
            metrics=STUDY["metrics"],
            tasks=TASKS,
        ),
        origin=lambda w: origin(
            rules.metrics.params.slice, given_confidences([w.model])
        ),
    script:
        "../scripts/metrics.py"
