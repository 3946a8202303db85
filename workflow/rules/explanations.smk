# What stands behind the changes: how much of them remedies take back, and which questions they
# come from; and whether the published static calibration error measures calibration. Minutes for
# the paper's whole study, so one job.


rule explanations:
    """What explains the changes: remedies, decomposition, map, SCE audit."""
    input:
        confidences=expand(
            f"{RESULTS}/confidences/{{model}}/{{task}}.parquet",
            model=MODELS,
            task=TASKS,
        ),
    output:
        remedies=f"{RESULTS}/remedies.parquet",
        decomposition=f"{RESULTS}/decomposition.parquet",
        map_parts=f"{RESULTS}/map_parts.parquet",
        map_effects=f"{RESULTS}/map_effects.parquet",
        sce_audit=f"{RESULTS}/sce_audit.parquet",
    log:
        f"{LOGS}/explanations.log",
    benchmark:
        f"{BENCHMARKS}/explanations.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("explanations"),
        slice=statistics_slice(
            "bins",
            "resample",
            "tace_threshold",
            metrics=STUDY["metrics"],
            models=MODELS,
            pairs=STUDY["pairs"],
            tasks=TASKS,
        ),
        origin=lambda w: origin(
            rules.explanations.params.slice, given_confidences(MODELS)
        ),
    script:
        "../scripts/explanations.py"
