# What letters have by themselves. Asked for by the table and the figures of that name.


rule option_order:
    """What the order of listed options does, and the prior of their letters."""
    input:
        receipts=[receipts(model) for model in MODELS],
        questions=[file for model in MODELS for file in question_files(model)],
        models=expand(f"{RESULTS}/models/{{model}}.json", model=MODELS),
        needed=only_with("option_order", "method choice_cyclic"),
    output:
        f"{RESULTS}/option_order.parquet",
    log:
        f"{LOGS}/option_order.log",
    benchmark:
        f"{BENCHMARKS}/option_order.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("option_order"),
        slice=statistics_slice(
            "resample", cells=CELLS, models=MODELS, pairs=STUDY["pairs"]
        ),
        identities=lambda w: [identity_slice(model) for model in MODELS],
        origin=lambda w: origin(
            [
                rules.option_order.params.slice,
                rules.option_order.params.identities(w),
            ],
            given_questions(*MODELS),
        ),
    script:
        "../scripts/option_order.py"
