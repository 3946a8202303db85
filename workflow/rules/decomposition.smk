# Which questions each pair's changes come from.


rule decomposition:
    input:
        confidences=CONFIDENCES,
        code=code("decomposition"),
    output:
        f"{RESULTS}/decomposition.parquet",
    log:
        f"{LOGS}/decomposition.log",
    benchmark:
        f"{BENCHMARKS}/decomposition.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        slice=statistics_slice(
            "bins",
            "tace_threshold",
            metrics=STUDY["metrics"],
            models=MODELS,
            pairs=STUDY["pairs"],
            tasks=TASKS,
        ),
    script:
        "../scripts/decomposition.py"
