# Ladders: what each stage of training did, and whether a metric goes one way over them. The whole of a
# ladder is among the pairs; here are its steps.
LADDER_MODELS = sorted({model for step in STEPS.values() for model in step.values()})


rule ladders:
    """What each stage of training did, with trends."""
    input:
        metrics=expand(f"{RESULTS}/metrics/{{model}}.parquet", model=LADDER_MODELS),
        permutations=expand(f"{RESULTS}/permutations/{{pair}}.parquet", pair=STEPS),
        needed=only_with("ladders", "ladder of several steps"),
    output:
        steps=f"{RESULTS}/steps.parquet",
        steps_csv=f"{RESULTS}/steps.csv",
        stages=f"{RESULTS}/stages.parquet",
        trends=f"{RESULTS}/trends.parquet",
    log:
        f"{LOGS}/ladders.log",
    benchmark:
        f"{BENCHMARKS}/ladders.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("ladders"),
        slice=canonical_json(
            {"models": LADDER_MODELS, "ladders": STUDY["ladders"], "steps": STEPS}
        ),
        origin=lambda w: origin(
            rules.ladders.params.slice,
            {
                **given("metrics", "metrics/{model}.parquet", model=LADDER_MODELS),
                **given("permutations", "permutations/{pair}.parquet", pair=STEPS),
            },
        ),
    script:
        "../scripts/ladders.py"
