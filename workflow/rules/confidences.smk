# Confidences: token log-probabilities of a model, read as probabilities of the options.


rule confidences:
    input:
        receipts=lambda w: receipts(w.model),
        questions=lambda w: question_files(w.model),
        model=f"{RESULTS}/models/{{model}}.json",
    output:
        expand(f"{RESULTS}/confidences/{{{{model}}}}/{{task}}.parquet", task=TASKS),
    log:
        f"{LOGS}/confidences/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/confidences/{{model}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code("confidences"),
        slice=canonical_json(
            {"cells": CELLS, "methods": STUDY["methods"], "tasks": TASKS}
        ),
        identity=lambda w: identity_slice(w.model),
        origin=lambda w: origin(
            [rules.confidences.params.slice, identity_slice(w.model)],
            given_questions(w.model),
        ),
    script:
        "../scripts/confidences.py"
