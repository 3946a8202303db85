# Confidences: token log-probabilities of a model, read as probabilities of the options.


rule confidences:
    input:
        logits=lambda w: [
            f"{RESULTS}/logits/{w.model}/{task}/{prompt}.parquet"
            for task, prompt in CELLS
        ],
        # Missing after a job that failed: see `score`.
        current=lambda w: [
            f"{RESULTS}/logits/{w.model}/{task}/{prompt}.current"
            for task, prompt in CELLS
        ],
        questions=[
            f"{RESULTS}/questions/{task}/{prompt}.parquet" for task, prompt in CELLS
        ],
        model=f"{RESULTS}/models/{{model}}.json",
        code=code("confidences"),
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
        slice=canonical_json(
            {"cells": CELLS, "methods": STUDY["methods"], "tasks": TASKS}
        ),
        dtype=lambda w: dtype_of(w.model),
    script:
        "../scripts/confidences.py"
