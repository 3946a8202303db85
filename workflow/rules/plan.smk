# What the study will cost, printed before anything is submitted: `snakemake plan --cores 1`.


rule plan:
    """What the study will cost, printed before anything is run."""
    log:
        f"{LOGS}/plan.log",
    # No benchmark: it would be a file to make, and the plan is printed each time it is asked for.
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("plan"),
        study=config_slice(
            "study",
            "models",
            "pairs",
            "ladders",
            "tasks",
            "methods",
            "statistics",
            "plan",
        ),
        results=RESULTS,
    script:
        "../scripts/plan.py"


# The questions alone, so that the plan can count them.
rule all_questions:
    """The questions alone, which may need a network and no GPU."""
    input:
        [question_files(model) for model in MODELS],
    localrule: True
