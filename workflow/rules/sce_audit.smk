# Does the published static calibration error measure calibration? Both errors and the closed form.


rule sce_audit:
    input:
        confidences=CONFIDENCES,
        code=code("sce_audit"),
    output:
        f"{RESULTS}/sce_audit.parquet",
    log:
        f"{LOGS}/sce_audit.log",
    benchmark:
        f"{BENCHMARKS}/sce_audit.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        slice=statistics_slice("bins", "tace_threshold", models=MODELS, tasks=TASKS),
    script:
        "../scripts/sce_audit.py"
