# Raw letters: changes split into answer and format. Asked for by the table of that name.


rule letter_parts:
    """Changes under raw letters, split into answer and format."""
    input:
        confidences=expand(
            f"{RESULTS}/confidences/{{model}}/{{task}}.parquet",
            model=MODELS,
            task=TASKS,
        ),
        needed=only_with("letter_parts", "methods choice and choice_raw"),
    output:
        f"{RESULTS}/letter_parts.parquet",
    log:
        f"{LOGS}/letter_parts.log",
    benchmark:
        f"{BENCHMARKS}/letter_parts.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("letter_parts"),
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
            rules.letter_parts.params.slice, given_confidences(MODELS)
        ),
    script:
        "../scripts/letter_parts.py"
